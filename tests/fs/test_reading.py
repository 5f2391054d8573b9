"""Several reads make one answer: in any order, once, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from lux9.errors import DeviceError, MediaChanged, SectorError
from lux9.fs.reading import ZEROS, read_runs
from lux9.fs.runs import HOLE, Run
from lux9.pending import Pending
from lux9.wire.node import Bytes
from tests.fs.images import Shuffled, taken

DATA = bytes(range(256)) * 64


class Slow:
    """A block file whose answers are given by hand."""

    def __init__(self, limit: int = 4096) -> None:
        self.size, self.limit = len(DATA), limit
        self.asked: list[tuple[int, int, Pending[Bytes]]] = []
        self.cancelled: list[int] = []

    def submit(self, offset: int, count: int) -> Pending[Bytes]:
        assert count <= self.limit
        out: Pending[Bytes] = Pending(lambda: self.cancelled.append(offset))
        self.asked.append((offset, count, out))
        return out

    def answer(self, i: int) -> None:
        offset, count, out = self.asked[i]
        out.resolve(memoryview(DATA)[offset : offset + count])


def pending(value: Bytes | Pending[Bytes]) -> Pending[Bytes]:
    assert isinstance(value, Pending)
    return value


TWO = (Run(0, 100, 1000), Run(100, 200, HOLE), Run(200, 300, 50))


def test_one_run_passes_through() -> None:
    file, view = Slow(), memoryview(DATA)[7:17]
    got: list[Bytes] = []
    pending(read_runs(file, [Run(0, 10, 7)])).then(lambda p: got.append(p.result()))
    file.asked[0][2].resolve(view)
    assert got[0] is view


def test_a_hole_needs_no_device() -> None:
    assert read_runs(Slow(), [Run(0, 5, HOLE)]) == bytes(5)
    large = len(ZEROS) + 1
    assert read_runs(Slow(), [Run(0, large, HOLE)]) == bytes(large)


def test_pieces_in_any_order() -> None:
    file = Slow()
    got = taken(read_runs(file, TWO))
    file.answer(1)
    assert not got
    file.answer(0)
    assert got == [DATA[1000:1100] + bytes(100) + DATA[50:150]]


def test_no_read_is_longer_than_the_limit() -> None:
    file = Slow(limit=40)
    got = taken(read_runs(file, [Run(0, 100, 3)]))
    assert [(offset, count) for offset, count, _ in file.asked] == [(3, 40), (43, 40), (83, 20)]
    for i in (2, 0, 1):
        file.answer(i)
    assert got == [DATA[3:103]]


def test_an_error_of_one_is_the_error_of_all() -> None:
    file = Slow()
    out = pending(read_runs(file, TWO))
    file.asked[1][2].fail(MediaChanged("gone"))
    with pytest.raises(MediaChanged):
        out.result()
    assert file.cancelled == [1000], "nobody wants the other one"


@pytest.mark.parametrize("runs", [TWO, TWO[:1]])
def test_a_short_answer_is_an_error(runs: tuple[Run, ...]) -> None:
    file = Slow()
    out = pending(read_runs(file, runs))
    file.asked[0][2].resolve(b"x" * 99)
    rest = next(asked for asked in file.asked if asked[:2] == (1099, 1))
    rest[2].resolve(b"")
    with pytest.raises(DeviceError, match="ends at 0x44b, 1 bytes too soon"):
        out.result()


@pytest.mark.parametrize("runs", [TWO, TWO[:1]])
def test_a_disk_that_stops_before_a_bad_sector_tells_which(runs: tuple[Run, ...]) -> None:
    file = Slow()
    out = pending(read_runs(file, runs))
    file.asked[0][2].resolve(DATA[1000:1064])
    rest = next(asked for asked in file.asked if asked[:2] == (1064, 36))
    rest[2].fail(SectorError("sector 2 is bad", 2))
    with pytest.raises(SectorError, match="sector 2"):
        out.result()


@pytest.mark.parametrize(("runs", "cancelled"), [(TWO, [1000, 50]), (TWO[:1], [1000])])
def test_a_flush_reaches_the_device(runs: tuple[Run, ...], cancelled: list[int]) -> None:
    file = Slow()
    pending(read_runs(file, runs)).cancel()
    assert file.cancelled == cancelled


def test_a_view_is_copied_before_it_dies(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(DATA)
    with Shuffled(path) as file:
        got = taken(read_runs(file, TWO))
        file.deliver()
        assert got == [DATA[1000:1100] + bytes(100) + DATA[50:150]]
