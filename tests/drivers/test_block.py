from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from lux9.drivers.block import Disks, UnitDir
from lux9.drivers.extent import Extent
from lux9.drivers.partitions import Partition, Table
from lux9.drivers.ranges import Ranges
from lux9.drivers.stats import Stats
from lux9.errors import BadArgument, ControlError, DeviceError, Exists, MediaChanged, NotFound
from lux9.pending import Pending
from lux9.tree import File
from tests.drivers.test_partitions import disk_of, mbr

SECTORS = 64


class MemoryDisk:
    """A disk in memory that answers when it is told to."""

    name, model, config = "sdE0", "MEMORY", "serial 1"
    sector_size, largest = 512, 16

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray(data or bytes(range(256)) * (SECTORS * 2))
        self.sectors = len(self.data) // 512
        self.stats = Stats()
        self.todo: list[Callable[[], None]] = []
        self.log: list[tuple[str, int, int]] = []
        self.broken: Exception | None = None
        self.hold = False

    def _later(self, act: Callable[[], Any]) -> Pending[Any]:
        out: Pending[Any] = Pending()

        def finish() -> None:
            if self.broken is not None:
                out.fail(self.broken)
            else:
                out.resolve(act())

        self.todo.append(finish)
        if not self.hold:
            self.todo.pop()()
        return out

    def go(self, n: int = 0) -> None:
        self.todo.pop(n)()

    def read(self, lba: int, count: int) -> Pending[memoryview]:
        assert 0 < count <= self.largest
        self.log.append(("read", lba, count))
        return self._later(lambda: memoryview(self.data)[lba * 512 : (lba + count) * 512])

    def write(self, lba: int, data: memoryview) -> Pending[int]:
        assert len(data) % 512 == 0
        self.log.append(("write", lba, len(data) // 512))
        copy = bytes(data)

        def act() -> int:
            self.data[lba * 512 : lba * 512 + len(copy)] = copy
            return len(copy)

        return self._later(act)

    def flush(self) -> Pending[None]:
        self.log.append(("flush", 0, 0))
        return self._later(lambda: None)

    def command(self, block: bytes, data: memoryview | int) -> Pending[tuple[int, bytes]]:
        return self._later(lambda: (0x50, b"d" * data if isinstance(data, int) else b""))

    def standby(self, seconds: int) -> Pending[None]:
        self.log.append(("standby", seconds, 0))
        return self._later(lambda: None)

    def smart(self) -> Pending[str]:
        return self._later(lambda: "smart passed")


def now(value: Any) -> Any:
    """The value of what may be pending."""
    result: Any = getattr(value, "result", None)
    return value if result is None else result()


def extent(disk: MemoryDisk, start: int = 0, end: int = SECTORS) -> Extent:
    return Extent(disk, Ranges(), start, end)


spans = st.tuples(st.integers(0, SECTORS * 512 + 600), st.integers(0, 3000))


@settings(max_examples=300, deadline=None)
@given(spans, st.integers(0, 10), st.integers(20, SECTORS))
def test_any_offset_and_length_reads_what_is_there(
    span: tuple[int, int], start: int, end: int
) -> None:
    disk = MemoryDisk()
    offset, count = span
    expected = bytes(disk.data[start * 512 : end * 512])[offset : offset + count]
    assert bytes(now(extent(disk, start, end).pread(count, offset))) == expected


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9000), st.binary(min_size=1, max_size=3000)), max_size=6))
def test_any_writes_leave_what_a_file_would_have(writes: list[tuple[int, bytes]]) -> None:
    disk = MemoryDisk()
    part, shadow = extent(disk, 5, 30), bytearray(disk.data)
    for offset, data in writes:
        offset %= 25 * 512
        took = now(part.pwrite(memoryview(data), offset))
        assert took == min(len(data), 25 * 512 - offset)
        at = 5 * 512 + offset
        shadow[at : at + took] = data[:took]
    assert disk.data == shadow


def test_whole_sectors_are_one_command_and_not_copied() -> None:
    disk = MemoryDisk()
    got = now(extent(disk).pread(1024, 512))
    assert got.obj is disk.data
    now(extent(disk).pwrite(memoryview(bytes(1024)), 512))
    assert disk.log == [("read", 1, 2), ("write", 1, 2)]


def test_part_of_a_sector_is_read_before_it_is_written() -> None:
    disk = MemoryDisk()
    now(extent(disk).pwrite(memoryview(b"x" * 1000), 100))
    assert disk.log == [("read", 2, 1), ("read", 0, 1), ("write", 0, 3)]
    assert disk.data[99:101] == bytes([99, ord("x")])
    assert disk.data[1099:1101] == bytes([ord("x"), 1100 % 256])


def test_two_writers_of_one_sector_lose_nothing() -> None:
    disk = MemoryDisk()
    disk.hold = True
    part = extent(disk)
    buffer = bytearray(b"a" * 10)
    first = part.pwrite(memoryview(b"F" * 10), 0)
    second = part.pwrite(memoryview(buffer), 100)
    third = part.pwrite(memoryview(bytes(512)), 512)
    buffer[:] = b"z" * 10  # a server's buffer does not wait
    assert [kind for kind, _, _ in disk.log] == [
        "read",
        "write",
    ]  # the second waits, the third need not
    while disk.todo:
        disk.go()
    assert [now(w) for w in (first, second, third)] == [10, 10, 512]
    assert disk.data[:10] == b"F" * 10
    assert disk.data[100:110] == b"a" * 10


