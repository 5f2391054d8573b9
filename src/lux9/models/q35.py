"""The chips of a q35 board that are no devices of their own: host bridge, LPC bridge with the interrupt router, SMBus.

Ref: as `arch.ich9` and `arch.q35`; what a board may choose is as in QEMU 7.2's q35.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..arch import ich9, q35
from ..arch.pci import Pin
from .config import ConfigSpace
from .pci import PciFunction
from .shape import Bar, Identity, Region

ConfigRead = Callable[[int, int, int], int]
ConfigWrite = Callable[[int, int, int, int], None]
EXTENT = q35.RootComplex.extent()
PINS_OF = {25: "d25ir", 26: "d26ir", 27: "d27ir", 28: "d28ir", 29: "d29ir", 31: "d31ir"}
IN_ORDER = q35.InterruptRoute(a=0, b=1, c=2, d=3)  # INTA is PIRQA, and so on: the reset value


def _nothing() -> None:
    """No router listens."""


class HostBridge(PciFunction):
    """82G33/G31/P35/P31 host bridge, 00:00.0: through PCIEXBAR, configuration space is in memory too (ECAM)."""

    def __init__(self) -> None:
        super().__init__(Identity(*ich9.HOST_BRIDGE, 0x060000))
        self.regs = q35.HostBridge(self.config.raw)
        self.read: ConfigRead | None = None
        self.write: ConfigWrite | None = None
        put, block = self.config.put, q35.HostBridge
        put(block.pciex_low, 0, sum(f.span for f in q35.PciexLow.fields.values()))
        put(block.pciex_high, 0, q35.PciexHigh(addr=0xF))

    def connect(self, read: ConfigRead, write: ConfigWrite) -> None:
        """Configuration cycles go to these, which take a function's bdf, an offset and a width."""
        self.read, self.write = read, write

    def config_write(self, offset: int, width: int, value: int) -> None:
        """As any function; moving PCIEXBAR takes effect at once."""
        super().config_write(offset, width, value)
        if offset + width > q35.HostBridge.pciex_low.offset:
            self.host.remap()

    def regions(self) -> Iterator[Region]:
        """The window of PCIEXBAR, whatever the command register says."""
        low, high = self.regs.pciex_low.read(), self.regs.pciex_high.read()
        size = q35.PCIEXBAR_SIZE.get(low.length)
        if low.enable and size:
            base = (high.addr << 32 | low.addr << 26) & -size
            yield Region("mem", base, size, 0, 0, self._ecam_read, self._ecam_write)

    def _ecam_read(self, bar: int, offset: int, width: int) -> int:
        """PCIe 4.0 §7.2.2: bits 27 to 12 are the function, 11 to 0 the register."""
        if self.read is None or width > 4:
            return (1 << 8 * width) - 1
        return self.read(offset >> 12, offset & 0xFFF, width)

    def _ecam_write(self, bar: int, offset: int, width: int, value: int) -> None:
        if self.write is not None and width <= 4:
            self.write(offset >> 12, offset & 0xFFF, width, value)


class Lpc(PciFunction):
    """ICH9 LPC bridge, 00:1f.0: it has the routers from pins to PIRQA..PIRQH, and from these to the ISA lines."""

    def __init__(self) -> None:
        super().__init__(Identity(*ich9.LPC, 0x060100, revision=2))
        self.regs = ich9.Lpc(self.config.raw)
        self.routes = [pirq.route for pirq in (*self.regs.a_to_d, *self.regs.e_to_h)]
        self.chipset = ConfigSpace(EXTENT)  # the registers in memory
        self.wires = q35.RootComplex(self.chipset.raw)
        self.rerouted: Callable[[], None] = _nothing  # called when a route may have changed
        self._declare()

    def _declare(self) -> None:
        put, block = self.config.put, ich9.Lpc
        put(block.pmbase, ich9.PmBase(io=True), ich9.PmBase(addr=0x1FF))
        put(block.acpi, 0, ich9.AcpiControl(enable=True, sci=7))
        serial = ich9.SerialIrq(enable=True, continuous=True, pulse=3)
        put(block.serial, ich9.SerialIrq(frame=4), serial)
        put(block.rcba, 0, ich9.Rcba(addr=0x3FFFF, enable=True))
        for route in self.routes:
            off, every = ich9.PirqRoute(off=True), ich9.PirqRoute(off=True, line=15)
            put(ich9.Pirq.route, off, every, at=route.offset)
        for name in PINS_OF.values():
            self.chipset.put(q35.RootComplex.slots[name], IN_ORDER, 0x7777)

    def config_write(self, offset: int, width: int, value: int) -> None:
        """As any function; routes take effect at once."""
        super().config_write(offset, width, value)
        if offset + width > self.regs.rcba.offset:
            self.host.remap()
        elif offset <= self.routes[-1].offset and self.routes[0].offset < offset + width:
            self.rerouted()

    def regions(self) -> Iterator[Region]:
        """The chipset's registers, where RCBA puts them."""
        rcba = self.regs.rcba.read()
        if rcba.enable:
            yield Region("mem", rcba.addr << 14, EXTENT, 0, 0, self._wire_read, self._wire_write)

    def _wire_read(self, bar: int, offset: int, width: int) -> int:
        return self.chipset.read(offset, width)

    def _wire_write(self, bar: int, offset: int, width: int, value: int) -> None:
        self.chipset.write(offset, width, value)
        self.rerouted()

    def reset(self) -> None:
        """Nothing is routed, every pin is wired as at the start."""
        super().reset()
        self.chipset.reset()
        self.rerouted()

    def pirq(self, device: int, pin: int) -> int:
        """The PIRQ (0 to 7) of a pin (1 to 4) of a device on bus 0."""
        name = PINS_OF.get(device)
        if name is None:
            return ich9.pirq(device, pin)
        return self.chipset.get(q35.RootComplex.slots[name]) >> 4 * (pin - 1) & 7

    def route(self, pirq: int) -> int | None:
        """The ISA line that a PIRQ drives, or None."""
        route = self.routes[pirq].read()
        return None if route.off else route.line


class Smbus(PciFunction):
    """ICH9 SMBus, 00:1f.3: found, but nothing is on the bus."""

    def __init__(self) -> None:
        identity = Identity(*ich9.SMBUS, 0x0C0500, revision=2, pin=Pin.INTA)
        super().__init__(identity, {4: Bar(0x40, kind="io")})
