"""Sectors that go bad, by QEMU's `blkdebug` under a disk's format: from the beginning, or while it runs.

A node of blkdebug takes its rules when it is made. So a new one is made for every change, with all rules, put between
the disk's format and its file, and the one before it goes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ...errors import BadArgument, UserError
from ..sectors import sectors
from .board import Medium, bad_sectors, below
from .qmp import Monitor

MOST = 256  # sectors: each is two rules
RULE = re.compile(r"media\s+where=(?P<where>\S+)(?:\s+times=(?P<times>[01]))?")


def rules(text: str) -> list[dict[str, object]]:
    """`media where=100-107`, once, or with `times=0` for ever, as rules of blkdebug. Raises UserError."""
    match = RULE.fullmatch(text.strip())
    bad = _sectors(match["where"]) if match else range(0)
    if match is None or not 0 < len(bad) <= MOST:
        raise UserError(
            f"{text!r} is no fault of QEMU's: it has `media where=FIRST-LAST`, {MOST} sectors at most, once or "
            "with `times=0`; --machine sim has more"
        )
    return bad_sectors(*bad, once=match["times"] != "0")


def _sectors(text: str) -> range:
    try:
        return sectors(text)
    except ValueError:
        return range(0)


class Media:
    """The disks of a running QEMU that can be spoilt."""

    def __init__(self, media: Sequence[Medium]) -> None:
        named = {f"disk{n}": medium for n, medium in enumerate(media)}
        self.disks = {name: m for name, m in named.items() if m.can_be_spoilt}
        self.count = 0  # of changes, each with nodes of a name of its own
        self.nodes: dict[str, str] = {}  # that of blkdebug, where one was put in
        self.extra: list[Mapping[str, object]] = []

    async def spoil(self, monitor: Monitor, text: str) -> None:
        """One more fault, of all disks; `none` takes those of the run away. Raises UserError, BadArgument."""
        extra = [] if text.strip() == "none" else [*self.extra, *rules(text)]
        if not self.disks:
            raise BadArgument(
                f"fault {text}: no disk of this machine can be spoilt while it runs: that takes a --disk, without "
                "--read-only"
            )
        self.count += 1
        for name, medium in self.disks.items():
            made = await self._put(monitor, name, medium, [*medium.faults, *extra])
            before, self.nodes[name] = self.nodes.get(name), made
            if before:
                await monitor.do("blockdev-del", node_name=before)
        self.extra = extra

    async def _put(
        self, monitor: Monitor, name: str, medium: Medium, faults: Sequence[Mapping[str, object]]
    ) -> str:
        """A new node between a disk's format and its file, by name. One that QEMU refuses changes nothing."""
        made = f"{name}-bad{self.count}"
        node: dict[str, object] = {"driver": "blkdebug", "node-name": made, "image": below(name)}
        if faults:
            node["inject-error"] = [dict(rule) for rule in faults]
        await monitor.command("blockdev-add", node)
        disk = {"driver": medium.format, "node-name": name, "read-only": False, "file": made}
        try:
            await monitor.command("blockdev-reopen", {"options": [disk]})
        except BadArgument:
            await monitor.do("blockdev-del", node_name=made)
            raise
        return made
