"""#c: the console, the log, the audit, the clock and the usual small files. cons(3)."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable

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


class ConsDir(Dir):
    """The console and what a system tells of itself."""

    def __init__(
        self, console: Console, audit_: Audit, process: Process, drivers: Callable[[], str]
    ) -> None:
        self.console, self.journal, self.process, self.list = console, audit_, process, drivers

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
        return self.list()

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
