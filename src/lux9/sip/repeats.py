"""The same again and again is told once, and then how often: whoever tries a thing a million times fills no log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from .sandbox.judge import Finding

EVERY = 1.0  # seconds in which what is repeated is counted
MOST = 256  # different ones that are counted; the next is told as it comes

Key = tuple[str, str]
Tell = Callable[[Finding, int], None]


class Repeats:
    """`tell(finding, times)` is called at once for what is new, and later for how often it came again."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.seen: dict[Key, tuple[Finding, int]] = {}
        self.timer: asyncio.TimerHandle | None = None

    def told(self, finding: Finding) -> None:
        """One more."""
        key = finding.what, finding.target
        if key in self.seen:
            self.seen[key] = finding, self.seen[key][1] + 1
            return
        if len(self.seen) < MOST:
            self.seen[key] = finding, 0
        if self.timer is None:
            self.timer = asyncio.get_running_loop().call_later(EVERY, self._due)
        self.tell(finding, 1)

    def _due(self) -> None:
        """What came again stays known for one time more; the rest is forgotten."""
        again = {key: (finding, n) for key, (finding, n) in self.seen.items() if n}
        self.seen = {key: (finding, 0) for key, (finding, _) in again.items()}
        self.timer = asyncio.get_running_loop().call_later(EVERY, self._due) if again else None
        for finding, times in again.values():
            self.tell(finding, times)

    def close(self) -> None:
        """It is over: tell what was counted."""
        if self.timer is not None:
            self.timer.cancel()
        for finding, times in self.seen.values():
            if times:
                self.tell(finding, times)
        self.seen.clear()
