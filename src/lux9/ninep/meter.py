"""A token bucket: how many messages a second a connection may send. Who sends more is made to wait, not refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol


class Counted(Protocol):
    """What is metered."""

    @property
    def requests(self) -> int:
        """How many there were."""
        ...


class Meter:
    """A second's worth may come at once. `clock()` in seconds; `wait(seconds)` is told when the bucket is empty.

    `empty` stays until whoever waits sets it back; `waits` counts.
    """

    def __init__(
        self, rate: int, clock: Callable[[], float], wait: Callable[[float], None]
    ) -> None:
        self.rate, self.clock, self.wait = rate, clock, wait
        self.tokens, self.at, self.counted = float(rate), clock(), 0
        self.empty, self.waits = False, 0

    def set(self, rate: int, session: Counted) -> None:
        """Another rate, from now on."""
        self.rate, self.tokens = rate, float(rate)
        self.at, self.counted = self.clock(), session.requests

    def count(self, session: Counted) -> None:
        """Take out what came since the last time."""
        now, requests = self.clock(), session.requests
        self.tokens = min(float(self.rate), self.tokens + (now - self.at) * self.rate)
        self.tokens -= requests - self.counted
        self.at, self.counted = now, requests
        if self.tokens < 0 and not self.empty:
            self.empty = True
            self.waits += 1
            self.wait(-self.tokens / self.rate)
