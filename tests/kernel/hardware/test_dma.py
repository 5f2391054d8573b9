"""DMA buffers: pieces of the arena, within limits, for their owner alone."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings, strategies as st

from lux9.errors import BadArgument, LimitReached, NoMemory, PermissionDenied, Stale
from lux9.kernel.hardware.dma import Space
from lux9.kernel.process import ALL, Cap
from tests.kernel.hardware.board import Board

MIB = 1 << 20


def test_a_buffer_is_told_by_addresses_that_are_true(board: Board) -> None:
    one = board.process("one")
    assert one.arena is not None
    buffer = board.hw.dma.alloc(one, 100)
    assert re.fullmatch(r"vaddr:0x[0-9a-f]+ paddr:0x[0-9a-f]+ size:100 handle:1\n", buffer.line)
    assert buffer.bus - one.arena.bus == buffer.offset
    assert f"vaddr:{one.vaddr + buffer.offset:#x} paddr:{buffer.bus:#x}" in buffer.line


@pytest.mark.parametrize("align", [1, 2, 128, 4096, 65536])
def test_aligned_on_the_bus(board: Board, align: int) -> None:
    one = board.process("one")
    board.hw.dma.alloc(one, 3, 1)
    assert board.hw.dma.alloc(one, 10, align).bus % align == 0


def test_a_page_when_nothing_is_said(board: Board) -> None:
    one = board.process("one")
    board.hw.dma.alloc(one, 1)
    assert board.hw.dma.alloc(one, 1).bus % 4096 == 0


def test_zeroed_even_when_it_was_used(board: Board) -> None:
    one = board.process("one")
    first = board.hw.dma.alloc(one, 4096)
    first.view[:] = b"x" * 4096
    offset = first.offset
    board.hw.dma.free(one, first.handle)
    second = board.hw.dma.alloc(one, 4096)
    assert second.offset == offset
    assert bytes(second.view) == bytes(4096)


def test_handles_rise_and_are_never_used_again(board: Board) -> None:
    one = board.process("one")
    seen = list[int]()
    for _ in range(5):
        handle = board.hw.dma.alloc(one, 16).handle
        board.hw.dma.free(one, handle)
        seen.append(handle)
    assert seen == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("size", "align", "words"),
    [
        (0, 4096, "size 0"),
        (-5, 4096, "size -5"),
        (16, 0, "align 0"),
        (16, 48, "align 48"),
        (16, -4, "power"),
    ],
)
def test_what_is_no_size_or_alignment(board: Board, size: int, align: int, words: str) -> None:
    with pytest.raises(BadArgument, match=words):
        board.hw.dma.alloc(board.process("one"), size, align)
    assert len(board.verdicts("denied")) == 1


def test_limits_are_told_with_their_names(board: Board) -> None:
    one = board.process("one")
    one.limits.dma_buffer, one.limits.dma_buffers, one.limits.dma_bytes = 4096, 3, 8192
    with pytest.raises(LimitReached, match="size of a DMA buffer of one would be 4097, limit 4096"):
        board.hw.dma.alloc(one, 4097)
    board.hw.dma.alloc(one, 4096)
    board.hw.dma.alloc(one, 4000)
    with pytest.raises(LimitReached, match="DMA bytes of one would be 8193, limit 8192"):
        board.hw.dma.alloc(one, 97)
    board.hw.dma.alloc(one, 1)
    one.kind = "sip"
    with pytest.raises(LimitReached, match=r"DMA buffers of one would be 4, .* its manifest$"):
        board.hw.dma.alloc(one, 1)
    one.kind = "client"  # which has none
    with pytest.raises(LimitReached, match=r"DMA buffers of one would be 4, .* ask for less$"):
        board.hw.dma.alloc(one, 1)


def test_the_arena_is_full(board: Board) -> None:
    one = board.process("one", arena=MIB)
    one.limits.dma_bytes = 4 * MIB
    board.hw.dma.alloc(one, MIB // 2)
    with pytest.raises(NoMemory, match=r"no 524289 bytes .* largest piece free has 524288"):
        board.hw.dma.alloc(one, MIB // 2 + 1)
    with pytest.raises(LimitReached, match="more than the arena"):
        board.hw.dma.alloc(one, MIB + 1)


def test_without_an_arena_one_is_made(board: Board) -> None:
    one = board.process("one", arena=0)
    board.hw.dma.alloc(one, 10)
    assert one.arena is not None


def test_without_the_capability_there_is_nothing(board: Board) -> None:
    with pytest.raises(PermissionDenied, match="lacks capability dma"):
        board.hw.dma.alloc(board.process("one", ALL & ~Cap.DMA), 10)


def test_only_the_owner_frees_and_opens(board: Board) -> None:
    one, two = board.process("one"), board.process("two")
    handle = board.hw.dma.alloc(one, 10).handle
    for work in (board.hw.dma.free, board.hw.dma.open):
        with pytest.raises(PermissionDenied, match=r"buffer 1 belongs to one \(1\)"):
            work(two, handle)
        with pytest.raises(Stale, match="there is no buffer 99"):
            work(two, 99)


def test_the_bytes_of_a_buffer(board: Board) -> None:
    one = board.process("one")
    buffer = board.hw.dma.alloc(one, 10)
    file = board.hw.dma.open(one, buffer.handle)
    assert file.length == 10
    assert file.pwrite(b"hello", 7) == 3
    assert bytes(file.pread(100, 6)) == b"\0hel"
    assert bytes(file.pread(4, 10)) == b""
    with pytest.raises(BadArgument, match="offset 10 is past the 10 bytes"):
        file.pwrite(b"x", 10)
    assert board.verdicts("denied") == [("dma write", "dma 1")]


def test_an_open_buffer_is_stale_when_it_was_freed(board: Board) -> None:
    one = board.process("one")
    buffer = board.hw.dma.alloc(one, 10)
    file = board.hw.dma.open(one, buffer.handle)
    board.hw.dma.free(one, buffer.handle)
    board.hw.dma.alloc(one, 10)  # in the same place
    with pytest.raises(Stale, match="buffer 1 was freed"):
        file.pread(1, 0)
    with pytest.raises(Stale):
        file.pwrite(b"x", 0)


Ask = tuple[int, int, bool]


@given(
    asks=st.lists(st.tuples(st.integers(1, 300), st.integers(0, 7), st.booleans()), max_size=60),
    base=st.integers(0, 64),
)
@settings(deadline=None)
def test_ranges_never_meet_and_all_come_back(asks: list[Ask], base: int) -> None:
    space, held = Space(2048, base), list[tuple[int, int]]()
    for size, power, give in asks:
        if give and held:
            space.give(*held.pop(0))
        at = space.take(size, 1 << power)
        if at is None:
            continue
        assert (at + base) % (1 << power) == 0
        assert at >= 0
        assert at + size <= 2048
        assert all(at + size <= start or start + n <= at for start, n in held)
        held.append((at, size))
    assert sum(end - start for start, end in space.free) + sum(n for _, n in held) == 2048
    for piece in held:
        space.give(*piece)
    assert space.free == [(0, 2048)]
