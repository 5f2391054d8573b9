"""Who is started for what: a driver for each function that a stanza binds, and one for a file that a service brings.

Functions come and go while the machine runs; files come with the services that are mounted. A stanza that serves files
has one driver, for the first file that can be served; a file without the stanza's `magic` is passed over.
"""

from __future__ import annotations

import asyncio
import fnmatch
from collections.abc import Callable, Coroutine, Mapping, Sequence
from typing import Any, Protocol

from ..errors import Lux9Error
from ..kernel.kernel import Kernel
from .matching import Matching
from .server import Sip
from .stanza import Stanza


class House(Protocol):
    """What a binder needs of the launcher."""

    kernel: Kernel
    sips: list[Sip]
    stanzas: list[Stanza]
    matching: Matching

    def create(self, stanza: Stanza, binding: str) -> Sip:
        """One more server."""
        ...

    async def start(self, sip: Sip) -> bool:
        """Start it; whether it came up."""
        ...

    async def stop(self, sip: Sip, why: str = "") -> None:
        """End it."""
        ...

    def task(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something on the side."""
        ...


class Binder:
    """Watches the machine and what is mounted. `passed`: files that were passed over, and why."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.passed: dict[tuple[str, str], str] = {}  # by stanza and path
        self.turns: dict[str, asyncio.Lock] = {}  # by stanza: held while one for a file is chosen
        house.kernel.hardware.watchers.append(self._machine_says)
        house.kernel.hardware.bus.changed = self._bus_changed

    async def match(self, again: Callable[[Sip], bool]) -> None:
        """Start what is bound to a function and new, or of which `again` says so. No start waits for another."""
        wanted: list[Sip] = []
        known = {(sip.binding, sip.stanza.name): sip for sip in self.house.sips}
        for stanza, name in self.house.matching.functions():
            sip = known.get((name, stanza.name))
            if sip is None:
                wanted.append(self.house.create(stanza, name))
            elif not sip.running and not sip.comes_back and again(sip):
                wanted.append(sip)
        await asyncio.gather(*(self.house.start(sip) for sip in wanted))

    def _machine_says(self, name: str, came: bool) -> None:
        """A function came or went: afterwards, for it is still on its way."""
        self.house.task(self._look() if came else self._pulled(name))

    def _bus_changed(self) -> None:
        """Somebody looked, and the bus is not what it was."""
        names = self.house.kernel.hardware.functions
        for sip in self.house.sips:
            if sip.function and sip.function not in names and sip.running:
                self.house.task(self._pulled(sip.function))
        self.house.task(self.match(lambda sip: sip.pulled))

    async def _look(self) -> None:
        self.house.kernel.hardware.bus.look()

    async def _pulled(self, name: str) -> None:
        for sip in self.house.sips:
            if sip.function == name and (sip.running or sip.comes_back):
                sip.pulled = True
                await self.house.stop(sip, "its function was pulled out")
        self.house.kernel.hardware.bus.look()

    async def look_for_files(self, service: str, back: bool) -> None:
        """Start what serves files of a service that came, each on its own."""
        stanzas = [s for s in self.house.stanzas if s.files]
        paths = await self.house.matching.paths(service) if stanzas else []
        sources = {path: self.house.matching.source(path) for path in paths}
        for stanza in stanzas:
            mine = self._of(stanza)
            if not (back and any(s.source.startswith(f"#s/{service}/") for s in mine)):
                self.house.task(self._in_turn(stanza, sources))

    def _of(self, stanza: Stanza) -> list[Sip]:
        return [sip for sip in self.house.sips if sip.stanza.name == stanza.name]

    async def _in_turn(self, stanza: Stanza, sources: Mapping[str, str]) -> None:
        """One service's files after the other's: of those that come at once, one is served."""
        async with self.turns.setdefault(stanza.name, asyncio.Lock()):
            await self._serve_first(stanza, self._of(stanza), sources)

    async def _serve_first(
        self, stanza: Stanza, mine: Sequence[Sip], sources: Mapping[str, str]
    ) -> None:
        """One for the first file that can be served, in the order in which the stanza names them."""
        for sip in mine:
            if sip.state == "stopping":
                await sip.over.wait()
        if any(sip.running or sip.comes_back for sip in mine):
            return
        for pattern in stanza.files:
            for path in fnmatch.filter(sources, pattern):
                if not await self._fits(stanza, path, sources[path]):
                    continue
                old = [sip for sip in mine if sip.binding == path]
                sip = old[0] if old else self.house.create(stanza, path)
                sip.source = sources[path]
                if await self.house.start(sip) or sip.state == "stopped":
                    return

    async def _fits(self, stanza: Stanza, path: str, source: str) -> bool:
        """Whether a file has the stanza's magic. Why it has not is told in the log, once."""
        try:
            why = await self.house.matching.lacks(stanza, source)
        except Lux9Error as error:
            why = f"it cannot be read: {error}"
        if not why:
            self.passed.pop((stanza.name, path), None)
        elif self.passed.get((stanza.name, path)) != why:
            self.passed[stanza.name, path] = why
            self.house.kernel.console.log(f"{stanza.name}: not started for {path}: {why}")
        return not why
