"""The capabilities that models can have: MSI, MSI-X, power management, PCI Express, and plain bytes.

Each is placed by whoever declares the function (`Msi(at=0x80)`), as chips do it, and linked in the order given.
"""

from __future__ import annotations

from collections.abc import Iterator

from .pci import Access, Capability, Messenger, PciFunction

ENTRY = 16  # bytes of an MSI-X table entry
MASKED = 1  # in its vector control


class Opaque(Capability):
    """Bytes that software reads and nothing acts on: SATA, vendor specific and the like."""

    def __init__(self, at: int, id: int, body: bytes) -> None:
        super().__init__(at)
        self.id, self.body = id, body
        self.size = 2 + len(body)

    def install(self, fn: PciFunction) -> None:
        """Its bytes, read-only."""
        super().install(fn)
        for i, byte in enumerate(self.body):
            fn.config.declare(self.at + 2 + i, 1, byte)


class Msi(Messenger):
    """Message signalled interrupts: PCI 3.0 §6.8.1. `count` vectors, a power of two up to 32."""

    id = 0x05

    def __init__(self, at: int, count: int = 1, *, wide: bool = True, maskable: bool = False) -> None:
        super().__init__(at)
        self.count, self.wide, self.maskable = count, wide, maskable
        self.data_at = at + (12 if wide else 8)
        self.mask_at = self.data_at + 4
        self.size = (24 if wide else 20) if maskable else (14 if wide else 10)

    def install(self, fn: PciFunction) -> None:
        """Control, address, data, mask and pending bits."""
        super().install(fn)
        declare = fn.config.declare
        control = (self.count.bit_length() - 1) << 1 | self.wide << 7 | self.maskable << 8
        declare(self.at + 2, 2, control, writable=0x71)
        declare(self.at + 4, 4, 0, writable=0xFFFF_FFFC)
        if self.wide:
            declare(self.at + 8, 4, 0, writable=0xFFFF_FFFF)
        declare(self.data_at, 2, 0, writable=0xFFFF)
        if self.maskable:
            declare(self.mask_at, 4, 0, writable=(1 << self.count) - 1)
            declare(self.mask_at + 4, 4, 0)

    def changed(self) -> None:
        """On or off, or a mask lifted from a vector that waits."""
        self.enabled = bool(self.fn.config.data[self.at + 2] & 1)
        self.fn.interrupts_changed()
        if self.enabled and self.maskable:
            self._release()

    def reset(self) -> None:
        """Off."""
        self.enabled = False

    def _release(self) -> None:
        config = self.fn.config
        pending = config.read(self.mask_at + 4, 4)
        ready = pending & ~config.read(self.mask_at, 4)
        config.poke(self.mask_at + 4, 4, pending & ~ready)
        for vector in range(self.count):
            if ready >> vector & 1:
                self.send(vector)

    def send(self, vector: int) -> None:
        """One vector; vectors that software did not enable fold into those that it did."""
        config = self.fn.config
        vector &= (1 << (config.data[self.at + 2] >> 4 & 7)) - 1
        if self.maskable and config.read(self.mask_at, 4) >> vector & 1:
            config.poke(self.mask_at + 4, 4, config.read(self.mask_at + 4, 4) | 1 << vector)
            return
        address = config.read(self.at + 4, 8 if self.wide else 4)
        self.fn.host.message(self.fn, address, config.read(self.data_at, 2) | vector)


