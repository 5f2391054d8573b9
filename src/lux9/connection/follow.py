"""Waiting files as iterators: a line as it comes."""

from __future__ import annotations

from collections import deque
from typing import Self

from ..ninep.client import File
from ..pending import Pending
from ..wire.node import Bytes
from .shared import Shared


class Follower:
    """The lines of an event file, or of a log as it grows; ends when its server does.

    A log tells once that its end is reached, and waits from then on: the end of all is two empty answers in a row.

    `timeout`: seconds to wait for a line at most, None for ever. After a TimeoutError it can be asked again, and
    no line is lost. After Ctrl-C, too; but an event that came in that very moment is gone with the read.
    For one thread at a time.
    """

    def __init__(self, shared: Shared, path: str, file: File, timeout: float | None) -> None:
        self.shared, self.path, self.file, self.timeout = shared, path, file, timeout
        self.offset, self.rest, self.empty = 0, b"", 0
        self.lines: deque[str] = deque()
        self.waiting: Pending[Bytes] | None = None

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        """The next line, without its end."""
        while not self.lines and self.file.fid >= 0:
            self._more()
        if not self.lines:
            raise StopIteration
        return self.lines.popleft()

    def _more(self) -> None:
        with self.shared.turn(self.timeout, self.path):
            data = self._next()
        self.offset += len(data)
        self.empty = 0 if data else self.empty + 1
        *lines, self.rest = (self.rest + bytes(data)).split(b"\n")
        if self.empty > 1:
            lines, self.rest = [self.rest] * bool(self.rest), b""
            self.close()
        self.lines.extend(line.decode(errors="replace") for line in lines)

    def _next(self) -> Bytes:
        """What comes next. A read whose time is over stays on its way: its answer is the next one's."""
        if self.waiting is None:
            file = self.file
            self.waiting = file.caller.read(file.fid, self.offset, file.iounit, copy=True)
        try:
            data = self.shared.watch(self.waiting)
        except TimeoutError:
            raise
        except BaseException:
            self.waiting.cancel()
            self.waiting = None
            raise
        self.waiting = None
        return data

    def close(self) -> None:
        """No more of it."""
        with self.shared.turn(path=self.path):
            self.file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __del__(self) -> None:  # an event file that nobody asks any more must not take an event
        self.close()
