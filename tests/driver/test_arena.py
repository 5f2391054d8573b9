from __future__ import annotations

import ctypes
import os

import pytest

from lux9.driver.arena import Arena, map_fixed, parse
from lux9.errors import BadArgument, NoMemory

SIZE = 1 << 16
WHERE = 0x2F00_0000_0000


def memfd() -> int:
    fd = os.memfd_create("arena")
    os.ftruncate(fd, SIZE)
    return fd


def test_the_status_line_is_read() -> None:
    text = "name: ahci\nfids: 3\narena: vaddr=0x200300000000 paddr=0x40000000 size=33554432\n"
    assert parse(text) == (0x2003_0000_0000, 0x4000_0000, 33554432)
    assert parse("name: ext4\narena: -\n") is None
    assert parse("") is None


def test_it_is_mapped_where_it_was_promised_and_shared() -> None:
    fd = memfd()
    arena = map_fixed(fd, WHERE, 0x1000, SIZE)
    arena.view[10:15] = b"hello"
    assert ctypes.string_at(WHERE + 10, 5) == b"hello"
    assert os.pread(fd, 5, 10) == b"hello"
    os.pwrite(fd, b"there", 20)
    assert bytes(arena.at(WHERE + 20, 5)) == b"there"
    os.close(fd)


def test_nothing_is_mapped_over() -> None:
    fd = memfd()
    map_fixed(fd, WHERE + (1 << 32), 0, SIZE)
    with pytest.raises(NoMemory, match=r"cannot be mapped at 0x2f0100000000\+0x10000: File exists"):
        map_fixed(fd, WHERE + (1 << 32), 0, SIZE)
    os.close(fd)


@pytest.mark.parametrize(("at", "size"), [(-1, 4), (SIZE - 3, 4), (SIZE, 1), (0, SIZE + 1)])
def test_a_piece_outside_is_refused(at: int, size: int) -> None:
    arena = Arena(memoryview(bytearray(SIZE)), WHERE, 0)
    with pytest.raises(BadArgument, match="outside the arena"):
        arena.at(WHERE + at, size)
