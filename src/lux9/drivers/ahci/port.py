"""One port: its commands issued and completed. `state.py` has its states.

    EMPTY       no device, or one that is not for us; a change of the connection starts it
    STARTING    COMRESET, signature, IDENTIFY (bringup.py)
    RUNNING     commands are issued
    RECOVERING  an error is being dealt with (recovery.py); commands wait
    DEAD        the device or the HBA does not answer; a change of the connection starts it again

Completion has one truth, PxSACT and PxCI: a slot that both have cleared is done. The FISes in memory are
hints that cost nothing. A Set Device Bits FIS names tags that are done; a Register FIS says that a look at the
truth pays. Hints may be lost, when one FIS overwrites another: the interrupt or the watch finds the rest.
A hint is wiped when it was taken, and before the truth is read, so that the tags in it are never those of
commands that were issued after it: whoever tears a FIS in two (its type is seen, its tags are not yet) shows
either none or those of a FIS whose tags are still in flight here.
"""

from __future__ import annotations

import asyncio
import logging
import struct
import time
from collections.abc import Coroutine
from typing import Any, Protocol

from ...arch.ahci import CAP, Port as Regs, PxCI, PxIS, PxSACT
from ...arch.ata import Fis
from ...driver.function import Bar, Dma, Function
from ...driver.poll import Spinner
from ...driver.pool import Pool
from ...errors import DeviceError, DeviceGone, LimitReached, Lux9Error, MediaChanged, NoMemory
from ..stats import Stats
from . import bringup, recovery
from .commands import Mode, Op, Request
from .disk import AtaDisk
from .memory import RFIS, SDB, PortMemory, check_reach
from .queue import Queue
from .state import ALWAYS, ARMED, CHANGES, COMPLETIONS, FATAL, State

log = logging.getLogger(__name__)

STATE = struct.Struct("<I32xII")  # PxIS, PxSACT and PxCI of the registers from PxIS to PxCI
PAIR = struct.Struct("<II")  # PxSACT, PxCI
ONES = 0xFFFFFFFF
WATCH = (
    0.1  # seconds between looks at commands that are long in flight: a lost interrupt costs no more
)
DOUBT = 15e-6  # after a hint, with no other for so long, the registers may know more
BUFFERS = (4 << 20, 2 << 20)  # bytes of a disk's pool: the first that the arena has room for
ERR = 1 << 16  # of a Set Device Bits FIS: status bit 0

