"""Every kind of image gives back what the source directory holds."""

from __future__ import annotations

import os
import random
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from lux9.errors import NotADirectory, NotFound, NotSupported, TooManyLinks
from lux9.fs.inode import EXTENTS_FL, Inode
from lux9.fs.nodes import DirListing, Ext4Node, FileHandle, InlineHandle, root_of
from lux9.fs.volume import Volume
from lux9.pending import Maybe, Pending, after, waits
from lux9.wire.node import Node, Opened
from tests.fs.images import GIB, Shuffled, find, look, node, read, taken

PER_IMAGE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def content(volume: Volume, inode: Inode, offset: int = 0, count: int = 1 << 30) -> bytes:
    return read(Ext4Node(volume, inode, ""), offset, min(count, inode.size))


def names_of(volume: Volume, inode: Inode) -> dict[str, int]:
    return look(volume, lambda: volume.names(inode))


def step(volume: Volume, inode: Inode, name: str) -> Inode:
    return look(volume, lambda: volume.step(inode, name))


def target(volume: Volume, link: Inode) -> str:
    return look(volume, lambda: volume.target(link))


def shown(name: str) -> str:
    return os.fsencode(name).decode(errors="backslashreplace")


def test_every_directory_holds_the_same_names(volume: Volume, source: Path) -> None:
    todo = [(source, volume.root)]
    while todo:
        path, inode = todo.pop()
        names = set(names_of(volume, inode)) - {".", "..", "lost+found"}
        assert names == {shown(p.name) for p in path.iterdir()}, path
        todo += [(p, step(volume, inode, shown(p.name))) for p in path.iterdir() if _is_dir(p)]


