"""One port: what it has, what is being done to it, and the commands that go out. `state.py` has its states.

EMPTY       no device, or one that is not for us; a change of the connection starts it
STARTING    COMRESET, signature, IDENTIFY (bringup.py)
RUNNING     commands are issued; completion.py takes them in
RECOVERING  an error is being dealt with (recovery.py); commands wait
DEAD        the device or the HBA does not answer; a change of the connection starts it again
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any, Protocol

from ...arch.ahci import CAP, Port as Regs, PxCI, PxIS, PxSACT
from ...driver.function import Bar, Dma, Function
from ...driver.pool import Pool
from ...errors import (
    DeviceError,
    DeviceGone,
    LimitReached,
    Lux9Error,
    MediaChanged,
    NoMemory,
    ServiceDown,
)
from ...pending import Maybe
from ..stats import Stats
from . import bringup, recovery
from .commands import Mode, Op, Request, ignored, tell
from .completion import Completion
from .disk import AtaDisk
from .far import FarCompletion
from .memory import PortMemory, check_reach
from .queue import Queue
from .state import State

log = logging.getLogger(__name__)

Work = Callable[[], Coroutine[Any, Any, None]]  # made when its task begins, which may never be
BUFFERS = (4 << 20, 2 << 20)  # bytes of a disk's pool: the first that the arena has room for


class Owner(Protocol):
    """The controller, as its ports see it."""

    function: Function
    bar: Bar
    cap: CAP
    letter: str

    def stage(self, port: Port) -> None:
        """The port has commands to issue: at the end of the batch."""
        ...

    async def attached(self, disk: AtaDisk) -> None:
        """A disk is there."""
        ...

    def detached(self, disk: AtaDisk) -> None:
        """It is not any more."""
        ...

    def lost(self, error: Exception) -> None:
        """The whole function is gone, or cannot be reached, or the driver has made a mistake."""
        ...


class Port:
    """One implemented port of an HBA."""

    def __init__(self, owner: Owner, number: int, regs: Regs) -> None:
        self.owner, self.number, self.regs, self.bar = owner, number, regs, owner.bar
        self.stats, self.queue, self.state = Stats(), Queue(1), State.EMPTY
        self.memory = PortMemory(owner.function, owner.cap.s64a)
        self.completion = FarCompletion(self) if owner.function.far else Completion(self)
        self.spinner = self.completion.spinner
        self.disk: AtaDisk | None = None
        self.pool = Pool(0)
        self.staged = False
        self.listening = False  # a change of the connection is news
        self.own = False  # a command of the driver's own is in flight
        self._buffers: Dma | None = None
        self._one = asyncio.Lock()  # held by the task that has the port
        self._task: asyncio.Task[None] | None = None
        self._attaching: asyncio.Task[None] | None = None

    def __str__(self) -> str:
        return f"port {self.number}"

    def buffers(self) -> Dma:
        """The memory that the disk's data goes through: taken with the first disk, and kept."""
        if self._buffers is None:
            self._buffers = self._take_buffers()
            check_reach(self._buffers, self.owner.cap.s64a)
            self.pool = Pool(self._buffers.size)
        return self._buffers

    def _take_buffers(self) -> Dma:
        for size in BUFFERS[:-1]:
            try:
                return self.owner.function.dma(size)
            except (NoMemory, LimitReached):
                continue
        return self.owner.function.dma(BUFFERS[-1])

    def fetch(self, request: Request) -> Maybe[None]:
        """Have what a command read, where the device's memory is not ours."""
        if request.op.write or not request.size:
            return None
        dma, at = self.memory.dma, request.bus - self.memory.dma.bus
        if self._buffers is not None and not 0 <= at < dma.size:
            dma, at = self._buffers, request.bus - self._buffers.bus
        return dma.for_cpu(at, request.size)

    # Tasks: one at a time changes the state. One that is cancelled may need some turns to end, so the next
    # begins when it has: what it still does would be done to the next one's port.

    async def settled(self) -> None:
        """Return when nothing is on its way: a disk is served, or there is none."""
        while running := {
            t for t in (self._task, self._attaching) if t is not None and not t.done()
        }:
            await asyncio.wait(running)

    def bring_up(self) -> None:
        """Look for a device and start it; ends whatever else was being done."""
        self.listening = False  # what is on its way by now is no news
        self._begin(State.STARTING, partial(bringup.bring_up, self))

    def recover(self, events: PxIS, late: list[Request]) -> None:
        """Deal with an error, if one is not being dealt with; commands wait."""
        if self.state is State.RUNNING:
            self._begin(State.RECOVERING, partial(recovery.recover, self, events, late))

    def _begin(self, state: State, work: Work) -> None:
        if self._task is not None:
            self._task.cancel()
        self.state = state
        self._task = asyncio.get_running_loop().create_task(self._guard(work))

    async def _guard(self, work: Work) -> None:
        """An error ends the port, not the driver; but the function's end ends all."""
        try:
            async with self._one:
                await self._or_down(work)
            self.kick()
        except Exception as error:
            self.owner.lost(error)

    async def _or_down(self, work: Work) -> None:
        try:
            await work()
        except DeviceGone:
            raise
        except (DeviceError, NoMemory, LimitReached) as error:
            log.warning("%s: %s", self, error)
            self.fail(error)
            self.listening = True
            self.completion.disarm()

    def run(self) -> None:
        """Commands may be issued from here on."""
        self.state = State.RUNNING

    def attach(self, disk: AtaDisk) -> None:
        """Have it served. That reads from it: a recovery meanwhile must not end this, so it is no part of a task."""
        self.disk = disk
        self._attaching = asyncio.get_running_loop().create_task(self.owner.attached(disk))

    def fail(self, error: Lux9Error, state: State = State.DEAD) -> None:
        """Fail everything with `error`; the disk is gone. The port must be stopped, or beyond help."""
        self.state = state
        self.spinner.stop()
        if self._attaching is not None:
            self._attaching.cancel()
        disk, self.disk = self.disk, None
        if disk is not None:
            kept = isinstance(error, (MediaChanged, DeviceGone, ServiceDown))
            disk.gone = error if kept else MediaChanged(f"{disk.name}: {error}")
            self.owner.detached(disk)
        tell(self.queue.drop(), disk.gone if disk is not None else error)

    # Requests in

    def submit(self, request: Request) -> None:
        """Queue a command; it is issued with the others of this batch."""
        self.queue.add(request)
        self.stage()

    def stage(self) -> None:
        """There is something to issue."""
        if not self.staged and self.state is State.RUNNING:
            self.staged = True
            self.owner.stage(self)

    def kick(self) -> None:
        """Issue what waits, with one doorbell."""
        self.staged = False
        if self.state is State.RUNNING and self.queue.waiting:
            self._issue(self.queue.take())

    def _issue(self, requests: list[Request]) -> None:
        """Ring for commands that have their slots."""
        if not requests:
            return
        now, mask, depth = time.perf_counter(), 0, self.queue.active.bit_count()
        fresh = depth == len(requests)
        if fresh:
            self.memory.wipe()  # nothing else was in flight: FISes from before are about others
        for request in requests:
            request.issued = now
            mask |= 1 << request.slot
            self.memory.put(request)
        self.spinner.before(fresh)
        if self.queue.mode is Mode.QUEUED:
            self.regs.sact.set(PxSACT.of(mask))
        self.regs.ci.set(PxCI.of(mask))
        self.bar.post()
        if depth > self.stats.counters["deepest"]:
            self.stats.counters["deepest"] = depth
        self.completion.keep_watch()
        self.spinner.after()

    async def own_data(self, op: Op, fis: bytes) -> bytes:
        """A command of the driver's own that reads a sector, while nothing else is in flight.

        Raises DeviceTimeout after its limit, AtaError when the device refuses it; the port is then stopped.
        """
        await self.own_command(Request(op, ignored, fis=fis, bus=self.memory.scratch, size=512))
        return self.memory.scratched()

    async def own_command(self, request: Request) -> None:
        """A command of the driver's own, while nothing else is in flight; its `done` is not called.

        Raises as `own_data` does.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def settle(_: Request, error: BaseException | None) -> None:
            if not done.done():
                done.set_result(None) if error is None else done.set_exception(error)

        request.done = settle
        self.queue.seize(request)
        self.own = True
        try:
            self._issue([request])
            await recovery.own_command(self, request, done)
        finally:
            self.own = False
            done.cancel()  # whoever ends the port tells the request: nobody waits for it any more

    def cancel(self) -> None:
        """Nothing more is to be done to it; `settled` tells when that is so."""
        for task in (self._task, self._attaching):
            if task is not None:
                task.cancel()

    def close(self) -> None:
        """No more timers; memory goes back. The HBA has let go of it when this is called."""
        self.cancel()
        self.completion.close()
        self.memory.free()
        if self._buffers is not None:
            self._buffers.free()
