"""Interrupts by message: the kernel programs MSI and MSI-X, and keeps both from the driver.

Whoever can write an MSI-X table can make a function write any doubleword in memory; so drivers ask by
`msi` and `msix`, and never see the address.
"""

from __future__ import annotations

from ...arch.pci import (
    CapId,
    Msi32,
    Msi64,
    MsiAddress,
    Msix,
    MsixEntry,
    MsixTable,
    MsixVector,
    capability_block,
)
from ...errors import BadArgument, NotSupported
from ...machine.abstract import Bdf, Machine, Message
from ...regs import U16, U32
from .context import Context
from .function import Function


class MemoryWindow:
    """Memory space from an address on, as a `regs.Window`."""

    __slots__ = ("base", "machine")

    def __init__(self, machine: Machine, base: int) -> None:
        self.machine, self.base = machine, base

    def read(self, offset: int, width: int) -> int:
        """One access."""
        return self.machine.mem_read(self.base + offset, width)

    def write(self, offset: int, width: int, value: int) -> None:
        """One access."""
        self.machine.mem_write(self.base + offset, width, value)


class Messages:
    """What turns messages on and off in a function."""

    def __init__(self, context: Context) -> None:
        self.context, self.machine = context, context.machine

    def on(self, f: Function, kind: str, count: int) -> list[int]:
        """Give a function `count` vectors by `msi` or `msix`; their numbers. Raises NotSupported, BadArgument."""
        return self._msix(f, count) if kind == "msix" else self._msi(f, count)

    def _vectors(self, bdf: Bdf, count: int) -> list[Message]:
        given = self.machine.messages(bdf, count)
        assert len(given) == count, f"{count} vectors asked for, {len(given)} given"
        return given

    def _msi(self, f: Function, count: int) -> list[int]:
        block = self._msi_block(f)
        control = block.control.read()
        most = 1 << control.wanted
        if count not in (1, 2, 4, 8, 16, 32) or count > most:
            raise BadArgument(f"{f.name}: msi takes a power of two up to {most}, not {count}")
        given = self._vectors(f.bdf, count)
        address = given[0].address
        block.address.write(MsiAddress.of(address & 0xFFFF_FFFF))
        if isinstance(block, Msi64):
            block.upper.write(U32.of(address >> 32))
        block.data.write(U16.of(given[0].data))
        if control.maskable:
            block.mask.write(U32.of(0))
        block.control.update(given=count.bit_length() - 1, enable=True)
        return [m.number for m in given]

    def _msi_block(self, f: Function) -> Msi32 | Msi64:
        found = f.find(CapId.MSI)
        block = capability_block(f.window, found) if found else None
        if not isinstance(block, (Msi32, Msi64)):
            raise NotSupported(f"{f.name} has no MSI capability; register its line, or use `msix`")
        return block

    def _msix(self, f: Function, count: int) -> list[int]:
        block = self._msix_block(f)
        most = block.control.read().last + 1
        if not 1 <= count <= most:
            raise BadArgument(f"{f.name}: msix takes 1 to {most} vectors, not {count}")
        table = self._table(f, block)
        given = self._vectors(f.bdf, count)
        block.control.update(enable=True, mask=True)
        for entry, message in zip(table.entry, given, strict=False):
            entry.address.write(MsiAddress.of(message.address & 0xFFFF_FFFF))
            entry.upper.write(U32.of(message.address >> 32))
            entry.data.write(U32.of(message.data))
            entry.control.write(MsixVector(mask=False))
        block.control.update(mask=False)
        return [m.number for m in given]

    def _msix_block(self, f: Function) -> Msix:
        found = f.find(CapId.MSI_X)
        if found is None:
            raise NotSupported(f"{f.name} has no MSI-X capability; use `msi`, or register its line")
        return Msix(f.window, found.offset)

    def _table(self, f: Function, block: Msix) -> MsixTable:
        place = block.table.read()
        bar = f.bars.get(place.bir)
        if bar is None or not bar.address:
            raise NotSupported(
                f"{f.name}: the MSI-X table is in bar{place.bir}, which has no address"
            )
        return MsixTable(MemoryWindow(self.machine, bar.address + place.at))

    def off(self, f: Function) -> None:
        """Turn both off in the function: it is on its INTx pin again."""
        if not f.present:
            return
        for found in f.capabilities:
            block = capability_block(f.window, found)
            if isinstance(block, (Msi32, Msi64, Msix)) and block.control.read().enable:
                block.control.update(enable=False)
                if isinstance(block, Msix):
                    self._mask_all(f, block)

    def _mask_all(self, f: Function, block: Msix) -> None:
        table = self._table(f, block)
        for i in range(block.control.read().last + 1):
            entry: MsixEntry = table.entry[i]
            entry.control.write(MsixVector(mask=True))
