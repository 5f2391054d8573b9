"""Damage is an I/O error that names the inode, costs nobody else, and never the process."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from lux9.errors import Lux9Error, MediaChanged
from lux9.fs.blocks import ImageFile
from lux9.fs.libext2 import Corrupt
from lux9.fs.nodes import Ext4Node, root_of
from lux9.fs.superblock import Refused
from lux9.fs.volume import Volume
from lux9.pending import Pending
from lux9.wire.node import Bytes
from tests.fs.images import (
    debugfs,
    find,
    flip,
    listing,
    make_image,
    mount,
    node,
    own,
    patch,
    read,
)

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


def test_an_inode_that_fails_its_checksum(image: Path) -> None:
    flip(image, place(image, "file") + 24)
    with ImageFile(image) as file, mount(file) as volume:
        ino = listing(node(volume))["file"].qid.path
        with pytest.raises(Corrupt, match=f"inode {ino}: .*checksum"):
            find(volume, "file")
        assert find(volume, "dir/inner").size == 5
        assert set(listing(node(volume))) >= {"file", "dir", "comb"}, "the others still show"


def test_a_directory_that_fails_its_checksum(image: Path) -> None:
    block = int(debugfs(image, "blocks dir").split()[-1])
    flip(image, block * BLOCK + 30)
    with ImageFile(image) as file, mount(file) as volume:
        ino = find(volume, "dir").ino
        with pytest.raises(Corrupt, match=rf"directory, inode {ino}: .*checksum.*\(block {block} "):
            find(volume, "dir/inner")


def test_an_extent_block_that_fails_its_checksum(image: Path) -> None:
    found = re.search(r"ETB\d\):(\d+)", debugfs(image, "stat comb"))
    assert found
    flip(image, int(found[1]) * BLOCK + 40)
    with ImageFile(image) as file, mount(file) as volume:
        comb = find(volume, "comb")
        with pytest.raises(Corrupt, match=f"extents, inode {comb.ino}: .*checksum"):
            volume.reader(comb)(0, comb.size)


def test_an_entry_whose_inode_is_not_in_use(image: Path) -> None:
    debugfs(image, "set_inode_field file links_count 0")
    with (
        ImageFile(image) as file,
        mount(file) as volume,
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
        mount(file) as volume,
        pytest.raises(Corrupt, match="is not a file name"),
    ):
        listing(node(volume, "dir"))


def test_what_the_device_says_comes_through(image: Path) -> None:
    class Gone(ImageFile):
        gone = False

        def submit(self, offset: int, count: int) -> Pending[Bytes]:
            out: Pending[Bytes] = super().submit(offset, count)
            if self.gone:
                out = Pending()
                out.fail(MediaChanged("sdE0 was pulled"))
            return out

    with Gone(image) as file, mount(file) as volume:
        comb = node(volume, "comb")
        read(comb, 0, 10)
        file.gone = True
        assert find(volume, "comb").size == comb.inode.size, "what is known stays known"
        with pytest.raises(MediaChanged, match="pulled"):
            read(comb, 0, 10)


def sweep(volume: Volume) -> int:
    """Look at everything; how many files could be read."""
    files, todo, seen = 0, [root_of(volume)], set[int]()
    while todo:
        at = todo.pop()
        if at.inode.ino in seen:
            continue
        seen.add(at.inode.ino)
        try:
            if at.inode.is_dir:
                todo += [n for name in listing(at) if (n := step(at, name)) is not None]
            else:
                files += bool(read(at, 0, 70_000))
        except Lux9Error:
            continue
    return files


def step(at: Ext4Node, name: str) -> Ext4Node | None:
    try:
        return own(at.walk(name))
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
                with mount(file) as volume:
                    sweep(volume)
            except Refused:
                continue


def test_the_sweep_sees_everything(image: Path) -> None:
    with ImageFile(image) as file, mount(file) as volume:
        assert sweep(volume) == 3
        assert root_of(volume).qid.is_dir
