"""The console and the kernel's log."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import TextIO

from ..pending import Maybe, Pending
from ..wire.node import Bytes
from .audit import Journal

INPUT = 65536  # bytes of console input that wait for a reader; what comes after them is lost


class Console:
    """What drivers print, what the kernel logs, and what somebody types."""

    def __init__(self, out: TextIO | None = None, quiet: bool = False) -> None:
        self.out, self.quiet = out or sys.stderr, quiet
        self.journal = Journal()
        self.started = time.monotonic()
        self.input = bytearray()
        self.readers: deque[Pending[Bytes]] = deque()

    def log(self, text: str) -> None:
        """A line of the kernel's, with the seconds since it started."""
        for line in text.splitlines() or [""]:
            self._line(f"[{time.monotonic() - self.started:10.6f}] {line}")

    def say(self, name: str, text: str) -> None:
        """Lines of a process's."""
        for line in text.splitlines():
            self._line(f"[{time.monotonic() - self.started:10.6f}] {name}: {line}")

    def _line(self, line: str) -> None:
        self.journal.add(line)
        if self.quiet:
            return
        try:
            print(line, file=self.out, flush=True)
        except OSError:  # its terminal or pipe is gone: whoever logs has other things to end
            self.quiet = True

    def write(self, data: bytes) -> None:
        """Console output, as it is. Raises OSError where nobody takes it."""
        print(data.decode(errors="replace"), end="", file=self.out, flush=True)

    def typed(self, data: bytes) -> None:
        """Console input."""
        self.input += data[: INPUT - len(self.input)]
        while self.readers and self.input:
            reader = self.readers.popleft()
            if not reader.done:
                reader.resolve(self._take(len(self.input)))

    def read(self, count: int) -> Maybe[Bytes]:
        """What was typed; waits when nothing was."""
        if self.input:
            return self._take(count)
        reader: Pending[Bytes] = Pending()
        self.readers.append(reader)
        return reader

    def _take(self, count: int) -> bytes:
        data = bytes(self.input[:count])
        del self.input[:count]
        return data
