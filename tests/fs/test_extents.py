"""Runs tile what was asked for, whatever the tree or the old map says."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from lux9.fs.extents import WINDOW, Mapper
from lux9.fs.inode import EXTENTS_FL, Inode
from lux9.fs.libext2 import Corrupt, Extent
from lux9.fs.runs import HOLE, Run, joined

BLOCK = 1024
BLOCKS = 1 << 20


def inode(flags: int = EXTENTS_FL, block: bytes = bytes(60)) -> Inode:
    return Inode(12, 0o100644, 0, 0, 1 << 40, 1, 0, 0, 0, flags, 0, 0, block)


class Nothing:
    def read(self, offset: int, count: int) -> bytes:
        raise AssertionError("no metadata is read for extents")

    def want(self, spans: Iterable[tuple[int, int]]) -> None:
        raise AssertionError("no metadata is wanted for extents")


def mapper(extents: list[Extent]) -> Mapper:
    def leaves(_ino: int, block: int) -> Iterator[Extent]:
        before = [e for e in extents if e.logical <= block]
        return iter(before[-1:] + [e for e in extents if e.logical > block])

    return Mapper(BLOCK, BLOCKS, leaves, Nothing())


@st.composite
def files(draw: st.DrawFn) -> list[Extent]:
    at, out = 0, list[Extent]()
    for _ in range(draw(st.integers(0, 12))):
        at += draw(st.sampled_from([0, 0, 1, 5, WINDOW - 1, WINDOW, 3 * WINDOW]))
        blocks = draw(st.sampled_from([1, 2, 7, WINDOW, WINDOW + 1, 32768]))
        out.append(Extent(at, draw(st.integers(1, BLOCKS - blocks)), blocks, draw(st.booleans())))
        at += blocks
    return out


def physical(extents: list[Extent], offset: int) -> int:
    for e in extents:
        inside = offset - e.logical * BLOCK
        if 0 <= inside < e.blocks * BLOCK:
            return e.physical * BLOCK + inside if e.written else HOLE
    return HOLE


@settings(deadline=None)
@given(files(), st.integers(0, 200_000 * BLOCK), st.integers(1, 40_000 * BLOCK))
def test_runs_tile_the_range_and_lie_where_the_extents_say(
    extents: list[Extent], start: int, count: int
) -> None:
    runs = mapper(extents).runs(inode(), start, start + count)
    assert (runs[0].start, runs[-1].end) == (start, start + count)
    assert all(a.end == b.start for a, b in pairwise(runs))
    assert runs == joined(runs), "neighbours that go on are one"
    for run in runs:
        assert run.device == physical(extents, run.start)
        last = physical(extents, run.end - 1)
        assert last == (HOLE if run.device == HOLE else run.device + run.end - 1 - run.start)


@pytest.mark.parametrize(
    "extents",
    [
        [Extent(0, 0, 1, True)],
        [Extent(0, BLOCKS, 1, True)],
        [Extent(0, BLOCKS - 1, 2, True)],
        [Extent(0, 10, 5, True), Extent(4, 20, 5, True)],
    ],
    ids=["at zero", "past the end", "over the end", "overlap"],
)
def test_extents_that_lie(extents: list[Extent]) -> None:
    with pytest.raises(Corrupt, match=r"inode 12: .*e2fsck"):
        mapper(extents).runs(inode(), 0, 20 * BLOCK)


class OldMap:
    """A file mapped by indirect blocks, as ext2 would write it, block `n` at `place(n)`."""

    def __init__(self, blocks: dict[int, int]) -> None:
        self.data: dict[int, list[int]] = {}
        self.roots = [0] * 15
        self.free = BLOCKS // 2
        self.wanted: set[int] = set()
        for n, number in blocks.items():
            self.put(n, number)

    def put(self, n: int, number: int) -> None:
        if n < 12:
            self.roots[n] = number
            return
        n, depth, per = n - 12, 1, BLOCK // 4
        while n >= per**depth:
            n, depth = n - per**depth, depth + 1
        table, at = self.roots, 11 + depth
        for level in reversed(range(depth)):
            if not table[at]:
                table[at] = self.free
                self.data[self.free] = [0] * per
                self.free += 1
            table, at = self.data[table[at]], n // per**level % per
        table[at] = number

    def read(self, offset: int, count: int) -> bytes:
        assert (offset % BLOCK, count) == (0, BLOCK)
        number = offset // BLOCK
        assert number in self.wanted or number in self.roots, "the others were asked for together"
        return struct.pack(f"<{BLOCK // 4}I", *self.data[offset // BLOCK])

    def want(self, spans: Iterable[tuple[int, int]]) -> None:
        self.wanted |= {start // BLOCK for start, _ in spans}

    def inode(self) -> Inode:
        return inode(0, struct.pack("<15I", *self.roots))


@settings(deadline=None, max_examples=50)
@given(
    st.dictionaries(
        st.one_of(st.integers(0, 300), st.integers(65_000, 67_000), st.integers(0, 1 << 24)),
        st.integers(1, BLOCKS // 2 - 1),
        max_size=60,
    ),
    st.integers(0, 67_000),
    st.integers(1, 3000),
)
def test_old_maps(blocks: dict[int, int], start: int, count: int) -> None:
    old = OldMap(blocks)
    got = Mapper(BLOCK, BLOCKS, lambda _i, _b: iter(()), old)
    for first in (start, next(iter(blocks), 0)):
        runs = got.runs(old.inode(), first * BLOCK, (first + count) * BLOCK)
        places = {
            (run.start + at) // BLOCK: HOLE if run.device == HOLE else (run.device + at) // BLOCK
            for run in runs
            for at in range(0, run.end - run.start, BLOCK)
        }
        assert places == {n: blocks.get(n, HOLE) for n in range(first, first + count)}


def test_an_indirect_block_outside_of_the_device() -> None:
    roots = struct.pack("<15I", *[0] * 12, BLOCKS, 0, 0)
    with pytest.raises(Corrupt, match=f"indirect block {BLOCKS} lies outside"):
        Mapper(BLOCK, BLOCKS, lambda _i, _b: iter(()), Nothing()).runs(
            inode(0, roots), 0, 20 * BLOCK
        )


def test_a_run_is_cut() -> None:
    assert Run(10, 20, 100).cut(12, 30) == Run(12, 20, 102)
    assert Run(10, 20, HOLE).cut(0, 15) == Run(10, 15, HOLE)
