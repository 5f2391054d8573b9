"""The same again and again is told once, and then how often: whoever tries a thing a million times fills no log."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

EVERY = 1.0  # seconds in which what is repeated is counted
MOST = 256  # different ones that are counted; any more are told as they come

Key = tuple[str, str, object]  # what was tried, on what, and why it was denied


class Again(NamedTuple):
    """What came again: how often, and what else there was to know of it the last time."""

    key: Key
    times: int
    detail: dict[str, object]


class _Count:
    __slots__ = ("detail", "since", "times")

    def __init__(self, since: float) -> None:
        self.since, self.times = since, 0
        self.detail: dict[str, object] = {}


class Repeats:
    """Of one process. Knows no clock but the host's, and starts nothing: somebody has to ask for what is due."""

    __slots__ = ("counts",)

    def __init__(self) -> None:
        self.counts: dict[Key, _Count] = {}

    def again(self, key: Key, detail: dict[str, object]) -> bool:
        """Whether it came before, and is counted; what is new is to be told now."""
        count = self.counts.get(key)
        if count is not None:
            count.times += 1
            count.detail = detail
            return True
        if len(self.counts) < MOST:
            self.counts[key] = _Count(time.monotonic())
        return False

    def due(self, all_: bool = False) -> Iterator[Again]:
        """What came again in a time that is over; what did not is forgotten. With `all_`: every one, now."""
        now = time.monotonic()
        for key, count in list(self.counts.items()):
            if not all_ and now - count.since < EVERY:
                continue
            if count.times:
                yield Again(key, count.times, count.detail)
                count.since, count.times = now, 0
            else:
                del self.counts[key]
