"""The tree as a 9P server sees it: stats, listings, refusals; and through a real session."""

from __future__ import annotations

import os
import shutil
import stat
import struct
from pathlib import Path

import pytest

from lux9.errors import NotSupported, ReadOnly, ServiceDown
from lux9.fs.blocks import ImageFile
from lux9.fs.nodes import FileHandle, InlineHandle
from lux9.fs.volume import Volume
from lux9.wire.messages import (
    DMDIR,
    KEEP,
    OEXEC,
    ORCLOSE,
    ORDWR,
    OREAD,
    OTRUNC,
    OWRITE,
    QTDIR,
)
from tests.fs.images import debugfs, here, listing, make_image, mount, node, own, patch, read, tool

MANY, FILES = 20_000, 2000
INDEX_FL = 0x1000


def test_a_stat_is_the_source_files(volume: Volume, source: Path) -> None:
    for s in listing(node(volume)).values():
        if s.name == "lost+found":
            continue
        known = (source / s.name).stat()
        is_dir = stat.S_ISDIR(known.st_mode)
        assert s.mode == known.st_mode & 0o777 | (DMDIR if is_dir else 0)
        assert bool(s.qid.type & QTDIR) == is_dir
        assert s.length == (0 if is_dir else known.st_size)
        assert (s.uid, s.gid) == (str(known.st_uid), str(known.st_gid))
        assert s.mtime == known.st_mtime_ns // 10**9 or s.name == "empty"


def test_times_fit_stat(volume: Volume) -> None:
    assert 0 <= node(volume, "empty").stat().mtime <= 0xFFFFFFFF


def test_a_listing_says_what_a_walk_finds(volume: Volume) -> None:
    for path in ("", "names", "links", "emptydir", "d0"):
        at = node(volume, path)
        for name, s in listing(at).items():
            if name in ("dangling", "notdir", "self", "ping", "pong"):
                assert s.length == len(here(own(at.look(name)).target())), "listed as itself"
            else:
                assert own(at.walk(name)).stat() == s


def test_qids_are_the_files(volume: Volume) -> None:
    assert node(volume, "links/up").qid == node(volume, "hello").qid
    assert node(volume, "names/..").qid == node(volume).qid
    all_paths = [s.qid.path for s in listing(node(volume)).values()]
    assert len(set(all_paths)) == len(all_paths)
    assert all(s.qid.version for s in listing(node(volume)).values())


def test_versions_rise_with_a_change(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    versions: list[int] = []
    for at in (1_600_000_000, 1_700_000_000):
        (tmp_path / "root" / "f").write_text("x")
        os.utime(tmp_path / "root" / "f", (at, at))
        image = make_image(tmp_path / f"{at}.img", tmp_path / "root", "ext4", "4M")
        with ImageFile(image) as file, mount(file) as volume:
            versions.append(node(volume, "f").qid.version)
    assert versions[0] != versions[1]


@pytest.mark.parametrize("mode", [OWRITE, ORDWR, OREAD | OTRUNC, OREAD | ORCLOSE, OEXEC | OTRUNC])
@pytest.mark.parametrize("path", ["hello", "names"])
def test_opens_that_could_change_something(volume: Volume, path: str, mode: int) -> None:
    with pytest.raises(ReadOnly):
        node(volume, path).open(mode)


def test_changes_are_refused(volume: Volume) -> None:
    hello, names = node(volume, "hello"), node(volume, "names")
    with pytest.raises(ReadOnly, match="names: ext4 is served for reading"):
        names.create("new", 0o644, OREAD)
    with pytest.raises(ReadOnly):
        hello.remove()
    with pytest.raises(ReadOnly):
        hello.wstat(KEEP.but(mode=0o600))
    hello.wstat(KEEP)  # a sync, and there is nothing to write
    opened = here(hello.open(OREAD))
    assert isinstance(opened, FileHandle | InlineHandle)
    with pytest.raises(ReadOnly):
        opened.write(0, memoryview(b"x"))
    assert read(hello) == b"hello, world\n"


def test_an_inline_file_that_grew(tmp_path: Path) -> None:
    """Its end is not in the inode: zeros."""
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "f").write_bytes(b"inline")
    image = make_image(tmp_path / "i.img", tmp_path / "root", "ext4-inline", "4M")
    debugfs(image, "set_inode_field f size 5000")
    with ImageFile(image) as file, mount(file) as volume:
        assert read(node(volume, "f")) == b"inline" + bytes(4994)
        assert read(node(volume, "f"), 4999, 10) == b"\0"
        assert read(node(volume, "f"), 6000, 10) == b""