def test_a_failed_write_frees_its_sectors() -> None:
    disk = MemoryDisk()
    part = extent(disk)
    disk.broken = DeviceError("bad sector")
    for offset in (0, 100):
        with pytest.raises(DeviceError, match="bad sector"):
            now(part.pwrite(memoryview(b"x" * 512), offset))
    disk.broken = None
    assert now(part.pwrite(memoryview(b"x" * 512), 0)) == 512


def test_longer_than_the_disk_takes_is_shortened() -> None:
    disk = MemoryDisk()
    assert len(now(extent(disk).pread(20 * 512, 0))) == 16 * 512
    assert len(now(extent(disk).pread(20 * 512, 100))) == 16 * 512 - 100
    assert now(extent(disk).pwrite(memoryview(bytes(20 * 512)), 100)) == 16 * 512 - 100


def test_the_end() -> None:
    part = extent(MemoryDisk(), 10, 12)
    assert now(part.pread(100, 1024)) == b""
    assert len(now(part.pread(100, 1000))) == 24
    assert now(part.pwrite(memoryview(b""), 5000)) == 0
    with pytest.raises(BadArgument, match="a write at 1024 is past the end, 1024"):
        part.pwrite(memoryview(b"x"), 1024)


# The unit's directory


def unit(disk: MemoryDisk | None = None) -> UnitDir:
    table = Table("gpt", [Partition("linux", 10, 20)], ["GPT entry 2: it lies"])
    return UnitDir(disk or MemoryDisk(), table)


def test_ctl_is_what_sd_3_says() -> None:
    assert unit().ctl() == (
        "inquiry MEMORY\nconfig serial 1\ngeometry 64 512\npart linux 10 20\nerror GPT entry 2: it lies\n"
    )


def test_files_are_the_disk_and_its_partitions_with_their_lengths() -> None:
    files = unit().children()
    assert {n: f.length() for n, f in files.items() if isinstance(f, File)} == {
        "data": SECTORS * 512,
        "linux": 5120,
    }


def test_part_and_delpart() -> None:
    u = unit()
    u.control("part mine 30 0x28")
    assert "part mine 30 40\n" in u.ctl()
    assert "mine" in u.children()
    u.control("delpart mine")
    assert "mine" not in u.children()


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("part linux 1 2", Exists),
        ("part data 1 2", Exists),
        ("part ctl 1 2", Exists),
        ("part a/b 1 2", ControlError),
        ("part .. 1 2", ControlError),
        ("part x 2 2", ControlError),
        ("part x 1 65", ControlError),
        ("part x -1 5", ControlError),
        ("part x one 5", ControlError),
        ("delpart nope", NotFound),
        ("standby soon", ControlError),
        ("fly", ControlError),
    ],
)
def test_commands_that_are_refused(command: str, error: type[Exception]) -> None:
    u = unit()
    before = u.ctl()
    with pytest.raises(error):
        now(u.control(command))
    assert u.ctl() == before


def test_commands_that_reach_the_disk() -> None:
    disk = MemoryDisk()
    u = unit(disk)
    assert now(u.control("flush")) is None
    assert now(u.control("standby 600")) is None
    assert now(u.control("smart")) == "smart passed\n"
    assert disk.log == [("flush", 0, 0), ("standby", 600, 0)]


def test_stats_are_a_line_each() -> None:
    disk = MemoryDisk()
    disk.stats.read.add(4096, 100e-6)
    disk.stats.bump("errors")
    lines = dict(line.split(": ", 1) for line in unit(disk).stats().splitlines())
    assert (lines["reads"], lines["read bytes"], lines["errors"]) == ("1", "4096", "1")
    assert lines["read latency us"] == "mean=100 p50<128 p99<128 max=100"


# The controller's directory


def test_a_disk_is_added_with_its_partitions_and_goes() -> None:
    disks = Disks("E", "ahci 0000:00:1f.2")
    disk = MemoryDisk(bytes(disk_of({0: mbr([(0x83, 10, 20)])}, count=64)))
    asyncio.run(disks.add(disk))
    assert disks.sdctl() == "sdE ahci 0000:00:1f.2 1 units\n"
    found = disks.child("sdE0")
    assert found is not None
    assert "part linux 10 30\n" in found.ctl()
    disks.remove(MemoryDisk())  # another of the same name
    assert "sdE0" in disks.children()
    disks.remove(disk)
    assert disks.children() == {}


def test_a_table_that_cannot_be_read_is_told_in_ctl() -> None:
    disks, disk = Disks("E", "ahci"), MemoryDisk()
    disk.broken = MediaChanged("sdE0 was removed")
    asyncio.run(disks.add(disk))
    assert (
        "error the partition table cannot be read: sdE0 was removed\n" in disks.units["sdE0"].ctl()
    )
