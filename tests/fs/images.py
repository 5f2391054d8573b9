"""Images made with mke2fs from a directory, and ways to read and to break them."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from lux9.fs.blocks import ImageFile
from lux9.fs.inode import Inode
from lux9.fs.nodes import DirListing, Ext4Node, FileHandle, InlineHandle, root_of
from lux9.fs.volume import Volume
from lux9.pending import Maybe, Pending, waits
from lux9.wire.messages import OREAD, Stat
from lux9.wire.node import Bytes, Node

T = TypeVar("T")

KINDS: dict[str, list[str]] = {
    "ext4": ["-t", "ext4", "-b", "4096"],
    "ext4-1k": ["-t", "ext4", "-b", "1024"],
    "ext4-inline": ["-t", "ext4", "-O", "inline_data", "-b", "4096"],
    "ext4-mapped": ["-t", "ext4", "-O", "^extent,^64bit,^metadata_csum,^flex_bg", "-b", "4096"],
    "ext4-bigalloc": ["-t", "ext4", "-O", "bigalloc", "-b", "4096", "-C", "16384"],
    "ext3": ["-t", "ext3", "-b", "4096"],
    "ext2-1k": ["-t", "ext2", "-b", "1024", "-I", "128"],
}
BARE = ["-t", "ext4"]
TOOLS = ("/usr/sbin", "/sbin")
GIB = 1 << 30


def tool(*command: str, stdin: str | None = None) -> str:
    """Run one of e2fsprogs' programs; its output. The path of root's programs may not be ours."""
    path = os.pathsep.join((os.environ.get("PATH", ""), *TOOLS))
    program = shutil.which(command[0], path=path)
    assert program, f"{command[0]} is not installed"
    done = subprocess.run(
        [program, *command[1:]],
        input=stdin,
        text=True,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr  # e2fsck: 1 is "mended"
    return done.stdout


def make_image(path: Path, source: Path, kind: str, size: str = "96M", *options: str) -> Path:
    """An image that holds what `source` holds: one of KINDS, or an ext4 with no options but those given."""
    tool("mke2fs", "-q", "-F", *KINDS.get(kind, BARE), *options, "-d", str(source), str(path), size)
    return path


def debugfs(image: Path, *commands: str) -> str:
    """Change an image by hand."""
    return tool("debugfs", "-w", "-f", "-", str(image), stdin="\n".join(commands) + "\n")


def patch(image: Path, offset: int, data: bytes) -> None:
    """Overwrite bytes of an image."""
    fd = os.open(image, os.O_WRONLY)
    try:
        os.pwrite(fd, data, offset)
    finally:
        os.close(fd)


def flip(image: Path, offset: int) -> None:
    """Make a byte another byte."""
    patch(image, offset, bytes([image.read_bytes()[offset] ^ 0x55]))


def fill(root: Path) -> Path:
    """A directory with one of everything that a file system may hold; the same each time."""
    rnd = random.Random(9)
    root.mkdir(exist_ok=True)
    (root / "hello").write_text("hello, world\n")
    (root / "empty").touch()
    for size in (59, 60, 61, 100, 150, 1023, 1024, 1025, 4095, 4096, 4097):
        (root / f"size{size}").write_bytes(rnd.randbytes(size))
    (root / "big").write_bytes(rnd.randbytes(5_000_001))
    _sparse(root, rnd)
    _names(root)
    _links(root)
    (root / "mode").write_text("x")
    (root / "mode").chmod(0o640)
    os.utime(root / "mode", ns=(1_000_000_000_123_456_789, 1_500_000_000_987_654_321))
    os.utime(root / "empty", ns=(0, 4_000_000_000 * 10**9))  # past 2038: in an epoch bit
    os.mkfifo(root / "pipe")
    return root


def _sparse(root: Path, rnd: random.Random) -> None:
    with (root / "sparse").open("wb") as f:
        for at in (0, 70_000, 3 * GIB + 17, 5 * GIB - 1, 7 * GIB):
            f.seek(at)
            f.write(rnd.randbytes(5000))
        f.truncate(8 * GIB)
    with (root / "comb").open("wb") as f:  # a tree of extents with more than one level
        for i in range(1200):
            f.seek(i * 8192)
            f.write(rnd.randbytes(4096))
    (root / "hole").touch()
    os.truncate(root / "hole", 3_000_000)


def _names(root: Path) -> None:
    names = root / "names"
    names.mkdir()
    for name in ("schöne Straße", "日本語", "x" * 255, "a b\tc", "-rf", "...", "~"):
        (names / name).write_text(name)
    Path(os.fsdecode(os.fsencode(names) + b"/latin\xe9")).write_text("latin")
    deep = root
    for n in range(30):
        deep /= f"d{n}"
    deep.mkdir(parents=True)
    (deep / "bottom").write_text("bottom")
    (root / "emptydir").mkdir()


def _links(root: Path) -> None:
    links = root / "links"
    links.mkdir()
    for name, target in {
        "up": "../hello",
        "absolute": "/names/-rf",
        "root": "/",
        "dir": "../d0/d1",
        "through": "dir/d2/../d2",
        "slash": "../names/",
        "long": "./" * 500 + "../hello",
        "middling": "./" * 40 + "../hello",
        "unicode": "../names/schöne Straße",
        "escape": "../../../../../../hello",
        "dangling": "../nowhere",
        "notdir": "../hello/",
        "self": "self",
        "ping": "pong",
        "pong": "ping",
    }.items():
        (links / name).symlink_to(target)
    (root / "chain").mkdir()
    for n in range(45):
        (root / "chain" / f"c{n}").symlink_to(f"c{n - 1}" if n else "../hello")


def here(value: Maybe[T]) -> T:
    """What an image gives: it answers at once."""
    if not waits(value):
        return value
    return value.result()


def now(value: Maybe[Bytes]) -> bytes:
    """A read's bytes, which are there."""
    return bytes(value.result() if isinstance(value, Pending) else value)


