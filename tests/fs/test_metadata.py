"""Metadata comes in chunks that are kept, and never from outside of the device."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from lux9.errors import DeviceError
from lux9.fs.blocks import ImageFile
from lux9.fs.metadata import CHUNK, STRIDE, Metadata, Missing
from lux9.pending import Pending
from lux9.wire.node import Bytes
from tests.fs.images import Shuffled, here, taken

SIZE = 40 * CHUNK + 1000
DATA = bytes(i * 7 % 251 for i in range(4096)) * (SIZE // 4096 + 1)


class Counted(ImageFile):
    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.asked: list[tuple[int, int]] = []

    def submit(self, offset: int, count: int) -> Pending[Bytes]:
        self.asked.append((offset, count))
        return super().submit(offset, count)


def read(device: Metadata, offset: int, count: int) -> bytes:
    return here(device.attempt(lambda: device.read(offset, count)))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("blocks") / "data"
    path.write_bytes(DATA[:SIZE])
    return path


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, SIZE), st.integers(1, 3 * CHUNK)), max_size=8))
def test_reads_what_is_there(path: Path, reads: list[tuple[int, int]]) -> None:
    with ImageFile(path) as file:
        device = Metadata(file, room=4 * CHUNK)
        for offset, count in reads:
            if offset + count <= SIZE:
                assert read(device, offset, count) == DATA[offset : offset + count]


def test_a_chunk_is_read_once(path: Path) -> None:
    with Counted(path) as file:
        device = Metadata(file)
        for offset in range(0, CHUNK, 1024):
            read(device, offset, 1024)
        assert file.asked == [(0, CHUNK)]


def test_a_sequence_is_read_in_growing_strides(path: Path) -> None:
    with Counted(path) as file:
        device = Metadata(file)
        for offset in range(0, 40 * CHUNK, 4096):
            read(device, offset, 4096)
        strides = [count // CHUNK for _, count in file.asked]
        assert strides[:5] == [1, 2, 4, 8, STRIDE]
        assert sum(count for _, count in file.asked) <= SIZE


@pytest.mark.parametrize(("offset", "count"), [(SIZE, 1), (SIZE - 1, 2), (1 << 60, 4096), (-1, 1)])
def test_outside_of_the_device(path: Path, offset: int, count: int) -> None:
    with ImageFile(path) as file, pytest.raises(DeviceError, match="outside the device"):
        Metadata(file).read(offset, count)


def test_a_file_that_shrank(path: Path) -> None:
    with ImageFile(path) as file:
        file.size += CHUNK
        device = Metadata(file)
        with pytest.raises(DeviceError, match="ends at 0x2803e8"):
            read(device, 40 * CHUNK, 2000)


def test_spans_are_fetched_together(path: Path) -> None:
    with Counted(path) as file:
        device = Metadata(file)
        spans = [
            (0, 10),
            (100, 2 * CHUNK),
            (2 * CHUNK, 2 * CHUNK + 1),
            (30 * CHUNK - 1, 30 * CHUNK),
        ]
        here(device.attempt(lambda: device.want(spans)))
        assert file.asked == [(0, 3 * CHUNK), (29 * CHUNK, CHUNK)]
        device.want(spans)


def test_an_attempt_may_need_more_than_the_room(path: Path) -> None:
    with Counted(path) as file:
        device = Metadata(file, room=CHUNK)

        def everything() -> bytes:
            return b"".join(device.read(n, 1) for n in range(0, SIZE, 3 * CHUNK))

        assert here(device.attempt(everything)) == DATA[: SIZE : 3 * CHUNK]
        assert len(file.asked) == 14, "each chunk once"
        with pytest.raises(Missing):
            device.read(0, 1)


def test_attempts_do_not_wait_for_one_another(path: Path) -> None:
    with Shuffled(path) as file:
        device = Metadata(file)
        offsets = range(0, SIZE, CHUNK // 3)
        got = [taken(device.attempt(partial(device.read, at, 5))) for at in offsets]
        assert not any(got)
        file.deliver()
        assert got == [[DATA[at : at + 5]] for at in offsets]


def test_an_attempt_that_is_given_up(path: Path) -> None:
    with Shuffled(path) as file:
        device = Metadata(file)
        waiting = device.attempt(lambda: device.read(0, 1))
        assert isinstance(waiting, Pending)
        waiting.cancel()
        assert file.cancelled == 1
