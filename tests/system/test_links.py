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
from lux9.ninep.speech import entries
from lux9.wire import linux as l
from lux9.wire.linux import Rgetattr, Rstatfs
from tests.fs.images import tool
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
    asked = c.paths.on(path, lambda fid: c.caller.submit(l.Tgetattr(fid, l.GETATTR_ALL)))
    got = c.wait(asked)
    assert isinstance(got, Rgetattr)
    return got


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
        fid, _ = c.wait(c.caller.walk(c.root, ["root"]))
        c.wait(c.caller.open(fid, 0))
        found = {e.name: e.type for e in c.wait(entries(c.caller, fid))}
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


def test_space_is_the_file_systems(links: tuple[Running, Path, Path]) -> None:
    running, _, disk = links
    with linux(running) as c:
        told = c.wait(c.paths.on("/root", lambda fid: c.caller.submit(l.Tstatfs(fid))))
    assert isinstance(told, Rstatfs)
    shown = tool("dumpe2fs", "-h", str(disk))
    fields = dict(re.findall(r"^([\w ]+): +(\d+)$", shown, re.MULTILINE))
    own = int(fields["Overhead clusters"])
    assert own > 0
    assert (told.blocks + own) * told.bsize == 16 << 20, "as Linux counts"
    assert (told.bfree, told.ffree) == (int(fields["Free blocks"]), int(fields["Free inodes"]))
