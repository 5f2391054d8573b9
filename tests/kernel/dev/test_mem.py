"""/dev/mem and /dev/io: what has been claimed, and nothing else."""

from __future__ import annotations

import pytest

from lux9.errors import BadArgument, PermissionDenied
from lux9.kernel.dev.mem import MemDir
from lux9.kernel.process import ALL, Cap
from tests.kernel.dev.files import Files
from tests.kernel.hardware.board import A, Board


def test_offset_is_the_address_and_count_the_width(board: Board) -> None:
    one = board.process("ahci")
    board.hw.bus.claim(one, A)
    files, bars = Files(MemDir(board.hw, one)), board.hw.functions[A].bars
    assert files.ls() == ["mem", "io"]
    mem, io = files.open("mem", 2), files.open("io", 2)
    assert mem.write(bars[0].address + 4, memoryview(b"\1\2\3\4")) == 4
    assert mem.read(bars[0].address + 4, 4) == b"\1\2\3\4"
    assert io.read(bars[1].address, 1) == b"\0"
    assert [(s[1], s[3]) for s in board.a.seen] == [(0, 4), (0, 4), (1, 1)]


def test_the_rest_is_refused_by_name(board: Board) -> None:
    one = board.process("ahci")
    board.hw.bus.claim(one, A)
    mem = Files(MemDir(board.hw, one)).open("mem")
    with pytest.raises(PermissionDenied) as caught:
        mem.read(0xFEE00000, 4)
    assert (
        caught.value.message
        == "permission denied: mem: 0xfee00000 is not in a BAR that ahci has claimed"
    )
    assert board.verdicts("denied") == [("mem read", "0xfee00000")]
    with pytest.raises(BadArgument):
        mem.read(board.hw.functions[A].bars[0].address + 1, 4)


@pytest.mark.parametrize(("name", "cap"), [("mem", Cap.MEM), ("io", Cap.IO)])
def test_each_has_its_capability(board: Board, name: str, cap: Cap) -> None:
    files = Files(MemDir(board.hw, board.process("one", ALL & ~cap)))
    with pytest.raises(PermissionDenied, match="lacks capability"):
        files.open(name)
