"""The link to the device: COMRESET, the signature, disks that come and go. Ref: AHCI 1.3.1 §3.3.10, §3.3.11, §7, §10.4.

Theory. COMRESET (PxSCTL.DET from 1 to 0) makes the device start anew and send its signature in a D2H FIS, as soon
as FISes can be received; until then PxSIG is all ones and PxTFD 0x7f. Work that was put off belongs to an *epoch*:
a reset starts a new one, and what is left of the old does nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from ...arch.ahci import Det, DetControl, Ipm, Port as Block, PxCMD, PxSCTL, PxSIG, PxSSTS, Spd
from ...arch.ata import Signature
from ...errors import Busy, NotFound
from ...regs import Slot
from ..ata import GOOD, Drive
from ..disk import Disk
from ..pci import Fault
from ..registers import on_write
from .events import BUSY, DIAG_N, DIAG_X, DRQ, FR, NO_DEVICE, Events

if TYPE_CHECKING:
    from .hba import Ahci

LINKED = PxSSTS(det=Det.ESTABLISHED, spd=Spd.GEN1, ipm=Ipm.ACTIVE).raw
ST = PxCMD.fields["st"].span


class Link(Events):
    """A port and what is plugged into it."""

    def __init__(self, hba: Ahci, number: int) -> None:
        super().__init__(hba, number)
        self.srst = False  # the device is held in software reset
        self.greeted = False  # the signature was sent since the last reset
        self.spinning = False  # the device is slow to get ready
        self.epoch = 0

    @property
    def linked(self) -> bool:
        """A device is there and can be talked to."""
        return self.ssts.raw & 0xF == Det.ESTABLISHED and self.drive is not None

    @on_write(Block.sctl)
    def control_link(self, new: PxSCTL, old: PxSCTL) -> PxSCTL:
        """DET 1 then 0 is COMRESET, 4 takes the link down."""
        if new.det != old.det and self.cmd.raw & ST:
            self.report(f"{self.name}.sctl: DET changed while ST is set; clear it first")
        if new.det == DetControl.DISABLE:
            self._silence()
            self.ssts.raw = PxSSTS(det=Det.OFFLINE).raw
        elif new.det == DetControl.NONE and old.det in (DetControl.RESET, DetControl.DISABLE):
            self.comreset()
        return new

    def reset(self, keep: Iterable[Slot[Any]] = ()) -> None:
        """Every register but those, then COMRESET: GHC.HR, or a reset of the function."""
        self.restore(keep)
        self.halted = False
        self.comreset()

    def comreset(self) -> None:
        """The device starts anew. As QEMU: PxSERR is clear, where hardware shows DIAG.X; PxSACT and PxCI go too."""
        self._silence()
        self.sact.raw = self.ci.raw = self.held = 0
        self.set_errors(0)
        if self.drive is None:
            self.ssts.raw = 0
            return
        self.drive.restart()
        self._up()

    def software_reset(self) -> None:
        """SRST was set and cleared: the device answers with its signature. §10.4.1"""
        assert self.drive is not None
        self._silence()
        self.sact.raw = 0
        self.set_errors(0)
        self.drive.restart()
        self.greet()

    def _silence(self) -> None:
        """Nothing is known of the device. PxSACT and PxCI stay: only software clears them, by ST. §3.3.13, §3.3.14"""
        self.epoch += 1
        self.tfd.raw = NO_DEVICE
        self.sig.value = PxSIG(sig=Signature.NONE)
        self.srst = self.greeted = self.spinning = False

    def _up(self) -> None:
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
        if not self.linked or self.greeted or self.spinning or not self.cmd.raw & FR:
            return
        assert self.drive is not None
        left = self.drive.result
        if self.send_register():
            self.greeted = True
            self.sig.raw = left.lba << 8 | left.count

    def stall(self) -> None:
        """The device waits for data that does not come."""
        self.tfd.raw = self.tfd.raw & ~0xFF | GOOD | DRQ

    # Disks that come and go

    def attach(self, disk: Disk) -> None:
        """A disk that was there when the power came on."""
        self.drive = Drive(disk)
        self.drive.probe = self._probe
        self._up()

    def _probe(self, where: range) -> int | None:
        bad = self.hba.host.fault(self.hba, Fault.MEDIA, where)
        return None if bad is None else max(int(bad), where.start)

    def insert(self, disk: Disk) -> None:
        """A disk is plugged in: COMINIT, then the link comes up. §7.3 Raises Busy."""
        if self.drive is not None:
            raise Busy(f"{self.name} has {self.drive.disk.path}; eject it first")
        self._silence()
        self.attach(disk)
        self.set_errors(self.serr.raw | DIAG_X | DIAG_N)

    def eject(self) -> Disk:
        """The disk is pulled out: PhyRdy goes, and what was in flight never ends. §7.3 Raises NotFound."""
        if self.drive is None:
            raise NotFound(f"{self.name} has no disk")
        disk, self.drive = self.drive.disk, None
        self._silence()
        self.ssts.raw = 0
        self.set_errors(self.serr.raw | DIAG_N)
        return disk
