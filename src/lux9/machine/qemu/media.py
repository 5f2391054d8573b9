"""Sectors that go bad, by QEMU's `blkdebug` over a disk's image: from the beginning, or while it runs.

A node of blkdebug takes its rules when it is made. So a new one is made for every fault, and put between the disk
and what is below: those before stay as they are, with what has come of them already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...errors import BadArgument, UserError
from ..sectors import sectors
from .board import Medium, bad_sectors, below, blkdebug, spoilt
from .qmp import Monitor

MOST = 256  # sectors: each is a rule
DEEP = 64  # faults while it runs: each is a node that every access goes through
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
        self.count = 0  # of faults, each with nodes of a name of its own
        self.nodes: dict[str, list[str]] = {n: [] for n in self.disks}  # ours, the last on top

    async def spoil(self, monitor: Monitor, text: str) -> None:
        """One more fault, of all disks; `none` takes all away. Raises UserError, BadArgument."""
        faults = [] if text.strip() == "none" else rules(text)
        if not self.disks:
            raise BadArgument(
                f"fault {text}: no disk of this machine can be spoilt while it runs: that takes a --disk, without "
                "--read-only"
            )
        if faults and any(len(nodes) >= DEEP for nodes in self.nodes.values()):
            raise BadArgument(
                f"fault {text}: there are {DEEP} already; `fault none` takes them away"
            )
        self.count += 1
        for name in self.disks:
            await (self._put(monitor, name, faults) if faults else self._mend(monitor, name))

    async def _put(
        self, monitor: Monitor, name: str, faults: Sequence[Mapping[str, object]]
    ) -> None:
        """A new node right below a disk. One that QEMU refuses changes nothing."""
        made = f"{name}-bad{self.count}"
        node = blkdebug(made, self._top(name), faults)
        await monitor.command("blockdev-add", node)
        try:
            await self._reopen(monitor, name, made)
        except BadArgument:
            await monitor.do("blockdev-del", node_name=made)
            raise
        self.nodes[name].append(made)

    def _top(self, name: str) -> str:
        """What is right below a disk."""
        if self.nodes[name]:
            return self.nodes[name][-1]
        return spoilt(name) if self.disks[name].faults else below(name)

    async def _mend(self, monitor: Monitor, name: str) -> None:
        """The image right below the disk: the nodes between go, and with the last that of the beginning."""
        await self._reopen(monitor, name, below(name))
        self.disks[name] = replace(self.disks[name], faults=())
        while self.nodes[name]:
            await monitor.do("blockdev-del", node_name=self.nodes[name][-1])
            self.nodes[name].pop()

    async def _reopen(self, monitor: Monitor, name: str, file: str) -> None:
        disk = {"driver": "raw", "node-name": name, "read-only": False, "file": file}
        await monitor.command("blockdev-reopen", {"options": [disk]})
