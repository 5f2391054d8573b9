"""The register language: values, accessors, blocks; on windows that note every access."""

from __future__ import annotations

from enum import IntEnum
from typing import Any

import pytest
from hypothesis import given, strategies as st

from lux9.errors import DeviceGone, DeviceTimeout
from lux9.regs import (
    U8,
    U16,
    U32,
    U64,
    Block,
    Field,
    Memory,
    Register,
    Row,
    banks,
    bit,
    bits,
    octets,
    part,
    ro,
    rw,
    w1c,
    w1s,
    wo,
)


class Mode(IntEnum):
    OFF = 0
    SLOW = 1
    FAST = 6


class Ctl(Register, width=32):
    """Control."""

    mode: Mode = bits(31, 28, Mode)
    count: int = bits(15, 4)
    done: bool = bit(2, w1c=True)
    in_: bool = bit(1)
    go: bool = bit(0)


class Full(Register, width=8):
    """All bits have a meaning."""

    high: int = bits(7, 4)
    low: int = bits(3, 0)


class Pair(Block, size=8):
    low = rw(0, U16)
    high = ro(2, U16)


class Dev(Block, size=0x80):
    ctl = rw(0x00, Ctl)
    is_ = w1c(0x04, U32)
    ring = w1s(0x08, U32)
    bell = wo(0x0C, U32)
    eat = ro(0x10, U32, effect=True)
    name_ = octets(0x14, 6)
    half = part(0x20, Pair)
    lane = banks(0x40, 8, 4, Pair)


class Log:
    """A window that notes what is done to it, and answers with what it is given."""

    def __init__(self, *answers: int) -> None:
        self.answers, self.seen = list(answers), list[tuple[Any, ...]]()

    def read(self, offset: int, width: int) -> int:
        self.seen.append(("r", offset, width))
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    def write(self, offset: int, width: int, value: int) -> None:
        self.seen.append(("w", offset, width, value))

    def pause(self, seconds: float) -> None:
        pass


# --- values -----------------------------------------------------------------------------------

VALUES = st.fixed_dictionaries(
    {},
    optional={
        "mode": st.integers(0, 15),
        "count": st.integers(0, 0xFFF),
        "done": st.booleans(),
        "in_": st.booleans(),
        "go": st.booleans(),
    },
)


@given(VALUES)
def test_what_is_put_in_comes_out(values: dict[str, Any]) -> None:
    reg = Ctl(**values)
    for name in Ctl.fields:
        assert getattr(reg, name) == values.get(name, 0)
    assert Ctl.of(reg.raw) == reg


@given(st.integers(0, 0xFFFFFFFF), VALUES)
def test_replace_changes_the_named_bits_alone(raw: int, values: dict[str, Any]) -> None:
    reg = Ctl.of(raw).replace(**values)
    touched = sum(Ctl.fields[name].span for name in values)
    assert reg.raw & ~touched == raw & ~touched
    assert reg.raw & touched == Ctl(**values).raw


@given(st.integers(0, 0xFFFFFFFF))
def test_fields_are_the_bits_that_they_say(raw: int) -> None:
    reg = Ctl.of(raw)
    assert (reg.mode, reg.count, reg.done, reg.in_, reg.go) == (
        raw >> 28,
        raw >> 4 & 0xFFF,
        bool(raw & 4),
        bool(raw & 2),
        bool(raw & 1),
    )


def test_kinds_of_values() -> None:
    assert Ctl.of(0x60000000).mode is Mode.FAST
    reserved: object = Ctl.of(0x50000000).mode
    assert reserved == 5
    assert not isinstance(reserved, Mode)
    assert Ctl.of(1).go is True


def test_a_value_does_not_change() -> None:
    with pytest.raises(AttributeError, match=r"use \.replace\(go="):
        Ctl.of(0).go = True  # type: ignore[misc]  # the very mistake


