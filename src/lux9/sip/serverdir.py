"""The files of one driver: /dev/sip/servers/N."""

from __future__ import annotations

import re
import time
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any, Protocol

from ..errors import BadArgument, Busy, ControlError, DeviceError, Exists, NotSupported
from ..kernel.audit import Journal
from ..kernel.hardware.bus import when
from ..kernel.kernel import Kernel
from ..kernel.process import Cap
from ..kernel.rights import grant, revoke
from ..pending import Maybe, run
from ..tree import Dir, stream, text, verb
from ..wire.node import Handle
from . import life, limiting, usage
from .manifest import NAME, absolute
from .matching import Matching
from .policy import Restarts, rule as parse_rule
from .server import Sip
from .stanza import Stanza
from .table import capability, limit

RELOAD = 30.0  # seconds that clients wait for a driver whose code is swapped


class Keeper(Protocol):
    """What the files need of the launcher."""

    kernel: Kernel
    sips: list[Sip]
    stanzas: list[Stanza]
    events: Journal
    matching: Matching

    @property
    def protects(self) -> bool:
        """Whether the machine stops DMA outside a function's arena."""
        ...

    def type(self, name: str) -> Stanza:
        """A known type."""
        ...

    def create(self) -> Sip:
        """One more server."""
        ...

    def forget(self, sip: Sip) -> None:
        """Drop one that was told nothing."""
        ...

    def free_name(self, wanted: str) -> str:
        """A name that nobody has."""
        ...

    def start(self, sip: Sip) -> Coroutine[Any, Any, bool]:
        """Start it; whether it came up."""
        ...

    def stop(self, sip: Sip) -> Coroutine[Any, Any, None]:
        """End it."""
        ...

    def swap(self, sip: Sip, hold: float = 0.0) -> Coroutine[Any, Any, bool]:
        """Stop it and start it again; whether it came up."""
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
            f"uptime: {time.monotonic() - sip.since if sip.running else 0:.0f}\n"
            f"restarts: {max(sip.starts - 1, 0)}\nrequests: {requests}\nerrors: {errors}\n"
            f"isolation: {sip.isolation}\ndma: {self._dma()}\nlast-exit: {sip.last_exit or '-'}\n"
            f"reason: {sip.reason or '-'}\nbinding: {sip.binding or '-'}\n"
            f"mount: {sip.stanza.mount or '-'}\nrestart: {sip.restarts.rule}\n"
        )

    def _dma(self) -> str:
        """Whether the machine confines its devices to its arena."""
        if self.sip.life is None or self.sip.life.process.arena is None:
            return "-"
        return "protected" if self.keeper.protects else "unprotected"

    @text(0o444)
    def health(self) -> str:
        """`healthy`, `degraded` or `dead`, then why, a line a reason."""
        word, reasons = self.sip.health
        return "".join(f"{line}\n" for line in (word, *reasons))

    @text(0o444)
    def caps(self) -> str:
        """A capability a line."""
        caps = self._process_caps()
        return "".join(f"{str(c.name).lower()}\n" for c in Cap if c in caps)

    def _process_caps(self) -> Cap:
        life, sip = self.sip.life, self.sip
        return life.process.caps if life and sip.running else sip.stanza.capabilities

    @text(0o444)
    def claims(self) -> str:
        """What it holds: a line a function, an interrupt, a DMA buffer."""
        if self.sip.life is None:
            return ""
        process, hardware = self.sip.life.process, self.keeper.kernel.hardware
        functions = (
            f"function {c.function.name} since {when(c.since)}\n"
            for c in hardware.bus.claims_of(process)
        )
        buffers = (
            f"dma {b.handle} paddr={b.bus:#x} size={b.size}\n" for b in hardware.dma.of(process)
        )
        return "".join([*functions, hardware.irq.lines(process), *buffers])

    @text(0o444)
    def limits(self) -> str:
        """A line a limit: name, used, at most; `-` where nothing is counted or nothing limits."""
        return "".join(usage.lines(self.keeper.kernel.hardware, self.sip))

    @stream(0o444)
    def log(self, mode: int) -> Handle:
        """The last lines that it printed; whoever reads on past the end waits for more."""
        return self.sip.log.follow()

    @text(0o444)
    def crash(self) -> str:
        """The report of its last end: what it said, did and held, and how that was undone."""
        return self.sip.crash

    @text(0o444)
    def ns(self) -> str:
        """What it sees, a `bind` line a step."""
        sip = self.sip
        return str(sip.life.group if sip.life and sip.running else life.namespace(sip))

    # What it is: told before it is started, or for its next start

    @verb(1)
    def name(self, name: str) -> None:
        """Give it another name, before it is started."""
        self._idle("its name")
        if not NAME.fullmatch(name):
            raise ControlError(f"name {name!r}: a letter, then at most 62 letters, digits and _.-")
        if name != self.sip.name and self.keeper.free_name(name) != name:
            raise Exists(f"there is a driver {name} already")
        self.sip.name = name

    @verb(1)
    def type(self, name: str) -> None:
        """Make it one of /dev/sip/types: its program, rights and rules."""
        self._idle("its type")
        stanza, sip = self.keeper.type(name), self.sip
        if sip.name == sip.stanza.name:  # it was not given one
            sip.name = self.keeper.free_name(name)
        sip.stanza, sip.restarts = stanza, Restarts(stanza.restart)

    @verb(1, rest=True)
    def command(self, words: str) -> None:
        """The program and its arguments, blanks between them."""
        self._change("its command", command=tuple(words.split()), module="")

    @verb(1)
    def bind(self, target: str) -> None:
        """Make it the driver of a function, `0000:00:1f.2`, or of a file, `/dev/sdE0/linux`."""
        self._idle("its binding")
        if target.startswith("/"):
            self.sip.source = self.keeper.matching.source(target)
        elif target not in self.keeper.kernel.hardware.functions:
            raise BadArgument(
                f"bind {target!r}: there is no such function; /dev/pci/bus lists them"
            )
        self.sip.binding = target

    @verb(1)
    def mount(self, path: str) -> None:
        """Where what it serves is mounted."""
        if not absolute(path):
            raise ControlError(f"mount {path!r} is not an absolute path without `..`")
        self._change("its mount point", mount=path)

    @verb(2)
    def limit(self, key: str, value: str) -> None:
        """How much it may hold, at once and from now on; an error tells what has to wait for its next start."""
        limits = replace(self.sip.stanza.limits, **{key: limit(key, _number(value))})
        self.sip.stanza = replace(self.sip.stanza, limits=limits)
        if self.sip.running:
            limiting.now(self.sip, key)

    @verb(2)
    def capability(self, what: str, name: str) -> None:
        """`add` or `remove` one, at once; what was opened under one that is removed goes stale."""
        if what not in ("add", "remove"):
            raise ControlError(f"capability {what!r}: add or remove")
        cap, sip = capability(name), self.sip
        have = sip.stanza.capabilities
        now = have | cap if what == "add" else have & ~cap
        sip.stanza = replace(sip.stanza, capabilities=now)
        if sip.running and sip.life is not None:
            act = grant if what == "add" else revoke
            act(self.keeper.kernel.hardware, sip.life, cap)
            self.keeper.kernel.forget_roots(sip.life.process)

    def _change(self, what: str, **fields: Any) -> None:
        self._idle(what)
        self.sip.stanza = replace(self.sip.stanza, **fields)

    def _idle(self, what: str) -> None:
        sip = self.sip
        if sip.running or sip.comes_back:
            due = "" if sip.running else ", and its restart is due"
            raise Busy(f"{sip.name} is {sip.state}{due}: {what} is changed while it is stopped")

    # Its life

    @verb(0)
    def start(self) -> Maybe[None]:
        """Start it, and wait until it is ready."""
        return run(self._up(self.keeper.start(self.sip)))

    @verb(0)
    def stop(self) -> Maybe[None]:
        """Ask it to end, make it if it does not, and wait until it is over; it stays ended."""
        return run(self.keeper.stop(self.sip))

    @verb(0)
    def kill(self) -> None:
        """End it at once, as a crash would: its rule says whether it comes back."""
        self.sip.kill()

    @verb(0, 1, rest=True)
    def restart(self, rule: str = "") -> Maybe[None]:
        """Stop and start it; with `never`, `always` or `on-crash [max N in T]`: its rule from now on."""
        if not rule:
            return run(self._up(self.keeper.swap(self.sip)))
        self.sip.restarts = Restarts(parse_rule(rule))
        return None

    @verb(0)
    def reload(self) -> Maybe[None]:
        """Swap its code: clients wait until the new one serves, and go on where they were."""
        return run(self._up(self.keeper.swap(self.sip, RELOAD)))

    @verb(1, rest=True)
    def note(self, text: str) -> None:
        """A note to its process: `stop` suspends it, `start` lets it go on, any other asks it to end."""
        if self.sip.life is None or self.sip.life.signal is None or not self.sip.running:
            raise NotSupported(f"{self.sip.name} is {self.sip.state}: there is no process to tell")
        self.sip.life.signal(text)

    async def _up(self, start: Coroutine[Any, Any, bool]) -> None:
        if not await start:
            sip = self.sip
            said = f" ({sip.output[-1]})" if sip.output else ""
            raise DeviceError(f"{sip.name} did not start: {sip.reason}{said}")


def _number(word: str) -> int | str:
    """A decimal number; or the word, for whoever says what is wrong with it."""
    return int(word) if re.fullmatch("[0-9]{1,30}", word) else word


def shown(sips: Sequence[Sip]) -> str:
    """A line a driver, `%d %s %s`: number, name, state."""
    return "".join(f"{s.number} {s.name} {s.state}\n" for s in sips)
