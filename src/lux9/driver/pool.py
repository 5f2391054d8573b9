"""Buffers cut from one piece of device memory, in pages, contiguous, first fit."""

from __future__ import annotations

from collections.abc import Callable

PAGE = 4096


class Pool:
    """`size` bytes in pages. Knows no hardware: it gives offsets.

    Whoever finds it empty may queue for room; the queue is first come, first served, so that a large request
    is not starved by small ones.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._holes: dict[int, int] = {0: size}  # offset -> bytes, ascending, never adjacent
        self._waiting: list[tuple[int, Callable[[int], None]]] = []

    @property
    def free_bytes(self) -> int:
        """What is not taken."""
        return sum(self._holes.values())

    def take(self, size: int) -> int | None:
        """The offset of `size` bytes, rounded up to pages; None when there is no such room."""
        if self._waiting:
            return None
        return self._take(-(-size // PAGE) * PAGE)

    def _take(self, size: int) -> int | None:
        for at, room in self._holes.items():
            if room >= size:
                del self._holes[at]
                if room > size:
                    self._insert(at + size, room - size)
                return at
        return None

    def when_free(self, size: int, ready: Callable[[int], None]) -> bool:
        """Call `ready` with the offset as soon as there is room; whether that was at once, or from a `give`."""
        if (at := self.take(size)) is None:
            self._waiting.append((-(-size // PAGE) * PAGE, ready))
            return False
        ready(at)
        return True

    def give(self, at: int, size: int) -> None:
        """Take `size` bytes at `at` back, and serve those who wait."""
        self._insert(at, -(-size // PAGE) * PAGE)
        while self._waiting:
            wanted, ready = self._waiting[0]
            if (found := self._take(wanted)) is None:
                return
            del self._waiting[0]
            ready(found)

    def _insert(self, at: int, size: int) -> None:
        """Put a hole back, joined to its neighbours."""
        holes = self._holes
        if (after := holes.pop(at + size, None)) is not None:
            size += after
        for start, room in holes.items():
            if start + room == at:
                holes[start] = room + size
                return
        holes[at] = size
        if len(holes) > 1:
            self._holes = dict(sorted(holes.items()))
