"""Watching over drivers: what hangs is ended, what ended is started again, and what ends too often is given up.

A driver's end is one of three. It was asked for: then it stays ended. Or its rule (`policy`) starts it again after
a while: until then it is `crashed`, its service stays posted for those whose requests can wait (`hold`), and what
depends on it goes on. Or it is not started again: what it served is withdrawn, and what depends on it is stopped.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any

from ..errors import Busy, Disconnected, Lux9Error, RemoteError
from ..kernel.services import Services
from .policy import End
from .server import Sip


@dataclass(frozen=True)
class Pace:
    """Seconds: between two probes of a driver's service; for the answer; that it may go on without a service."""

    every: float = 2.0
    limit: float = 5.0
    grace: float = 2.0


class Supervisor:
    """`start(sip)` starts one again; `enter` gives it a state; `look` is called before each probe."""

    def __init__(
        self,
        services: Services,
        pace: Pace,
        start: Callable[[Sip], Coroutine[Any, Any, object]],
        enter: Callable[[Sip, str, str], None],
        look: Callable[[Sip], None],
    ) -> None:
        self.services, self.pace = services, pace
        self.start, self.enter, self.look = start, enter, look
        self.tasks: set[asyncio.Task[object]] = set()
        self.closed = False

    def spawn(self, work: Coroutine[Any, Any, object]) -> None:
        """Do something on the side."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[object]) -> None:
        self.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, Busy):  # somebody else was faster
            raise error  # the loop tells of it: whoever watched does so no longer

    async def close(self) -> None:
        """Nothing is started any more."""
        self.closed = True
        for task in list(self.tasks):
            task.cancel()
        if self.tasks:
            await asyncio.wait(list(self.tasks))

    # -- starting again

    def ended(self, sip: Sip, crashed: bool, ran: float, why: str) -> None:
        """It is over, not on request: set the clock for its restart, give it up, or leave it."""
        state = "crashed" if crashed else "stopped"
        if self.closed or (sip.stanza.files and not sip.served):  # a probe that found nothing
            self.enter(sip, state, why)
            return
        after = sip.restarts.ended(time.monotonic(), ran, crashed)
        if after is End.GAVE_UP:
            rule = sip.restarts.rule
            self.enter(sip, "gave-up", f"{why}: more than {rule.most} times in {rule.within:g} s")
        elif isinstance(after, End):
            self.enter(sip, state, why)
        else:
            sip.timer = asyncio.get_running_loop().call_later(after, self._due, sip)
            self.enter(sip, state, f"{why}; starts again in {after:g} s")

    def _due(self, sip: Sip) -> None:
        self.spawn(self._restart(sip))

    async def _restart(self, sip: Sip) -> None:
        if sip.timer is not None:  # else it was stopped in this very moment
            sip.timer = None
            await self.start(sip)

    def calm(self, sip: Sip) -> bool:
        """Nothing is due any more; whether something was."""
        due, sip.timer = sip.timer, None
        if due is not None:
            due.cancel()
        return due is not None

    # -- hanging

    def watch(self, sip: Sip) -> None:
        """Probe its service from now on, as long as it runs."""
        self.spawn(self._watch(sip, sip.child))

    async def _watch(self, sip: Sip, child: object) -> None:
        while True:
            await asyncio.sleep(self.pace.every)
            if sip.child is not child or sip.state != "running":
                return
            self.look(sip)
            if sip.suspended:
                continue
            wrong = await self.probe(sip)
            if wrong and sip.child is child and sip.state == "running" and not sip.suspended:
                sip.verdict = wrong
                sip.kill()
                return

    async def probe(self, sip: Sip) -> str:
        """Ask for the stat of its root, in its own dialect; what is wrong with the answer, or nothing."""
        posted = self.services.posted.get(sip.name)
        if posted is None or not posted.answers:
            await asyncio.sleep(self.pace.grace)  # it may be about to end, and to say why
            return "its service hung up, and it went on without"
        sip.asked_at = began = time.monotonic()
        try:
            service = posted.service
            async with asyncio.timeout(self.pace.limit):
                await service.caller.stat(service.root_fid)
        except TimeoutError:
            if time.monotonic() - began < self.pace.limit + 1.0:  # else it was we who were late
                return f"it did not answer a probe within {self.pace.limit:g} s"
        except (RemoteError, Disconnected):
            pass  # an answer; or its end, which is told elsewhere
        except Lux9Error as error:
            return f"it answered a probe with nonsense: {error}"
        finally:
            sip.asked_at = 0.0
        sip.took = time.monotonic() - began
        return ""
