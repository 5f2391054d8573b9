"""Metadata comes in chunks that are kept, and never from outside of the device."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from lux9.errors import DeviceError
from lux9.fs.blocks import ImageFile
from lux9.fs.iomanager import CHUNK, STRIDE, Channel

SIZE = 40 * CHUNK + 1000
DATA = bytes(i * 7 % 251 for i in range(4096)) * (SIZE // 4096 + 1)


class Counted(ImageFile):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked: list[tuple[int, int]] = []

    def pread(self, offset: int, count: int) -> bytes:
        self.asked.append((offset, count))
        return super().pread(offset, count)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("blocks") / "data"
    path.write_bytes(DATA[:SIZE])
    return path


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, SIZE), st.integers(1, 3 * CHUNK)), max_size=8))
def test_reads_what_is_there(path: Path, reads: list[tuple[int, int]]) -> None:
    with ImageFile(path) as file:
        channel = Channel(file, cache=4 * CHUNK)
        for offset, count in reads:
            if offset + count <= SIZE:
                assert channel.read(offset, count) == DATA[offset : offset + count]


def test_a_chunk_is_read_once(path: Path) -> None:
    with Counted(path) as file:
        channel = Channel(file)
        for offset in range(0, CHUNK, 1024):
            channel.read(offset, 1024)
        assert file.asked == [(0, CHUNK)]


def test_a_sequence_is_read_in_growing_strides(path: Path) -> None:
    with Counted(path) as file:
        channel = Channel(file)
        for offset in range(0, 40 * CHUNK, 4096):
            channel.read(offset, 4096)
        strides = [count // CHUNK for _, count in file.asked]
        assert strides[:5] == [1, 2, 4, 8, STRIDE]
        assert sum(count for _, count in file.asked) <= SIZE


@pytest.mark.parametrize(("offset", "count"), [(SIZE, 1), (SIZE - 1, 2), (1 << 60, 4096), (-1, 1)])
def test_outside_of_the_device(path: Path, offset: int, count: int) -> None:
    with ImageFile(path) as file, pytest.raises(DeviceError, match="outside the device"):
        Channel(file).read(offset, count)


def test_a_file_that_shrank(path: Path) -> None:
    with ImageFile(path) as file:
        file.size += CHUNK
        with pytest.raises(DeviceError, match="gave 1000 of"):
            Channel(file).read(40 * CHUNK, 2000)
