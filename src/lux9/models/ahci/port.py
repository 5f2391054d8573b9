"""A port: its registers, its link, and the FISes that the device sends. Ref: AHCI 1.3.1 §3.3, §5, §6, §10.

Theory. `PxCMD.ST` and `FRE` ask, `CR` and `FR` tell; the addresses are taken when an engine starts. A port is
*halted* from a fatal error until software clears ST (§6.2.2): it takes no command, and PxCI keeps the one that
failed. COMRESET (PxSCTL.DET from 1 to 0) makes the device send its signature in a D2H FIS, as soon as FISes can
be received; until then PxSIG is all ones and PxTFD 0x7f. Work that was put off belongs to an *epoch*: a reset
starts a new one, and what is left of the old does nothing.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from ...arch.ahci import (
    Det,
    DetControl,
    Ipm,
    Port as Registers,
    PxCI,
    PxCMD,
    PxIE,
    PxIS,
    PxSACT,
    PxSCTL,
    PxSERR,
    PxSIG,
    PxSSTS,
    PxTFD,
    ReceivedFis,
    Spd,
)
from ...arch.ata import Fis, Signature
from ...errors import Busy, NotFound
from ...regs import Slot
from ..ata import GOOD, Drive, Registers as TaskFile
from ..disk import Disk
from ..pci import DmaFault, Fault
from ..registers import Model, ReadOnly, Resets, on_write
from .engine import Engine

if TYPE_CHECKING:
    from .hba import Ahci

LINKED = PxSSTS(det=Det.ESTABLISHED, spd=Spd.GEN1, ipm=Ipm.ACTIVE).raw
ST, FRE, FR, CR = (PxCMD.fields[f].span for f in ("st", "fre", "fr", "cr"))
CLO, CCS = PxCMD.fields["clo"].span, PxCMD.fields["ccs"]
DHRS, PSS, SDBS, DPS = (PxIS.fields[f].span for f in ("dhrs", "pss", "sdbs", "dps"))
TFES, HBFS, IFS, OFS = (PxIS.fields[f].span for f in ("tfes", "hbfs", "ifs", "ofs"))
PCS, PRCS, UFS = (PxIS.fields[f].span for f in ("pcs", "prcs", "ufs"))
DIAG_X, DIAG_N, DIAG_F = (PxSERR.fields[f].span for f in ("diag_x", "diag_n", "diag_f"))
BUSY, DRQ, ERR = (PxTFD.fields[f].span for f in ("bsy", "drq", "sts_err"))
NO_DEVICE = 0x7F  # what PxTFD reads until a device has sent something. §3.3.8
_REGISTER = struct.Struct("<BBBBIII4x")
_SDB = struct.Struct("<BBBBI")
_RFIS, _PSFIS, _SDBFS = (p.offset for p in (ReceivedFis.rfis, ReceivedFis.psfis, ReceivedFis.sdbfs))
_I = 0x40  # interrupt bit of a FIS's second byte
_LIST, _AREA = 1024, 256  # bytes of the command list and of the received FISes


class Port(Model):
    """One port, with a drive or without."""

    block = Registers
    resets: ClassVar[Resets] = {
        Registers.cmd: PxCMD(sud=True, pod=True),
        Registers.tfd: PxTFD.of(NO_DEVICE),
        Registers.sig: PxSIG(sig=Signature.NONE),
    }
    read_only: ClassVar[ReadOnly] = {
        Registers.cmd: (
            "icc",
            "fbscp",
            "esp",
            "cpd",
            "mpsp",
            "hpcp",
            "cps",
            "cr",
            "fr",
            "mpss",
            "ccs",
        ),
        Registers.sntf: ("pmn",),
        Registers.fbs: ("dwe", "ado", "dev", "sde", "dec", "en"),
        Registers.devslp: ("dm", "dito", "mdat", "deto", "dsp", "adse"),
    }

    def __init__(self, hba: Ahci, number: int) -> None:
        super().__init__(f"port[{number}]", hba.tell)
        self.hba, self.number, self.bit = hba, number, 1 << number
        self.drive: Drive | None = None
        self.is_, self.ie = self.cell(Registers.is_), self.cell(Registers.ie)
        self.cmd, self.tfd = self.cell(Registers.cmd), self.cell(Registers.tfd)
        self.sact, self.ci = self.cell(Registers.sact), self.cell(Registers.ci)
        self.ssts, self.serr = self.cell(Registers.ssts), self.cell(Registers.serr)
        self.sctl, self.sig = self.cell(Registers.sctl), self.cell(Registers.sig)
        self.list_at = self.area_at = 0
        self.halted = False
        self.srst = False  # the device is held in software reset
        self.greeted = False  # the signature was sent since the last reset
        self.spinning = False  # the device is slow to get ready
        self.scheduled = False
        self.epoch = 0
        self.engine = Engine(self)

    # Engines: PxCMD, §3.3.7 and §10.3

    @on_write(Registers.cmd)
    def command(self, new: PxCMD, old: PxCMD) -> PxCMD:
        """Start and stop; what may not be done now is left as it was."""
        cell = self.cmd
        cell.raw = new.raw & ~(CLO | ST | FRE) | old.raw & (ST | FRE)
        if new.clo:
            self._override()
        if new.fre != old.fre:
            self._receive(new.fre)
        if new.st != old.st:
            self._start() if new.st else self._stop()
        if cell.raw & FR and not self.greeted:
            self.greet()
        return cell.value

    def _override(self) -> None:
        if not self.hba.quirks.override:
            self.report(f"{self.name}.cmd: CLO is not supported (CAP.SCLO is 0)")
        elif self.cmd.raw & ST:
            self.report(f"{self.name}.cmd: CLO while ST is set: ignored")
        else:
            self.tfd.raw &= ~(BUSY | DRQ)

    def _receive(self, on: bool) -> None:
        if on:
            at = self.cells[Registers.fb.offset].raw | self.cells[Registers.fbu.offset].raw << 32
            if self._reachable(at, _AREA, "fb"):
                self.area_at = at
                self.cmd.raw |= FRE | FR
        elif self.cmd.raw & (ST | CR):
            self.report(f"{self.name}.cmd: FRE cleared while the list runs: ignored")
        else:
            self.cmd.raw &= ~(FRE | FR)

    def _start(self) -> None:
        if not self.cmd.raw & FR:
            self.report(f"{self.name}.cmd: ST set before FRE: ignored")
            return
        at = self.cells[Registers.clb.offset].raw | self.cells[Registers.clbu.offset].raw << 32
        if self._reachable(at, _LIST, "clb"):
            self.list_at = at
            self.cmd.raw |= ST | CR

    def _reachable(self, at: int, size: int, name: str) -> bool:
        """As QEMU: an engine does not start on an address that cannot be reached."""
        try:
            self.hba.host.dma(self.hba, at, size)
        except DmaFault:
            self.report(f"{self.name}.cmd: {name} is {at:#x}, which it cannot reach: not started")
            return False
        return True

    def _stop(self) -> None:
        self.cmd.raw &= ~(ST | CCS.span)
        self.ci.raw = self.sact.raw = 0
        self.halted = False
        if delay := self.hba.host.fault(self.hba, Fault.SLOW):
            self.hba.host.defer(self._stopped, delay)
        else:
            self._stopped()

    def _stopped(self) -> None:
        if not self.cmd.raw & ST:
            self.cmd.raw &= ~CR

    # Commands: PxSACT and PxCI, §3.3.13 and §3.3.14

    @on_write(Registers.sact)
    def activate(self, new: PxSACT, old: PxSACT) -> PxSACT:
        """Only while the list runs."""
        return new if self._started("sact") else old

    @on_write(Registers.ci)
    def issue(self, new: PxCI, old: PxCI) -> PxCI:
        """Only while the list runs; the work is done when this access has been answered."""
        if not self._started("ci"):
            return old
        self.schedule()
        return new

    def _started(self, name: str) -> bool:
        if self.cmd.raw & ST:
            return True
        self.report(f"{self.name}.{name} is written while ST is clear: ignored")
        return False

    def schedule(self) -> None:
        """Have the list looked at, once, soon."""
        if not self.scheduled:
            self.scheduled = True
            late = self.hba.host.fault(self.hba, Fault.LATE)
            self.hba.host.defer(self._work, late or 0.0)

    def _work(self) -> None:
        self.scheduled = False
        if self.ready:
            self.engine.run()

    @property
    def ready(self) -> bool:
        """A command can be given to the device."""
        up = self.ssts.raw & 0xF == Det.ESTABLISHED and self.drive is not None
        return up and not self.halted and self.cmd.raw & (ST | CR) == ST | CR

    # Interrupts: PxIS, PxIE, PxSERR, §3.3.5, §3.3.6, §3.3.12

    @on_write(Registers.is_)
    def acknowledge(self, new: PxIS, old: PxIS) -> PxIS:
        """The bits that mirror PxSERR stay until those are cleared."""
        self.is_.value = new
        self.hba.update(self)
        return new

    @on_write(Registers.ie)
    def enable(self, new: PxIE, old: PxIE) -> PxIE:
        """Which of them count."""
        self.ie.value = new
        self.hba.update(self)
        return new

    @on_write(Registers.serr)
    def clear_errors(self, new: PxSERR, old: PxSERR) -> PxSERR:
        """Clears PCS, PRCS and UFS with it."""
        self.serr.value = new
        self._mirror()
        return new

    def _mirror(self) -> None:
        serr = self.serr.raw
        mirrored = (
            PCS * bool(serr & DIAG_X) | PRCS * bool(serr & DIAG_N) | UFS * bool(serr & DIAG_F)
        )
        self.is_.raw = self.is_.raw & ~(PCS | PRCS | UFS) | mirrored
        self.hba.update(self)

    def raise_(self, events: int) -> None:
        """Set bits of PxIS."""
        self.is_.raw |= events
        self.hba.update(self)

    def stop_at(self, slot: int, events: int) -> None:
        """A fatal error: halted until software clears ST. §6.2.2"""
        self.halted = True
        self.cmd.raw = self.cmd.raw & ~CCS.span | slot << CCS.lo
        self.raise_(events)

    # The link: PxSCTL, PxSSTS, §3.3.10, §3.3.11, §10.4.2

    @on_write(Registers.sctl)
    def link(self, new: PxSCTL, old: PxSCTL) -> PxSCTL:
        """DET 1 then 0 is COMRESET, 4 takes the link down."""
        if new.det != old.det and self.cmd.raw & ST:
            self.report(f"{self.name}.sctl: DET changed while ST is set; clear it first")
        if new.det == DetControl.DISABLE:
            self.ssts.raw = PxSSTS(det=Det.OFFLINE).raw
            self.tfd.raw = NO_DEVICE
        elif new.det == DetControl.NONE and old.det in (DetControl.RESET, DetControl.DISABLE):
            self.comreset()
        return new

    def reset(self, keep: Iterable[Slot[Any]] = ()) -> None:
        """Every register but those, then COMRESET: GHC.HR, or a reset of the function."""
        self.restore(keep)
        self.halted = False
        self.comreset()

    def comreset(self) -> None:
        """The device starts anew. QEMU leaves PxSERR clean, where hardware would show DIAG.X."""
        self._silence()
        self.ci.raw = self.serr.raw = 0
        self._mirror()
        if self.drive is None:
            self.ssts.raw = 0
            return
        self.drive.restart()
        self._link_up()

    def _silence(self) -> None:
        """Nothing is known of the device."""
        self.epoch += 1
        self.sact.raw = 0
        self.tfd.raw = NO_DEVICE
        self.sig.value = PxSIG(sig=Signature.NONE)
        self.srst = self.greeted = self.spinning = False

    def _link_up(self) -> None:
        self.ssts.raw = LINKED
        delay = self.hba.host.fault(self.hba, Fault.SLOW)
        if not delay:
            self.greet()
            return
        self.spinning, self.tfd.raw = True, BUSY
        epoch = self.epoch
        self.hba.host.defer(lambda: self._spun_up(epoch), delay)

    def _spun_up(self, epoch: int) -> None:
        if epoch == self.epoch:
            self.spinning, self.tfd.raw = False, NO_DEVICE
            self.greet()

    def greet(self) -> None:
        """The first FIS after a reset, as soon as it can be received: the signature."""
        if self.drive is None or self.greeted or self.spinning or not self.cmd.raw & FR:
            return
        done = self.drive.result
        if self.send_register():
            self.greeted = True
            self.sig.raw = done.lba << 8 | done.count

    def attach(self, disk: Disk) -> None:
        """A disk that was there when the power came on."""
        self.drive = Drive(disk)
        self.drive.probe = self._probe
        self._link_up()

    def _probe(self, where: range) -> bool:
        return self.hba.host.fault(self.hba, Fault.MEDIA, where) is not None

    def insert(self, disk: Disk) -> None:
        """A disk is plugged in: COMINIT, then the link comes up. §7.3"""
        if self.drive is not None:
            raise Busy(f"{self.name} has {self.drive.disk.path}; eject it first")
        self._silence()
        self.attach(disk)
        self.serr.raw |= DIAG_X | DIAG_N
        self._mirror()

    def eject(self) -> Disk:
        """The disk is pulled out: PhyRdy goes, and what was in flight never ends. §7.3"""
        if self.drive is None:
            raise NotFound(f"{self.name} has no disk")
        disk, self.drive = self.drive.disk, None
        active = self.sact.raw
        self._silence()
        self.sact.raw, self.ssts.raw = active, 0
        self.serr.raw |= DIAG_N
        self._mirror()
        return disk

    def begin_software_reset(self) -> None:
        """SRST was set and cleared: the device answers with its signature. §10.4.1"""
        self._silence()
        self.serr.raw = 0
        self._mirror()
        self.greet()

    def stall(self) -> None:
        """The device waits for data that does not come."""
        self.tfd.raw = self.tfd.raw & ~0xFF | GOOD | DRQ

    # What the device sends

    def _receive_fis(self, offset: int, data: bytes) -> bool:
        """Into the received FIS area; without FIS receive it is lost, and nothing changes."""
        if not self.cmd.raw & FR:
            return False
        try:
            self.engine.store(self.area_at + offset, data)
        except DmaFault:
            self.stop_at(0, HBFS)
            return False
        return True

    def send_register(self) -> bool:
        """A D2H Register FIS with what the drive leaves. SATA §10.5.6"""
        assert self.drive is not None
        done = self.drive.result
        if not self._receive_fis(_RFIS, _register_fis(Fis.REGISTER_D2H, _I, done)):
            return False
        self.tfd.raw = done.features << 8 | done.command
        self.raise_(DHRS | (TFES if done.command & ERR else 0))
        return True

    def send_pio_setup(self, size: int, *, out: bool, interrupt: bool) -> None:
        """The PIO Setup FIS of a DRQ block. SATA §10.5.11"""
        assert self.drive is not None
        done = self.drive.result
        flags = (0 if out else 0x20) | (_I if interrupt else 0)
        fis = bytearray(
            _register_fis(Fis.PIO_SETUP, flags, replace(done, command=done.command | DRQ))
        )
        fis[15] = done.command
        fis[16:18] = size.to_bytes(2, "little")
        if self._receive_fis(_PSFIS, bytes(fis)) and interrupt:
            self.raise_(PSS)

    def send_device_bits(self, done: int, status: int, error: int) -> None:
        """A Set Device Bits FIS: queued commands that are done, a bit a tag. SATA §10.5.7"""
        status &= 0x77
        if not self._receive_fis(_SDBFS, _SDB.pack(Fis.SET_DEVICE_BITS, _I, status, error, done)):
            return
        self.tfd.raw = error << 8 | status | self.tfd.raw & (BUSY | DRQ)
        self.sact.raw &= ~done
        quiet = self.hba.quirks.quiet_queue_errors
        self.raise_(SDBS | (TFES if status & ERR and not quiet else 0))


def _register_fis(kind: int, flags: int, done: TaskFile) -> bytes:
    low = done.lba & 0xFFFFFF | done.device << 24
    return _REGISTER.pack(kind, flags, done.command, done.features, low, done.lba >> 24, done.count)
