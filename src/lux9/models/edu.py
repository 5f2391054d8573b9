"""QEMU's educational device: `edu`. Ref: QEMU docs/specs/edu; where that is silent, what QEMU's own does.

It has no reset of its own: its registers outlive one, as QEMU's do. Unlike QEMU, which ends or writes on past its
buffer, a transfer that does not lie within the buffer is not done, and reported.
"""

from __future__ import annotations

import math
from typing import ClassVar

from ..arch import edu as arch
from ..arch.edu import Cause, DmaCommand, Edu as Block
from ..arch.pci import Pin
from ..regs import U32, U64
from .msi import Msi
from .pci import DmaFault, PciFunction
from .registers import Model, ReadOnly, Resets, on_write
from .shape import Bar, Identity

ONES = (1 << 32) - 1
ZERO_FROM = 34  # n! modulo 2^32 is zero from here on
UNREADABLE = (Block.irq_raise.offset, Block.irq_ack.offset)
IDENTITY = Identity(*arch.DEVICE, arch.CLASS, revision=arch.REVISION, pin=Pin.INTA)


class Registers(Model):
    """BAR 0. `edu` does what they ask for."""

    block = Block
    resets: ClassVar[Resets] = {Block.id: arch.Id(major=1, mark=arch.MARK)}
    read_only: ClassVar[ReadOnly] = {Block.status: ("computing",)}

    def __init__(self, edu: Edu) -> None:
        self.edu = edu
        super().__init__("edu", lambda text: edu.host.report(edu, text))
        self.cause = self.cell(Block.irq_status)

    @on_write(Block.inverter)
    def invert(self, new: U32, old: U32) -> U32:
        """The complement."""
        return U32.of(new.raw ^ ONES)

    @on_write(Block.factorial)
    def compute(self, new: U32, old: U32) -> U32:
        """Start, unless it computes already."""
        status = self.cell(Block.status)
        if status.value.computing:
            return old
        status.value = status.value.replace(computing=True)
        self.edu.host.defer(self._computed)
        return new

    def _computed(self) -> None:
        n, status = self.cell(Block.factorial), self.cell(Block.status)
        n.raw = math.factorial(n.raw) & ONES if n.raw < ZERO_FROM else 0
        status.value = status.value.replace(computing=False)
        if status.value.irq:
            self.interrupt(U32.of(Cause(factorial=True).raw), self.cell(Block.irq_raise).value)

    @on_write(Block.irq_raise)
    def interrupt(self, new: U32, old: U32) -> U32:
        """More causes; while there is any, each call is a message where messages are on."""
        self.cause.raw |= new.raw
        if self.cause.raw:
            self.edu.set_irq(True)
        return old

    @on_write(Block.irq_ack)
    def acknowledge(self, new: U32, old: U32) -> U32:
        """Fewer of them; with the last the pin falls."""
        self.cause.raw &= ~new.raw
        if not self.cause.raw:
            self.edu.set_irq(False)
        return old

    # DMA: its registers stand still while it runs

    def _settled(self, new: U64, old: U64) -> U64:
        return old if self.cell(Block.command).value.run else new

    @on_write(Block.source)
    def from_there(self, new: U64, old: U64) -> U64:
        """Where the bytes are."""
        return self._settled(new, old)

    @on_write(Block.destination)
    def to_there(self, new: U64, old: U64) -> U64:
        """Where they go."""
        return self._settled(new, old)

    @on_write(Block.count)
    def how_many(self, new: U64, old: U64) -> U64:
        """How many they are."""
        return self._settled(new, old)

    @on_write(Block.command)
    def start(self, new: DmaCommand, old: DmaCommand) -> DmaCommand:
        """Run, unless it does; a command that does not say so is none."""
        if old.run or not new.run:
            return old
        self.edu.host.defer(self._transferred, arch.DMA_SECONDS)
        return new

    def _transferred(self) -> None:
        cell = self.cell(Block.command)
        command = cell.value
        try:
            self._transfer(command.to_memory)
        except DmaFault:
            pass  # the host has told of it; the device does not notice
        cell.value = command.replace(run=False)
        if command.irq:
            self.interrupt(U32.of(Cause(dma=True).raw), self.cell(Block.irq_raise).value)

    def _transfer(self, to_memory: bool) -> None:
        source, destination = self.cell(Block.source).raw, self.cell(Block.destination).raw
        count = self.cell(Block.count).raw
        here, there = (source, destination) if to_memory else (destination, source)
        at = here - arch.BUFFER
        if at < 0 or at + count > arch.BUFFER_SIZE:
            self.report(f"DMA of {count} bytes at {here:#x} is not within its buffer: not done")
            return
        for part in self._memory(there, count):
            inside = self.edu.buffer[at : at + len(part)]
            _copy(inside, part) if to_memory else _copy(part, inside)
            at += len(part)

    def _memory(self, address: int, count: int) -> list[memoryview]:
        clamped = address & self.edu.dma_mask
        if clamped != address:
            self.report(f"DMA address {address:#x} is clamped to {clamped:#x}")
        return self.edu.host.dma(self.edu, clamped, count) if count else []


def _copy(source: memoryview, destination: memoryview) -> None:
    destination[:] = source


class Edu(PciFunction):
    """The card. `dma_mask` are the address bits that it can put out."""

    def __init__(self, dma_mask: int = (1 << arch.DMA_BITS) - 1) -> None:
        super().__init__(IDENTITY, {arch.BAR: Bar(arch.BAR_SIZE)}, [Msi(0x40)])
        self.dma_mask = dma_mask
        self.buffer = memoryview(bytearray(arch.BUFFER_SIZE))
        self.registers = Registers(self)

    def bar_read(self, bar: int, offset: int, width: int) -> int:
        """All ones where nothing can be read, and at a width that the register does not take."""
        if width == 8 and offset % 8:  # the bus makes two of it
            return self._read(offset, 4) | self._read(offset + 4, 4) << 32
        return self._read(offset, width)

    def _read(self, offset: int, width: int) -> int:
        if width < 4 or offset % 4:  # nobody takes it
            return 0
        ones = (1 << 8 * width) - 1
        if offset in UNREADABLE or not self._takes(offset, width):
            return ones
        return self.registers.read(offset, self.registers.cells[offset].size) & ones

    def bar_write(self, bar: int, offset: int, width: int, value: int) -> None:
        """Lost where nothing can be written; 4 bytes of a register of 8 write zeroes to the rest."""
        if width == 8 and offset % 8:
            self._write(offset, 4, value & ONES)
            self._write(offset + 4, 4, value >> 32)
        else:
            self._write(offset, width, value)

    def _write(self, offset: int, width: int, value: int) -> None:
        if width < 4 or not self._takes(offset, width):
            self.host.report(self, f"a write of {width} bytes at {offset:#x} is ignored")
            return
        self.registers.write(offset, self.registers.cells[offset].size, value)

    def _takes(self, offset: int, width: int) -> bool:
        cell = self.registers.cells.get(offset)
        return cell is not None and width <= cell.size
