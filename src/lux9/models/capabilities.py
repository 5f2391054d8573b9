"""The capabilities that models can have: power management, PCI Express, SATA, advanced features; and of msi.py.

Each is placed by whoever declares the function (`Msi(at=0x80)`), as chips do it; the list runs in the order given.
"""

from __future__ import annotations

from ..arch import pci as arch
from .msi import Msi as Msi, Msix as Msix
from .pci import Capability, PciFunction


class Sata(Capability):
    """Serial ATA: AHCI 1.3.1 §2.4. The index-data pair is `offset` bytes into a BAR (here 0 to 5)."""

    id = arch.CapId.SATA
    size = arch.Sata.extent()

    def __init__(self, at: int, bar: int, offset: int) -> None:
        super().__init__(at)
        self.place = arch.SataPlace(bar=4 + bar, offset=offset // 4)

    def install(self, fn: PciFunction) -> None:
        """Revision 1.0, and the place."""
        super().install(fn)
        fn.config.put(arch.Sata.revision, arch.SataRevision(major=1), at=self.at)
        fn.config.put(arch.Sata.place, self.place, at=self.at)


class Opaque(Capability):
    """Bytes that software reads and nothing acts on; `body` follows id and link."""

    def __init__(self, at: int, id: int, body: bytes) -> None:
        super().__init__(at)
        self.id, self.body = id, body
        self.size = arch.Capability.extent() + len(body)

    def install(self, fn: PciFunction) -> None:
        """Its bytes, read-only."""
        super().install(fn)
        for i, byte in enumerate(self.body, self.at + arch.Capability.extent()):
            fn.config.declare(i, 1, byte)


class Vendor(Opaque):
    """Vendor specific bytes, read-only: PCI 3.0 appendix H."""

    def __init__(self, at: int, body: bytes) -> None:
        length = arch.Vendor.extent() + len(body)
        super().__init__(at, arch.CapId.VENDOR, bytes([length]) + body)


class Power(Capability):
    """Power management, D0 and D3 only: PM 1.2 §3.2. Leaving D3hot resets the function, unless `keeps_state`."""

    id = arch.CapId.PM
    size = arch.Pm.extent()

    def __init__(self, at: int, *, keeps_state: bool = False) -> None:
        super().__init__(at)
        self.keeps_state = keeps_state
        self.state = arch.PowerState.D0

    def install(self, fn: PciFunction) -> None:
        """Version 3, and the state."""
        super().install(fn)
        fn.config.put(arch.Pm.caps, arch.PmCaps(version=3), at=self.at)
        control = arch.PmControl(no_soft=self.keeps_state)
        fn.config.put(arch.Pm.control, control, arch.PmControl(state=arch.PowerState.D3), self.at)

    def reset(self) -> None:
        """D0."""
        self.state = arch.PowerState.D0

    def changed(self) -> None:
        """To another state; writing one that is not there changes nothing: PM 1.2 §3.2.4."""
        control = arch.PmControl.of(self.fn.config.get(arch.Pm.control, self.at))
        wanted = control.state
        if wanted in (arch.PowerState.D1, arch.PowerState.D2):
            self.fn.config.poke(arch.Pm.control, control.replace(state=self.state), self.at)
        elif wanted != self.state:
            was, self.state = self.state, wanted
            self._moved(was)

    def _moved(self, was: arch.PowerState) -> None:
        self.fn.asleep = self.state is not arch.PowerState.D0
        if was is arch.PowerState.D3 and not self.keeps_state:
            self.fn.reset()
        else:
            self.fn.host.remap()


class Express(Capability):
    """PCI Express: PCIe 4.0 §7.5.3. An endpoint, or what `type` says, with function level reset or without."""

    id = arch.CapId.PCIE
    size = arch.Pcie.extent()

    def __init__(
        self, at: int, *, type: arch.PortType = arch.PortType.ENDPOINT, flr: bool = True
    ) -> None:
        super().__init__(at)
        self.type, self.flr = type, flr

    def install(self, fn: PciFunction) -> None:
        """Version 2; one lane of 2.5 GT/s that is up."""
        super().install(fn)
        put, at, block = fn.config.put, self.at, arch.Pcie
        put(block.caps, arch.PcieCaps(version=2, type=self.type), at=at)
        put(block.devcap, arch.DevCap(role_error=True, flr=self.flr), at=at)
        # Bit 15 of a port is another thing, or nothing
        put(
            block.devctl,
            arch.DevCtl(read=2, no_snoop=True, relaxed=True),
            0x7FFF | self.flr << 15,
            at,
        )
        put(block.devsta, at=at)
        put(block.linkcap, arch.LinkCap(speed=1, lanes=1), at=at)
        put(block.linkctl, 0, 0x0FFB, at)
        put(block.linksta, arch.LinkSta(speed=1, lanes=1), at=at)
        put(block.devctl2, 0, 0x001F, at)

    def changed(self) -> None:
        """Initiate Function Level Reset reads as zero and acts at once: §6.6.2."""
        control = arch.DevCtl.of(self.fn.config.get(arch.Pcie.devctl, self.at))
        if control.flr:
            self.fn.config.poke(arch.Pcie.devctl, control.replace(flr=False), self.at)
            self.fn.reset()


class Advanced(Capability):
    """Advanced features: function level reset for a conventional function."""

    id = arch.CapId.ADVANCED_FEATURES
    size = arch.Af.extent()

    def install(self, fn: PciFunction) -> None:
        """FLR, and a pending bit that is never set."""
        super().install(fn)
        put, at = fn.config.put, self.at
        put(arch.Af.length, self.size, at=at)
        put(arch.Af.caps, arch.AfCaps(flr=True, pending=True), at=at)
        put(arch.Af.control, 0, arch.AfControl(flr=True), at)
        put(arch.Af.status, at=at)

    def changed(self) -> None:
        """The bit reads as zero and acts at once."""
        if self.fn.config.get(arch.Af.control, self.at):
            self.fn.config.poke(arch.Af.control, 0, self.at)
            self.fn.reset()
