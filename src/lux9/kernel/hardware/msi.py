"""Interrupts by message: the kernel programs MSI and MSI-X, and keeps both from the driver.

Whoever can write an MSI-X table can make a function write any doubleword in memory; so drivers ask by
`msi` and `msix`, and never see the address.
"""

from __future__ import annotations

from ...arch.pci import (
    CapId,
    Header,
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
from ...machine.abstract import Bdf, Message
from ...machine.functions import Memory
from ...regs import U16, U32
from .context import Context
from .function import Function


class Messages:
    """What turns messages on and off in a function."""

    def __init__(self, context: Context) -> None:
        self.context, self.machine = context, context.machine
        self.given: dict[Bdf, tuple[str, list[Message]]] = {}

    def on(self, f: Function, kind: str, count: int) -> list[int]:
        """Give a function `count` vectors by `msi` or `msix`: their numbers. Raises NotSupported, BadArgument."""
        most = self._msix_most(f) if kind == "msix" else self._msi_most(f)
        if not 1 <= count <= most or (kind == "msi" and count & (count - 1)):
            words = f"1 to {most} vectors" if kind == "msix" else f"a power of two up to {most}"
            raise BadArgument(f"{f.name}: {kind} takes {words}, not {count}")
        given = self.machine.messages(f.bdf, count)
        assert len(given) == count, f"{count} vectors asked for, {len(given)} given"
        self.given[f.bdf] = kind, given
        self.program(f)
        return [m.number for m in given]

    def program(self, f: Function) -> None:
        """Write what a function was given into it, again after a reset."""
        kind, given = self.given.get(f.bdf, ("", []))
        if kind == "msi":
            self._program_msi(f, given)
        elif kind == "msix":
            self._program_msix(f, given)

    def free(self, f: Function) -> None:
        """Turn messages off, and give the vectors back."""
        self.off(f)
        if self.given.pop(f.bdf, None) is not None:
            self.machine.free_messages(f.bdf)

    def _msi(self, f: Function) -> Msi32 | Msi64:
        found = f.find(CapId.MSI)
        block = capability_block(f.window, found) if found else None
        if not isinstance(block, (Msi32, Msi64)):
            raise NotSupported(f"{f.name} has no MSI capability; register its line, or use `msix`")
        return block

    def _msi_most(self, f: Function) -> int:
        return 1 << self._msi(f).control.read().wanted

    def _program_msi(self, f: Function, given: list[Message]) -> None:
        """PCI 3.0 §6.8.1.3: one address; the function puts the vector into the low bits of the data."""
        block, first = self._msi(f), given[0]
        block.address.write(MsiAddress.of(first.address & 0xFFFF_FFFF))
        if isinstance(block, Msi64):
            block.upper.write(U32.of(first.address >> 32))
        block.data.write(U16.of(first.data))
        if block.control.read().maskable:
            block.mask.write(U32.of(0))
        block.control.update(given=len(given).bit_length() - 1, enable=True)

    def _msix(self, f: Function) -> Msix:
        found = f.find(CapId.MSI_X)
        if found is None:
            raise NotSupported(f"{f.name} has no MSI-X capability; use `msi`, or register its line")
        return Msix(f.window, found.offset)

    def _msix_most(self, f: Function) -> int:
        block = self._msix(f)
        self._table(f, block)  # it must have a place
        return block.control.read().last + 1

    def _program_msix(self, f: Function, given: list[Message]) -> None:
        """PCI 3.0 §6.8.2: the function masked meanwhile; entries that were not asked for stay masked."""
        block = self._msix(f)
        Header(f.window).command.update(mem=True)  # the table answers, whatever its driver chose
        block.control.update(enable=True, mask=True)
        for entry, message in zip(self._table(f, block).entry, given, strict=False):
            entry.address.write(MsiAddress.of(message.address & 0xFFFF_FFFF))
            entry.upper.write(U32.of(message.address >> 32))
            entry.data.write(U32.of(message.data))
            entry.control.write(MsixVector(mask=False))
        block.control.update(mask=False)

    def _table(self, f: Function, block: Msix) -> MsixTable:
        place = block.table.read()
        bar = f.bars.get(place.bir)
        if bar is None or not bar.address:
            raise NotSupported(
                f"{f.name}: the MSI-X table is in bar{place.bir}, which has no address"
            )
        return MsixTable(Memory(self.machine, bar.address + place.at))

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
