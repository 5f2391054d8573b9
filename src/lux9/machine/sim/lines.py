"""Interrupt lines as the sink sees them: 0 to 15 are ISA's, 16 to 23 the I/O APIC's own.

A level line that is asserted reaches the sink when it rises, and again whenever it is unmasked; an edge line
reaches it once for each rise, and a rise under the mask is kept, as an 8259 keeps it.
"""

from __future__ import annotations

from ..abstract import Sink

COUNT = 24


class Lines:
    """Levels, masks and trigger modes of the 24 lines."""

    def __init__(self) -> None:
        self.sink: Sink = lambda line, asserted: None
        self.elcr = 0  # bit n: ISA line n is level triggered (ports 0x4d0 and 0x4d1)
        self._level = 0
        self._masked = 0
        self._risen = 0  # edges that came under the mask

    def level(self, line: int) -> bool:
        """Whether the line is asserted."""
        return bool(self._level >> line & 1)

    def _is_level(self, line: int) -> bool:
        return line >= 16 or bool(self.elcr >> line & 1)

    def drive(self, line: int, asserted: bool) -> None:
        """The line as it is from now on."""
        bit = 1 << line
        if bool(self._level & bit) == asserted:
            return
        self._level ^= bit
        if not self._masked & bit:
            self.sink(line, asserted)
        elif asserted:
            self._risen |= bit

    def settle(self, levels: int) -> None:
        """All the lines as they are from now on, a bit each."""
        changed = levels ^ self._level
        while changed:
            line = (changed & -changed).bit_length() - 1
            changed &= changed - 1
            self.drive(line, bool(levels >> line & 1))

    def mask(self, line: int) -> None:
        """Nothing of the line reaches the sink."""
        self._masked |= 1 << line

    def unmask(self, line: int) -> None:
        """It does again: at once, when there is something to tell."""
        bit = 1 << line
        if not self._masked & bit:
            return
        self._masked &= ~bit
        risen, self._risen = bool(self._risen & bit), self._risen & ~bit
        if self._level & bit if self._is_level(line) else risen:
            self.sink(line, True)
