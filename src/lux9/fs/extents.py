"""Where a file's bytes lie on the device: runs, found window by window and kept.

A window is `WINDOW` blocks of a file. The first read in it asks the extent tree, or reads the old indirect
blocks, once; every later one is a look-up. Blocks that are set aside but not written are holes: both are zeros.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from operator import itemgetter
from typing import Protocol

from .inode import EXTENTS_FL, Inode
from .libext2 import Corrupt, Extent
from .lru import Lru
from .runs import HOLE, Run, joined

WINDOW = 8192  # blocks
KEPT = 1 << 17  # runs, of all files together
START = itemgetter(0)  # Run.start
DIRECT = 12  # i_block[12] is the indirect block, [13] the double, [14] the triple: EXT2_IND_BLOCK


class Device(Protocol):
    """The device's metadata, as `Metadata` gives it."""

    def read(self, offset: int, count: int) -> bytes:
        """Bytes of the device."""
        ...

    def want(self, spans: Iterable[tuple[int, int]]) -> None:
        """Have these bytes fetched together."""
        ...


class Mapper:
    """The maps of a file system's files.

    `leaves(ino, block)` gives the extents from a block on.
    """

    def __init__(
        self,
        block_size: int,
        blocks: int,
        leaves: Callable[[int, int], Iterator[Extent]],
        device: Device,
    ) -> None:
        self.block_size, self.blocks = block_size, blocks
        self._leaves, self._device = leaves, device
        self._size = WINDOW * block_size
        self._windows: Lru[tuple[int, int], list[Run]] = Lru(KEPT, len)

    def runs(self, inode: Inode, start: int, end: int) -> list[Run]:
        """Bytes start..end of a file as runs, in order, without gaps, joined where they touch."""
        windows = range(start // self._size, (end - 1) // self._size + 1)
        found = (self._window(inode, n) for n in windows)
        return joined(run.cut(start, end) for runs in found for run in _between(runs, start, end))

    def known(self, inode: Inode, start: int, end: int) -> Run | None:
        """The one run on the device that holds all of start..end, if it was seen before."""
        runs = self._windows.get((inode.ino, start // self._size))
        if runs is None:
            return None
        run = runs[bisect_right(runs, start, key=START) - 1]
        return run if end <= run.end and run.device != HOLE else None

    def _window(self, inode: Inode, n: int) -> list[Run]:
        key = (inode.ino, n)
        got = self._windows.get(key)
        if got is None:
            first = n * WINDOW
            extents = (
                self._extents(inode, first)
                if inode.flags & EXTENTS_FL
                else self._indirect(inode, first)
            )
            got = self._windows.put(key, self._filled(inode, extents, first))
        return got

    def _extents(self, inode: Inode, first: int) -> Iterator[Extent]:
        """The extents that touch the window, in order."""
        for extent in self._leaves(inode.ino, first):
            if extent.logical >= first + WINDOW:
                return
            if extent.logical + extent.blocks > first:
                yield extent

    def _filled(self, inode: Inode, extents: Iterable[Extent], first: int) -> list[Run]:
        """Extents as runs that tile the window."""
        at, last, out = first, first + WINDOW, list[Run]()
        for e in extents:
            start, end = max(e.logical, first), min(e.logical + e.blocks, last)
            if start < at or not 0 < e.physical <= self.blocks - e.blocks:
                raise Corrupt(
                    f"inode {inode.ino}: {e.blocks} blocks from its {e.logical}, on the device from {e.physical}, "
                    f"overlap others or lie outside the {self.blocks} of the device; run `e2fsck -f IMG`"
                )
            out.append(self._run(at, start, None))
            out.append(self._run(start, end, e.physical + start - e.logical if e.written else None))
            at = end
        out.append(self._run(at, last, None))
        return joined(out)

    def _run(self, start: int, end: int, physical: int | None) -> Run:
        size = self.block_size
        return Run(start * size, end * size, HOLE if physical is None else physical * size)

    def _indirect(self, inode: Inode, first: int) -> Iterator[Extent]:
        """The old block map of the window. Ref: ext4 documentation, "Direct/Indirect Block Addressing"."""
        roots = _words(inode.block)
        end, base = first + WINDOW, 0
        spans = [(0, number) for number in roots[:DIRECT]]
        spans += [(depth, number) for depth, number in enumerate(roots[DIRECT:], 1)]
        for depth, number in spans:
            size = self._span(depth)
            if number and base < end and base + size > first:
                yield from self._tree(depth, number, base, first, end)
            base += size

    def _span(self, depth: int) -> int:
        """The blocks that a pointer of this depth maps."""
        return int((self.block_size // 4) ** depth)

    def _tree(self, depth: int, number: int, base: int, first: int, end: int) -> Iterator[Extent]:
        if depth == 0:
            yield Extent(base, number, 1, written=True)
            return
        if number >= self.blocks:
            raise Corrupt(
                f"indirect block {number} lies outside {self.blocks} blocks; run `e2fsck -f IMG`"
            )
        words = _words(self._device.read(number * self.block_size, self.block_size))
        size = self._span(depth - 1)
        low = max(0, (first - base) // size)
        high = min(len(words), -(-(end - base) // size))
        if depth == 1:
            yield from _stretches(words, base, low, high)
            return
        starts = (n * self.block_size for n in words[low:high] if n)
        self._device.want((at, at + self.block_size) for at in starts)
        for i in range(low, high):
            if words[i]:
                yield from self._tree(depth - 1, words[i], base + i * size, first, end)


def _between(runs: list[Run], start: int, end: int) -> Iterator[Run]:
    """The runs that touch start..end."""
    for run in islice(runs, max(0, bisect_right(runs, start, key=START) - 1), None):
        if run.start >= end:
            return
        yield run


def _stretches(words: array[int], base: int, low: int, high: int) -> Iterator[Extent]:
    """Block numbers that follow one another as extents; zeros are holes."""
    i = low
    while i < high:
        start, number = i, words[i]
        i += 1
        if number:
            while i < high and words[i] == number + i - start:
                i += 1
            yield Extent(base + start, number, i - start, written=True)


def _words(data: bytes) -> array[int]:
    """Little-endian 32-bit words."""
    out = array("I", data)
    if sys.byteorder == "big":
        out.byteswap()
    return out
