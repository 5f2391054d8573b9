"""Vectors for MSI and MSI-X: numbers 32 to 255, given to functions, and told to the sink when they are written."""

from __future__ import annotations

from ...errors import LimitReached
from ..abstract import Bdf, Message

ADDRESS = 0xFEE0_0000  # where a PC's messages go; the vector is in the data
FIRST, LAST = 32, 255


class Vectors:
    """Who has which number."""

    def __init__(self) -> None:
        self.owner: dict[int, Bdf] = {}

    def give(self, bdf: Bdf, count: int) -> list[Message]:
        """Consecutive numbers, aligned so that a function can put its vector into the low bits."""
        align = 1 << max(count - 1, 0).bit_length()
        for first in range(-(-FIRST // align) * align, LAST + 2 - count, align):
            numbers = range(first, first + count)
            if count > 0 and not any(n in self.owner for n in numbers):
                self.owner.update(dict.fromkeys(numbers, bdf))
                return [Message(n, ADDRESS, n) for n in numbers]
        free = LAST + 1 - FIRST - len(self.owner)
        raise LimitReached(
            f"{count} message vectors in a row: {free} of {LAST + 1 - FIRST} are free"
        )

    def free(self, bdf: Bdf) -> None:
        """Take back all of a function's."""
        for number in [n for n, owner in self.owner.items() if owner == bdf]:
            del self.owner[number]
