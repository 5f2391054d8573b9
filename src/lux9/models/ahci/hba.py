"""The function and its generic registers. Ref: AHCI 1.3.1 §3.1, §10.4.3 (reset), §10.6 (handoff), §10.7 (interrupts).

Where QEMU's ICH9 and the specification differ in what a driver can see, this is QEMU; `Quirks` has switches for
controllers that are otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from ...arch import ahci
from ...arch.ahci import BOHC, CAP, CAP2, GHC, HBA, IS, PI, VS, Iss
from ...arch.pci import Pin
from ..capabilities import Msi, Sata
from ..disk import Disk
from ..pci import Fault, PciFunction
from ..registers import Model, ReadOnly, on_write
from ..shape import Bar, Identity
from .events import Events
from .port import Port

IDENTITY = Identity(vendor=0x8086, device=0x2922, code=ahci.CLASS, revision=2, pin=Pin.INTA)
IDP = 4  # the BAR of the index/data pair
BARS = {IDP: Bar(32, "io"), ahci.ABAR: Bar(0x1000)}
INDEX, DATA = 0x10, 0x14  # the index/data pair in BAR 4. Serial ATA AHCI §2.4.2 SATACAP
MAP = 0x90  # Intel ICH9 §15.1.34: address map; AHCI mode


class Quirks(NamedTuple):
    """How a controller may differ from QEMU's."""

    firmware_owns: bool = False  # CAP2.BOH, and BOHC.BOS until the system asks: §10.6
    firmware_time: float = 0.0  # seconds that the firmware then needs, with BOHC.BB
    sticky_is: bool = False  # IS keeps its bit until software clears it, as §10.7.2 has it
    override: bool = False  # CAP.SCLO: PxCMD.CLO works. §3.3.7
    runs_on: bool = False  # a command that fails does not stop the list, nor CCS tell it: QEMU
    quiet_queue_errors: bool = False  # a queued command that fails sets SDBS, not TFES: QEMU 7.2.0
    nameless: bool = False  # an error of the medium is an abort, and no sector is told: QEMU


class Generic(Model):
    """Generic host control."""

    block = HBA
    read_only: ClassVar[ReadOnly] = {
        HBA.ghc: ("ae", "mrsm"),
        HBA.bohc: ("bb", "bos"),
        HBA.ccc_ctl: ("tv", "cc", "int_", "en"),  # CAP.CCCS is zero
        HBA.ccc_ports: ("prt",),
        HBA.em_ctl: tuple(ahci.EM_CTL.fields),  # CAP.EMS is zero
    }

    def __init__(self, owner: Ahci) -> None:
        super().__init__("", owner.tell)
        self.owner = owner
        self.ghc, self.is_ = self.cell(HBA.ghc), self.cell(HBA.is_)
        self.bohc = self.cell(HBA.bohc)
        self._fixed()

    def _fixed(self) -> None:
        """What is wired, or set by firmware before us (HwInit)."""
        quirks, ports = self.owner.quirks, len(self.owner.ports)
        fixed = (
            (HBA.cap, CAP(s64a=True, sncq=True, iss=Iss.GEN1, sam=True, ncs=31, np=ports - 1, sclo=quirks.override)),
            (HBA.ghc, GHC(ae=True)),
            (HBA.pi, PI(pi=(1 << ports) - 1)),
            (HBA.vs, VS(mjr=1, mnr=0)),
            (HBA.cap2, CAP2(boh=quirks.firmware_owns)),
            (HBA.bohc, BOHC(bos=quirks.firmware_owns)),
        )  # fmt: skip
        for slot, value in fixed:
            cell = self.cells[slot.offset]
            cell.initial = cell.raw = value.raw
        if not quirks.firmware_owns:
            self.bohc.keeps = self.bohc.clears = 0

    @on_write(HBA.ghc)
    def control(self, new: GHC, old: GHC) -> GHC:
        """HR resets, and reads one until that is done; IE opens or shuts the gate. §3.1.2"""
        if not new.hr:
            self.ghc.value = new
            self.owner.drive()
            return new
        return self.owner.begin_reset()

    @on_write(HBA.is_)
    def acknowledge(self, new: IS, old: IS) -> IS:
        """A port that still has something to say stays. §10.7.2"""
        self.is_.raw = self.owner.pending() | (new.raw if self.owner.quirks.sticky_is else 0)
        self.owner.drive()
        return self.is_.value

    @on_write(HBA.bohc)
    def handoff(self, new: BOHC, old: BOHC) -> BOHC:
        """The system asks for ownership: firmware cleans up, then gives it. §10.6.3"""
        if not self.owner.quirks.firmware_owns:
            self.report("BOHC is not there (CAP2.BOH is 0): a write is ignored")
            return old
        if new.oos and old.bos and not old.oos:
            self.owner.host.defer(self._handed_over, self.owner.quirks.firmware_time)
            return new.replace(ooc=True, bb=True)
        return new

    def _handed_over(self) -> None:
        self.bohc.value = self.bohc.value.replace(bos=False, bb=False)


