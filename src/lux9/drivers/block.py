"""sd(3): the files that every disk serves, whatever its controller.

    sdctl                 a line a controller
    sdE0/ctl              what the disk is, its partitions; flush, part, delpart, standby, smart
    sdE0/data, NAME       the disk, or a partition of it: any byte offset, any length
    sdE0/raw              a command block, its data, its status
    sdE0/stats            counters and latencies

A read of whole sectors gives the driver's own buffer: nothing is copied here. A write of part of a sector
reads the sector first; writes of overlapping sectors go one after the other, so that none is lost between
the reading and the writing of another.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import Protocol

from ..errors import BadArgument, ControlError, Exists, NotFound
from ..pending import Maybe, Pending
from ..tree import Dir, File, entries, stream, text, verb
from ..wire.node import Bytes
from .partitions import Partition, Table, scan
from .ranges import Ranges
from .rawcommand import RawCommand
from .stats import Stats

log = logging.getLogger(__name__)


class Disk(Protocol):
    """What a driver gives for each of its disks. Sectors are the disk's logical ones.

    The view that a read gives is good until its callback returns, and to the end of the event loop's turn;
    a write takes its data during the call. All of them fail with MediaChanged once the disk is gone.
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

    __slots__ = ("disk", "length", "ranges", "sector", "start")

    def __init__(self, disk: Disk, ranges: Ranges, start: int, end: int) -> None:
        self.disk, self.ranges, self.start = disk, ranges, start
        self.sector = disk.sector_size
        self.length = (end - start) * self.sector

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
        """Bytes at an offset; none at the end, fewer than asked only past the end or past `largest`."""
        first, last, skip, count = self._span(offset, count)
        if not count:
            return b""
        pending = self.disk.read(first, last - first)
        if skip == 0 and count == (last - first) * self.sector:
            return pending  # type: ignore[return-value]  # Pending is invariant: a memoryview will do
        return pending.map(lambda view: view[skip : skip + count])

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


class UnitDir(Dir):
    """sd(3): one disk."""

    def __init__(self, disk: Disk, table: Table | None = None) -> None:
        self.disk, self.found = disk, table or Table()
        self.ranges = Ranges()
        self.parts = {p.name: p for p in self.found.partitions}

    @text(0o664)
    def ctl(self) -> str:
        """What the disk is, its geometry, its partitions; takes the commands below."""
        d = self.disk
        lines = [
            f"inquiry {d.model}",
            f"config {d.config}",
            f"geometry {d.sectors} {d.sector_size}",
        ]
        lines += [f"part {p.name} {p.start} {p.end}" for p in self.parts.values()]
        lines += [f"error {problem}" for problem in self.found.problems]
        return "\n".join(lines) + "\n"

    @stream(0o660)
    def raw(self, mode: int) -> RawCommand:
        """Write a command block, transfer the data, read the status."""
        return RawCommand(self.disk.command)

    @text(0o444)
    def stats(self) -> str:
        """Counters and latencies, one a line."""
        return self.disk.stats.text()

    @entries
    def data(self) -> Mapping[str, File]:
        """`data`, the whole disk, and its partitions; any byte offset and length."""
        whole = Partition("data", 0, self.disk.sectors)
        return {p.name: self._file(p) for p in (whole, *self.parts.values())}

    def _file(self, part: Partition) -> File:
        extent = Extent(self.disk, self.ranges, part.start, part.end)
        return File(0o660, lambda mode: extent, lambda: extent.length)

    @verb(0)
    def flush(self) -> Maybe[str | None]:
        """Have everything written so far on the medium."""
        return self.disk.flush().map(lambda _: None)

    @verb(3)
    def part(self, name: str, start: str, end: str) -> None:
        """Name the sectors from START to END, the end not included."""
        if name in self.parts or name in self.table or name == "data":
            raise Exists(f"{self.disk.name} has a file {name} already; delpart {name} first")
        if "/" in name or name in (".", ".."):
            raise ControlError(f"{name!r} cannot be a file's name")
        first, last = _number(start), _number(end)
        if not 0 <= first < last <= self.disk.sectors:
            raise ControlError(f"sectors {first} to {last} are not within 0 to {self.disk.sectors}")
        self.parts[name] = Partition(name, first, last)

    @verb(1)
    def delpart(self, name: str) -> None:
        """Forget a partition; the disk keeps its table."""
        if self.parts.pop(name, None) is None:
            raise NotFound(f"partition {name} of {self.disk.name}")

    @verb(1)
    def standby(self, seconds: str) -> Maybe[str | None]:
        """Spin down after so long without work; 0 is never."""
        return self.disk.standby(_number(seconds)).map(lambda _: None)

    @verb(0)
    def smart(self) -> Maybe[str | None]:
        """What the disk says of its health, read back from this open file."""
        return self.disk.smart().map(lambda line: line + "\n")


def _number(word: str) -> int:
    try:
        return int(word, 0)
    except ValueError:
        raise ControlError(f"{word!r} is not a number") from None


class Disks(Dir):
    """sd(3): one controller and its disks."""

    def __init__(self, letter: str, controller: str) -> None:
        self.letter, self.controller = letter, controller
        self.units: dict[str, UnitDir] = {}

    @text(0o444)
    def sdctl(self) -> str:
        """A line a controller: letter, what it is, how many units."""
        return f"sd{self.letter} {self.controller} {len(self.units)} units\n"

    @entries
    def disks(self) -> Mapping[str, UnitDir]:
        """A directory a disk."""
        return dict(self.units)

    def child(self, name: str) -> UnitDir | None:
        """One disk."""
        return self.units.get(name)

    async def add(self, disk: Disk) -> None:
        """Read a new disk's table and serve it. A table that cannot be read is none."""
        table = Table()
        try:
            table = await scan(_reader(disk), disk.sectors, disk.sector_size)
        except Exception as error:
            table.problems.append(f"the partition table cannot be read: {error}")
        for problem in table.problems:
            log.warning("%s: %s", disk.name, problem)
        self.units[disk.name] = UnitDir(disk, table)

    def remove(self, disk: Disk) -> None:
        """The disk is gone: no more directory; files that are open fail by themselves."""
        found = self.units.get(disk.name)
        if found is not None and found.disk is disk:
            del self.units[disk.name]


def _reader(disk: Disk) -> Callable[[int, int], Pending[bytes]]:
    """Reads of a table: copied, because they are kept."""
    return lambda lba, count: disk.read(lba, count).map(bytes)
