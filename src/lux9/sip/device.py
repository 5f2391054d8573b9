"""#i: the drivers as files. Started, stopped and looked at with echo and cat."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Protocol

from ..errors import DeviceError, PermissionDenied
from ..kernel.audit import Journal
from ..kernel.process import Process
from ..pending import Maybe, run
from ..tree import Dir, entries, stream, text, verb
from ..wire.node import Handle
from .manifest import Stanza
from .server import Sip


class Keeper(Protocol):
    """What the files need of the launcher."""

    sips: list[Sip]
    stanzas: Sequence[Stanza]
    events: Journal

    @property
    def protects(self) -> bool:
        """Whether the machine stops DMA outside a function's arena."""
        ...

    def start(self, sip: Sip) -> Coroutine[Any, Any, bool]:
        """Start it; whether it came up."""
        ...

    def stop(self, sip: Sip) -> Coroutine[Any, Any, None]:
        """End it."""
        ...

    def start_all(self) -> Coroutine[Any, Any, None]:
        """Start what is not running and has something to bind to."""
        ...


class ServerDir(Dir):
    """One driver."""

    def __init__(self, keeper: Keeper, sip: Sip) -> None:
        self.keeper, self.sip = keeper, sip

    @text(0o664)
    def ctl(self) -> str:
        """Its number; takes the commands below."""
        return f"{self.sip.number}\n"

    @text(0o444)
    def status(self) -> str:
        """Name, type, state, pid, uptime, restarts, requests, errors, isolation, dma, last exit."""
        sip = self.sip
        requests, errors = sip.life.counts() if sip.life else (0, 0)
        return (
            f"name: {sip.name}\ntype: {sip.stanza.name}\nstate: {sip.state}\npid: {sip.pid}\n"
            f"uptime: {time.monotonic() - sip.since:.0f}\nrestarts: {max(sip.starts - 1, 0)}\n"
            f"requests: {requests}\nerrors: {errors}\nisolation: {sip.isolation}\n"
            f"dma: {self._dma()}\nlast-exit: {sip.last_exit or '-'}\n"
        )

    def _dma(self) -> str:
        """Whether the machine confines its devices to its arena."""
        if self.sip.life is None or self.sip.life.process.arena is None:
            return "-"
        return "protected" if self.keeper.protects else "unprotected"

    @text(0o444)
    def log(self) -> str:
        """The last lines that it printed."""
        return "".join(f"{line}\n" for line in self.sip.output)

    @text(0o444)
    def crash(self) -> str:
        """The report of its last end: what it said, did and held, and how that was undone."""
        return self.sip.crash

    @text(0o444)
    def ns(self) -> str:
        """What it sees."""
        return str(self.sip.life.group) if self.sip.life else ""

    @verb(0)
    def start(self) -> Maybe[None]:
        """Start it, and wait until it is ready."""
        return run(self._up())

    @verb(0)
    def stop(self) -> Maybe[None]:
        """Ask it to end, make it if it does not, and wait until it is over."""
        return run(self.keeper.stop(self.sip))

    @verb(0)
    def kill(self) -> None:
        """End it at once; what it held is quiesced."""
        self.sip.kill()

    @verb(0)
    def restart(self) -> Maybe[None]:
        """Stop and start."""
        return run(self._again())

    async def _again(self) -> None:
        await self.keeper.stop(self.sip)
        await self._up()

    async def _up(self) -> None:
        if not await self.keeper.start(self.sip):
            said = f" ({self.sip.output[-1]})" if self.sip.output else ""
            raise DeviceError(f"{self.sip.name} did not start: {self.sip.reason}{said}")


class ServersDir(Dir):
    """All drivers, each by number and by name."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper

    @entries
    def servers(self) -> Mapping[str, Dir]:
        """A directory a driver, by number and by name."""
        made = {sip: ServerDir(self.keeper, sip) for sip in self.keeper.sips}
        return {str(s.number): d for s, d in made.items()} | {s.name: d for s, d in made.items()}


class SipDir(Dir):
    """Software isolated processes: the drivers of this machine."""

    def __init__(self, keeper: Keeper, process: Process) -> None:
        if process.kind == "sip":
            raise PermissionDenied(
                f"#i: {process.name} is a driver; drivers do not steer each other"
            )
        self.keeper = keeper

    @text(0o664)
    def ctl(self) -> str:
        """A line a driver, `%d %s %s`: number, name, state; takes the commands below."""
        return "".join(f"{s.number} {s.name} {s.state}\n" for s in self.keeper.sips)

    @text(0o444)
    def types(self) -> str:
        """A line a known type: name, what it binds to, what it runs."""
        lines = (
            f"{s.name} {','.join([*s.classes, *s.files]) or '-'} {' '.join(s.argv)}\n"
            for s in self.keeper.stanzas
        )
        return "".join(lines)

    @stream(0o444)
    def events(self, mode: int) -> Handle:
        """`%d NAME STATE reason` a line; whoever reads on past the end waits for more."""
        return self.keeper.events.follow()

    @entries
    def servers(self) -> Mapping[str, Dir]:
        """The drivers."""
        return {"servers": ServersDir(self.keeper)}

    @verb(0)
    def rescan(self) -> Maybe[None]:
        """Look for functions that have no driver yet, and start theirs."""
        return run(self.keeper.start_all())
