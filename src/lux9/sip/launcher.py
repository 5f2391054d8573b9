"""Drivers brought to life: matched to functions and files, started, mounted, and cleared away at their end.

A driver is ready when its service answers; then it is mounted. When it ends, however it ends, what it held is
quiesced, and only then is it said to be over; whether it comes back is its supervisor's affair.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import Any

from ..errors import Busy, Lux9Error, text_of
from ..kernel.dev.proc import Life
from ..kernel.kernel import Kernel
from ..kernel.process import ALL, Cap
from ..kernel.services import Posted
from .binder import Binder
from .device import SipDir
from .learn import Notebook, manifest
from .life import Starter
from .matching import Matching
from .roster import Roster
from .sandbox.isolation import Isolation
from .server import Sip
from .stanza import Stanza
from .supervisor import Pace, Supervisor
from .tally import Tally
from .visitors import Visitor, Visitors

READY = 30.0  # seconds that a driver has to answer its first request
DRAIN = 0.5  # seconds for requests on their way to a driver that is swapped


class Launcher(Roster):
    """All SIPs. `isolation`: how far they are kept apart; else as far as this host can.

    `learn`: every driver gets every capability, and `learnt` tells which of them it used.
    """

    def __init__(
        self,
        kernel: Kernel,
        stanzas: Sequence[Stanza],
        isolation: Isolation | None = None,
        *,
        pace: Pace | None = None,
        learn: bool = False,
    ) -> None:
        super().__init__(stanzas)
        self.kernel = kernel
        self.notebook: Notebook | None = None
        if learn:
            self.stanzas = [replace(s, capabilities=ALL) for s in stanzas]
            self.notebook = kernel.hardware.context.audit = Notebook(kernel.audit)
        self.isolation = isolation or Isolation()
        self.tasks: set[asyncio.Task[None]] = set()
        self.matching = Matching(kernel, self.stanzas)
        self.starter = Starter(kernel, self.isolation, self._over)
        self.tally = Tally(kernel.audit)
        self.supervisor = Supervisor(
            kernel.services, pace or Pace(), self._again, self.enter, self.tally.look
        )
        self.visitors = Visitors(self)
        self.binder = Binder(self)
        kernel.add_device("i", ("sip", Cap(0), lambda _, life: SipDir(self, life.process)))
        kernel.standard.do("bind '#i' /dev/sip")

    @property
    def protects(self) -> bool:
        """Whether the machine stops DMA outside a function's arena."""
        return self.kernel.machine.protects

    def learnt(self) -> str:
        """The smallest manifest that this run would have needed, of the drivers that ran."""
        assert self.notebook is not None, "nothing was learnt"
        ran: dict[str, list[str]] = {}
        for sip in self.sips:
            if sip.life is not None:
                self.notebook.met(sip.life.process)
                ran.setdefault(sip.stanza.name, []).append(sip.name)
        found = [(s, self.notebook.needs(ran[s.name])) for s in self.stanzas if s.name in ran]
        return manifest(found)

    # -- matching

    async def start_all(self) -> None:
        """A driver for each function that a stanza binds; returns when each is ready or has failed."""
        await self.binder.match(lambda sip: True)
        await self.settle()

    async def settle(self) -> None:
        """Wait until no start is on its way any more."""
        while self.tasks:
            await asyncio.wait(list(self.tasks))

    def task(self, work: Coroutine[Any, Any, None]) -> None:
        """Do something on the side."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.kernel.console.log(f"sip: {text_of(error)}")

    # -- life

    async def start(self, sip: Sip) -> bool:
        """Start it and wait until it is ready; whether it is. Its failure is in its state and in the log."""
        self.supervisor.calm(sip)
        sip.restarts.forget()
        sip.served = False
        if sip.stanza.remote and not sip.running:
            self.visitors.expect(sip)
            return True
        return await self._again(sip)

    async def _again(self, sip: Sip) -> bool:
        async with sip.lock:  # an earlier start that was given up is to be over first
            return await self._start(sip)

    async def _start(self, sip: Sip) -> bool:
        if sip.running:
            raise Busy(f"{sip.name} is {sip.state}")
        if self.supervisor.closed:
            raise Busy(f"{sip.name} is not started: lux9 is ending")
        self.enter(sip, "starting")
        sip.starts += 1
        sip.pulled = sip.suspended = False
        sip.verdict, sip.took = "", 0.0
        sip.output.clear()
        sip.told.clear()
        sip.over.clear()
        same = [s for s in self.sips if s.stanza.name == sip.stanza.name]
        try:
            async with asyncio.timeout(READY):
                await self.starter.bring_up(sip, same.index(sip))
        except asyncio.CancelledError:
            self._given_up(sip)
            raise
        except TimeoutError:
            await self._failed(sip, f"not ready after {READY:g} s")
            return False
        except Exception as error:  # whatever it is, the start is over, and can be made again
            said = str(error) if isinstance(error, Lux9Error) else ""
            await self._failed(sip, said or text_of(error))
            return False
        if sip.state == "starting":
            self.ready(sip)
        return sip.state == "running"

    def adopt(self, sip: Sip, visitor: Visitor) -> None:
        """One that comes from elsewhere, as those that are started here."""
        self.starter.watch(sip, visitor.life, visitor)

    def ready(self, sip: Sip) -> None:
        """It is ready: mount it, and watch over it."""
        self.enter(sip, "running")
        sip.served = True
        mount, source = sip.stanza.mount, f"#s/{sip.name}"
        back = any(step.source == source for step in self.kernel.standard.steps)
        if mount and not back:
            self.kernel.standard.do(f"mount -a '{source}' {mount}")
        if mount:
            self.task(self.binder.look_for_files(sip.name, back))
        self.supervisor.watch(sip)
        self.kernel.console.log(f"{sip.name}: serves {sip.binding or '-'} at {mount or '#s'}")

    def _over(self, sip: Sip, life: Life, why: str) -> None:
        """It ended: quiesce what it held, then see whether it comes back."""
        ran = time.monotonic() - sip.since if sip.state == "running" else 0.0
        why = f"{sip.verdict} ({why})" if sip.verdict else why
        posted = self.kernel.services.posted.get(sip.name)
        if posted is not None and posted.owner is life.process:
            self._hang_up(sip, posted)
        if self.notebook is not None:
            self.notebook.met(life.process)
        self.tally.look(sip)
        sip.crash = (life.report or self.kernel.end(life.process)).text(why, sip.output)
        sip.child, sip.last_exit = None, why
        self.kernel.audit.record(life.process, "sip end", sip.name, "done", outcome=why)
        self.kernel.console.log(f"{sip.name}: {why}")
        self._after(sip, why, ran, crashed=sip.state != "running" or why != "exited with status 0")

    def _after(self, sip: Sip, why: str, ran: float, crashed: bool) -> None:
        """The state that follows an end, and what becomes of those who use it."""
        if sip.state == "stopping":
            self.enter(sip, "stopped", sip.verdict or why)
        elif sip.stanza.remote:
            self.visitors.expect(sip, why)
        else:
            self.supervisor.ended(sip, crashed, ran, why)
        sip.over.set()
        posted = self.kernel.services.posted.get(sip.name)
        if not (sip.comes_back and posted is not None and posted.service.hold):
            self.retire(sip)

    def retire(self, sip: Sip) -> None:
        """Nobody waits for it: unmount what it served, and stop what serves a file of it."""
        if not sip.comes_back:
            self.kernel.services.withdraw(sip.name)
        self.kernel.standard.forget(f"#s/{sip.name}")
        for user in self.sips:
            if user.source.startswith(f"#s/{sip.name}/") and (user.running or user.comes_back):
                self.task(self.stop(user))

    async def _failed(self, sip: Sip, why: str) -> None:
        """A start that did not come to anything."""
        if sip.child is not None:
            sip.verdict = "" if sip.child.ended.done() else why
            await sip.child.stop()
            await sip.over.wait()
        elif sip.running:
            self._never_was(sip, why)
        sip.reason = sip.reason or why
        self.kernel.console.log(f"{sip.name}: cannot serve {sip.binding or '-'}: {why}")

    def _given_up(self, sip: Sip) -> None:
        """Nobody waits for a start any more: it ends, and stays so."""
        if sip.child is not None:
            self.task(self.stop(sip, "given up"))
        elif sip.running:
            self.enter(sip, "stopping")
            self._never_was(sip, "given up")

    def _never_was(self, sip: Sip, why: str) -> None:
        """A start that ended before there was a process."""
        if sip.life is not None:
            self.kernel.end(sip.life.process)
        sip.last_exit = why
        self._after(sip, why, 0.0, crashed=True)

    async def stop(self, sip: Sip, why: str = "") -> None:
        """End it, and wait until it is over; it is not started again."""
        if self.supervisor.calm(sip):
            self.enter(sip, "stopped", why)
            if not sip.swapping:  # else it is back in a moment: those who wait go on waiting
                self.retire(sip)
        if sip.stanza.remote and sip.state == "created":
            self.enter(sip, "stopped", why)
        if not sip.running:
            return
        self.enter(sip, "stopping")
        sip.verdict = why
        if sip.child is not None:
            await sip.child.stop()
        await sip.over.wait()

    async def swap(self, sip: Sip, hold: float = 0.0) -> bool:
        """Stop it and start it again; clients wait `hold` seconds for that, or as long as the manifest says."""
        posted = self.kernel.services.posted.get(sip.name)
        sip.swapping = True
        try:
            if posted is not None and sip.state == "running":
                posted.service.hold = max(posted.service.hold, hold)
                await self._part(sip, posted)
            await self.stop(sip)
        finally:
            sip.swapping = False
        return await self.start(sip)

    async def _part(self, sip: Sip, posted: Posted) -> None:
        """Hang up on it before it ends: its clients are to wait, and not to be told that it is ending.

        What may not be asked twice is given a moment to be answered.
        """
        end = time.monotonic() + DRAIN
        while not posted.service.repeats and posted.service.caller.table and time.monotonic() < end:
            await asyncio.sleep(0.005)
        if posted.service.hold and sip.child is not None:
            self._hang_up(sip, posted)

    def _hang_up(self, sip: Sip, posted: Posted) -> None:
        posted.service.caller.wire.close()
        self.kernel.services.drop(sip.name, posted.service.caller)

    async def stop_all(self) -> None:
        """End all, those that use others first."""
        for task in list(self.tasks):
            task.cancel()
        await self.supervisor.close()
        for sip in reversed(self.sips):
            await self.stop(sip)
