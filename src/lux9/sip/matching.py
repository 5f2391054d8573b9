"""What binds to what: stanzas to functions, by class, modalias or ids, and to files of services that came."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

from ..errors import NotFound
from ..kernel.hardware import Function
from ..kernel.kernel import Kernel
from ..ninep.caller import Caller
from ..wire.messages import OREAD, Stat
from .stanza import Bound, Stanza


class Matching:
    """The stanzas, over a machine's functions and the files that are served on it."""

    def __init__(self, kernel: Kernel, stanzas: Sequence[Stanza]) -> None:
        self.kernel, self.stanzas = kernel, stanzas

    def functions(self) -> list[tuple[Stanza, str]]:
        """Each function that a stanza binds, with the one that fits it closest; the first of equals."""
        found = [(self.closest(bound(f)), f.name) for f in self.kernel.hardware.functions.values()]
        return [(stanza, name) for stanza, name in found if stanza is not None]

    def closest(self, function: Bound) -> Stanza | None:
        """The stanza for a function, or None."""
        best = max(self.stanzas, key=lambda s: s.fit(function), default=None)
        return best if best is not None and best.fit(function) else None

    def where(self, service: str) -> str:
        """Where a service is mounted in the standard namespace, or nothing."""
        steps = [s for s in self.kernel.standard.steps if s.source == f"#s/{service}"]
        return "/" + "/".join(steps[0].to) if steps else ""

    def source(self, path: str) -> str:
        """Where a file of a mounted service comes from: `#s/ahci/sdE0/linux`. Raises NotFound for others."""
        for step in reversed(self.kernel.standard.steps):
            where = "/".join(("", *step.to))
            if step.source.startswith("#s/") and path.startswith(where + "/"):
                return step.source + path.removeprefix(where)
        raise NotFound(f"{path} is no file of a mounted service; /dev/mounts lists them")

    async def paths(self, service: str) -> list[str]:
        """The files two levels down from where a service is mounted."""
        where = self.where(service)
        if not where or not self._may_hold(where, 2):
            return []
        posted = self.kernel.services.posted[service]
        caller, fid = posted.service.caller, posted.root.fid
        found: list[str] = []
        for top in await listing(caller, fid, ()):
            if top.qid.is_dir and self._may_hold(f"{where}/{top.name}", 1):
                stats = await listing(caller, fid, (top.name,))
                found += [f"{where}/{top.name}/{stat.name}" for stat in stats]
        return found

    async def lacks(self, stanza: Stanza, source: str) -> str:
        """Why a file, by its source `#s/ahci/sdE0/linux`, is not the stanza's by its magic; or nothing."""
        if stanza.magic is None:
            return ""
        service, *path = source.removeprefix("#s/").split("/")
        posted = self.kernel.services.posted[service]
        caller = posted.service.caller
        at, _ = await caller.walk(posted.root.fid, path)
        try:
            await caller.open(at, OREAD)
            size = len(stanza.magic.content)
            found = await caller.read(at, stanza.magic.at, size, copy=True)
        finally:
            caller.forget(at)
        return stanza.magic.wrong(bytes(found))

    def _may_hold(self, directory: str, levels: int) -> bool:
        """Whether a stanza names files so far below it: a file system is not searched for nothing."""
        patterns = (pattern for s in self.stanzas for pattern in s.files)
        return any(fnmatch.fnmatch(directory, p.rsplit("/", levels)[0]) for p in patterns)


def bound(f: Function) -> Bound:
    """A function as matching sees it."""
    i = f.info
    modalias = (
        f"pci:v{i.vendor:08X}d{i.device:08X}sv{i.subvendor:08X}sd{i.subsystem:08X}"
        f"bc{i.code >> 16:02X}sc{i.code >> 8 & 0xFF:02X}i{i.code & 0xFF:02X}"
    )
    return Bound(f.name, i.code, f"{i.vendor:04x}:{i.device:04x}", modalias)


async def listing(caller: Caller, fid: int, path: Sequence[str]) -> list[Stat]:
    """A directory of a service."""
    at, _ = await caller.walk(fid, path)
    try:
        await caller.open(at, 0)
        return await caller.listing(at)
    finally:
        caller.forget(at)
