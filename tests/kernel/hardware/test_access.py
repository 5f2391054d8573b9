"""Register files: one read or write is one access of that width, and nothing else gets through."""

from __future__ import annotations

import pytest

from lux9.errors import BadArgument, PermissionDenied, Stale
from lux9.kernel.hardware.access import RUN
from lux9.kernel.process import ALL, Cap
from tests.kernel.hardware.board import A, B, Board


@pytest.mark.parametrize("width", [1, 2, 4, 8])
def test_one_access_of_that_width(board: Board, width: int) -> None:
    file = board.hw.open_bar(board.process("one"), A, 0)
    data = bytes(range(1, width + 1))
    assert file.pwrite(memoryview(data), 0x40) == width
    assert file.pread(width, 0x40) == data
    assert board.a.seen == [("w", 0, 0x40, width), ("r", 0, 0x40, width)]


@pytest.mark.parametrize("width", [1, 2, 4])
def test_ports_too(board: Board, width: int) -> None:
    file = board.hw.open_bar(board.process("one"), A, 1)
    file.pwrite(bytes([7] * width), 8)
    assert file.pread(width, 8) == bytes([7] * width)
    assert board.a.seen == [("w", 1, 8, width), ("r", 1, 8, width)]


def test_longer_ones_are_runs_of_four(board: Board) -> None:
    file = board.hw.open_bar(board.process("one"), A, 0)
    assert file.pwrite(bytes(range(12)), 4) == 12
    assert file.pread(12, 4) == bytes(range(12))
    assert board.a.seen == [(k, 0, at, 4) for k in "wr" for at in (4, 8, 12)]


def test_eight_bytes_at_a_multiple_of_four_are_a_run_and_so_are_eight_ports(board: Board) -> None:
    one = board.process("one")
    board.hw.open_bar(one, A, 0).pread(8, 4)
    board.hw.open_bar(one, A, 1).pread(8, 0)
    assert [s[2:] for s in board.a.seen] == [(4, 4), (8, 4), (0, 4), (4, 4)]


def test_a_read_is_cut_at_the_end_and_empty_after_it(board: Board) -> None:
    file = board.hw.open_bar(board.process("one"), A, 1)
    assert len(file.pread(8192, 0x10)) == 0x10
    assert file.pread(4, 0x20) == b""
    assert file.pread(8192, 1 << 60) == b""
    assert file.length == 0x20


def test_a_run_has_a_limit(board: Board) -> None:
    file = board.hw.open_bar(board.process("one"), A, 0)
    file.length = 1 << 20
    file.get = _nothing
    assert len(file.pread(1 << 20, 0)) == RUN


def _nothing(address: int, width: int) -> int:
    return 0


@pytest.mark.parametrize(("count", "offset"), [(2, 1), (4, 2), (8, 2), (3, 0), (5, 4), (16, 6)])
def test_what_is_neither_access_nor_run_is_refused_before_it_starts(
    board: Board, count: int, offset: int
) -> None:
    file = board.hw.open_bar(board.process("one"), A, 0)
    with pytest.raises(
        BadArgument, match=f"0000:00:1a.0 bar0: read of {count} bytes at {offset:#x}"
    ):
        file.pread(count, offset)
    with pytest.raises(BadArgument, match="at a multiple of its width"):
        file.pwrite(bytes(count), offset)
    assert board.a.seen == []
    assert board.verdicts("denied") == [("bar read", f"{A} bar0"), ("bar write", f"{A} bar0")]


def test_a_write_past_the_end_is_refused(board: Board) -> None:
    file = board.hw.open_bar(board.process("one"), A, 0)
    with pytest.raises(BadArgument, match="0x1000 is past the 0x1000 bytes"):
        file.pwrite(bytes(4), 0x1000)


def test_nothing_is_read_and_nothing_written(board: Board) -> None:
    file = board.hw.open_bar(board.process("one"), A, 0)
    assert file.pread(0, 3) == b""
    assert file.pwrite(b"", 3) == 0
    assert board.a.seen == []


