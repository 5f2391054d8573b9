"""What a function is declared as: its identity, its base address registers, and the addresses that they make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

from ..arch.pci import BarIo, BarMem, BarType, Pin

Kind = Literal["mem", "io"]
Access = tuple[Callable[[int, int, int], int], Callable[[int, int, int, int], None]]

ONES32 = 0xFFFF_FFFF


class Identity(NamedTuple):
    """What a function says that it is: header fields of PCI 3.0 §6.2.1 and §6.2.4."""

    vendor: int
    device: int
    code: int  # class, subclass, interface: 0x010601
    revision: int = 0
    subvendor: int = 0x1AF4  # as QEMU gives its own devices
    subsystem: int = 0x1100
    pin: int = Pin.NONE  # 1 to 4 for INTA to INTD
    express: bool = False  # 4096 bytes of configuration space


class Bar(NamedTuple):
    """One base address register, as the function declares it: PCI 3.0 §6.2.5.1."""

    size: int  # a power of two; 16 at the least for memory, 4 for ports
    kind: Kind = "mem"
    wide: bool = False  # 64-bit: takes the next register too
    prefetch: bool = False

    @property
    def flags(self) -> int:
        """The read-only bits at the bottom."""
        if self.kind == "io":
            return BarIo(io=True).raw
        return BarMem(prefetch=self.prefetch, type=BarType(2 * self.wide)).raw

    @property
    def mask(self) -> int:
        """The bits that software can write."""
        return -self.size & ((1 << 64) - 1 if self.wide else ONES32)


class Region(NamedTuple):
    """A run of addresses that a function answers now; calls take (bar, offset in the bar, width)."""

    kind: Kind
    base: int
    size: int
    bar: int
    offset: int
    read: Callable[[int, int, int], int]
    write: Callable[[int, int, int, int], None]
