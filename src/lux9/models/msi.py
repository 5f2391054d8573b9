"""Interrupts by message: MSI and MSI-X, with their masks and pending bits."""

from __future__ import annotations

from collections.abc import Iterator

from ..arch import pci as arch
from ..regs import Memory
from .pci import Messenger, PciFunction
from .shape import Access

ENTRY = arch.MsixEntry.extent()
ALL = 0xFFFF_FFFF


class Msi(Messenger):
    """Message signalled interrupts: PCI 3.0 §6.8.1. `count` vectors, a power of two up to 32."""

    id = arch.CapId.MSI

    def __init__(
        self, at: int, count: int = 1, *, wide: bool = True, maskable: bool = False
    ) -> None:
        super().__init__(at)
        self.count, self.wide, self.maskable = count, wide, maskable
        self.block = arch.Msi64 if wide else arch.Msi32
        last = self.block.pending if maskable else self.block.data
        self.size = last.offset + last.kind.size
        self.regs: arch.Msi32 | arch.Msi64  # under the function's own hand

    def install(self, fn: PciFunction) -> None:
        """Control, address, data, mask and pending bits."""
        super().install(fn)
        put, at, block = fn.config.put, self.at, self.block
        self.regs = block(fn.config.raw, at)
        control = arch.MsiControl(
            wanted=self.count.bit_length() - 1, wide=self.wide, maskable=self.maskable
        )
        put(block.control, control, arch.MsiControl(enable=True, given=7), at)
        put(block.address, 0, ALL & ~3, at)
        if self.wide:
            put(arch.Msi64.upper, 0, ALL, at)
        put(block.data, 0, 0xFFFF, at)
        if self.maskable:
            put(block.mask, 0, (1 << self.count) - 1, at)
            put(block.pending, 0, 0, at)

    def changed(self) -> None:
        """On or off, or a mask lifted from a vector that waits."""
        self.enabled = self.regs.control.read().enable
        self.fn.interrupts_changed()
        if self.enabled and self.maskable:
            self._release()

    def reset(self) -> None:
        """Off."""
        self.enabled = False

    def _pend(self, bits: int) -> None:
        self.fn.config.poke(self.block.pending, bits, self.at)

    def _release(self) -> None:
        pending = self.regs.pending.read().raw
        ready = pending & ~self.regs.mask.read().raw
        self._pend(pending & ~ready)
        for vector in range(self.count):
            if ready >> vector & 1:
                self.send(vector)

    def send(self, vector: int) -> None:
        """One vector; those that software did not enable fold into those that it did: §6.8.3.4."""
        vector &= (1 << self.regs.control.read().given) - 1
        if self.maskable and self.regs.mask.read().raw >> vector & 1:
            self._pend(self.regs.pending.read().raw | 1 << vector)
            return
        address = self.regs.address.read().raw
        if isinstance(self.regs, arch.Msi64):
            address |= self.regs.upper.read().raw << 32
        self.fn.host.message(self.fn, address, self.regs.data.read().raw | vector)


class Msix(Messenger):
    """Extended message signalled interrupts, tables in a BAR: PCI 3.0 §6.8.2. `count` vectors up to 2048."""

    id = arch.CapId.MSI_X
    size = arch.Msix.extent()

    def __init__(self, at: int, count: int, bar: int, table: int = 0, pba: int = 0x800) -> None:
        super().__init__(at)
        assert not (table | pba) & 7, "tables lie on 8 bytes"
        self.count, self.bar, self.table_at, self.pba_at = count, bar, table, pba
        self.table = bytearray(count * ENTRY)
        self.pending = bytearray((count + 63) // 64 * 8)
        self.entries = [arch.MsixEntry(Memory(self.table), n * ENTRY) for n in range(count)]
        self.masked = False  # the whole function
        self.reset()

    def install(self, fn: PciFunction) -> None:
        """Control, and where the tables are."""
        super().install(fn)
        put, at = fn.config.put, self.at
        writable = arch.MsixControl(enable=True, mask=True)
        put(arch.Msix.control, arch.MsixControl(last=self.count - 1), writable, at)
        put(arch.Msix.table, self.table_at | self.bar, at=at)
        put(arch.Msix.pba, self.pba_at | self.bar, at=at)

    def changed(self) -> None:
        """On or off, or the mask of the whole function lifted."""
        control = arch.MsixControl.of(self.fn.config.get(arch.Msix.control, self.at))
        self.enabled, self.masked = control.enable, control.mask
        self.fn.interrupts_changed()
        if any(self.pending):
            for vector in range(self.count):
                self._release(vector)

    def reset(self) -> None:
        """Off, every vector masked."""
        self.enabled = self.masked = False
        self.pending[:] = bytes(len(self.pending))
        self.table[:] = bytes(len(self.table))
        for entry in self.entries:
            entry.control.write(arch.MsixVector(mask=True))

    def inside(self) -> Iterator[tuple[int, range, Access]]:
        """The vector table and the pending bits."""
        table, pba = self.table_at, self.pba_at
        yield self.bar, range(table, table + len(self.table)), (self._read_table, self._write_table)
        yield (
            self.bar,
            range(pba, pba + len(self.pending)),
            (self._read_pending, self._write_pending),
        )

    def _read_table(self, bar: int, offset: int, width: int) -> int:
        at = offset - self.table_at
        return int.from_bytes(self.table[at : at + width], "little")

    def _write_table(self, bar: int, offset: int, width: int, value: int) -> None:
        if width < 4 or offset % width:  # only whole words: PCI 3.0 §6.8.2
            told = f"MSI-X table written by {width} bytes at {offset:#x}: ignored"
            self.fn.host.report(self.fn, told)
            return
        at = offset - self.table_at
        self.table[at : at + width] = value.to_bytes(width, "little")
        entry = self.entries[at // ENTRY]
        entry.address.write(arch.MsiAddress(addr=entry.address.read().addr))
        entry.control.write(arch.MsixVector(mask=entry.control.read().mask))
        self._release(at // ENTRY)

    def _read_pending(self, bar: int, offset: int, width: int) -> int:
        at = offset - self.pba_at
        return int.from_bytes(self.pending[at : at + width], "little")

    def _write_pending(self, bar: int, offset: int, width: int, value: int) -> None:
        """Read-only: lost."""

    def _held(self, vector: int) -> bool:
        return self.masked or self.entries[vector].control.read().mask

    def _release(self, vector: int) -> None:
        byte, bit = vector // 8, 1 << vector % 8
        if self.enabled and self.pending[byte] & bit and not self._held(vector):
            self.pending[byte] &= ~bit
            self.send(vector)

    def send(self, vector: int) -> None:
        """One vector, or its pending bit while it is masked."""
        if self._held(vector):
            self.pending[vector // 8] |= 1 << vector % 8
            return
        entry = self.entries[vector]
        address = entry.upper.read().raw << 32 | entry.address.read().raw
        self.fn.host.message(self.fn, address, entry.data.read().raw)
