"""One driver of the launcher's: what it is for, and how it fares."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import deque
from typing import TYPE_CHECKING

from ..kernel.audit import Journal
from ..kernel.dev.proc import Life
from .inside import Inside
from .policy import Restart, Restarts
from .spawn import Child
from .stanza import Stanza

if TYPE_CHECKING:
    from .visitors import Visitor

KEPT = 200  # lines of output
SLOW = 1.0  # seconds that an answer to a probe may take in good health
RECENT = 60.0  # seconds for which a restart is worth a word
STATES = ("created", "starting", "running", "stopping", "stopped", "crashed", "gave-up")


class Sip:
    """One driver, for one function or file."""

    def __init__(self, number: int, name: str, stanza: Stanza, binding: str, source: str) -> None:
        self.number, self.name, self.stanza = number, name, stanza
        self.binding, self.source = binding, source  # what it is for; where a file comes from
        self.state, self.reason = "created", ""
        self.since = time.monotonic()
        self.starts = 0
        self.last_exit = ""
        self.crash = ""  # the report of its last end
        self.life: Life | None = None
        self.child: Child | Inside | Visitor | None = None
        self.isolation = "-"  # what is between it and the host, and what lacks for more
        self.output: deque[str] = deque(maxlen=KEPT)
        self.log = Journal(KEPT)
        self.over: asyncio.Event = asyncio.Event()
        self.lock = asyncio.Lock()  # held while it is started
        # supervision
        self.restarts = Restarts(stanza.restart)
        self.timer: asyncio.TimerHandle | None = None  # of the restart that is due
        self.served = False  # it was ready since somebody last started it
        self.swapping = False  # stopped only to be started again
        self.suspended = False  # by SIGSTOP: it need not answer
        self.pulled = False  # stopped because its function went
        self.asked_at = 0.0  # when a probe was sent that has no answer yet, else 0
        self.took = 0.0  # seconds for the last answer
        self.verdict = ""  # why it was killed by us
        self.told: dict[str, int] = {}  # of what `waits` counts: how much is in the audit

    @property
    def pid(self) -> int:
        """Of its process; 0 when it has none."""
        return self.child.pid if self.child else 0

    @property
    def running(self) -> bool:
        """Started and not over."""
        return self.state in ("starting", "running", "stopping")

    @property
    def blank(self) -> bool:
        """Made, and told nothing since."""
        untold = self.name == self.stanza.name and self.stanza == Stanza(self.name)
        return untold and not self.binding and self.restarts.rule == Restart() and not self.starts

    @property
    def comes_back(self) -> bool:
        """Not there now, and it will be started again without a word from anybody."""
        return self.timer is not None or self.swapping

    @property
    def function(self) -> str:
        """The function that it is for, or nothing."""
        return "" if self.binding.startswith("/") else self.binding

    def say(self, line: str) -> None:
        """It printed a line."""
        self.output.append(line)
        self.log.add(line)

    def enter(self, state: str, reason: str = "") -> None:
        """A new state."""
        assert state in STATES, state
        self.state, self.reason, self.since = state, reason, time.monotonic()

    def kill(self) -> None:
        """End it at once."""
        if self.child is not None:
            self.child.signal(signal.SIGKILL)

    def waits(self) -> dict[str, int]:
        """How often it was made to wait in this life, by what it had too much of."""
        waits: dict[str, int] = {}
        if self.life is not None:
            waits |= {"messages": self.life.throttled(), "answers": self.life.paused()}
        if isinstance(self.child, Child):
            waits["output"] = self.child.output.waits
        return waits

    @property
    def health(self) -> tuple[str, list[str]]:
        """`healthy`, `degraded` or `dead`, and why."""
        if self.state != "running":
            starts = self.state == "starting"
            return "degraded" if starts else "dead", [f"{self.state} {self.reason}".rstrip()]
        reasons = [*self._slow(), *self._restarted(), *self._throttled()]
        return "degraded" if reasons else "healthy", reasons

    def _slow(self) -> list[str]:
        if self.suspended:
            return ["suspended: write `start` to its /proc/N/ctl"]
        waits = time.monotonic() - self.asked_at if self.asked_at else 0.0
        took = max(waits, self.took)
        return [f"slow: {took:.1f} s for a probe"] if took > SLOW else []

    def _restarted(self) -> list[str]:
        ends = [end for end in self.restarts.ends if time.monotonic() - end < RECENT]
        return [f"restarted {len(ends)} times in {RECENT:g} s"] if ends else []

    def _throttled(self) -> list[str]:
        """Messages that were held back."""
        held = self.life.throttled() if self.life else 0
        return [f"throttled {held} times: more than limits.messages a second"] if held else []