class Msix(Messenger):
    """Extended message signalled interrupts, tables in a BAR: PCI 3.0 §6.8.2. `count` vectors up to 2048."""

    id = 0x11
    size = 12

    def __init__(self, at: int, count: int, bar: int, table: int = 0, pba: int = 0x800) -> None:
        super().__init__(at)
        assert table % 8 == 0 and pba % 8 == 0, "tables lie on 8 bytes"
        self.count, self.bar, self.table_at, self.pba_at = count, bar, table, pba
        self.table = bytearray(count * ENTRY)
        self.pending = bytearray((count + 63) // 64 * 8)
        self.masked_all = False
        self.reset()

    def install(self, fn: PciFunction) -> None:
        """Control, and where the tables are."""
        super().install(fn)
        fn.config.declare(self.at + 2, 2, self.count - 1, writable=0xC000)
        fn.config.declare(self.at + 4, 4, self.table_at | self.bar)
        fn.config.declare(self.at + 8, 4, self.pba_at | self.bar)

    def changed(self) -> None:
        """On or off, or the mask of the whole function lifted."""
        control = self.fn.config.read(self.at + 2, 2)
        self.enabled, self.masked_all = bool(control >> 15), bool(control >> 14 & 1)
        self.fn.interrupts_changed()
        for vector in range(self.count):
            self._release(vector)

    def reset(self) -> None:
        """Off, every vector masked."""
        self.enabled = self.masked_all = False
        self.table[:] = (b"\0" * 12 + MASKED.to_bytes(4, "little")) * self.count
        self.pending[:] = bytes(len(self.pending))

    def inside(self) -> Iterator[tuple[int, range, Access]]:
        """The vector table and the pending bits."""
        table, pba = self.table_at, self.pba_at
        yield self.bar, range(table, table + len(self.table)), (self._read_table, self._write_table)
        yield self.bar, range(pba, pba + len(self.pending)), (self._read_pending, self._write_pending)

    def _read_table(self, bar: int, offset: int, width: int) -> int:
        at = offset - self.table_at
        return int.from_bytes(self.table[at : at + width], "little")

    def _write_table(self, bar: int, offset: int, width: int, value: int) -> None:
        if width < 4 or offset % width:  # only whole words: PCI 3.0 §6.8.2
            self.fn.host.report(self.fn, f"MSI-X table written by {width} bytes at {offset:#x}: ignored")
            return
        at = offset - self.table_at
        self.table[at : at + width] = value.to_bytes(width, "little")
        entry = at // ENTRY * ENTRY
        self.table[entry] &= 0xFC
        self.table[entry + 12 : entry + 16] = bytes([self.table[entry + 12] & MASKED, 0, 0, 0])
        self._release(at // ENTRY)

    def _read_pending(self, bar: int, offset: int, width: int) -> int:
        at = offset - self.pba_at
        return int.from_bytes(self.pending[at : at + width], "little")

    def _write_pending(self, bar: int, offset: int, width: int, value: int) -> None:
        """Read-only: lost."""

    def _masked(self, vector: int) -> bool:
        return self.masked_all or bool(self.table[vector * ENTRY + 12] & MASKED)

    def _release(self, vector: int) -> None:
        byte, bit = vector // 8, 1 << vector % 8
        if self.enabled and self.pending[byte] & bit and not self._masked(vector):
            self.pending[byte] &= ~bit
            self.send(vector)

    def send(self, vector: int) -> None:
        """One vector, or its pending bit while it is masked."""
        if self._masked(vector):
            self.pending[vector // 8] |= 1 << vector % 8
            return
        entry = memoryview(self.table)[vector * ENTRY : (vector + 1) * ENTRY]
        address, data = int.from_bytes(entry[:8], "little"), int.from_bytes(entry[8:12], "little")
        self.fn.host.message(self.fn, address, data)


class Power(Capability):
    """Power management: PCI PM 1.2 §3.2. Leaving D3hot resets the function, unless `keeps_state`."""

    id = 0x01
    size = 8

    def __init__(self, at: int, *, keeps_state: bool = False) -> None:
        super().__init__(at)
        self.keeps_state = keeps_state
        self.state = 0

    def install(self, fn: PciFunction) -> None:
        """Capabilities of version 3, and control with the state."""
        super().install(fn)
        fn.config.declare(self.at + 2, 2, 0x0003)
        fn.config.declare(self.at + 4, 2, self.keeps_state << 3, writable=0x0003)

    def reset(self) -> None:
        """D0."""
        self.state = 0

    def changed(self) -> None:
        """To another state; D1 and D2 are not there, and writing them changes nothing."""
        config, at = self.fn.config, self.at + 4
        wanted = config.data[at] & 3
        if wanted in (1, 2):
            config.data[at] = config.data[at] & ~3 | self.state
        elif wanted != self.state:
            was, self.state = self.state, wanted
            self._moved(was)

    def _moved(self, was: int) -> None:
        self.fn.asleep = self.state != 0
        if was == 3 and not self.keeps_state:
            self.fn.reset()
        else:
            self.fn.host.remap()


class Express(Capability):
    """PCI Express: PCIe 5.0 §7.5.3. An endpoint, or with `port` the type of a port, with function reset or not."""

    id = 0x10
    size = 0x3C

    def __init__(self, at: int, *, port: int = 0, flr: bool = True) -> None:
        super().__init__(at)
        self.port, self.flr = port, flr

    def install(self, fn: PciFunction) -> None:
        """Version 2: device and link registers; the link is 2.5 GT/s, one lane."""
        super().install(fn)
        declare = fn.config.declare
        declare(self.at + 2, 2, 2 | self.port << 4)
        declare(self.at + 4, 4, 0x8000 | self.flr << 28)
        declare(self.at + 8, 2, 0x2810, writable=0x7FFF | self.flr << 15)
        declare(self.at + 0x0A, 2, 0, clears=0x000F)
        declare(self.at + 0x0C, 4, 0x0000_0411)
        declare(self.at + 0x10, 2, 0, writable=0x0FFB)
        declare(self.at + 0x12, 2, 0x0011)
        declare(self.at + 0x28, 2, 0, writable=0x001F)

    def changed(self) -> None:
        """Initiate Function Level Reset reads as zero and acts at once: §6.6.2."""
        config, at = self.fn.config, self.at + 8
        if config.data[at + 1] & 0x80:
            config.data[at + 1] &= 0x7F
            self.fn.reset()