def mount(file: ImageFile) -> Volume:
    """The file system of an image."""
    return here(Volume.open(file))


def find(volume: Volume, path: str) -> Inode:
    """What a path leads to, one walk a name."""
    at = volume.root
    for name in path.split("/") if path else ():
        at = look(volume, partial(volume.find, at, name))
    return at


def look(volume: Volume, act: Callable[[], T]) -> T:
    """What an operation on metadata gives."""
    return here(volume.attempt(act))


def node(volume: Volume, path: str = "") -> Ext4Node:
    """What a path leads to, as a server finds it."""
    at = root_of(volume)
    for name in path.split("/") if path else ():
        at = own(at.walk(name))
    return at


def own(value: Maybe[Node]) -> Ext4Node:
    """A node, which is one of ours."""
    found = value.result() if isinstance(value, Pending) else value
    assert isinstance(found, Ext4Node)
    return found


def listing(at: Ext4Node) -> dict[str, Stat]:
    """A directory by names."""
    opened = at.open(OREAD)
    assert isinstance(opened, DirListing)
    return {s.name: s for s in here(opened.entries())}


def read(at: Ext4Node, offset: int = 0, count: int = 1 << 20) -> bytes:
    """Bytes of a file, opened for it."""
    opened = here(at.open(OREAD))
    assert isinstance(opened, FileHandle | InlineHandle)
    return now(opened.read(offset, count))


def taken(value: Maybe[Bytes]) -> list[bytes]:
    """What a read gives, in a list that is empty until it is there; a view is copied in its callback."""
    got: list[bytes] = []
    if isinstance(value, Pending):
        value.then(lambda p: got.append(bytes(p.result())))
    else:
        got.append(bytes(value))
    return got


class Shuffled(ImageFile):
    """A block file whose answers wait for `deliver`, and come in any order; a view dies with its callback."""

    def __init__(self, path: Path, limit: int = 1 << 20, seed: int = 1) -> None:
        super().__init__(path)
        self.limit = limit
        self.asked: list[tuple[int, int]] = []
        self.cancelled = 0
        self._random = random.Random(seed)
        self._queue: list[Callable[[], None]] = []

    def submit(self, offset: int, count: int) -> Pending[Bytes]:
        assert count <= self.limit
        self.asked.append((offset, count))
        out: Pending[Bytes] = Pending(self._cancel)
        self._queue.append(lambda: self.answer(out, offset, count))
        return out

    def _cancel(self) -> None:
        self.cancelled += 1

    def answer(self, out: Pending[Bytes], offset: int, count: int) -> None:
        data = bytearray(now(super().submit(offset, count)))
        out.resolve(memoryview(data))
        data[:] = b"\xee" * len(data)

    def deliver(self) -> None:
        """Answer everything, and what is asked because of it."""
        while self._queue:
            self._random.shuffle(self._queue)
            self._queue.pop()()

    def wait(self, value: Maybe[T]) -> T:
        """What comes when everything is answered."""
        self.deliver()
        return here(value)
