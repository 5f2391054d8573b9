"""Sectors that are being written: overlapping writers take turns, others do not wait."""

from __future__ import annotations

from collections.abc import Callable

Range = tuple[int, int]  # first, and the one after the last


def _meet(a: Range, b: Range) -> bool:
    return a[0] < b[1] and b[0] < a[1]


class Ranges:
    """Who holds what. First come, first served among those that overlap."""

    __slots__ = ("held", "waiting")

    def __init__(self) -> None:
        self.held: list[Range] = []
        self.waiting: list[tuple[Range, Callable[[], None]]] = []

    def take(self, first: int, last: int, go: Callable[[], None]) -> bool:
        """Call `go` when the range is free, and say whether that was at once."""
        want = (first, last)
        if self._blocked(want, len(self.waiting)):
            self.waiting.append((want, go))
            return False
        self.held.append(want)
        go()
        return True

    def _blocked(self, want: Range, ahead: int) -> bool:
        if any(_meet(want, held) for held in self.held):
            return True
        return any(_meet(want, other) for other, _ in self.waiting[:ahead])

    def give(self, first: int, last: int) -> None:
        """Done with it: those who waited for it go, in their order."""
        self.held.remove((first, last))
        i = 0
        while i < len(self.waiting):
            want, go = self.waiting[i]
            if self._blocked(want, i):
                i += 1
                continue
            del self.waiting[i]
            self.held.append(want)
            go()
            i = 0  # `go` may have ended, and begun others
