"""One driver of the launcher's: what it is for, and how it fares."""

from __future__ import annotations

import asyncio
import signal
import time
from collections import deque

from ..kernel.dev.proc import Life
from .inside import Inside
from .manifest import Stanza
from .spawn import Child

KEPT = 200  # lines of output


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
        self.child: Child | Inside | None = None
        self.isolation = "-"  # what is between it and the host, and what lacks for more
        self.output: deque[str] = deque(maxlen=KEPT)
        self.over: asyncio.Event = asyncio.Event()

    @property
    def pid(self) -> int:
        """Of its process; 0 when it has none."""
        return self.child.pid if self.child else 0

    @property
    def running(self) -> bool:
        """Started and not over."""
        return self.state in ("starting", "running", "stopping")

    def kill(self) -> None:
        """End it at once."""
        if self.child is not None:
            self.child.signal(signal.SIGKILL)
