"""Configuration space: all of it to read, and to write what concerns nobody else."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings, strategies as st

from lux9.arch.pci import Command
from lux9.errors import BadArgument, PermissionDenied, Stale
from lux9.kernel.hardware import ConfigFile
from lux9.kernel.process import ALL, Cap, Process
from tests.kernel.hardware.board import A, Board, C

MSI, MSIX, PM, AF, PCIE = 0x50, 0x70, 0x40, 0x80, 0x80
PORT = "0000:00:1c.0"
EVERYTHING = 0xFFFF_FFFF


def u32(value: int) -> bytes:
    return value.to_bytes(4, "little")


def owned(board: Board, name: str = A, arena: int = 4096) -> tuple[Process, ConfigFile]:
    one = board.process("one", arena=arena)
    board.hw.bus.claim(one, name)
    return one, board.hw.open_config(one, name)


# Reading


def test_whoever_has_the_capability_reads_any_function(board: Board) -> None:
    file = board.hw.open_config(board.process("one"), A)
    assert file.pread(4, 0) == bytes.fromhex("f41af010")
    assert file.pread(2, 2) == bytes.fromhex("f010")
    assert file.pread(1, 8) == b"\3"


def test_without_it_nobody_reads(board: Board) -> None:
    with pytest.raises(PermissionDenied, match="lacks capability pci"):
        board.hw.open_config(board.process("one", ALL & ~Cap.PCI), A)
    assert board.verdicts("denied") == [("config open", A)]


def test_it_is_read_whole_and_ends(board: Board) -> None:
    one = board.process("one")
    small, large = board.hw.open_config(one, A), board.hw.open_config(one, C)
    assert len(small.pread(8192, 0)) == small.length == 256
    assert len(large.pread(8192, 0)) == large.length == 4096
    assert small.pread(4, 256) == b""
    assert small.pread(7, 1) == small.pread(8, 0)[1:8]


# Writing


def test_only_the_owner_writes(board: Board) -> None:
    file = board.hw.open_config(board.process("one"), A)
    with pytest.raises(PermissionDenied, match="claimed by nobody"):
        file.pwrite(b"\x10", 0x0C)
    board.hw.bus.claim(board.process("two"), A)
    with pytest.raises(PermissionDenied, match="claimed by two, not by one"):
        file.pwrite(b"\x10", 0x0C)


def test_a_plain_register_is_written(board: Board) -> None:
    _, file = owned(board)
    assert file.pwrite(b"\x10", 0x0C) == 1
    assert file.pread(1, 0x0C) == b"\x10"


def test_a_file_opened_before_the_claim_serves_it_and_ends_with_it(board: Board) -> None:
    one = board.process("one")
    file = board.hw.open_config(one, A)
    board.hw.bus.claim(one, A)
    file.pwrite(b"\x10", 0x0C)
    board.hw.release(one, A)
    board.hw.bus.claim(one, A)
    with pytest.raises(Stale, match="has ended"):
        file.pwrite(b"\x20", 0x0C)


@pytest.mark.parametrize(
    ("offset", "data"), [(0x0D, bytes(2)), (0x0C, bytes(3)), (254, bytes(4)), (0, bytes(8))]
)
def test_odd_widths_are_refused(board: Board, offset: int, data: bytes) -> None:
    _, file = owned(board)
    with pytest.raises(BadArgument, match="a write is 1, 2 or 4"):
        file.pwrite(data, offset)


@pytest.mark.parametrize(
    ("name", "offset", "data", "words"),
    [
        (A, 0x3C, b"\x05", "line stays as it is: the kernel routed it"),
        (A, MSI + 2, b"\x01\x00", "MSI stays as it is.*`msi`"),
        (A, MSI + 4, u32(0xFEE00000), "MSI stays"),
        (A, MSI + 12, b"\x21\x00", "MSI stays"),
        (A, MSI + 16, u32(1), "MSI stays"),
        (A, MSIX + 2, b"\x00\x80", "MSI_X stays as it is.*`msix`"),
        (A, MSIX, u32(0x8007_8011), "MSI_X stays"),
        (A, PM + 4, b"\x03\x00", r"PM control.state stays.*forgets its BARs"),
        (A, AF + 4, b"\x01", r"ADVANCED_FEATURES control.flr stays.*`reset`"),
        (C, PCIE + 8, b"\x00\x80", r"PCIE devctl.flr stays.*`reset`"),
        (C, PCIE + 8, b"\xff\x00", r"PCIE devctl.payload stays"),
        (A, 0x10, u32(0xC000_0000), "would move bar0; it stays at 0x"),
        (A, 0x14, u32(0xCF9), "would move bar1"),
        (A, 0x1C, u32(1), "would move bar3"),
        (A, 0x12, b"\0\0", "would move bar0"),
        (A, 0x30, u32(0xC000_0001), "would move the expansion ROM"),
    ],
)
def test_what_would_concern_others_is_refused_and_says_why(
    board: Board, name: str, offset: int, data: bytes, words: str
) -> None:
    _, file = owned(board, name)
    before = file.pread(4096, 0)
    with pytest.raises(PermissionDenied, match=words) as caught:
        file.pwrite(data, offset)
    assert f"{name} config {offset:#x}: " in str(caught.value)
    assert file.pread(4096, 0) == before
    assert board.verdicts("denied") == [("config write", f"{name} config {offset:#x}")]


def test_a_register_beside_a_kept_one_in_the_same_word_is_written(board: Board) -> None:
    _, file = owned(board, C)
    now = int.from_bytes(file.pread(4, PCIE + 8), "little")
    file.pwrite(u32(now ^ 0x10), PCIE + 8)  # relaxed ordering; flr and payload as they are
    assert int.from_bytes(file.pread(2, PCIE + 8), "little") == (now ^ 0x10) & 0xFFFF


def test_bridges_have_no_owner_so_their_windows_stay(board: Board) -> None:
    file = board.hw.open_config(board.process("one"), PORT)
    before = file.pread(64, 0)
    for offset in range(0x18, 0x40, 4):
        with pytest.raises(PermissionDenied):
            file.pwrite(u32(EVERYTHING), offset)
    assert file.pread(64, 0) == before


# BARs are sized as on hardware, and stay


def test_a_bar_is_sized_and_put_back_without_being_touched(board: Board) -> None:
    _, file = owned(board)
    real = board.a.config_read(0x10, 4)
    file.pwrite(u32(EVERYTHING), 0x10)
    assert file.pread(4, 0x10) == u32(0xFFFF_F000)
    assert file.pread(2, 0x12) == b"\xff\xff"
    assert board.a.config_read(0x10, 4) == real
    file.pwrite(u32(real), 0x10)
    assert file.pread(4, 0x10) == u32(real)


def test_a_wide_one_and_ports_and_one_that_is_not_there(board: Board) -> None:
    _, file = owned(board)
    before = file.pread(64, 0)
    for at in range(0x10, 0x34, 4):
        if at < 0x28 or at == 0x30:
            file.pwrite(u32(EVERYTHING), at)
    sizes = [int.from_bytes(file.pread(4, at), "little") for at in range(0x10, 0x28, 4)]
    assert sizes == [0xFFFFF000, 0xFFFFFFE1, 0xFFFFE00C, EVERYTHING, 0, 0]
    assert file.pread(4, 0x30) == bytes(4)
    for at in (*range(0x10, 0x28, 4), 0x30):
        file.pwrite(before[at : at + 4], at)
    assert file.pread(64, 0) == before


def test_nobody_else_sees_the_sizing_and_it_ends_with_the_claim(board: Board) -> None:
    one, file = owned(board)
    other = board.hw.open_config(board.process("two"), A)
    real = other.pread(4, 0x10)
    file.pwrite(u32(EVERYTHING), 0x10)
    assert other.pread(4, 0x10) == real
    board.hw.release(one, A)
    board.hw.bus.claim(one, A)
    assert board.hw.open_config(one, A).pread(4, 0x10) == real


# The command register


def test_master_by_the_command_register_is_master_by_ctl(board: Board) -> None:
    one, file = owned(board)
    assert one.arena is not None
    file.pwrite(Command(io=True, mem=True, master=True).raw.to_bytes(2, "little"), 4)
    board.a.send(one.arena.bus, b"x")
    assert board.hw.functions[A].claim is not None
    file.pwrite(Command(mem=True).raw.to_bytes(4, "little"), 4)
    assert Command.of(int(board.a.command)) == Command(mem=True)
    assert board.sim.asked_reach == {}


@pytest.mark.parametrize("width", [1, 2, 4])
def test_and_needs_the_same(board: Board, width: int) -> None:
    _, file = owned(board, arena=0)
    with pytest.raises(PermissionDenied, match="has no arena"):
        file.pwrite(Command(master=True).raw.to_bytes(width, "little"), 4)
    assert not Command.of(int(board.a.command)).master


def test_the_upper_half_alone_leaves_master_alone(board: Board) -> None:
    one, file = owned(board)
    board.hw.bus.master(one, A, True)
    file.pwrite(b"\x04", 5)
    assert Command.of(int(board.a.command)) == Command(
        io=True, mem=True, master=True, intx_disable=True
    )


def test_events_in_status_are_cleared_with_the_word(board: Board) -> None:
    _, file = owned(board)
    before = Command.of(int(board.a.command))
    file.pwrite(u32(0xF900_0000 | before.raw), 4)
    assert Command.of(int(board.a.command)) == before


@given(
    writes=st.lists(
        st.tuples(st.integers(0, 255), st.sampled_from([1, 2, 4]), st.integers(0, EVERYTHING)),
        max_size=30,
    )
)
@settings(max_examples=60, deadline=None)
def test_whatever_a_driver_writes_the_bars_and_messages_stay(
    writes: list[tuple[int, int, int]],
) -> None:
    with asyncio.Runner() as runner:
        board = Board(runner.get_loop())
        runner.run(board.hw.start())
        _storm(board, writes)
        runner.run(board.sim.close())


def _storm(board: Board, writes: list[tuple[int, int, int]]) -> None:
    _, file = owned(board, arena=0)
    kept = [*range(0x10, 0x28), *range(0x30, 0x34), 0x3C, *range(MSI + 2, MSI + 24), 0x72, 0x73]
    before = [board.a.config_read(at, 1) for at in kept]
    for at, width, value in writes:
        try:
            file.pwrite((value & (1 << 8 * width) - 1).to_bytes(width, "little"), at & -width)
        except PermissionDenied:
            continue
    assert [board.a.config_read(at, 1) for at in kept] == before
    assert not Command.of(int(board.a.command)).master
    assert board.a.resets == 0
    assert not board.a.asleep