class Ahci(PciFunction):
    """The adapter with its disks, `disks` by port. Plug it into a machine as any `PciFunction`.

    `insert` and `eject` are a person's hand: hot plug and removal of a disk.
    """

    def __init__(
        self,
        disks: Mapping[int, Disk] | None = None,
        *,
        ports: int = 6,
        quirks: Quirks | None = None,
    ) -> None:
        # Message signalled interrupts come first, as the ICH9 data sheet has it; there is no power management
        super().__init__(IDENTITY, BARS, (Msi(0x80), Sata(0xA8, IDP, INDEX)))
        self.config.declare(MAP, 1, 0x40)
        self.quirks = quirks or Quirks()
        self.ports = [Port(self, n) for n in range(ports)]
        self.regs = Generic(self)
        self.index = 0
        self._epoch = 0
        for n, port in enumerate(self.ports):
            self.regs.mount(HBA.port.offset + n * HBA.port.stride, port)
        for n, disk in (disks or {}).items():
            self.ports[n].attach(disk)

    def tell(self, text: str) -> None:
        """Report something to whoever runs the machine."""
        self.host.report(self, text)

    @property
    def disks(self) -> dict[int, Disk]:
        """The disks that are in, by port."""
        return {p.number: p.drive.disk for p in self.ports if p.drive is not None}

    # Accesses by software

    def bar_read(self, bar: int, offset: int, width: int) -> int:
        """The registers, or the index/data pair that leads to them."""
        if bar == ahci.ABAR:
            return self.regs.read(offset, width)
        if offset == INDEX:
            return self.index & ((1 << 8 * width) - 1)
        return self.regs.read(self.index, width) if offset == DATA else 0

    def bar_write(self, bar: int, offset: int, width: int, value: int) -> None:
        """As `bar_read`."""
        if bar == ahci.ABAR:
            self.regs.write(offset, width, value)
        elif offset == INDEX:
            self.index = value & (BARS[ahci.ABAR].size - 1) & ~3
        elif offset == DATA:
            self.regs.write(self.index, width, value)

    # Interrupts

    def pending(self) -> int:
        """Ports that have an enabled interrupt, a bit each."""
        return sum(port.bit for port in self.ports if port.is_.raw & port.ie.raw)

    def update(self, port: Events) -> None:
        """A port's status or enable changed: bring IS and the interrupt in line."""
        regs = self.regs
        if port.is_.raw & port.ie.raw:
            regs.is_.raw |= port.bit
        elif not self.quirks.sticky_is:
            regs.is_.raw &= ~port.bit
        self.set_irq(bool(regs.is_.raw) and bool(regs.ghc.raw & _IE))

    def drive(self) -> None:
        """Bring the interrupt in line with IS and GHC.IE."""
        self.set_irq(bool(self.regs.is_.raw) and bool(self.regs.ghc.raw & _IE))

    # Reset

    def begin_reset(self) -> GHC:
        """GHC.HR: everything but the wired values and the ports' two addresses. §10.4.3"""
        self._epoch += 1
        epoch, delay = self._epoch, self.host.fault(self, Fault.SLOW)
        if not delay:
            self._reset_done(epoch)
            return self.regs.ghc.value
        self.host.defer(lambda: self._reset_done(epoch), delay)
        return GHC(ae=True, hr=True)

    def _reset_done(self, epoch: int) -> None:
        if epoch == self._epoch:
            self.regs.restore(keep=(HBA.bohc,))
            for port in self.ports:
                port.reset(keep=_ADDRESSES)
            self.drive()

    def reset(self) -> None:
        """By RST#, or by whoever runs the machine: all registers, and the drives as at power-on."""
        super().reset()
        self._epoch += 1
        self.index = 0
        self.regs.restore()
        for port in self.ports:
            if port.drive is not None:
                port.drive.power_on()
            port.reset()

    def close(self) -> None:
        """Let go of the images."""
        for disk in self.disks.values():
            disk.close()

    # Disks that come and go

    def insert(self, port: int, disk: Disk) -> None:
        """Plug a disk into a port that has none."""
        self.ports[port].insert(disk)

    def eject(self, port: int) -> Disk:
        """Pull a port's disk out, whatever it is doing; gives it back, open."""
        return self.ports[port].eject()


_IE = GHC(ie=True).raw
_ADDRESSES = (ahci.Port.clb, ahci.Port.clbu, ahci.Port.fb, ahci.Port.fbu)