@pytest.mark.parametrize(
    ("values", "error", "text"),
    [
        ({"gone_": 1}, TypeError, "Ctl has no field 'gone_'"),
        ({"count": 0x1000}, ValueError, "Ctl.count: 0x1000 does not fit bits 15:4"),
        ({"count": -1}, ValueError, "does not fit"),
        ({"go": 2}, ValueError, "does not fit bit 0"),
    ],
)
def test_values_that_do_not_fit(values: dict[str, Any], error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        Ctl(**values)
    with pytest.raises(error, match=text):
        Ctl.of(0xFFFFFFFF).replace(**values)


def test_how_a_value_is_shown() -> None:
    assert repr(Ctl(mode=Mode.FAST, count=0x20, in_=True)) == (
        "Ctl(0x60000202: mode=FAST count=0x20 in)"
    )
    assert repr(Ctl.of(0x50000000)) == "Ctl(0x50000000: mode=0x5)"
    assert repr(Ctl.of(0)) == "Ctl(0x0)"


def test_a_single_number_is_not_said_twice() -> None:
    class Count(Register, width=16):
        count: int = bits(15, 3)

    assert repr(Count.of(0x48)) == "Count(0x48)"


def test_equality_is_of_kind_and_bits() -> None:
    assert U32.of(1) == U32.of(1)
    assert U32.of(1) != U16.of(1)
    assert U32.of(1) != 1
    assert len({U32.of(1), U32.of(1), U16.of(1)}) == 2
    assert int(U32.of(7)) == 7


def test_who_can_tell_that_the_device_is_gone() -> None:
    assert Ctl.of(0xFFFFFFFF).gone  # reserved bits are never set by a device
    assert not Ctl.of(0xFFFFFFFE).gone
    assert Full.of(0xFF).all_ones
    assert not Full.of(0xFF).gone
    assert not U32.of(0xFFFFFFFF).gone


def overlap() -> None:
    class Bad(Register, width=8):  # pyright: ignore[reportUnusedClass]  # the making is what fails
        a: int = bits(3, 0)
        b: int = bits(4, 3)


def too_high() -> None:
    class Bad(Register, width=8):  # pyright: ignore[reportUnusedClass]  # the making is what fails
        a: bool = bit(8)


def backwards() -> None:
    class Bad(Register, width=8):  # pyright: ignore[reportUnusedClass]  # the making is what fails
        a: int = bits(0, 3)


@pytest.mark.parametrize("make", [overlap, too_high, backwards])
def test_bits_that_do_not_tile(make: Any) -> None:
    with pytest.raises(TypeError, match="does not fit"):
        make()


def test_a_field_may_not_hide_what_a_register_has() -> None:
    with pytest.raises(TypeError, match=r"Bad\.size: the name is taken"):
        type("Bad", (Register,), {"size": Field(3, 0, int)}, width=8)


# --- accessors --------------------------------------------------------------------------------


def test_one_call_is_one_access_of_the_register_s_width() -> None:
    log = Log(0x60000203)
    dev = Dev(log, 0x1000)
    assert dev.ctl.read().mode is Mode.FAST
    dev.ctl.write(Ctl(go=True))
    dev.is_.clear(U32.of(0x10))
    dev.ring.set(U32.of(0x20))
    dev.bell.write(U32.of(3))
    dev.half.low.write(U16.of(4))
    dev.lane[3].high.read()
    assert log.seen == [
        ("r", 0x1000, 4),
        ("w", 0x1000, 4, 1),
        ("w", 0x1004, 4, 0x10),
        ("w", 0x1008, 4, 0x20),
        ("w", 0x100C, 4, 3),
        ("w", 0x1020, 2, 4),
        ("r", 0x105A, 2),
    ]


def test_update_leaves_events_pending() -> None:
    log = Log(Ctl(mode=Mode.FAST, done=True, in_=True).raw)
    Dev(log).ctl.update(go=True)
    assert log.seen[-1] == ("w", 0, 4, Ctl(mode=Mode.FAST, in_=True, go=True).raw)


def test_update_clears_an_event_that_is_named() -> None:
    log = Log(Ctl(done=True).raw)
    Dev(log).ctl.update(done=True)
    assert log.seen[-1] == ("w", 0, 4, Ctl(done=True).raw)


def test_wait_gives_the_value_that_will_do() -> None:
    log = Log(1, 1, 0x40000000)
    assert Dev(log).ctl.wait(lambda c: not c.go, 1.0).mode == 4
    assert len(log.seen) == 3


def test_wait_says_what_it_last_saw() -> None:
    with pytest.raises(DeviceTimeout, match=r"lane\[2\].low is still U16\(0x7\) after 0 s"):
        Dev(Log(7)).lane[2].low.wait(lambda v: v.raw == 0, 0.0)


def test_wait_for_a_device_that_is_gone_ends_at_once() -> None:
    log = Log(0xFFFFFFFF)
    with pytest.raises(DeviceGone, match="ctl reads all ones"):
        Dev(log).ctl.wait(lambda c: not c.go, 1e9)
    assert len(log.seen) == 1


def test_all_ones_that_may_be_a_value_get_their_time() -> None:
    log = Log(0xFFFFFFFF, 0xFFFFFFFF, 0)
    Dev(log).ring.wait(lambda v: v.raw == 0, 1e9)
    with pytest.raises(DeviceGone):
        Dev(Log(0xFFFFFFFF)).ring.wait(lambda v: v.raw == 0, 0.0)


def test_octets_one_by_one_and_at_once() -> None:
    log = Log(*b"abcdef")
    dev = Dev(log)
    assert dev.name_.read() == b"abcdef"
    dev.name_.write(b"xy")
    assert log.seen[0] == ("r", 0x14, 1)
    assert log.seen[-2:] == [("w", 0x14, 1, ord("x")), ("w", 0x15, 1, ord("y"))]
    over = Dev.over(bytearray(0x80))
    over.name_.write(b"lamp")
    assert over.name_.read() == b"lamp\0\0"
    with pytest.raises(ValueError, match="name: 7 bytes do not fit 6"):
        over.name_.write(b"seven..")


@pytest.mark.parametrize("kind", [U8, U16, U32, U64])
def test_memory_is_little_endian(kind: type[Register]) -> None:
    data = bytearray(range(16))
    memory = Memory(data)
    for at in (0, 3):  # aligned or not
        assert memory.read(at, kind.size) == int.from_bytes(data[at : at + kind.size], "little")
    memory.write(1, kind.size, kind.ones - 1)
    assert data[1 : 1 + kind.size] == (kind.ones - 1).to_bytes(kind.size, "little")


def test_memory_that_cannot_be_written() -> None:
    with pytest.raises(TypeError):
        Memory(b"abcd").write(0, 1, 0)


# --- blocks -----------------------------------------------------------------------------------


def test_names_from_the_outermost_block() -> None:
    dev = Dev(Log(0))
    assert dev.is_.name == "is"
    assert dev.half.low.name == "half.low"
    assert dev.lane[1].high.name == "lane[1].high"
    assert Dev(Log(0), name="card").lane[1].high.name == "card.lane[1].high"


def test_accessors_are_made_once() -> None:
    dev = Dev(Log(0))
    assert dev.ctl is dev.ctl
    assert dev.lane is dev.lane
    assert dev.lane[2] is dev.lane[2]


def test_a_bank_is_a_sequence() -> None:
    lane = Dev(Log(0)).lane
    assert len(lane) == 4
    assert [p.base for p in lane] == [0x40, 0x48, 0x50, 0x58]
    assert [p.base for p in lane[1:3]] == [0x48, 0x50]
    for wrong in (4, -1):
        with pytest.raises(IndexError, match=r"lane\[-?\d\]: there are 4"):
            lane[wrong]


def test_rows_and_at_agree() -> None:
    rows = list(Dev.rows())
    assert [r.name for r in rows][:5] == ["ctl", "is", "ring", "bell", "eat"]
    assert rows[-1] == Row(0x5A, "lane[3].high", U16, "ro")
    for row in rows:
        for inside in range(row.kind.size):
            assert Dev.at(row.offset + inside) == row
    assert len(list(Dev.rows(counts={"lane": 1}))) == len(rows) - 6


def test_at_octets_and_at_holes() -> None:
    assert Dev.at(0x15) == Row(0x15, "name[1]", U8, "rw")
    assert Dev.at(0x1C) is None
    assert Dev.at(0x44) is None  # in the bank, behind its last register
    assert Dev.at(0x60) is None
    assert Dev.at(0x1000) is None


def test_extent() -> None:
    assert Pair.extent() == 8
    assert Dev.extent() == 0x80

    class Plain(Block):
        lane = banks(0x10, 8, 2, Pair)

    assert Plain.extent() == 0x20


def test_a_block_inherits() -> None:
    class More(Dev):
        extra = ro(0x70, U32)

    assert More.at(0) == Dev.at(0)
    assert More(Log(5)).extra.read().raw == 5
    assert Dev.at(0x70) is None


def test_pack() -> None:
    assert Pair.pack(low=U16.of(0x1234)) == bytes.fromhex("3412000000000000")
    with pytest.raises(TypeError, match=r"Pair\.low is a U16"):
        Pair.pack(low=U32.of(1))
    with pytest.raises(KeyError):
        Pair.pack(middle=U16.of(1))


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_pack_and_parse(low: int, high: int) -> None:
    pair = Pair.over(Pair.pack(low=U16.of(low), high=U16.of(high)))
    assert (pair.low.read().raw, pair.high.read().raw) == (low, high)
