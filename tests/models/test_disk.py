from __future__ import annotations

import os
from pathlib import Path

import pytest

from lux9.errors import ReadOnly, UserError
from lux9.models.disk import Disk, MediaError

from .rig import image


def test_reads_and_writes_in_place(tmp_path: Path) -> None:
    data = image(tmp_path / "d", 16)
    disk = Disk(tmp_path / "d")
    assert disk.sectors == 16
    memory = bytearray(2048)
    views = [memoryview(memory)[:100], memoryview(memory)[100:1024]]
    disk.readv(3, 2, views)
    assert memory[:1024] == data[3 * 512 : 5 * 512]
    disk.writev(10, 2, views)
    disk.flush()
    disk.close()
    disk.close()
    assert (tmp_path / "d").read_bytes()[10 * 512 : 12 * 512] == memory[:1024]


def test_more_pieces_than_one_call_takes(tmp_path: Path) -> None:
    data = image(tmp_path / "d", 16)
    disk = Disk(tmp_path / "d")
    memory = bytearray(8192)
    disk.readv(0, 16, [memoryview(memory)[i : i + 3] for i in range(0, 8192, 3)])
    assert memory == data
    flipped = bytes(reversed(data))
    disk.writev(0, 16, [memoryview(bytearray(flipped))[i : i + 3] for i in range(0, 8192, 3)])
    assert (tmp_path / "d").read_bytes() == flipped


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (None, "no such file"),
        (0, "is empty"),
        (1000, "1000 bytes, is not a multiple of 512"),
        (-1, "is a directory"),
    ],
)
def test_refused_images(tmp_path: Path, size: int | None, words: str) -> None:
    path = tmp_path / "bad.img"
    if size == -1:
        path.mkdir()
    elif size is not None:
        path.write_bytes(bytes(size))
    with pytest.raises(UserError, match=words) as caught:
        Disk(path)
    assert str(path) in str(caught.value)
    if size == 1000:
        assert f"truncate -s 1024 {path}" in str(caught.value)


def test_devices_that_are_no_disks() -> None:
    with pytest.raises(UserError, match="neither a file nor a block device"):
        Disk("/dev/null")


def test_one_writer(tmp_path: Path) -> None:
    image(tmp_path / "d", 1)
    disk = Disk(tmp_path / "d")
    for read_only in (False, True):
        with pytest.raises(UserError, match="in use by another machine"):
            Disk(tmp_path / "d", read_only=read_only)
    disk.close()
    readers = [Disk(tmp_path / "d", read_only=True) for _ in range(2)]
    with pytest.raises(UserError, match="in use"):
        Disk(tmp_path / "d")
    for reader in readers:
        reader.close()
    Disk(tmp_path / "d").close()


def test_read_only(tmp_path: Path) -> None:
    image(tmp_path / "d", 1)
    disk = Disk(tmp_path / "d", read_only=True)
    with pytest.raises(ReadOnly, match="opened read-only"):
        disk.writev(0, 1, [memoryview(bytes(512))])
    with pytest.raises(ReadOnly):
        disk.trim(0, 1)
    disk.flush()


def test_media_errors(tmp_path: Path) -> None:
    image(tmp_path / "d", 64)
    disk = Disk(tmp_path / "d")
    views = [memoryview(bytearray(8 * 512))]
    disk.fail(range(20, 30))
    disk.fail(range(18, 19))
    disk.readv(10, 8, views)
    for lba, first in ((11, 18), (16, 18), (19, 20), (25, 25), (29, 29)):
        with pytest.raises(MediaError) as caught:
            disk.readv(lba, 8, views)
        assert caught.value.lba == first
        with pytest.raises(MediaError):
            disk.writev(lba, 8, views)
    disk.readv(30, 8, views)
    disk.mend()
    disk.readv(20, 8, views)


def test_a_file_cut_short(tmp_path: Path) -> None:
    image(tmp_path / "d", 8)
    disk = Disk(tmp_path / "d")
    os.truncate(tmp_path / "d", 5 * 512)
    with pytest.raises(MediaError) as caught:
        disk.readv(3, 4, [memoryview(bytearray(2048))])
    assert caught.value.lba == 5


def test_serials_differ_by_path_and_stay(tmp_path: Path) -> None:
    serials: list[str] = []
    for name in ("a", "b", "a"):
        image(tmp_path / name, 1)
        disk = Disk(tmp_path / name)
        serials.append(disk.serial)
        disk.close()
    assert serials[0] == serials[2] != serials[1]
    assert all(len(s) <= 20 for s in serials)
