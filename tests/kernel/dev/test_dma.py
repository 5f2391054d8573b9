"""/dev/dma: buffers by writing and reading."""

from __future__ import annotations

import re

import pytest

from lux9.errors import BadArgument, ControlError, PermissionDenied, Stale
from lux9.kernel.dev.dma import DmaDir
from lux9.kernel.process import ALL, Cap
from tests.kernel.dev.files import Files
from tests.kernel.hardware.board import Board


def dma(board: Board, name: str = "one", caps: Cap = ALL) -> Files:
    return Files(DmaDir(board.hw, board.process(name, caps)))


def test_a_buffer_from_birth_to_death(board: Board) -> None:
    files = dma(board)
    answer = files.ask("alloc", "size 8192 align 65536\n")
    found = re.fullmatch(
        r"vaddr:0x([0-9a-f]+) paddr:0x([0-9a-f]+) size:8192 handle:(\d+)\n", answer
    )
    assert found
    assert int(found[2], 16) % 65536 == 0
    assert files.ls() == ["ctl", "alloc", found[3]]
    assert files.node(found[3]).stat().length == 8192
    assert (
        files.read("ctl")
        == "allocations: 1\ntotal bytes: 8192\nprocess allocations: 1\nprocess bytes: 8192\n"
    )
    handle = files.open(found[3], 2)
    assert handle.write(100, memoryview(b"hello")) == 5
    assert handle.read(99, 7) == b"\0hello\0"
    files.write("ctl", f"free {found[3]}\n")
    assert files.ls() == ["ctl", "alloc"]
    with pytest.raises(Stale):
        handle.read(0, 1)


def test_one_open_file_allocates_again_and_again(board: Board) -> None:
    handle = dma(board).open("alloc", 2)
    at = 0
    for n in (1, 2):
        asked = memoryview(b"size 16")
        handle.write(at, asked)
        at += len(asked)
        answer = bytes(handle.read(at, 4096))
        at += len(answer)
        assert answer.endswith(b"handle:%d\n" % n)


def test_others_buffers_are_not_there(board: Board) -> None:
    one, two = dma(board), dma(board, "two")
    one.ask("alloc", "size 16")
    assert two.ls() == ["ctl", "alloc"]
    assert not two.has("1")
    assert two.read("ctl").startswith("allocations: 1\ntotal bytes: 16\nprocess allocations: 0\n")
    with pytest.raises(PermissionDenied, match="belongs to one"):
        two.write("ctl", "free 1")
    assert not one.has("01")


@pytest.mark.parametrize(
    ("line", "error", "words"),
    [
        ("", ControlError, "usage: size N"),
        ("size", ControlError, "usage: size N"),
        ("size many", ControlError, "size 'many' is not a number"),
        ("size 10 align", ControlError, "usage"),
        ("bytes 10", ControlError, "usage"),
        ("size 0", BadArgument, "size 0"),
        ("size 16 align 3", BadArgument, "align 3"),
    ],
)
def test_what_alloc_does_not_take(
    board: Board, line: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        dma(board).ask("alloc", line)


def test_without_the_capability_alloc_does_not_open(board: Board) -> None:
    files = dma(board, caps=Cap(0))
    with pytest.raises(PermissionDenied, match="lacks capability dma"):
        files.open("alloc", 2)
    assert board.verdicts("denied") == [("dma open", "dma alloc")]


@pytest.mark.parametrize("line", ["free x", "free", "free 99", "shrink 1"])
def test_what_ctl_does_not_take(board: Board, line: str) -> None:
    with pytest.raises((ControlError, Stale)):
        dma(board).write("ctl", line)
