"""Completions of a port: seen in memory, told by an interrupt, or found by the watch.

They have one truth, PxSACT and PxCI: a slot that both have cleared is done, if the port still runs (PxCMD.ST): who
stops it clears them, too, and so does a reset of the function that is not this driver's. The FISes in memory are
hints that cost nothing. A Set Device Bits FIS names tags that are done; a Register FIS says that a look at the truth
pays. Hints may be lost, when one FIS overwrites another: the interrupt or the watch finds the rest.

A hint is wiped when it was taken, before the truth is read, so that one that is torn in two (its type is seen, its
tags are not yet) shows no others' tags, and again after: what came in between the truth knows already, and its
tags would be taken for those of the next commands in these slots. What came later still is lost as a hint only.
"""

from __future__ import annotations

import asyncio
import struct
import time
from typing import TYPE_CHECKING

from ...arch.ahci import Port as Regs, PxCMD, PxIS
from ...arch.ata import Fis
from ...driver.poll import Spinner
from ...errors import DeviceGone
from . import recovery
from .commands import Mode, Request, tell
from .memory import RFIS, SDB
from .state import ALWAYS, ARMED, CHANGES, COMPLETIONS, FATAL, State, stopped

if TYPE_CHECKING:
    from .port import Port

STATE = struct.Struct("<I4xI24xII")  # PxIS, PxCMD, PxSACT, PxCI: of the registers from PxIS to PxCI
PAIR = struct.Struct("<II")  # PxSACT, PxCI
ONES = 0xFFFFFFFF
WATCH = 0.1  # seconds between looks at commands long in flight: a lost interrupt costs no more
DOUBT = 15e-6  # seconds at least without another hint after one, until the registers may know more
ST = PxCMD(st=True).raw
ERR = 1 << 16  # status bit 0, of a Set Device Bits and of a Register FIS

assert Regs.ci.offset - Regs.is_.offset + 4 == STATE.size, "STATE is the declared registers"
assert Regs.ci.offset - Regs.sact.offset + 4 == PAIR.size, "PAIR is the declared registers"


