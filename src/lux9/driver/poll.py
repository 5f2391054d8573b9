"""Waiting for hardware: for a register with a limit, and for memory before the interrupt.

A wake-up costs tens of microseconds, a look at memory a fraction of one. So, after commands were issued, a
driver looks at the memory where completions land for about as long as it waited for them lately, with their
interrupts masked; then it unmasks these, looks once more (what came in between must not be lost), and sleeps.
It never spins while nothing is in flight.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from ..errors import DeviceGone, DeviceTimeout
from ..regs import RO, Register

R = TypeVar("R", bound=Register)
STEP = (
    200e-6  # seconds between two reads of a register, at first; each wait doubles it up to LONGEST
)
LONGEST = 10e-3


async def settle(reg: RO[R], until: Callable[[R], object], limit: float) -> R:
    """Read `reg` until the value will do, and give it; the loop runs meanwhile. `limit` in seconds.

    Raises DeviceTimeout with the last value, decoded, and DeviceGone when it reads all ones.
    """
    end, step, late = time.monotonic() + limit, STEP, False
    while not until(got := reg.read()):
        if got.all_ones:
            raise DeviceGone(f"{reg.name} reads all ones: the function was removed")
        if late:
            raise DeviceTimeout(f"{reg.name} is still {got!r} after {limit:g} s")
        await asyncio.sleep(step)
        step = min(step * 2, LONGEST)
        late = (
            time.monotonic() > end
        )  # before the last look: a read may take long, through a network
    return got


class Source(Protocol):
    """A device part whose completions can be seen in memory or waited for by interrupt."""

    def busy(self) -> bool:
        """Whether commands are in flight."""
        ...

    def look(self) -> int:
        """Complete what memory shows to be done; how many."""
        ...

    def arm(self) -> None:
        """Let completions interrupt, and then complete what came before that."""
        ...

    def disarm(self) -> None:
        """Keep completions from interrupting."""
        ...

    def failed(self, error: Exception) -> None:
        """One of these raised, in a turn of the loop that nobody waits for."""
        ...


SPIN = 250e-6  # the longest spin; more than this and a sleep is cheap by comparison
ALONE = len(os.sched_getaffinity(0)) == 1  # then whoever spins keeps from running what it waits for
TURN = 8e-6  # of spinning before the event loop has a turn
TRY = 32  # every so many commands that sleep, one spins to see whether it pays again
REST = 2e-3  # with nothing in flight for this long, interrupts are let through again


class Spinner:
    """Decides between looking and sleeping for one `Source`, by how long it waited for completions lately.

    `longest`: seconds of the longest spin; 0 is never.
    """

    def __init__(
        self,
        source: Source,
        clock: Callable[[], float] = time.perf_counter,
        longest: float = 0.0 if ALONE else SPIN,
    ) -> None:
        self.source, self.clock, self.longest = source, clock, longest
        self.gap = longest / 3  # a moving mean of seconds waited for progress; at first a guess
        self.armed = True
        self._since = 0.0  # when progress was seen, or the wait for it began
        self._misses = 0
        self._turning = False
        self._resting: asyncio.TimerHandle | None = None

    @property
    def budget(self) -> float:
        """Seconds worth spinning now; 0 is none."""
        if self.gap < self.longest:
            return min(self.longest, max(20e-6, 3 * self.gap))
        return self.longest if self._misses % TRY == 0 else 0.0

    def before(self, fresh: bool) -> None:
        """Commands are about to be issued: mask their interrupts if looking will pay.

        `fresh`: nothing was in flight, so that a wait begins.
        """
        if fresh:
            self._since = self.clock()
        if self.armed and self.budget:
            self.armed = False
            self.source.disarm()

    def after(self) -> None:
        """Commands were issued: start to look."""
        if self.armed:
            self._misses += 1
        elif not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def progress(self) -> None:
        """Some commands are done, however that was seen."""
        now = self.clock()
        self.gap += (now - self._since - self.gap) / 16
        self._since = now

    def idle(self) -> float:
        """Seconds since progress was seen, or something to wait for was issued."""
        return self.clock() - self._since

    def stop(self) -> None:
        """No more turns: the source is going."""
        self.armed = True
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None

    def _turn(self) -> None:
        self._turning = False
        if not self.armed:
            self._try(self._spin)

    def _try(self, step: Callable[[], None]) -> None:
        try:
            step()
        except Exception as error:
            self.stop()
            self.source.failed(error)

    def _spin(self) -> None:
        source, clock = self.source, self.clock
        end = clock() + TURN
        while source.busy() and not source.look():
            if clock() > end:
                break
            os.sched_yield()  # with fewer cores than busy processes, the device's own may be waiting for ours
        self._next()

    def _next(self) -> None:
        if not self.source.busy():
            self._rest()
        elif self.clock() - self._since > self.budget:
            self._misses += 1
            self.sleep()
        elif not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def sleep(self) -> None:
        """Let interrupts through; whatever came meanwhile is completed."""
        self.armed = True
        self.source.arm()

    def _rest(self) -> None:
        """Nothing in flight: leave the interrupts masked a moment, more commands are likely."""
        if self._resting is None:
            self._resting = asyncio.get_running_loop().call_later(REST, self._rested)

    def _rested(self) -> None:
        self._resting = None
        if self.armed or self._turning or self.source.busy():
            return
        if self.clock() - self._since < REST:
            self._rest()
        else:
            self._try(self.sleep)
