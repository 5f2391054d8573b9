"""A port's two engines, and the doorbells. Ref: AHCI 1.3.1 §3.3.7, §3.3.13, §3.3.14, §5, §10.3.

Theory. `PxCMD.ST` and `FRE` ask, `CR` and `FR` tell; the addresses are taken when an engine starts. A port is
*halted* from a fatal error until software clears ST (§6.2.2): it takes no command, and PxCI keeps the one that
failed, PxCMD.CCS names it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...arch.ahci import CommandList, Port as Block, PxCI, PxCMD, PxSACT, ReceivedFis
from ..pci import DmaFault, Fault
from ..registers import on_write
from .engine import Engine
from .events import BUSY, CCS, DRQ, FR
from .link import ST, Link

if TYPE_CHECKING:
    from .hba import Ahci

FRE, CR, CLO = (PxCMD.fields[f].span for f in ("fre", "cr", "clo"))


class Port(Link):
    """One port, with a drive or without."""

    def __init__(self, hba: Ahci, number: int) -> None:
        super().__init__(hba, number)
        self.engine = Engine(self)
        self._scheduled = False

    @on_write(Block.cmd)
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
            at = self.cell(Block.fb).raw | self.cell(Block.fbu).raw << 32
            if self._reachable(at, ReceivedFis.size, "fb"):
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
        at = self.cell(Block.clb).raw | self.cell(Block.clbu).raw << 32
        if self._reachable(at, CommandList.size, "clb"):
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
        self.ci.raw = self.sact.raw = self.held = 0
        self.halted = False
        if delay := self.hba.host.fault(self.hba, Fault.SLOW):
            self.hba.host.defer(self._stopped, delay)
        else:
            self._stopped()

    def _stopped(self) -> None:
        if not self.cmd.raw & ST:
            self.cmd.raw &= ~CR

    @on_write(Block.sact)
    def activate(self, new: PxSACT, old: PxSACT) -> PxSACT:
        """Only while the list runs."""
        return new if self._started("sact") else old

    @on_write(Block.ci)
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
        if not self._scheduled:
            self._scheduled = True
            late = self.hba.host.fault(self.hba, Fault.LATE)
            self.hba.host.defer(self._work, late or 0.0)

    def _work(self) -> None:
        self._scheduled = False
        if self.ready:
            self.engine.run()

    @property
    def ready(self) -> bool:
        """A command can be given to the device."""
        return self.linked and not self.halted and self.cmd.raw & (ST | CR) == ST | CR
