"""#c: the console, the log, the audit, the clock and the usual small files. cons(3)."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable
from typing import Protocol

from ...pending import Maybe
from ...tree import Dir, stream, text
from ...wire.node import Bytes, Handle
from ..audit import Audit
from ..console import Console
from ..process import Process

TICKS = 1_000_000_000  # a second, of the third number of /dev/time


class Flow:
    """A file made of two functions."""

    def __init__(
        self, read: Callable[[int], Maybe[Bytes]], write: Callable[[bytes], object] | None = None
    ) -> None:
        self._read, self._write = read, write

    def read(self, offset: int, count: int) -> Maybe[Bytes]:
        """The offset means nothing."""
        return self._read(count)

    def write(self, offset: int, data: memoryview) -> int:
        """All of it is taken."""
        if self._write is not None:
            self._write(bytes(data))
        return len(data)

    def close(self) -> None:
        """Nothing is held."""


class System(Protocol):
    """What tells of itself here: the kernel."""

    console: Console
    audit: Audit
    listening: list[str]

    def drivers(self) -> str:
        """A line a device."""
        ...


class ConsDir(Dir):
    """The console and what a system tells of itself."""

    def __init__(self, system: System, process: Process) -> None:
        self.system, self.process = system, process
        self.console, self.journal = system.console, system.audit

    @stream(0o660)
    def cons(self, mode: int) -> Handle:
        """Read: what is typed at the kernel's console; write: print there."""
        return Flow(self.console.read, self.console.write)

    @stream(0o440)
    def kmesg(self, mode: int) -> Handle:
        """The kernel's log; whoever reads on past its end follows it."""
        return self.console.journal.follow()

    @stream(0o440)
    def audit(self, mode: int) -> Handle:
        """Verdicts, a JSON object a line; whoever reads on past the end follows them."""
        return self.journal.journal.follow()

    @text(0o444)
    def drivers(self) -> str:
        """The devices: `#%c %s`, character and name."""
        return self.system.drivers()

    @text(0o444)
    def listen(self) -> str:
        """Where this kernel listens, a line each: the address, and who may come."""
        return "".join(f"{line}\n" for line in self.system.listening)

    @text(0o444)
    def sysname(self) -> str:
        """The name of this system."""
        return socket.gethostname()

    @text(0o444)
    def user(self) -> str:
        """The user of this connection."""
        return self.process.user

    @text(0o444)
    def time(self) -> str:
        """`%d %d %d`: seconds and nanoseconds since 1970, ticks a second."""
        now = time.time_ns()
        return f"{now // TICKS} {now} {TICKS}\n"

    @stream(0o666)
    def null(self, mode: int) -> Handle:
        """Reads end at once; writes go nowhere."""
        return Flow(lambda count: b"")

    @stream(0o444)
    def zero(self, mode: int) -> Handle:
        """Zeros, as many as are asked for."""
        return Flow(bytes)

    @stream(0o444)
    def random(self, mode: int) -> Handle:
        """Random bytes of the host's generator."""
        return Flow(os.urandom)
