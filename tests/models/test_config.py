"""Configuration space: what software can change, and what it cannot."""

from __future__ import annotations

from hypothesis import given, strategies as st

from lux9.arch.pci import Command, Header0, Status
from lux9.models.config import ConfigSpace

WORDS = st.integers(0, 0xFFFF_FFFF)


@given(value=WORDS, writable=WORDS, clears=WORDS, written=WORDS)
def test_each_bit_keeps_its_rule(value: int, writable: int, clears: int, written: int) -> None:
    writable &= ~clears
    space = ConfigSpace(256)
    space.declare(0x40, 4, value, writable, clears)
    space.write(0x40, 4, written)
    expected = (value & ~writable | written & writable) & ~(clears & written)
    assert space.read(0x40, 4) == expected


@given(value=WORDS, writable=WORDS, byte=st.integers(0, 255), lane=st.integers(0, 3))
def test_a_narrow_write_touches_its_lane_only(
    value: int, writable: int, byte: int, lane: int
) -> None:
    space = ConfigSpace(256)
    space.declare(0x40, 4, value, writable)
    space.write(0x40 + lane, 1, byte)
    changed = space.read(0x40, 4) ^ value
    assert not changed & ~(writable & 0xFF << 8 * lane)


def test_a_register_of_a_block_is_put_with_its_events() -> None:
    space = ConfigSpace(256)
    space.put(Header0.status, Status(cap_list=True, master_abort=True, signaled_serr=True))
    space.write(Header0.status.offset, 2, Status(master_abort=True, cap_list=True).raw)
    assert Status.of(space.get(Header0.status)) == Status(cap_list=True, signaled_serr=True)


def test_past_the_end_nothing_answers() -> None:
    space = ConfigSpace(256)
    space.write(0x100, 4, 0x1234)
    assert space.read(0x100, 4) == 0xFFFF_FFFF
    assert space.read(0xFE, 4) == 0xFFFF_FFFF


def test_reset_restores_and_the_functions_own_hand_is_free() -> None:
    space = ConfigSpace(256)
    space.put(Header0.command, writable=Command(mem=True))
    space.poke(Header0.command, Command(mem=True, io=True))
    assert Command.of(space.get(Header0.command)) == Command(mem=True, io=True)
    space.reset()
    assert space.get(Header0.command) == 0
