"""Where arenas lie, and what their files allow."""

from __future__ import annotations

import mmap
import os
from itertools import pairwise

import pytest
from hypothesis import given, strategies as st

from lux9.errors import NoMemory
from lux9.machine.sim.arenas import ALIGN, FIRST, HIGH, LOW_END, Arenas, SimArena

MIB = 1 << 20


def make(arenas: Arenas, size: int) -> SimArena:
    return arenas.make(size, lambda _: None)


def test_the_file_is_the_memory() -> None:
    arena = make(Arenas(MIB), 8192)
    with mmap.mmap(arena.fd, arena.size) as other:
        other[4096:4100] = b"lux9"
        assert bytes(arena.view()[4096:4100]) == b"lux9"
        assert bytes(arena.view()[:4096]) == bytes(4096)
    arena.close()


@pytest.mark.parametrize("size", [0, 4096, 1 << 20])
def test_nobody_can_change_its_size(size: int) -> None:
    arena = make(Arenas(MIB), 8192)
    with pytest.raises(PermissionError):
        os.ftruncate(arena.fd, size)
    arena.close()


def test_sizes_are_pages() -> None:
    arena = make(Arenas(MIB), 1)
    assert (arena.size, len(arena.view())) == (4096, 4096)
    arena.close()


def test_they_go_on_above_4_gib() -> None:
    arenas = Arenas(1 << 40)
    one, two = make(arenas, LOW_END - FIRST - ALIGN), make(arenas, 2 * ALIGN)
    assert (one.bus, two.bus) == (FIRST, HIGH)
    three = make(arenas, ALIGN)
    assert three.bus == LOW_END - ALIGN, "the room below 2 GiB was not used"
    for arena in (one, two, three):
        arena.close()


@given(st.lists(st.tuples(st.integers(1, 40 * MIB), st.booleans()), max_size=30))
def test_they_never_overlap_and_their_room_comes_back(steps: list[tuple[int, bool]]) -> None:
    arenas, live = Arenas(64 << 30), list[SimArena]()
    for size, close_one in steps:
        live.append(make(arenas, size))
        if close_one:
            live.pop(len(live) // 2).close()
        spans = sorted((a.bus, a.end) for a in live)
        assert all(end <= start for (_, end), (start, _) in pairwise(spans))
        assert all(a.bus % ALIGN == 0 and a.bus >= FIRST for a in live)
        assert not any(a.bus < HIGH < a.end or a.bus < LOW_END < a.end for a in live)
    for arena in live:
        arena.close()
    assert arenas.used == 0
    last = make(arenas, 4096)
    assert last.bus == FIRST
    last.close()


def test_more_than_the_limit_is_refused() -> None:
    arenas = Arenas(8192)
    arena = make(arenas, 4096)
    with pytest.raises(NoMemory, match="4096 are left"):
        make(arenas, 8192)
    arena.close()
