"""A bridge from one PCI bus to another: PCI-to-PCI Bridge Architecture 1.2; with `port`, a PCI Express root port.

It passes on what its windows hold, when its command register lets it: ports, memory, prefetchable memory
downwards; with bus master on, the transfers of the functions behind it upwards.
"""

from __future__ import annotations

from typing import NamedTuple

from ..arch.pci import (
    Header1,
    IoWindow,
    Layout,
    MemWindow,
    Pin,
    PortType,
    PrefetchWindow,
)
from .bus import Bus
from .capabilities import Express, Msi, Power
from .pci import IO, MEM, PciFunction
from .shape import Identity, Kind

PCI_BRIDGE = Identity(0x1B36, 0x0001, 0x060400)
ROOT_PORT = Identity(0x1B36, 0x000C, 0x060400, pin=Pin.INTA, express=True)
ADDRESS = 0xFFF0  # the bits of a memory window's base or limit that hold the address
CONTROLS = 0x0BFF  # those of bridge control that can be written


class Window(NamedTuple):
    """Addresses that are passed on, first and last."""

    kind: Kind
    first: int
    last: int


class Bridge(PciFunction):
    """A bridge; `below` is the bus behind it. `io` and `prefetch`: whether it has those windows."""

    layout = Layout.BRIDGE
    bar_count = 2

    def __init__(self, *, port: bool = False, io: bool = True, prefetch: bool = True) -> None:
        self.io, self.prefetch = io, prefetch
        parts = (Power(0x40), Express(0x54, type=PortType.ROOT_PORT, flr=False), Msi(0xA0))
        super().__init__(ROOT_PORT if port else PCI_BRIDGE, capabilities=parts if port else ())
        self.regs = Header1(self.config.raw)
        self.below = self.behind = Bus(self)
        self._declare_windows()

    def _declare_windows(self) -> None:
        put, block = self.config.put, Header1
        for number in (block.primary, block.secondary, block.subordinate, block.secondary_timer):
            put(number, writable=0xFF)
        put(block.secondary_status)
        put(block.control, writable=CONTROLS)
        for slot in (block.mem_base, block.mem_limit):
            put(slot, writable=ADDRESS)
        if self.io:
            put(block.io_base, writable=IoWindow(addr=0xF))
            put(block.io_limit, writable=IoWindow(addr=0xF))
        if self.prefetch:
            wide = PrefetchWindow(width_=1)
            put(block.prefetch_base, wide, ADDRESS)
            put(block.prefetch_limit, wide, ADDRESS)
            put(block.prefetch_base32, writable=0xFFFF_FFFF)
            put(block.prefetch_limit32, writable=0xFFFF_FFFF)

    def header_written(self, start: int, end: int) -> None:
        """Bus numbers and windows change what is decoded; a secondary bus reset resets all behind."""
        super().header_written(start, end)
        if end > Header1.primary.offset:
            self.host.remap()
        if end > Header1.control.offset and self.regs.control.read().reset:
            for fn in self.below.walk():
                fn.reset()

    def windows(self) -> list[Window]:
        """What is passed on downwards now."""
        regs, command = self.regs, self.command
        found: list[Window] = []
        if self.io and command & IO:
            first, last = regs.io_base.read().addr << 12, regs.io_limit.read().addr << 12
            found.append(Window("io", first, last | 0xFFF))
        if command & MEM:
            found.append(_memory(regs.mem_base.read(), regs.mem_limit.read()))
            if self.prefetch:
                found.append(self._prefetchable())
        return [w for w in found if w.first <= w.last]

    def _prefetchable(self) -> Window:
        regs = self.regs
        return _memory(
            regs.prefetch_base.read(),
            regs.prefetch_limit.read(),
            regs.prefetch_base32.read().raw,
            regs.prefetch_limit32.read().raw,
        )


Part = MemWindow | PrefetchWindow


def _memory(base: Part, limit: Part, base_up: int = 0, limit_up: int = 0) -> Window:
    """1 MiB is the least: the low 20 bits are zeros in the base and ones in the limit."""
    first, last = base_up << 32 | base.addr << 20, limit_up << 32 | limit.addr << 20
    return Window("mem", first, last | 0xF_FFFF)
