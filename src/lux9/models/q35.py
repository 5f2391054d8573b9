"""The chips of a q35 board that are no devices of their own: host bridge, LPC bridge with the interrupt router, SMBus.

Ref: Intel ICH9 Family Datasheet (316972) §13.1 (LPC, device 31 function 0) and §10.1.46 (D31IR and its like),
and QEMU 7.2's q35 for what the board leaves open.
"""

from __future__ import annotations

from collections.abc import Callable

from ..arch.pci import Pin
from .pci import Bar, Identity, PciFunction

PIRQ_A, PIRQ_E = 0x60, 0x68  # routing registers: four from each
NOT_ROUTED = 0x80


class HostBridge(PciFunction):
    """82G33/G31/P35/P31 host bridge, 00:00.0."""

    def __init__(self) -> None:
        super().__init__(Identity(0x8086, 0x29C0, 0x060000))


class Lpc(PciFunction):
    """ICH9 LPC bridge, 00:1f.0: it has the router from PIRQA..PIRQH to the ISA lines."""

    def __init__(self) -> None:
        super().__init__(Identity(0x8086, 0x2918, 0x060100, revision=2))
        self.rerouted: Callable[[], None] = lambda: None
        declare = self.config.declare
        declare(0x40, 4, 1, writable=0xFF80)  # PMBASE
        declare(0x44, 1, 0, writable=0x87)  # ACPI_CNTL
        declare(0x64, 1, 0x10, writable=0xD3)  # SIRQ_CNTL
        declare(0xF0, 4, 0, writable=0xFFFF_C001)  # RCBA
        for pirq in range(8):
            declare(self._register(pirq), 1, NOT_ROUTED, writable=0x8F)

    @staticmethod
    def _register(pirq: int) -> int:
        return PIRQ_A + pirq if pirq < 4 else PIRQ_E + pirq - 4

    def config_write(self, offset: int, width: int, value: int) -> None:
        """As any function; routes take effect at once."""
        super().config_write(offset, width, value)
        if PIRQ_A <= offset < PIRQ_E + 4:
            self.rerouted()

    def reset(self) -> None:
        """Nothing is routed."""
        super().reset()
        self.rerouted()

    def route(self, pirq: int) -> int | None:
        """The ISA line that a PIRQ (0 to 7) drives, or None."""
        value = self.config.data[self._register(pirq)]
        return None if value & NOT_ROUTED else value & 0x0F

    @staticmethod
    def pirq(device: int, pin: int) -> int:
        """The PIRQ (0 to 7) of a pin (1 to 4) of a device on bus 0.

        Devices 25 to 31 as D25IR..D31IR stand after reset (INTA is PIRQA ..; device 30 is wired to E..H);
        the slots below, which the board may wire as it likes, as QEMU wires them.
        """
        if device == 30:
            return 3 + pin
        return pin - 1 if device >= 25 else (device + pin - 1) % 4 + 4


class Smbus(PciFunction):
    """ICH9 SMBus, 00:1f.3: found, but nothing is on the bus."""

    def __init__(self) -> None:
        super().__init__(
            Identity(0x8086, 0x2930, 0x0C0500, revision=2, pin=Pin.INTA), {4: Bar(0x40, kind="io")}
        )
