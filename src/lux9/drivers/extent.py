"""A run of a disk's sectors as a file of bytes: any offset, any length.

A read of whole sectors gives the driver's own buffer: nothing is copied here. A write of part of a sector
reads the sector first; writes of overlapping sectors go one after the other, so that none is lost between
the reading and the writing of another.

A read that meets a bad sector gives what lies before it, as pread(2) does, and the next one fails with the sector's
number. A write that meets one fails, whatever of it is on the disk by then: few programs mind a short write.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from ..errors import BadArgument, SectorError
from ..pending import Maybe, Pending
from ..wire.node import Bytes
from .ranges import Ranges
from .stats import Stats


class Disk(Protocol):
    """What a driver gives for each of its disks. Sectors are the disk's logical ones.

    The view that a read gives is good until its callback returns, and to the end of the event loop's turn;
    a write takes its data during the call. All of them fail with MediaChanged once the disk is gone, reads and
    writes with SectorError, which names the first bad sector if that can be found out.
    """

    name: str  # `sdE0`
    model: str
    config: str  # one line: what the driver found out
    sectors: int
    sector_size: int
    largest: int  # sectors that one read or write may have
    stats: Stats

    def read(self, lba: int, count: int) -> Pending[memoryview]:
        """`count` sectors from `lba`."""
        ...

    def write(self, lba: int, data: memoryview) -> Pending[int]:
        """Whole sectors from `lba`; resolves with the bytes written."""
        ...

    def flush(self) -> Pending[None]:
        """Everything written so far is on the medium."""
        ...

    def command(self, block: bytes, data: memoryview | int) -> Pending[tuple[int, bytes]]:
        """A command block of the disk's own kind, with data to write or bytes to read: status and data."""
        ...

    def standby(self, seconds: int) -> Pending[None]:
        """Spin down after so long without work; 0 is never."""
        ...

    def smart(self) -> Pending[str]:
        """What the disk says of its health, one line."""
        ...


class Extent:
    """Sectors `start` to `end` of a disk as a file of bytes."""

    __slots__ = ("disk", "length", "longest", "ranges", "sector", "start")

    def __init__(self, disk: Disk, ranges: Ranges, start: int, end: int) -> None:
        self.disk, self.ranges, self.start = disk, ranges, start
        self.sector = disk.sector_size
        self.length = (end - start) * self.sector
        self.longest = disk.largest * self.sector

    def _span(self, offset: int, count: int) -> tuple[int, int, int, int]:
        """First sector and the one after the last on the disk, bytes to skip in the first, bytes in all."""
        count = max(0, min(count, self.length - offset))
        first, skip = divmod(offset, self.sector)
        last = -(-(offset + count) // self.sector)
        if last - first > self.disk.largest:
            last = first + self.disk.largest
            count = (last - first) * self.sector - skip
        return self.start + first, self.start + last, skip, count

    def pread(self, count: int, offset: int) -> Maybe[Bytes]:
        """Bytes at an offset; none at the end, fewer than asked past the end, past `largest`, before a bad sector."""
        size, end = self.sector, offset + count
        if not (offset % size or count % size) and 0 < count <= self.longest and end <= self.length:
            first = self.start + offset // size
            whole: Pending[Any] = self.disk.read(first, count // size)
            return whole.otherwise(partial(self._before, first, 0, count))
        first, last, skip, count = self._span(offset, count)
        if not count:
            return b""
        part = self._part(first, last, skip, count)
        return part.otherwise(partial(self._before, first, skip, count))

    def _part(self, first: int, last: int, skip: int, count: int) -> Pending[Bytes]:
        return self.disk.read(first, last - first).map(lambda view: view[skip : skip + count])

    def _before(self, first: int, skip: int, count: int, error: Exception) -> Maybe[Bytes]:
        """What was asked for and lies before the bad sector. Raises the error where nothing does."""
        bad = error.sector if isinstance(error, SectorError) else None
        if bad is None or (bad - first) * self.sector <= skip:
            raise error
        return self._part(first, bad, skip, count)

    def pwrite(self, data: memoryview, offset: int) -> Maybe[int]:
        """Bytes at an offset; how many were taken."""
        if not len(data):
            return 0
        if offset >= self.length:
            raise BadArgument(f"a write at {offset} is past the end, {self.length}")
        first, last, skip, count = self._span(offset, len(data))
        write = _Write(self, first, last, skip, data[:count])
        if not self.ranges.take(first, last, write.start):
            write.data = memoryview(bytes(write.data))  # it waits, and the caller's buffer does not
        return write.out


class _Write:
    """One write, from the moment that its sectors are its own."""

    __slots__ = ("count", "data", "extent", "first", "last", "out", "skip")

    def __init__(self, extent: Extent, first: int, last: int, skip: int, data: memoryview) -> None:
        self.extent, self.first, self.last, self.skip = extent, first, last, skip
        self.data, self.count = data, len(data)
        self.out: Pending[int] = Pending()

    def start(self) -> None:
        """Write whole sectors as they are; read those that are only partly written."""
        size = self.extent.sector
        if self.skip == 0 and self.count % size == 0:
            self._send(self.data)
            return
        whole = bytearray((self.last - self.first) * size)
        whole[self.skip : self.skip + self.count] = self.data
        todo = [self.first] if self.skip else []
        if (self.skip + self.count) % size and self.last - 1 not in todo:
            todo.append(self.last - 1)
        self._fill(whole, todo)

    def _fill(self, whole: bytearray, todo: list[int]) -> None:
        """Read the sectors at the edges, one after the other, into what is not written of them."""
        if not todo:
            self._send(memoryview(whole))
            return
        lba, size = todo.pop(), self.extent.sector
        at = (lba - self.first) * size
        head = max(self.skip - at, 0)  # bytes of this sector before what is written
        tail = min(self.skip + self.count - at, size)  # and where what is written ends

        def done(p: Pending[memoryview]) -> None:
            try:
                old = p.result()
            except Exception as error:
                self._end(error)
                return
            whole[at : at + head] = old[:head]
            whole[at + tail : at + size] = old[tail:]
            self._fill(whole, todo)

        self._do(lambda: self.extent.disk.read(lba, 1).then(done))

    def _send(self, data: memoryview) -> None:
        def done(p: Pending[int]) -> None:
            try:
                p.result()
            except Exception as error:
                self._end(error)
            else:
                self._end(None)

        self._do(lambda: self.extent.disk.write(self.first, data).then(done))

    def _do(self, step: Callable[[], None]) -> None:
        """A step; one that is refused at once ends the write too."""
        try:
            step()
        except Exception as error:
            self._end(error)

    def _end(self, error: BaseException | None) -> None:
        self.extent.ranges.give(self.first, self.last)
        if error is None:
            self.out.resolve(self.count)
        else:
            self.out.fail(error)
