"""How often something can be done in a second."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 0.8  # of each measurement
ROUNDS = 3  # the best counts: the others were disturbed


def rate(work: Callable[[], int], seconds: float = SECONDS) -> float:
    """Units a second of a function that does some and says how many; the best of a few rounds."""
    work()  # warm up
    return max(_round(work, seconds / ROUNDS) for _ in range(ROUNDS))


def _round(work: Callable[[], int], seconds: float) -> float:
    done, start = 0, time.perf_counter()
    while (now := time.perf_counter()) - start < seconds:
        done += work()
    return done / (now - start)
