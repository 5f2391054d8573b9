"""When models do their work: after the access that started it, in order of time.

With a real clock the work is done in a turn of the event loop, or by `pump` where nobody runs the loop. With a
virtual clock time stands still until there is nothing left to do at its moment, and then jumps to the next
work: the same accesses give the same order, and no test waits.
"""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable

from ...models.pci import DmaFault

Work = Callable[[], None]


class Schedule:
    """Work to be done, soonest first, and in the order of asking at one moment."""

    def __init__(self, *, virtual: bool = False) -> None:
        self.virtual = virtual
        self._now = 0.0
        self._heap: list[tuple[float, int, Work]] = []
        self._count = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._handle: asyncio.Handle | None = None
        self._due = float("inf")  # when the handle fires

    def now(self) -> float:
        """Seconds, from any start."""
        return self._now if self.virtual else time.monotonic()

    def defer(self, work: Work, after: float = 0.0) -> None:
        """Do `work` in `after` seconds, never before whoever asks has returned."""
        due = self.now() + after
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, work))
        if due < self._due:
            self._arm(due, after)

    def start(self) -> None:
        """From here the running loop does the work."""
        self._loop = asyncio.get_running_loop()
        self._rearm()

    def stop(self) -> None:
        """No more work is done, and what waits is forgotten."""
        if self._handle is not None:
            self._handle.cancel()
        self._loop, self._handle, self._due = None, None, float("inf")
        self._heap.clear()

    def _arm(self, due: float, after: float) -> None:
        if self._loop is None or self._loop.is_closed():
            return  # whoever waits pumps
        if self._handle is not None:
            self._handle.cancel()
        self._due = due
        if self.virtual or after <= 0:
            self._handle = self._loop.call_soon(self._turn)
        else:
            self._handle = self._loop.call_later(after, self._turn)

    def _rearm(self) -> None:
        self._handle, self._due = None, float("inf")
        if self._heap:
            due = self._heap[0][0]
            self._arm(due, due - self.now())

    def _turn(self) -> None:
        try:
            self.pump()
        finally:
            self._rearm()

    def pump(self) -> None:
        """Do what is due now, but not what that work asks for in its turn."""
        heap, last = self._heap, self._count
        if not heap:
            return
        if self.virtual:
            self._now = max(self._now, heap[0][0])
        now = self.now()
        while heap and heap[0][0] <= now and heap[0][1] <= last:
            try:
                heapq.heappop(heap)[2]()
            except DmaFault:
                pass  # reported where it was raised; that work is over, the rest goes on
