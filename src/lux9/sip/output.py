"""What a driver prints: lines, as they come, but no more than somebody could read."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

from ..errors import plain

LONGEST = 8192  # bytes of a line; the rest becomes a line of its own
MOST = 1 << 18  # bytes a second; whoever prints more waits
CHUNK = 1 << 16


class Output:
    """The reading end of a pipe. `said(line)` gets each line."""

    def __init__(self, fd: int, said: Callable[[str], None]) -> None:
        self.fd, self.said = fd, said
        self.partial = b""
        self.second, self.count = 0, 0
        self.waits = 0  # times that it printed too much
        self.loop = asyncio.get_running_loop()
        os.set_blocking(fd, False)
        self.loop.add_reader(fd, self._ready)

    def _ready(self) -> None:
        self._read()
        now = time.monotonic()
        if self.fd >= 0 and self.count > MOST and int(now) == self.second:
            self.waits += 1
            self.loop.remove_reader(self.fd)
            self.loop.call_later(self.second + 1 - now, self._again)

    def _again(self) -> None:
        if self.fd >= 0:
            self.loop.add_reader(self.fd, self._ready)

    def _read(self) -> bool:
        """Take what is there; whether there was something."""
        try:
            data = os.read(self.fd, CHUNK)
        except BlockingIOError:
            return False
        if not data:
            self.close()
            return False
        second = int(time.monotonic())
        self.count = len(data) + (self.count if second == self.second else 0)
        self.second = second
        *lines, self.partial = (self.partial + data).split(b"\n")
        for line in lines:
            self._tell(line)
        if len(self.partial) >= LONGEST:
            self._tell(self.partial)
            self.partial = b""
        return True

    def _tell(self, line: bytes) -> None:
        for start in range(0, max(len(line), 1), LONGEST):
            piece = line[start : start + LONGEST].removesuffix(b"\r")
            self.said(plain(piece.decode(errors="replace")))

    def drain(self) -> None:
        """What it said last, once it is over: a pipe's worth at most, should somebody else still hold it."""
        for _ in range(32):
            if self.fd < 0 or not self._read():
                break
        self.close()

    def close(self) -> None:
        """There will be no more."""
        if self.fd >= 0:
            self.loop.remove_reader(self.fd)
            os.close(self.fd)
            self.fd = -1
            if self.partial:
                self._tell(self.partial)
                self.partial = b""
