"""When a driver that ended is started again: a manifest's `restart`, the back-off, and when to give it up.

    restart = "never"
    restart = "always"                     # also when it ended of its own will
    restart = "on-crash max 5 in 60"       # more than 5 ends within 60 seconds, and it is given up

No I/O and no clock of its own: whoever asks tells the time.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from enum import Enum, auto

from ..errors import ControlError
from ..wire.numeral import numeral

USAGE = "never, always or on-crash, then nothing or `max N in SECONDS`"
FIRST, LONGEST = (
    0.1,
    10.0,
)  # seconds from an end to the next start: doubled each time, to the longest
GOOD = (
    1.0  # seconds of running after which the back-off begins anew; `max N in T` counts all the same
)


@dataclass(frozen=True)
class Restart:
    """The rule. `most` ends `within` so many seconds are borne; one more, and it is given up."""

    when: str = "never"
    most: int = 5
    within: float = 60.0

    def __str__(self) -> str:
        return (
            self.when if self.when == "never" else f"{self.when} max {self.most} in {self.within:g}"
        )


def rule(text: str) -> Restart:
    """A rule of its words. Raises ControlError."""
    match text.split():
        case ["never" | "always" | "on-crash" as when]:
            return Restart(when)
        case ["always" | "on-crash" as when, "max", most, "in", within]:
            return Restart(when, _count(most, text), _seconds(within, text))
        case _:
            raise ControlError(f"restart {text!r}: write {USAGE}")


def _count(word: str, text: str) -> int:
    if (count := numeral(word)) < 0:
        raise ControlError(f"restart {text!r}: {word!r} is not a number of restarts; write {USAGE}")
    return count


def _seconds(word: str, text: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ControlError(f"restart {text!r}: {word!r} is not a time in seconds; write {USAGE}")
    return value


class End(Enum):
    """What comes after an end, when it is no restart."""

    STAYS = auto()  # as it is: the rule does not restart it
    GAVE_UP = auto()  # it ended too often


class Restarts:
    """How one driver fares under its rule."""

    def __init__(self, rule: Restart) -> None:
        self.rule = rule
        self.ends: deque[float] = deque()
        self.delay = FIRST

    def forget(self) -> None:
        """Begin anew: somebody started it by hand."""
        self.ends.clear()
        self.delay = FIRST

    def ended(self, now: float, ran: float, crashed: bool) -> float | End:
        """It ended at `now`, after `ran` seconds of running: the seconds to the next start, or none comes."""
        if self.rule.when == "never" or (self.rule.when == "on-crash" and not crashed):
            return End.STAYS
        self.ends.append(now)
        while self.ends[0] <= now - self.rule.within:
            self.ends.popleft()
        if len(self.ends) > self.rule.most:
            return End.GAVE_UP
        if ran >= GOOD:
            self.delay = FIRST
        delay, self.delay = self.delay, min(self.delay * 2, LONGEST)
        return delay
