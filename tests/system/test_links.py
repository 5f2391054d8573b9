"""ext4 behind the kernel: links as links to whoever speaks a dialect that has them, followed for the others."""

from __future__ import annotations

import os
import re
import stat as s
from collections.abc import Iterator
from pathlib import Path

import pytest

from lux9.errors import RemoteError
from lux9.ninep.client import Client
from lux9.wire.linux import Rgetattr
from tests.fs.images import tool
from tests.fuse.mounting import mounting
from tests.system.running import Running

CHAIN = 40  # links, as many as may be followed


def source(top: Path) -> Path:
    """Hard links, symbolic ones of every kind, files with and without holes, odd times."""
    (top / "dir" / "deep").mkdir(parents=True)
    (top / "file").write_bytes(b"0123456789" * 1000)
    (top / "dir" / "hard").hardlink_to(top / "file")
    (top / "dir" / "deep" / "third").hardlink_to(top / "file")
    (top / "soft").symlink_to("file")
    (top / "dir" / "up").symlink_to("../file")
    (top / "dir" / "absolute").symlink_to("/dir/deep/third")
    (top / "todir").symlink_to("dir/deep")
    (top / "long").symlink_to("./" * 100 + "file")
    (top / "dangling").symlink_to("nowhere")
    (top / "loop").symlink_to("loop")
    (top / "chain0").symlink_to("file")
    for i in range(1, CHAIN + 1):
        (top / f"chain{i}").symlink_to(f"chain{i - 1}")
    os.mkfifo(top / "pipe")
    with (top / "sparse").open("wb") as f:
        f.seek(1 << 20)
        f.write(b"x")
    os.utime(top / "file", ns=(1_000_000_000_123_456_789, 1_500_000_000_987_654_321))
    return top


@pytest.fixture(scope="module")
def links(
    machine_name: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Running, Path, Path]]:
    folder = tmp_path_factory.mktemp("links")
    top = source(folder / "source")
    disk = folder / "links.img"
    tool("mke2fs", "-q", "-t", "ext4", "-d", str(top), str(disk), "16M")
    with Running(folder, "--machine", machine_name, "--disk", str(disk)) as running:
        yield running, top, disk


def linux(running: Running) -> Client:
    return Client.dial(running.address, version="9P2000.L")


def attributes(c: Client, path: str) -> Rgetattr:
    return c.wait(c.paths.attr(path))


def test_attributes_are_the_image_s(links: tuple[Running, Path, Path]) -> None:
    running, top, disk = links
    with linux(running) as c:
        for path in sorted(top.rglob("*")):
            name = str(path.relative_to(top))
            a, known = attributes(c, f"/root/{name}"), path.lstat()
            assert (a.mode, a.nlink, a.uid) == (known.st_mode, known.st_nlink, known.st_uid), name
            assert a.size == known.st_size or s.S_ISDIR(known.st_mode)
            shown = tool("debugfs", "-R", f"stat /{name}", str(disk))
            assert a.blocks == int(re.findall(r"Blockcount: (\d+)", shown)[0]), name
            assert a.gen == int(re.findall(r"Generation: (\d+)", shown)[0])
            assert a.btime_sec


def test_times_have_nanoseconds(links: tuple[Running, Path, Path]) -> None:
    running, top, _ = links
    known = (top / "file").stat()
    with linux(running) as c:
        a = attributes(c, "/root/file")
    assert a.mtime_sec * 10**9 + a.mtime_nsec in (
        known.st_mtime_ns,
        known.st_mtime_ns // 10**9 * 10**9,
    )


def test_a_directory_shows_links_as_links(links: tuple[Running, Path, Path]) -> None:
    running, top, _ = links
    with linux(running) as c:
        found = {e.name: e.mode for e in c.ls("/root")}
        for path in top.iterdir():
            assert bool(found[path.name] & 1 << 25) == path.is_symlink(), path
        for path in top.rglob("*"):
            if path.is_symlink():
                name = f"/root/{path.relative_to(top)}"
                target = c.wait(c.paths.readlink(name))
                assert (len(target), Path(target)) == (path.lstat().st_size, path.readlink())


def test_a_directory_tells_what_each_entry_is(links: tuple[Running, Path, Path]) -> None:
    running, top, _ = links
    with linux(running) as c:
        found = {e.name: e.type for e in c.wait(c.paths.entries("/root"))}
        for path in top.iterdir():
            assert found[path.name] == s.S_IFMT(path.lstat().st_mode) >> 12, path


def test_9p2000_follows_them(links: tuple[Running, Path, Path]) -> None:
    running, top, _ = links
    with running.client() as c:
        data = (top / "file").read_bytes()
        for name in ("soft", "dir/up", "dir/absolute", "todir/third", "long", f"chain{CHAIN - 1}"):
            assert c.read(f"/root/{name}") == data, name
            assert c.stat(f"/root/{name}").length == len(data)
        assert {e.name for e in c.ls("/root/todir")} == {"third"}
        for name in ("loop", f"chain{CHAIN}"):
            with pytest.raises(RemoteError):
                c.read(f"/root/{name}")
        with pytest.raises(RemoteError, match="does not exist"):
            c.read("/root/dangling")


def test_a_mount_shows_what_the_image_was_made_from(
    links: tuple[Running, Path, Path], tmp_path: Path
) -> None:
    """By lstat(2), readlink(2) and what is read, through FUSE."""
    running, top, _ = links
    with mounting(running.address, tmp_path) as where:
        for path in sorted(top.rglob("*")):
            shown, known = (where / "root" / path.relative_to(top)), path.lstat()
            told = shown.lstat()
            assert (told.st_mode, told.st_nlink) == (known.st_mode, known.st_nlink), path
            assert (told.st_uid, told.st_gid) == (known.st_uid, known.st_gid), path
            if path.is_symlink():
                assert shown.readlink() == path.readlink()
            elif path.is_file():
                assert shown.read_bytes() == path.read_bytes()
                assert (told.st_size, told.st_ino > 0) == (known.st_size, True)
        assert (where / "root/soft").read_bytes() == (top / "file").read_bytes()
        assert len({(where / "root" / n).stat().st_ino for n in ("file", "dir/hard", "soft")}) == 1
        assert (where / "root/sparse").stat().st_blocks * 512 < (1 << 20)
        kinds = {e.name: e.is_symlink() for e in os.scandir(where / "root")}
        assert kinds == {**{p.name: p.is_symlink() for p in top.iterdir()}, "lost+found": False}
        room = os.statvfs(where / "root")
        assert room.f_bavail <= room.f_bfree < room.f_blocks
        assert room.f_blocks * room.f_frsize <= 16 << 20
        assert os.statvfs(where).f_blocks == 0
        with (where / "dev/null").open("wb") as null:
            os.fsync(null.fileno())


def test_space_is_the_file_systems(links: tuple[Running, Path, Path]) -> None:
    running, _, disk = links
    with linux(running) as c:
        told = c.wait(c.paths.statfs("/root"))
    shown = tool("dumpe2fs", "-h", str(disk))
    fields = dict(re.findall(r"^([\w ]+): +(\d+)$", shown, re.MULTILINE))
    own = int(fields["Overhead clusters"])
    assert own > 0
    assert (told.blocks + own) * told.bsize == 16 << 20, "as Linux counts"
    assert (told.bfree, told.ffree) == (int(fields["Free blocks"]), int(fields["Free inodes"]))