def _is_dir(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def test_every_small_file_has_the_same_bytes(volume: Volume, source: Path) -> None:
    for path in source.rglob("*"):
        if path.is_file() and not path.is_symlink() and path.stat().st_size < 20 << 20:
            inode = find(volume, shown(str(path.relative_to(source))))
            assert inode.size == path.stat().st_size
            assert content(volume, inode) == path.read_bytes(), path


def test_facts(volume: Volume, source: Path) -> None:
    for path in source.rglob("*"):
        if path.is_symlink():
            continue
        inode, st_ = find(volume, shown(str(path.relative_to(source)))), path.stat()
        assert (inode.mode, inode.uid, inode.gid) == (st_.st_mode, st_.st_uid, st_.st_gid), path
        assert inode.mtime // 10**9 == st_.st_mtime_ns // 10**9 or inode.mtime < 0


def test_fractions_of_seconds_and_late_years(volume: Volume, kind: str) -> None:
    if kind == "ext2-1k":
        assert find(volume, "mode").mtime == 1_500_000_000 * 10**9, (
            "an inode of 128 bytes has seconds"
        )
        return
    late = find(volume, "empty").mtime
    assert late in (
        4_000_000_000 * 10**9,
        (4_000_000_000 - (1 << 32)) * 10**9,
    )  # older mke2fs drops the epoch


@pytest.mark.parametrize("name", ["sparse", "big", "comb", "hole", "size4097"])
def test_reads_at_any_offset(volume: Volume, source: Path, name: str) -> None:
    inode, fd = find(volume, name), os.open(source / name, os.O_RDONLY)
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
    with Shuffled(image, limit, seed) as file, file.wait(Volume.open(file)) as volume:
        comb = file.wait(volume.attempt(lambda: volume.find(volume.root, "comb")))
        got = taken(volume.reader(comb)(offset, count))
        file.deliver()
        assert got == [(source / "comb").read_bytes()[offset : offset + count]]


@settings(PER_IMAGE, max_examples=3)
@given(st.integers(0, 999))
def test_everything_at_once(image: Path, source: Path, seed: int) -> None:
    """Walks, listings and reads are all on their way before the first block is there."""
    paths = [
        p for p in source.rglob("*") if not p.is_symlink() and p.name not in ("sparse", "pipe")
    ]
    random.Random(seed).shuffle(paths)
    with Shuffled(image, seed=seed) as file, file.wait(Volume.open(file)) as volume:
        asked = [(p, collected(content_of(volume, p.relative_to(source)))) for p in paths]
        file.deliver()
        for path, got in asked:
            names = {shown(p.name) for p in path.iterdir()} if path.is_dir() else None
            assert got == [names if names is not None else path.read_bytes()], path


def content_of(volume: Volume, path: Path) -> Maybe[set[str] | bytes]:
    """Names of a directory or bytes of a file, by walks that may all have to wait."""
    at: Maybe[Node] = root_of(volume)
    for part in path.parts:
        at = after(at, partial(walked, name=shown(part)))
    got: Maybe[Opened] = after(at, opened)
    return got.map(contents) if isinstance(got, Pending) else contents(got)


def walked(at: Node, name: str) -> Maybe[Node]:
    return at.walk(name)


def opened(at: Node) -> Maybe[Opened]:
    return at.open(0)


def contents(got: Opened) -> Maybe[set[str] | bytes]:
    if isinstance(got, DirListing):
        return after(got.entries(), lambda stats: {s.name for s in stats})
    assert isinstance(got, FileHandle | InlineHandle)
    data = got.read(0, 1 << 24)
    return data.map(bytes) if isinstance(data, Pending) else bytes(data)


def collected(value: Maybe[set[str] | bytes]) -> list[set[str] | bytes]:
    got: list[set[str] | bytes] = []
    if waits(value):
        value.then(lambda p: got.append(p.result()))
    else:
        got.append(value)
    return got


def test_a_contiguous_file_is_read_in_few_pieces(image: Path) -> None:
    with Shuffled(image) as file, file.wait(Volume.open(file)) as volume:
        big = file.wait(volume.attempt(lambda: volume.find(volume.root, "big")))
        taken(volume.reader(big)(0, 1))
        file.deliver()
        file.asked.clear()
        for offset in range(0, 4 << 20, 1 << 20):
            volume.reader(big)(offset, 1 << 20)
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
        wanted = find(volume, leads_to) if leads_to else volume.root
        assert find(volume, f"links/{name}") == wanted

    def test_a_walk_goes_on_behind_one(self, volume: Volume) -> None:
        assert find(volume, "links/dir/d2/d3") == find(volume, "d0/d1/d2/d3")
        assert find(volume, "links/dir/..") == find(volume, "d0"), "the parent of where it leads"

    def test_targets_are_kept(self, volume: Volume, source: Path) -> None:
        links = find(volume, "links")
        for path in (source / "links").iterdir():
            said = target(volume, step(volume, links, path.name))
            assert Path(said) == path.readlink()
            assert len(said.encode()) == path.lstat().st_size

    def test_forty_in_a_row_and_no_more(self, volume: Volume) -> None:
        assert find(volume, "chain/c39") == find(volume, "hello")
        with pytest.raises(TooManyLinks, match="c40"):
            find(volume, "chain/c40")

    @pytest.mark.parametrize("name", ["self", "ping"])
    def test_loops(self, volume: Volume, name: str) -> None:
        with pytest.raises(TooManyLinks):
            find(volume, f"links/{name}")

    def test_dangling(self, volume: Volume) -> None:
        with pytest.raises(NotFound, match="dangling, a symbolic link, leads to nowhere"):
            find(volume, "links/dangling")
        with pytest.raises(NotADirectory):
            find(volume, "links/notdir")


def test_nothing_lies_above_the_root(volume: Volume) -> None:
    assert find(volume, "..") == volume.root
    assert find(volume, "d0/../..") == volume.root


def test_names_that_are_not_there(volume: Volume) -> None:
    with pytest.raises(NotFound, match="nowhere"):
        find(volume, "nowhere")
    with pytest.raises(NotADirectory, match="a file"):
        find(volume, "hello/x")


def test_a_name_that_is_not_utf8(volume: Volume) -> None:
    assert content(volume, find(volume, r"names/latin\xe9")) == b"latin"


def test_a_pipe_has_no_bytes(volume: Volume) -> None:
    pipe = node(volume, "pipe")
    with pytest.raises(NotSupported, match="a named pipe"):
        pipe.open(0)
