"""The I/O APIC's 24 lines as QEMU tells them, masked here: QEMU's own I/O APIC is not asked.

QEMU says when a line changes, in the middle of whatever is being read; the kernel is told afterwards, in a turn of
the loop. A level line that is asserted is told when it rises and again when it is unmasked; an edge under the
mask is kept. When a line is unmasked while writes are under way, one of them may be what quiets it: the line is
looked at when they have been answered.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from ..abstract import Sink

COUNT = 24
ALL = (1 << COUNT) - 1


class Lines:
    """Levels, masks, and what is still to be told. `soon()` asks for a call of `deliver`."""

    def __init__(self, sink: Sink, soon: Callable[[], None], settled: Callable[[], bool]) -> None:
        self.sink, self._soon, self._settled = sink, soon, settled
        self._level = self._masked = 0
        self._risen = 0  # edges that came under the mask
        self._recheck = 0  # unmasked, to be looked at when the writes are done
        self._edge = ALL & 0xFFFF  # ISA lines are edges until firmware has said otherwise
        self._news: deque[tuple[int, bool]] = deque()

    def elcr(self, value: int) -> None:
        """Which of the ISA lines are level triggered: a bit set is level. ICH9 §13.4.9"""
        self._edge = ~value & 0xFFFF

    def drive(self, line: int, asserted: bool) -> None:
        """QEMU says so."""
        bit = 1 << line
        if line >= COUNT or bool(self._level & bit) == asserted:
            return
        self._level ^= bit
        if not self._masked & bit:
            self._news.append((line, asserted))
            self._soon()
        elif asserted:
            self._risen |= bit

    def mask(self, line: int) -> None:
        """Nothing of the line reaches the sink."""
        bit = 1 << line
        self._masked |= bit
        self._recheck &= ~bit

    def unmask(self, line: int) -> None:
        """It does again."""
        bit = 1 << line
        if self._masked & bit:
            self._masked &= ~bit
            if self._level & bit or self._risen & bit:
                self._recheck |= bit
                self._soon()

    def deliver(self) -> None:
        """Tell what there is to tell."""
        while self._news:
            line, asserted = self._news.popleft()
            if not self._masked >> line & 1:
                self.sink(line, asserted)
            elif asserted:
                self._risen |= 1 << line
        if self._recheck and self._settled():
            self._look()

    def _look(self) -> None:
        lines, self._recheck = self._recheck, 0
        for line in range(COUNT):
            bit = 1 << line
            if lines & bit:
                risen, self._risen = self._risen & bit, self._risen & ~bit
                if risen if self._edge & bit else self._level & bit:
                    self.sink(line, True)

    def wake(self) -> None:
        """Tell every unmasked line as asserted, once: whoever waits shall look at its function."""
        for line in range(COUNT):
            if not self._masked >> line & 1:
                self.sink(line, True)
