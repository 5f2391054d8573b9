"""Every kind of image gives back what the source directory holds."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from lux9.errors import NotADirectory, NotFound, NotSupported
from lux9.fs.inode import EXTENTS_FL, Inode
from lux9.fs.nodes import DirListing, Ext4Node, root_of
from lux9.fs.volume import TooManyLinks, Volume
from tests.fs.images import GIB, Shuffled, now, taken

PER_IMAGE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def walk(volume: Volume, path: str) -> Inode:
    here = volume.root
    for name in path.split("/"):
        here = volume.find(here, name)
    return here


def content(volume: Volume, inode: Inode, offset: int = 0, count: int = 1 << 30) -> bytes:
    opened = Ext4Node(volume, inode, "").open(0)
    assert not isinstance(opened, DirListing)
    return now(opened.read(offset, min(count, inode.size)))


def shown(name: str) -> str:
    return os.fsencode(name).decode(errors="backslashreplace")


def test_every_directory_holds_the_same_names(volume: Volume, source: Path) -> None:
    todo = [(source, volume.root)]
    while todo:
        path, inode = todo.pop()
        names = set(volume.names(inode)) - {".", "..", "lost+found"}
        assert names == {shown(p.name) for p in path.iterdir()}, path
        todo += [(p, volume.step(inode, shown(p.name))) for p in path.iterdir() if _is_dir(p)]


def _is_dir(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def test_every_small_file_has_the_same_bytes(volume: Volume, source: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 20 << 20:
            inode = walk(volume, shown(str(path.relative_to(source))))
            assert inode.size == path.stat().st_size
            assert content(volume, inode) == path.read_bytes(), path


def test_facts(volume: Volume, source: Path) -> None:
    for path in source.rglob("*"):
        if path.is_symlink():
            continue
        inode, st_ = walk(volume, shown(str(path.relative_to(source)))), path.stat()
        assert (inode.mode, inode.uid, inode.gid) == (st_.st_mode, st_.st_uid, st_.st_gid), path
        assert inode.mtime // 10**9 == st_.st_mtime_ns // 10**9 or inode.mtime < 0


def test_fractions_of_seconds_and_late_years(volume: Volume, kind: str) -> None:
    if kind == "ext2-1k":
        assert walk(volume, "mode").mtime == 1_500_000_000 * 10**9, (
            "an inode of 128 bytes has seconds"
        )
        return
    late = walk(volume, "empty").mtime
    assert late in (
        4_000_000_000 * 10**9,
        (4_000_000_000 - (1 << 32)) * 10**9,
    )  # older mke2fs drops the epoch


@pytest.mark.parametrize("name", ["sparse", "big", "comb", "hole", "size4097"])
def test_reads_at_any_offset(volume: Volume, source: Path, name: str) -> None:
    inode, fd = walk(volume, name), os.open(source / name, os.O_RDONLY)
    near = [0, 70_000, 3 * GIB, 4 * GIB, 5 * GIB, 7 * GIB, 8 * GIB, inode.size]
    offsets = st.one_of(
        st.integers(0, inode.size + 5000),
        st.tuples(st.sampled_from(near), st.integers(-9000, 9000)).map(lambda t: max(0, sum(t))),
    )

    @PER_IMAGE
    @given(offsets, st.integers(0, 200_000))
    def check(offset: int, count: int) -> None:
        assert content(volume, inode, offset, count) == os.pread(fd, count, offset)

    check()
    os.close(fd)


@PER_IMAGE
@given(
    st.integers(0, 1200 * 8192),
    st.integers(0, 300_000),
    st.integers(0, 99),
    st.sampled_from([4096, 5000, 1 << 20]),
)
def test_answers_in_any_order(
    image: Path, source: Path, offset: int, count: int, seed: int, limit: int
) -> None:
    with Shuffled(image, limit, seed) as file, Volume(file) as volume:
        got = taken(volume.read(walk(volume, "comb"), offset, count))
        file.deliver()
        assert got == [(source / "comb").read_bytes()[offset : offset + count]]


def test_a_contiguous_file_is_read_in_few_pieces(image: Path) -> None:
    with Shuffled(image) as file, Volume(file) as volume:
        big = walk(volume, "big")
        for offset in range(0, 4 << 20, 1 << 20):
            volume.read(big, offset, 1 << 20)
        pieces = 5 if big.flags & EXTENTS_FL else 21  # a map's own blocks lie between the file's
        assert len(file.asked) <= pieces


class TestLinks:
    @pytest.mark.parametrize(
        ("name", "leads_to"),
        {
            "up": "hello",
            "absolute": "names/-rf",
            "root": "",
            "dir": "d0/d1",
            "through": "d0/d1/d2",
            "slash": "names",
            "long": "hello",
            "middling": "hello",
            "unicode": "names/schöne Straße",
            "escape": "hello",
        }.items(),
    )
    def test_are_followed(self, volume: Volume, name: str, leads_to: str) -> None:
        wanted = walk(volume, leads_to) if leads_to else volume.root
        assert walk(volume, f"links/{name}") == wanted

    def test_a_walk_goes_on_behind_one(self, volume: Volume) -> None:
        assert walk(volume, "links/dir/d2/d3") == walk(volume, "d0/d1/d2/d3")
        assert walk(volume, "links/dir/..") == walk(volume, "d0"), "the parent of where it leads"

    def test_targets_are_kept(self, volume: Volume, source: Path) -> None:
        links = walk(volume, "links")
        for path in (source / "links").iterdir():
            target = volume.target(volume.step(links, path.name))
            assert Path(target) == path.readlink()
            assert len(target.encode()) == path.lstat().st_size

    def test_forty_in_a_row_and_no_more(self, volume: Volume) -> None:
        assert walk(volume, "chain/c39") == walk(volume, "hello")
        with pytest.raises(TooManyLinks, match="c40"):
            walk(volume, "chain/c40")

    @pytest.mark.parametrize("name", ["self", "ping"])
    def test_loops(self, volume: Volume, name: str) -> None:
        with pytest.raises(TooManyLinks):
            walk(volume, f"links/{name}")

    def test_dangling(self, volume: Volume) -> None:
        with pytest.raises(NotFound, match="dangling, a symbolic link, leads to nowhere"):
            walk(volume, "links/dangling")
        with pytest.raises(NotADirectory):
            walk(volume, "links/notdir")


def test_nothing_lies_above_the_root(volume: Volume) -> None:
    assert volume.find(volume.root, "..") == volume.root
    assert walk(volume, "d0/../..") == volume.root


def test_names_that_are_not_there(volume: Volume) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        walk(volume, "nowhere")
    with pytest.raises(NotADirectory, match="a file"):
        walk(volume, "hello/x")


def test_a_name_that_is_not_utf8(volume: Volume) -> None:
    assert content(volume, walk(volume, r"names/latin\xe9")) == b"latin"


def test_a_pipe_has_no_bytes(volume: Volume) -> None:
    pipe = root_of(volume).walk("pipe")
    with pytest.raises(NotSupported, match="a named pipe"):
        pipe.open(0)
