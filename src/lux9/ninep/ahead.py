"""Reading ahead: which reads of a long file to have on their way.

It begins with one, and asks for twice as many after each full answer: a small file costs two reads, and an
event file, whose answers are always short, is never read ahead of its reader.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..pending import Pending
from ..wire.node import Bytes

WINDOW = 16  # requests on their way at once
BYTES = 4 << 20  # asked for at once, where that is fewer

Ask = Callable[[int, int], Pending[Bytes]]  # a read of (offset, count)


class Ahead:
    """The reads of one pass through a file, in order.

    `count`: stop after so many bytes. `short`: a short answer is the end; else an empty one is.
    """

    def __init__(
        self, ask: Ask, iounit: int, offset: int, count: int | None = None, short: bool = False
    ) -> None:
        self.ask, self.iounit, self.at, self.short = ask, iounit, offset, short
        self.end = None if count is None else offset + count
        self.most = max(2, min(WINDOW, BYTES // iounit))
        self.window = 1
        self.asked: deque[tuple[int, int, Pending[Bytes]]] = deque()  # offset, count

    def next(self) -> Pending[Bytes] | None:
        """The next answer to wait for, or None at the end. Asks again when half of the window is used up."""
        if len(self.asked) <= self.window // 2:
            self._fill()
        return self.asked[0][2] if self.asked else None

    def _fill(self) -> None:
        while len(self.asked) < self.window and (self.end is None or self.at < self.end):
            n = self.iounit if self.end is None else min(self.iounit, self.end - self.at)
            self.asked.append((self.at, n, self.ask(self.at, n)))
            self.at += n

    def took(self, data: Bytes) -> None:
        """The answer came: go on behind it."""
        offset, asked, _ = self.asked.popleft()
        if len(data) == asked:
            self.window = min(2 * self.window, self.most)
            return
        self.stop()  # what was read ahead is not what follows
        if len(data) and not self.short:
            self.at, self.window = offset + len(data), 1
        else:
            self.end = self.at = offset

    def stop(self) -> None:
        """Give up what is on its way."""
        while self.asked:
            self.asked.pop()[2].cancel()
