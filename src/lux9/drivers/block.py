"""sd(3): the files that every disk serves, whatever its controller.

    sdctl                 a line a controller
    sdE0/ctl              what the disk is, its partitions; flush, part, delpart, standby, smart
    sdE0/data, NAME       the disk, or a partition of it: any byte offset, any length
    sdE0/raw              a command block, its data, its status
    sdE0/stats            counters and latencies

`Disk` is what a driver gives, one for each; `Disks` is what it serves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping

from ..errors import ControlError, Exists, NotFound
from ..pending import Maybe, Pending
from ..tree import Dir, File, entries, stream, text, verb
from .extent import Disk, Extent
from .partitions import Partition, Table, scan
from .ranges import Ranges
from .rawcommand import RawCommand

log = logging.getLogger(__name__)


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


__all__ = ["Disk", "Disks", "UnitDir"]