assert Regs.ci.offset - Regs.is_.offset + 4 == STATE.size, "STATE is the declared registers"
assert Regs.ci.offset - Regs.sact.offset + 4 == PAIR.size, "PAIR is the declared registers"


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
        self.spinner = Spinner(self)
        self.disk: AtaDisk | None = None
        self.pool = Pool(0)
        self.staged = self.listening = self._doubt = False
        self._own = False  # a command of the driver's own is in flight
        self._buffers: Dma | None = None
        self._task: asyncio.Task[None] | None = None
        self._attaching: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None

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

    # Tasks: one at a time changes the state

    async def settled(self) -> None:
        """Return when nothing is on its way: a disk is served, or there is none."""
        while running := {
            t for t in (self._task, self._attaching) if t is not None and not t.done()
        }:
            await asyncio.wait(running)

    def bring_up(self) -> None:
        """Look for a device and start it; ends whatever else was being done."""
        self._begin(State.STARTING, bringup.bring_up(self))

    def _begin(self, state: State, work: Coroutine[Any, Any, None]) -> None:
        if self._task is not None:
            self._task.cancel()
        self.state = state
        self._task = asyncio.get_running_loop().create_task(self._guard(work))

    async def _guard(self, work: Coroutine[Any, Any, None]) -> None:
        """An error ends the port, not the driver; but the function's end ends all."""
        try:
            await work
        except (DeviceError, NoMemory, LimitReached) as error:
            if isinstance(error, DeviceGone):
                self.owner.lost(error)
                return
            log.warning("%s: %s", self, error)
            self.fail(error)
            self.listening = True
            self.disarm()
        except Exception as error:
            self.owner.lost(error)
        else:
            self.kick()

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
            kept = isinstance(error, (MediaChanged, DeviceGone))
            disk.gone = error if kept else MediaChanged(f"{disk.name}: {error}")
            self.owner.detached(disk)
        for request in self.queue.drop():
            request.done(request, disk.gone if disk is not None and disk.gone else error)

    # Requests in

    def submit(self, request: Request) -> None:
        """Queue a command; it is issued with the others of this batch."""
        self.queue.add(request)
        self._stage()

    def _stage(self) -> None:
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
        if depth == len(requests):
            self.memory.wipe()  # nothing else was in flight: FISes from before are about others
        for request in requests:
            request.issued = now
            mask |= 1 << request.slot
            self.memory.put(request)
        self.spinner.before()
        if self.queue.mode is Mode.QUEUED:
            self.regs.sact.set(PxSACT.of(mask))
        self.regs.ci.set(PxCI.of(mask))
        self.bar.post()
        if depth > self.stats.counters["deepest"]:
            self.stats.counters["deepest"] = depth
        self._keep_watch()
        self.spinner.after()

    async def own_data(self, op: Op, fis: bytes) -> bytes:
        """A command of the driver's own that reads a sector, while nothing else is in flight.

        Raises DeviceTimeout after its limit, AtaError when the device refuses it; the port is then stopped.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def settle(_: Request, error: BaseException | None) -> None:
            if not done.done():
                done.set_result(None) if error is None else done.set_exception(error)

        request = Request(op, settle, fis=fis, bus=self.memory.scratch, size=512)
        self.queue.seize(request)
        self._own = True
        try:
            self._issue([request])
            await recovery.own_command(self, request, done)
        finally:
            self._own = False
        return self.memory.scratched()

    # Completions: Source of the spinner

    def busy(self) -> bool:
        """Whether commands are in flight."""
        return self.queue.active != 0

    def look(self) -> int:
        """Complete what memory shows to be done; how many."""
        if self.queue.mode is not Mode.QUEUED:
            return self.truth() if self.memory.rfis[RFIS] else 0
        fis = self.memory.sdb[SDB]
        if fis and (count := self._set_bits(fis)):
            return count
        if self._doubt and self.spinner.idle() > DOUBT:
            self._doubt = False
            return self.truth()
        return 0

    def _set_bits(self, fis: int) -> int:
        """A Set Device Bits FIS: the type in 7:0, status 2:0 in 18:16, tags in 63:32."""
        self._doubt = True
        if fis & 0xFF != Fis.SET_DEVICE_BITS or not fis >> 32:
            return 0  # half of one
        if self._queue_error():
            return 0
        self.memory.sdb[SDB] = 0
        count = self._finish(fis >> 32)
        self.stats.counters["polled"] += count
        return count

    def truth(self) -> int:
        """Complete what the registers say is done; how many."""
        if self._queue_error():
            return 0
        self.memory.wipe()
        sact, ci = PAIR.unpack(self.bar.read_bytes(self.regs.sact.offset, PAIR.size))
        if sact & ci == ONES:
            self._there()
        return self._finish(self.queue.active & ~(sact | ci))

    def _queue_error(self) -> bool:
        """A Set Device Bits FIS with ERR: a queued command failed. Some HBAs set no TFES for it (QEMU to 8.0)."""
        fis = self.memory.sdb[SDB]
        if fis & 0xFF != Fis.SET_DEVICE_BITS or not fis & ERR or self.state is not State.RUNNING:
            return False
        self._begin(State.RECOVERING, recovery.recover(self, PxIS(tfes=True), []))
        return True

    def _there(self) -> None:
        """All ones may be 32 commands in flight, or nobody: ask a register that has reserved bits."""
        if self.regs.cmd.read().all_ones:
            raise DeviceGone(f"{self}: its registers read all ones: the function was removed")

    def _finish(self, slots: int) -> int:
        done = self.queue.finish(slots)
        if not done:
            return 0
        now = time.perf_counter()
        for request in done:
            self.spinner.completed(now - request.issued)
            try:
                request.done(request, None)
            except Exception:  # whoever waits made a mistake; the others are not to suffer
                log.exception("%s: after %s", self, request)
        if self.queue.waiting:
            self._stage()
        return len(done)

    def arm(self) -> None:
        """Let completions interrupt. What came while they were masked is cleared, then looked for."""
        self.regs.is_.clear(COMPLETIONS)
        self.regs.ie.write(ARMED)
        self.truth()

    def disarm(self) -> None:
        """Mask completions; errors and changes of the connection still interrupt."""
        self.regs.ie.write(ALWAYS)

    def interrupt(self) -> None:
        """The HBA says that this port has something. Clear first, then read: nothing falls in between."""
        self.stats.counters["interrupts"] += 1
        self.regs.is_.clear(COMPLETIONS)
        failed = self._queue_error()
        self.memory.wipe()
        raw = self.bar.read_bytes(self.regs.is_.offset, STATE.size)
        events, sact, ci = STATE.unpack(raw)
        if events == ONES:
            self._there()
        if not failed and not events & (FATAL.raw | CHANGES.raw):
            self._finish(self.queue.active & ~(sact | ci))
        if events & ~COMPLETIONS.raw:
            self._events(PxIS.of(events))

    def _events(self, events: PxIS) -> None:
        """What is not a completion: the worst first."""
        self.regs.is_.clear(events)
        if events.raw & CHANGES.raw:
            self.regs.serr.clear(self.regs.serr.read())  # PxIS.PCS and PRCS follow it
            if self.listening:
                self.bring_up()
        elif events.raw & FATAL.raw:
            if self.state is State.RUNNING:
                self._begin(State.RECOVERING, recovery.recover(self, events, []))
            elif self._own:
                recovery.refused(self, events)
        else:
            self.stats.bump("errors")
            self.regs.serr.clear(self.regs.serr.read())

    # The watch: commands that are long in flight

    def _keep_watch(self) -> None:
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(WATCH, self._watched)

    def _watched(self) -> None:
        self._watch = None
        if not self.queue.active:
            return
        self._keep_watch()
        try:
            self._look_at_the_oldest(time.perf_counter())
        except Exception as error:
            self.failed(error)

    def failed(self, error: Exception) -> None:
        """A register could not be reached, in a callback of the loop."""
        self.owner.lost(error)

    def _look_at_the_oldest(self, now: float) -> None:
        if now - min(request.issued for request in self.queue.in_flight()) < WATCH / 2:
            return
        self.truth()
        late = [r for r in self.queue.in_flight() if now - r.issued > r.op.limit]
        if late and self.state is State.RUNNING:
            self.stats.bump("timeouts", len(late))
            self._begin(State.RECOVERING, recovery.recover(self, PxIS.of(0), late))

    def close(self) -> None:
        """No more tasks and timers; memory goes back. The HBA has let go of it when this is called."""
        for task in (self._task, self._attaching):
            if task is not None:
                task.cancel()
        if self._watch is not None:
            self._watch.cancel()
        self.spinner.stop()
        self.memory.free()
        if self._buffers is not None:
            self._buffers.free()
