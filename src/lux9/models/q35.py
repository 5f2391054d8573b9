"""The chips of a q35 board that are no devices of their own: host bridge, LPC bridge with the interrupt router, SMBus.

Ref: as `arch.ich9`; what a board may choose is as in QEMU 7.2's q35.
"""

from __future__ import annotations

from collections.abc import Callable

from ..arch import ich9
from ..arch.pci import Pin
from .pci import Bar, Identity, PciFunction


def _nothing() -> None:
    """No router listens."""


class HostBridge(PciFunction):
    """82G33/G31/P35/P31 host bridge, 00:00.0."""

    def __init__(self) -> None:
        super().__init__(Identity(*ich9.HOST_BRIDGE, 0x060000))


class Lpc(PciFunction):
    """ICH9 LPC bridge, 00:1f.0: it has the router from PIRQA..PIRQH to the ISA lines."""

    def __init__(self) -> None:
        super().__init__(Identity(*ich9.LPC, 0x060100, revision=2))
        self.regs = ich9.Lpc(self.config.raw)
        self.routes = [pirq.route for pirq in (*self.regs.a_to_d, *self.regs.e_to_h)]
        self.rerouted: Callable[[], None] = _nothing  # called when a route may have changed
        put, block = self.config.put, ich9.Lpc
        put(block.pmbase, ich9.PmBase(io=True), ich9.PmBase(addr=0x1FF))
        put(block.acpi, 0, ich9.AcpiControl(enable=True, sci=7))
        put(
            block.serial,
            ich9.SerialIrq(frame=4),
            ich9.SerialIrq(enable=True, continuous=True, pulse=3),
        )
        put(block.rcba, 0, ich9.Rcba(addr=0x3FFFF, enable=True))
        off, all_bits = ich9.PirqRoute(off=True), ich9.PirqRoute(off=True, line=15)
        for route in self.routes:
            put(ich9.Pirq.route, off, all_bits, at=route.offset)

    def config_write(self, offset: int, width: int, value: int) -> None:
        """As any function; routes take effect at once."""
        super().config_write(offset, width, value)
        if offset <= self.routes[-1].offset and self.routes[0].offset < offset + width:
            self.rerouted()

    def reset(self) -> None:
        """Nothing is routed."""
        super().reset()
        self.rerouted()

    def route(self, pirq: int) -> int | None:
        """The ISA line that a PIRQ (0 to 7) drives, or None."""
        route = self.routes[pirq].read()
        return None if route.off else route.line


class Smbus(PciFunction):
    """ICH9 SMBus, 00:1f.3: found, but nothing is on the bus."""

    def __init__(self) -> None:
        identity = Identity(*ich9.SMBUS, 0x0C0500, revision=2, pin=Pin.INTA)
        super().__init__(identity, {4: Bar(0x40, kind="io")})
