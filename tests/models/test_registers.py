from __future__ import annotations

from typing import ClassVar

import pytest

from lux9.models.registers import Model, ReadOnly, Resets, layout, on_read, on_write
from lux9.regs import U8, U16, U32, U64, Block, Register, bit, bits, ro, rw, w1c, w1s, wo


class Control(Register, width=32):
    busy: bool = bit(31)
    event: bool = bit(8, w1c=True)
    mode: int = bits(3, 0)


class Chip(Block):
    id = ro(0x00, U32)
    control = rw(0x04, Control)
    status = w1c(0x08, U16)
    byte = rw(0x0A, U8)
    issue = w1s(0x0C, U32)
    start = rw(0x10, U64)
    door = wo(0x18, U32)
    count = ro(0x1C, U32)


class ChipModel(Model):
    block = Chip
    resets: ClassVar[Resets] = {Chip.id: U32.of(0x1234)}
    read_only: ClassVar[ReadOnly] = {Chip.control: ("busy",)}

    def __init__(self) -> None:
        self.told: list[str] = []
        self.seen: list[tuple[int, int]] = []
        super().__init__("chip", self.told.append)

    @on_write(Chip.control)
    def change(self, new: Control, old: Control) -> Control:
        self.seen.append((new.raw, old.raw))
        return new.replace(busy=True) if new.mode else new

    @on_read(Chip.count)
    def counted(self, kept: U32) -> U32:
        self.cell(Chip.count).raw += 1
        return U32.of(kept.raw)


class Child(ChipModel):
    @on_write(Chip.start)
    def moved(self, new: U64, old: U64) -> U64:
        return U64.of(new.raw & ~0xFFF)


@pytest.fixture
def chip() -> ChipModel:
    return ChipModel()


def test_the_driver_s_block_stands_on_it(chip: ChipModel) -> None:
    block = Chip(chip)
    assert block.id.read().raw == 0x1234
    block.control.write(Control(mode=3))
    assert block.control.read() == Control(mode=3, busy=True)
    block.control.update(mode=0)
    assert chip.seen == [(3, 0), (0x80000000, 0x80000003)]


def test_rules_of_the_declaration(chip: ChipModel) -> None:
    chip.cell(Chip.status).raw = 0xFF
    chip.write(0x08, 2, 0x0F)
    assert chip.read(0x08, 2) == 0xF0
    chip.write(0x0C, 4, 0x5)
    chip.write(0x0C, 4, 0x2)
    assert chip.read(0x0C, 4) == 7
    chip.cell(Chip.control).raw = 0x100
    chip.write(0x04, 4, 0xFFFFFE00)
    assert (
        chip.read(0x04, 4) == 0x100
    )  # reserved bits stay zero, busy is the chip's, the event was not named
    chip.write(0x04, 4, 0x100)
    assert chip.read(0x04, 4) == 0
    chip.write(0x00, 4, 1)
    assert chip.told == ["chip.id is read-only: a write of 0x1 is ignored"]


def test_reading_can_act(chip: ChipModel) -> None:
    assert [chip.read(0x1C, 4) for _ in range(3)] == [0, 1, 2]


def test_halves_of_a_wide_register(chip: ChipModel) -> None:
    chip.write(0x14, 4, 0x11)
    chip.write(0x10, 4, 0x22)
    assert chip.read(0x10, 8) == 0x11_0000_0022
    assert chip.read(0x14, 4) == 0x11
    child = Child()
    child.write(0x10, 4, 0x12345678)
    assert child.read(0x10, 8) == 0x12345000
    child.write(0x04, 4, 1)
    assert child.seen == [(1, 0)]  # the parent's methods act too


def test_small_registers(chip: ChipModel) -> None:
    chip.write(0x0A, 1, 0x7F)
    assert chip.read(0x0A, 1) == 0x7F
    assert chip.read(0x08, 4) == 0x7F0000
    assert chip.told == []


def test_mounted_registers_are_the_same(chip: ChipModel) -> None:
    other = ChipModel()
    chip.mount(0x100, other)
    chip.write(0x110, 8, 5)
    assert other.read(0x10, 8) == 5
    chip.restore()
    assert other.read(0x10, 8) == 5  # its owner resets it
    other.restore(keep=(Chip.start,))
    assert (other.read(0x10, 8), other.read(0, 4)) == (5, 0x1234)
    other.restore()
    assert chip.read(0x110, 8) == 0


def test_layout() -> None:
    assert layout(Chip.id, Chip.status, Chip.start, size=32).format == "<0xI4xH6xQ8x"
    assert layout(Chip.id, size=32).size == 32
