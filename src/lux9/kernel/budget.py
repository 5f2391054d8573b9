"""How much of something a process may cause in a time: a bucket of tokens that fills up again."""

from __future__ import annotations

import time

BURST, RATE = 2000.0, 200.0  # entries of the audit at once, and a second


class Budget:
    """`take` one; whoever is refused is counted in `missed`, until somebody tells of it."""

    __slots__ = ("at", "burst", "left", "missed", "rate")

    def __init__(self, burst: float = BURST, rate: float = RATE) -> None:
        self.burst, self.rate = burst, rate
        self.left, self.at, self.missed = burst, time.monotonic(), 0

    def take(self) -> bool:
        """Whether there was one left."""
        now = time.monotonic()
        self.left = min(self.burst, self.left + (now - self.at) * self.rate)
        self.at = now
        if self.left < 1:
            self.missed += 1
            return False
        self.left -= 1
        return True

    def tell(self) -> int:
        """How many were refused since somebody last asked."""
        missed, self.missed = self.missed, 0
        return missed