def test_the_msix_table_can_be_read_and_not_written(board: Board) -> None:
    file = board.hw.open_bar(board.process("one"), A, 2)
    assert file.pread(4, 0x100C) == b"\1\0\0\0"  # masked
    for at, size in [(0x1000, 4), (0x107C, 4), (0xFF8, 16), (0x1800, 4)]:
        with pytest.raises(PermissionDenied, match="write `msix` to /dev/irq/ctl"):
            file.pwrite(bytes(size), at)
    assert file.pwrite(bytes(4), 0xFFC) == 4
    assert file.pwrite(bytes(4), 0x1080) == 4
    assert board.a.space[2][0x1000:0x1010] == bytes(16)
    board.hw.end(file.claim.owner)
    with pytest.raises(Stale):
        file.pwrite(bytes(4), 0x1000)


# /dev/mem and /dev/io


def test_memory_is_what_has_been_claimed(board: Board) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    mem, io = board.hw.open_space(one, io=False), board.hw.open_space(one, io=True)
    bars = board.hw.functions[A].bars
    mem.pwrite(b"abcd", bars[0].address + 8)
    assert mem.pread(4, bars[0].address + 8) == b"abcd"
    assert mem.pread(1, bars[2].address) == b"\0"
    assert io.pread(2, bars[1].address + 2) == b"\0\0"
    assert [s[0:2] for s in board.a.seen] == [("w", 0), ("r", 0), ("r", 2), ("r", 1)]


@pytest.mark.parametrize("address", [0, 0xFEE00000, 0xFEC00000, 0x1000000, 0xFFFFFFFFFFFFFFFC])
def test_memory_is_nothing_else(board: Board, address: int) -> None:
    one = board.process("ahci")
    board.hw.bus.claim(one, A)
    mem = board.hw.open_space(one, io=False)
    with pytest.raises(
        PermissionDenied, match=f"mem: {address:#x} is not in a BAR that ahci has claimed"
    ):
        mem.pread(4, address)
    with pytest.raises(PermissionDenied):
        mem.pwrite(bytes(4), address)


def test_not_even_the_neighbour(board: Board) -> None:
    one, two = board.process("one"), board.process("two")
    board.hw.bus.claim(one, A)
    board.hw.bus.claim(two, B)
    mem, bar = board.hw.open_space(one, io=False), board.hw.functions[A].bars[0]
    mem.pread(4, bar.address)
    with pytest.raises(PermissionDenied):
        mem.pread(4, board.hw.functions[B].bars[0].address)
    with pytest.raises(PermissionDenied):
        mem.pread(4, bar.address + bar.size if bar.address < 1 << 40 else bar.address - 4)
    assert board.b.seen == []


@pytest.mark.parametrize("port", [0xCF8, 0xCFC, 0x20, 0x21, 0x60, 0x4D0])
def test_ports_are_nothing_else(board: Board, port: int) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    with pytest.raises(
        PermissionDenied, match=f"io: {port:#x} is not in a BAR that one has claimed"
    ):
        board.hw.open_space(one, io=True).pread(1, port)


def test_memory_goes_with_the_claim(board: Board) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    mem, address = board.hw.open_space(one, io=False), board.hw.functions[A].bars[0].address
    mem.pread(4, address)
    board.hw.release(one, A)
    with pytest.raises(PermissionDenied):
        mem.pread(4, address)
    board.hw.bus.claim(one, A)
    assert mem.pread(4, address) == bytes(4)


def test_the_msix_table_is_guarded_there_too(board: Board) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    mem = board.hw.open_space(one, io=False)
    with pytest.raises(PermissionDenied, match="the MSI-X table"):
        mem.pwrite(bytes(4), board.hw.functions[A].bars[2].address + 0x1000)


@pytest.mark.parametrize(("io", "caps"), [(False, ALL & ~Cap.MEM), (True, ALL & ~Cap.IO)])
def test_the_space_needs_its_capability(board: Board, io: bool, caps: Cap) -> None:
    with pytest.raises(PermissionDenied, match="lacks capability"):
        board.hw.open_space(board.process("one", caps), io)
