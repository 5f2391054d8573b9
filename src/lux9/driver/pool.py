"""Buffers cut from one piece of device memory, in pages, contiguous, first fit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

PAGE = 4096


class Pool:
    """`size` bytes in pages. Knows no hardware: it gives offsets.

    Whoever finds it empty may queue for room; the queue is first come, first served, so that a large request
    is not starved by small ones. What is given back is kept by its size for the next of that size, and joined
    to its neighbours only when there is no other room.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._holes: dict[int, int] = {0: size}  # offset -> bytes, ascending, never adjacent
        self._spare: dict[int, list[int]] = {}  # bytes -> offsets of buffers that were given back
        self._waiting: deque[tuple[int, Callable[[int], None]]] = deque()

    @property
    def free_bytes(self) -> int:
        """What is not taken."""
        return sum(self._holes.values()) + sum(n * len(at) for n, at in self._spare.items())

    def take(self, size: int) -> int | None:
        """The offset of `size` bytes, rounded up to pages; None when there is no such room."""
        return None if self._waiting else self._take(-(-size // PAGE) * PAGE)

    def when_free(self, size: int, ready: Callable[[int], None]) -> bool:
        """Call `ready` with the offset as soon as there is room; whether that was at once, or from a `give`."""
        if (at := self.take(size)) is None:
            self._waiting.append((-(-size // PAGE) * PAGE, ready))
            return False
        ready(at)
        return True

    def give(self, at: int, size: int) -> None:
        """Take `size` bytes at `at` back, and serve those who wait."""
        self._spare.setdefault(-(-size // PAGE) * PAGE, []).append(at)
        while self._waiting:
            wanted, ready = self._waiting[0]
            if (found := self._take(wanted)) is None:
                return
            self._waiting.popleft()
            ready(found)

    def _take(self, size: int) -> int | None:
        if spare := self._spare.get(size):
            return spare.pop()
        if (at := self._cut(size)) is None and self._spare:
            self._join()
            at = self._cut(size)
        return at

    def _cut(self, size: int) -> int | None:
        """From the first hole that is large enough."""
        for at, room in self._holes.items():
            if room >= size:
                del self._holes[at]
                if room > size:
                    self._holes[at + size] = room - size
                    self._holes = dict(sorted(self._holes.items()))
                return at
        return None

    def _join(self) -> None:
        """Make holes of everything spare, and one of those that touch."""
        spare, self._spare = self._spare, {}
        pieces = [*self._holes.items(), *((at, n) for n, ats in spare.items() for at in ats)]
        joined: list[tuple[int, int]] = []
        for at, size in sorted(pieces):
            if joined and sum(joined[-1]) == at:
                joined[-1] = (joined[-1][0], joined[-1][1] + size)
            else:
                joined.append((at, size))
        self._holes = dict(joined)
