"""Damage is an I/O error that names the inode, costs nobody else, and never the process."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from lux9.errors import Lux9Error, MediaChanged
from lux9.fs.blocks import ImageFile
from lux9.fs.inode import Inode
from lux9.fs.libext2 import Corrupt
from lux9.fs.nodes import DirListing, Ext4Node, root_of
from lux9.fs.superblock import Refused
from lux9.fs.volume import Volume
from lux9.pending import Pending
from tests.fs.images import debugfs, flip, make_image, patch

BLOCK = 1024


@pytest.fixture
def image(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "dir").mkdir(parents=True)
    (root / "dir" / "inner").write_text("inner")
    (root / "file").write_text("content")
    with (root / "comb").open("wb") as f:
        for i in range(600):
            f.seek(i * 2 * BLOCK)
            f.write(b"x" * BLOCK)
    return make_image(tmp_path / "image", root, "ext4-1k", "8M")


def place(image: Path, path: str) -> int:
    """Where an inode lies, in bytes."""
    told = debugfs(image, f"imap {path}")
    found = re.search(r"located at block (\d+), offset (0x[0-9a-f]+)", told)
    assert found, told
    return int(found[1]) * BLOCK + int(found[2], 16)


def find(volume: Volume, path: str) -> Inode:
    here = volume.root
    for name in path.split("/"):
        here = volume.find(here, name)
    return here


def test_an_inode_that_fails_its_checksum(image: Path) -> None:
    flip(image, place(image, "file") + 24)
    with ImageFile(image) as file, Volume(file) as volume:
        ino = volume.names(volume.root)["file"]
        with pytest.raises(Corrupt, match=f"inode {ino}: .*checksum"):
            find(volume, "file")
        assert find(volume, "dir/inner").size == 5
        opened = Ext4Node(volume, volume.root, "/").open(0)
        assert isinstance(opened, DirListing)
        assert {s.name for s in opened.entries()} >= {"file", "dir", "comb"}, (
            "the others still show"
        )


def test_a_directory_that_fails_its_checksum(image: Path) -> None:
    block = int(debugfs(image, "blocks dir").split()[-1])
    flip(image, block * BLOCK + 30)
    with ImageFile(image) as file, Volume(file) as volume:
        ino = find(volume, "dir").ino
        with pytest.raises(Corrupt, match=rf"directory, inode {ino}: .*checksum.*\(block {block} "):
            find(volume, "dir/inner")


def test_an_extent_block_that_fails_its_checksum(image: Path) -> None:
    found = re.search(r"ETB\d\):(\d+)", debugfs(image, "stat comb"))
    assert found
    flip(image, int(found[1]) * BLOCK + 40)
    with ImageFile(image) as file, Volume(file) as volume:
        comb = find(volume, "comb")
        with pytest.raises(Corrupt, match=f"extents, inode {comb.ino}: .*checksum"):
            volume.read(comb, 0, comb.size)


def test_an_entry_whose_inode_is_not_in_use(image: Path) -> None:
    debugfs(image, "set_inode_field file links_count 0")
    with (
        ImageFile(image) as file,
        Volume(file) as volume,
        pytest.raises(Corrupt, match="is not in use"),
    ):
        find(volume, "file")


@pytest.mark.parametrize("name", [b"a/b", b"../../etc"])
def test_a_name_that_leads_elsewhere(image: Path, name: bytes) -> None:
    debugfs(image, "feature -metadata_csum", f"ln file dir/{'y' * len(name)}")
    block = int(debugfs(image, "blocks dir").split()[-1])
    data = image.read_bytes()
    patch(image, data.index(b"y" * len(name), block * BLOCK), name)
    with (
        ImageFile(image) as file,
        Volume(file) as volume,
        pytest.raises(Corrupt, match="is not a file name"),
    ):
        volume.names(find(volume, "dir"))


def test_what_the_device_says_comes_through(image: Path) -> None:
    class Gone(ImageFile):
        gone = False

        def pread(self, offset: int, count: int) -> bytes:
            if self.gone:
                raise MediaChanged("sdE0 was pulled")
            return super().pread(offset, count)

    with Gone(image) as file, Volume(file) as volume:
        comb = find(volume, "comb")
        volume.read(comb, 0, 10)
        file.gone = True
        got = volume.read(comb, 0, 10)
        assert isinstance(got, Pending)
        with pytest.raises(MediaChanged, match="pulled"):
            got.result()


def sweep(volume: Volume) -> int:
    """Look at everything; how many files could be read."""
    read, todo, seen = 0, [Ext4Node(volume, volume.root, "/")], set[int]()
    while todo:
        here = todo.pop()
        if here.inode.ino in seen:
            continue
        seen.add(here.inode.ino)
        try:
            opened = here.open(0)
            if isinstance(opened, DirListing):
                names = [s.name for s in opened.entries()]
                todo += [n for name in names if (n := step(here, name)) is not None]
            elif isinstance(got := opened.read(0, 70_000), Pending):
                got.result()
                read += 1
        except Lux9Error:
            continue
    return read


def step(here: Ext4Node, name: str) -> Ext4Node | None:
    try:
        return here.walk(name)
    except Lux9Error:
        return None


@pytest.mark.parametrize("features", ["", "feature -metadata_csum"])
def test_random_damage(image: Path, features: str) -> None:
    """Anything may be refused; nothing may end the process, hang or raise what is not ours."""
    debugfs(image, features)
    good = image.read_bytes()
    used = [i for i in range(0, len(good), 64) if any(good[i : i + 64])]
    rnd = random.Random(4)
    for _ in range(60):
        data = bytearray(good)
        for _ in range(rnd.choice([1, 5, 30])):
            data[rnd.choice(used) + rnd.randrange(64)] = rnd.choice([0, 255, rnd.randrange(256)])
        image.write_bytes(data)
        with ImageFile(image) as file:
            try:
                with Volume(file) as volume:
                    sweep(volume)
            except Refused:
                continue


def test_the_sweep_sees_everything(image: Path) -> None:
    with ImageFile(image) as file, Volume(file) as volume:
        assert sweep(volume) == 3
        assert root_of(volume).qid.is_dir
