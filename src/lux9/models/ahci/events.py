"""A port's memory of registers, what it tells software by them, and the FISes that it puts into memory.

Ref: AHCI 1.3.1 §3.3.5 (PxIS), §3.3.12 (PxSERR), §6.2.2 (errors), §10.7 (interrupts).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ...arch.ahci import (
    Port as Block,
    PxCMD,
    PxIE,
    PxIS,
    PxSERR,
    PxSIG,
    PxTFD,
    ReceivedFis,
)
from ...arch.ata import Signature
from ..ata import Drive
from ..pci import DmaFault
from ..registers import Model, ReadOnly, Resets, on_write
from . import fises

if TYPE_CHECKING:
    from .hba import Ahci

FR, CCS = PxCMD.fields["fr"].span, PxCMD.fields["ccs"]
DHRS, PSS, SDBS = (PxIS.fields[f].span for f in ("dhrs", "pss", "sdbs"))
TFES, HBFS = (PxIS.fields[f].span for f in ("tfes", "hbfs"))
PCS, PRCS, UFS = (PxIS.fields[f].span for f in ("pcs", "prcs", "ufs"))
DIAG_X, DIAG_N, DIAG_F = (PxSERR.fields[f].span for f in ("diag_x", "diag_n", "diag_f"))
BUSY, DRQ, ERR = (PxTFD.fields[f].span for f in ("bsy", "drq", "sts_err"))
NO_DEVICE = 0x7F  # what PxTFD reads until a device has sent something. §3.3.8
RFIS, PSFIS, SDBFS = (
    p.offset for p in (ReceivedFis.rfis, ReceivedFis.psfis, ReceivedFis.sdbfs)
)  # fmt: skip


class Events(Model):
    """The registers of a port, with PxIS, PxIE and PxSERR at work."""

    block = Block
    resets: ClassVar[Resets] = {
        Block.cmd: PxCMD(sud=True, pod=True),
        Block.tfd: PxTFD.of(NO_DEVICE),
        Block.sig: PxSIG(sig=Signature.NONE),
    }
    read_only: ClassVar[ReadOnly] = {
        Block.cmd: ("icc", "fbscp", "esp", "cpd", "mpsp", "hpcp", "cps", "cr", "fr", "mpss", "ccs"),
        Block.sntf: ("pmn",),
        Block.fbs: ("dwe", "ado", "dev", "sde", "dec", "en"),
        Block.devslp: ("dm", "dito", "mdat", "deto", "dsp", "adse"),
    }

    def __init__(self, hba: Ahci, number: int) -> None:
        super().__init__(f"port[{number}]", hba.tell)
        self.hba, self.number, self.bit = hba, number, 1 << number
        self.is_, self.ie = self.cell(Block.is_), self.cell(Block.ie)
        self.cmd, self.tfd = self.cell(Block.cmd), self.cell(Block.tfd)
        self.sact, self.ci = self.cell(Block.sact), self.cell(Block.ci)
        self.ssts, self.serr = self.cell(Block.ssts), self.cell(Block.serr)
        self.sig = self.cell(Block.sig)
        self.drive: Drive | None = None
        self.list_at = self.area_at = 0  # the command list, the received FISes
        self.halted = False
        self.held = 0  # issued slots that wait for a FIS which may never come

    @on_write(Block.is_)
    def acknowledge(self, new: PxIS, old: PxIS) -> PxIS:
        """The bits that mirror PxSERR stay until those are cleared."""
        self.is_.value = new
        self.hba.update(self)
        return new

    @on_write(Block.ie)
    def enable(self, new: PxIE, old: PxIE) -> PxIE:
        """Which of them count."""
        self.ie.value = new
        self.hba.update(self)
        return new

    @on_write(Block.serr)
    def clear_errors(self, new: PxSERR, old: PxSERR) -> PxSERR:
        """Clears PCS, PRCS and UFS with it."""
        self.set_errors(new.raw)
        return new

    def set_errors(self, serr: int) -> None:
        """PxSERR, and what of PxIS mirrors it."""
        self.serr.raw = serr
        self.is_.raw &= ~(PCS | PRCS | UFS)
        for event, error in ((PCS, DIAG_X), (PRCS, DIAG_N), (UFS, DIAG_F)):
            if serr & error:
                self.is_.raw |= event
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

    # What the device sends

    def store(self, address: int, data: bytes) -> None:
        """Bytes to memory. Raises DmaFault."""
        at = 0
        for view in self.hba.host.dma(self.hba, address, len(data)):
            view[:] = data[at : at + len(view)]
            at += len(view)

    def _received(self, offset: int, fis: bytes) -> bool:
        """A FIS into its place; without FIS receive it is lost, and nothing changes."""
        if not self.cmd.raw & FR:
            return False
        try:
            self.store(self.area_at + offset, fis)
        except DmaFault:
            self.stop_at(0, HBFS)
            return False
        return True

    def send_register(self) -> bool:
        """What the drive leaves, and whether software can see it."""
        assert self.drive is not None
        left = self.drive.result
        if not self._received(RFIS, fises.register(left)):
            return False
        self.tfd.raw = left.features << 8 | left.command
        self.raise_(DHRS | (TFES if left.command & ERR else 0))
        return True

    def send_pio_setup(self, size: int, *, out: bool, interrupt: bool) -> None:
        """A DRQ block comes, or is waited for."""
        assert self.drive is not None
        left = self.drive.result
        fis = fises.pio_setup(left, left.command | DRQ, size, out=out, interrupt=interrupt)
        if self._received(PSFIS, fis) and interrupt:
            self.raise_(PSS)

    def send_device_bits(self, done: int, status: int, error: int) -> None:
        """Queued commands are at their end, a bit a tag; or one failed."""
        if not self._received(SDBFS, fises.device_bits(done, status, error)):
            return
        self.tfd.raw = error << 8 | status & fises.SEEN | self.tfd.raw & (BUSY | DRQ)
        self.sact.raw &= ~done
        failed = status & ERR and not self.hba.quirks.quiet_queue_errors
        self.raise_(TFES if failed else SDBS)  # one or the other: §5.3.13