class Completion:
    """The source of a port's spinner."""

    def __init__(self, port: Port) -> None:
        self.port, self.regs, self.memory = port, port.regs, port.memory
        self.spinner = Spinner(self)
        self._doubt = False
        self._watch: asyncio.TimerHandle | None = None
        base = port.regs.base
        self._is_at, self._sact_at = base + Regs.is_.offset, base + Regs.sact.offset

    def busy(self) -> bool:
        """Whether commands are in flight."""
        return self.port.queue.active != 0

    def look(self) -> int:
        """Complete what memory shows to be done; how many."""
        if self.port.queue.mode is not Mode.QUEUED:
            return self.truth() if self.memory.rfis[RFIS] else 0
        fis = self.memory.sdb[SDB]
        if fis and (count := self._set_bits(fis)):
            return count
        if self._doubt and self.spinner.idle() > max(DOUBT, 2 * self.spinner.gap):
            self._doubt = False
            return self.truth()
        return 0

    def _set_bits(self, fis: int) -> int:
        """A Set Device Bits FIS: the type in 7:0, status 2:0 in 18:16, tags in 63:32."""
        self._doubt = True
        if fis & 0xFF != Fis.SET_DEVICE_BITS or not fis >> 32 or fis & ERR:
            return self.truth() if fis & ERR else 0  # it failed, or is half of one
        self.memory.sdb[SDB] = 0
        count = self._finish(fis >> 32)
        self.port.stats.counters["polled"] += count
        return count

    def truth(self, closely: bool = False) -> int:
        """Complete what the registers say is done; how many. `closely`: doubt them when nothing is, too."""
        if self._refused():
            return 0
        self.memory.wipe()
        sact, ci = PAIR.unpack(self.port.bar.read_bytes(self._sact_at, PAIR.size))
        self._known()
        if sact & ci == ONES:
            self._there()
        done = self.port.queue.active & ~(sact | ci)
        if done or closely:
            self.check_runs(self.regs.cmd.read().raw)
        return self._finish(done)

    def check_runs(self, cmd: int) -> None:
        """Raise DeviceGone where somebody else has stopped the port."""
        if self.port.state is State.RUNNING and not cmd & ST:
            raise stopped(self.port)

    def _known(self) -> None:
        """A hint that came while the truth was read is no news any more; one that tells of an error stays."""
        if (fis := self.memory.sdb[SDB]) and not fis & ERR:
            self.memory.sdb[SDB] = 0
            self._doubt = True  # it may be newer than the truth

    def _refused(self) -> bool:
        """Whether the last FIS has ERR: then the registers may not be believed.

        Some HBAs clear PxCI of a command that failed, and set no TFES for a queued one (QEMU before 8.1).
        """
        queued = self.port.queue.mode is Mode.QUEUED
        fis = self.memory.sdb[SDB] if queued else self.memory.rfis[RFIS]
        kind = Fis.SET_DEVICE_BITS if queued else Fis.REGISTER_D2H
        if fis & 0xFF != kind or not fis & ERR or not self.port.queue.active:
            return False
        self._fatal(PxIS(tfes=True))
        return True

    def _fatal(self, events: PxIS) -> None:
        """An error: one of the port's, or of the driver's own command."""
        if self.port.own:
            recovery.refused(self.port, events)
        else:
            self.port.recover(events, [])

    def _there(self) -> None:
        """All ones may be 32 commands in flight, or nobody: ask a register that has reserved bits."""
        if self.regs.cmd.read().all_ones:
            raise DeviceGone(f"{self.port}: its registers read all ones: the function was removed")

    def _finish(self, slots: int) -> int:
        if not (self.port.state is State.RUNNING or self.port.own):
            return 0  # a list that was stopped has forgotten what it had: nothing of it is done
        done = self.port.queue.finish(slots)
        if not done:
            return 0
        self.spinner.progress()
        self.hand_out(done)
        if self.port.queue.waiting:
            self.port.stage()
        return len(done)

    def hand_out(self, done: list[Request]) -> None:
        """Commands are done, and their data is in memory: tell whoever waits."""
        tell(done, None)

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
        self.port.stats.counters["interrupts"] += 1
        self.regs.is_.clear(COMPLETIONS)
        failed = self._refused()
        self.memory.wipe()
        raw = self.port.bar.read_bytes(self._is_at, STATE.size)
        events, cmd, sact, ci = STATE.unpack(raw)
        self._known()
        if events == ONES:
            self._there()
        if not failed and not events & (FATAL.raw | CHANGES.raw):
            self.check_runs(cmd)
            self._finish(self.port.queue.active & ~(sact | ci))
        if events & ~COMPLETIONS.raw:
            self._events(PxIS.of(events))

    def _events(self, events: PxIS) -> None:
        """What is not a completion: the worst first."""
        self.regs.is_.clear(events)
        if events.raw & CHANGES.raw:
            self.regs.serr.clear(self.regs.serr.read())  # PxIS.PCS and PRCS follow it
            if self.port.listening:
                self.port.bring_up()
        elif events.raw & FATAL.raw:
            self._fatal(events)
        else:
            self.port.stats.bump("errors")
            self.regs.serr.clear(self.regs.serr.read())

    # The watch: commands that are long in flight

    def keep_watch(self) -> None:
        """Commands are in flight: look at them now and then."""
        if self._watch is None:
            self._watch = asyncio.get_running_loop().call_later(WATCH, self._watched)

    def _watched(self) -> None:
        self._watch = None
        if not self.port.queue.active:
            return
        self.keep_watch()
        try:
            self._look_at_the_oldest(time.perf_counter())
        except Exception as error:
            self.failed(error)

    def failed(self, error: Exception) -> None:
        """A register could not be reached, in a callback of the loop."""
        self.port.owner.lost(error)

    def _look_at_the_oldest(self, now: float) -> None:
        if now - min(request.issued for request in self.port.queue.in_flight()) < WATCH / 2:
            return
        self.truth(closely=True)
        late = [r for r in self.port.queue.in_flight() if now - r.issued > r.op.limit]
        if late and self.port.state is State.RUNNING:
            self.port.stats.bump("timeouts", len(late))
            self.port.recover(PxIS.of(0), late)

    def close(self) -> None:
        """No more turns and timers."""
        if self._watch is not None:
            self._watch.cancel()
        self.spinner.stop()