@pytest.mark.parametrize(
    "options",
    [
        "-O meta_bg,^resize_inode",
        "-O sparse_super2,^resize_inode",
        "-O quota,project",
        "-O casefold,encrypt,verity,stable_inodes",
        "-O orphan_file,fast_commit",
        "-O large_dir,ea_inode,mmp",
        "-O uninit_bg,^metadata_csum",
        "-O metadata_csum_seed",
        "-O ^has_journal",
        "-I 1024 -O inline_data",
        "-b 2048",
        "-b 65536",
    ],
)
def test_every_feature_that_mke2fs_makes(tmp_path: Path, options: str) -> None:
    (tmp_path / "root" / "dir").mkdir(parents=True)
    (tmp_path / "root" / "dir" / "f").write_bytes(b"content" * 1000)
    image = make_image(tmp_path / "i.img", tmp_path / "root", "ext4-bare", "64M", *options.split())
    with ImageFile(image) as file, mount(file) as volume:
        assert read(node(volume, "dir/f")) == b"content" * 1000


def test_an_encrypted_file(small: Path) -> None:
    debugfs(small, "set_inode_field file flags 0x80800")
    with ImageFile(small) as file, mount(file) as volume:
        assert node(volume, "file").stat().length == 7000
        with pytest.raises(NotSupported, match="is encrypted"):
            node(volume, "file").open(OREAD)


def test_an_encrypted_link_is_listed_and_leads_nowhere(small: Path) -> None:
    debugfs(small, "symlink link file", "set_inode_field link flags 0x800")
    with ImageFile(small) as file, mount(file) as volume:
        assert "link" in listing(node(volume))
        with pytest.raises(NotSupported, match="is encrypted"):
            node(volume, "link")


def test_after_it_was_unmounted(small: Path) -> None:
    """The kernel may still hold nodes when a service within its own process ends."""
    with ImageFile(small) as file:
        with mount(file) as volume:
            root = node(volume)
        with pytest.raises(ServiceDown, match="was unmounted"):
            root.walk("file")
        volume.close()


def test_blocks_set_aside_are_zeros(small: Path) -> None:
    debugfs(small, "write /dev/null set", "fallocate set 0 99", "set_inode_field set size 50000")
    with ImageFile(small) as file, mount(file) as volume:
        assert read(node(volume, "set")) == bytes(50000)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory of MANY names, written by hand: mke2fs takes a time that grows with their square."""
    top = tmp_path_factory.mktemp("many")
    for n in range(FILES):
        folder = top / "root" / f"d{n // 100}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{n}").touch()
    (top / "root" / "many").write_bytes(bytes([1]) * (MANY * 24 // 4096 * 4096 + 4096))
    options = ("-O", "^metadata_csum,^dir_index", "-N", str(FILES + 500))
    image = make_image(top / "many.img", top / "root", "ext4", "16M", *options)
    write_directory(image)
    return image


def write_directory(image: Path) -> None:
    """Make a directory of the file `many`, whose blocks give every other file ten more names."""
    with ImageFile(image) as file, mount(file) as volume:
        folders = [node(volume, name) for name in listing(node(volume)) if name.startswith("d")]
        inos = {s.name: s.qid.path & 0xFFFFFFFF for d in folders for s in listing(d).values()}
        own = node(volume, "many").qid.path & 0xFFFFFFFF
    names = [(inos[str(n % FILES)], f"file-{n:05}".encode()) for n in range(MANY)]
    blocks = packed([(own, b"."), (2, b".."), *names])
    first = int(debugfs(image, "bmap many 0").split()[-1])
    patch(image, first * 4096, blocks)
    debugfs(image, "set_inode_field many mode 040755", f"set_inode_field many size {len(blocks)}")
    tool("e2fsck", "-fy", str(image))


def packed(entries: list[tuple[int, bytes]]) -> bytes:
    """Directory blocks: inode[4] rec_len[2] name_len[1] file_type[1] name, the last of a block to its end."""
    out = bytearray()
    for i, (ino, name) in enumerate(entries):
        size = 8 + (len(name) + 3) // 4 * 4
        room = 4096 - len(out) % 4096
        last = i + 1 == len(entries) or room - size < 8 + (len(entries[i + 1][1]) + 3) // 4 * 4
        out += (
            struct.pack("<IHBB", ino, room if last else size, len(name), 2 if i < 2 else 1) + name
        )
        out += bytes(-len(out) % 4096 if last else -len(out) % 4)
    return bytes(out)


@pytest.mark.parametrize("way", ["linear", "htree"])
def test_a_directory_of_twenty_thousand(many: Path, tmp_path: Path, way: str) -> None:
    image = tmp_path / "copy"
    shutil.copy(many, image)
    if way == "htree":
        debugfs(image, "feature +dir_index")
        tool("e2fsck", "-fyD", str(image))
    with ImageFile(image) as file, mount(file) as volume:
        directory = node(volume, "many")
        assert bool(directory.inode.flags & INDEX_FL) == (way == "htree")
        assert set(listing(directory)) == {f"file-{n:05}" for n in range(MANY)}
        assert own(directory.walk("file-19999")).qid == node(volume, "d19/1999").qid
