"""Configuration space as a function keeps it: values, which bits software can write, which bits a one clears.

A `ConfigSpace` is a `regs.Window` with the rules of PCI 3.0 §6.1 applied (read-only and reserved bits ignore
writes); `raw` is the same bytes under the function's own hand, which no rule holds back.
"""

from __future__ import annotations

from typing import Any

from ..regs import Memory, Register, Slot


class ConfigSpace:
    """`size` bytes, all read-only zero until they are declared."""

    __slots__ = ("_clears", "_initial", "_writable", "data", "raw", "size")

    def __init__(self, size: int) -> None:
        self.size = size
        self.data = bytearray(size)
        self.raw = Memory(self.data)
        self._initial = bytearray(size)
        self._writable = bytearray(size)
        self._clears = bytearray(size)

    def declare(
        self, offset: int, width: int, value: int, writable: int = 0, clears: int = 0
    ) -> None:
        """Bytes: their reset value, the bits that software writes, the bits that a one clears."""
        at = slice(offset, offset + width)
        self.data[at] = self._initial[at] = value.to_bytes(width, "little")
        self._writable[at] = writable.to_bytes(width, "little")
        self._clears[at] = clears.to_bytes(width, "little")

    def put(
        self, slot: Slot[Any], value: Register | int = 0, writable: Register | int = 0, at: int = 0
    ) -> None:
        """A register of a block that lies at `at`; its events are cleared by ones."""
        events = slot.kind.events
        self.declare(
            at + slot.offset, slot.kind.size, int(value), int(writable) & ~events, clears=events
        )

    def get(self, slot: Slot[Any], at: int = 0) -> int:
        """The bits of a register of a block that lies at `at`."""
        return self.raw.read(at + slot.offset, slot.kind.size)

    def poke(self, slot: Slot[Any], value: Register | int, at: int = 0) -> None:
        """A change by the function itself."""
        self.raw.write(at + slot.offset, slot.kind.size, int(value))

    def read(self, offset: int, width: int) -> int:
        """The word at an offset; all ones outside the space, as nothing answers there."""
        if offset + width > self.size:
            return (1 << 8 * width) - 1
        return int.from_bytes(self.data[offset : offset + width], "little")

    def write(self, offset: int, width: int, value: int) -> None:
        """A write by software: only what is writable changes; lost outside the space."""
        if offset + width > self.size:
            return
        at = slice(offset, offset + width)
        old = int.from_bytes(self.data[at], "little")
        writable = int.from_bytes(self._writable[at], "little")
        cleared = int.from_bytes(self._clears[at], "little") & value
        new = ((old & ~writable) | (value & writable)) & ~cleared
        self.data[at] = new.to_bytes(width, "little")

    def reset(self) -> None:
        """Every register back to its reset value."""
        self.data[:] = self._initial
