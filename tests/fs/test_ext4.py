"""The program, in a process of its own, between a namespace that holds a disk and a client of what it serves."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import AsyncGenerator, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lux9.errors import NotSupported, RemoteError
from lux9.fs.ext4 import REFUSED
from lux9.ninep.aclient import AsyncClient
from lux9.ninep.server import Connection, serve_socket
from lux9.pending import Maybe
from lux9.sip.spawn import CLIENT, SERVICE, Child, pair, spawn
from lux9.tree import Dir, File, Tree, entries, text
from lux9.wire.node import Node
from tests.fs.images import debugfs, make_image

FILE = "/dev/sdE0/linux"
ENDED = "exited with status 0"


class Folder(Dir):
    """A directory of given files."""

    def __init__(self, content: Mapping[str, Dir | File]) -> None:
        self.content = content

    @entries
    def all(self) -> Mapping[str, Dir | File]:
        """Its files."""
        return self.content


class Self(Dir):
    @text(0o444)
    def status(self) -> str:
        """The process."""
        return "name: ext4\n"


class Disk:
    """An image as a raw file."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        self.length = len(self.data)

    def pread(self, count: int, offset: int) -> memoryview:
        return memoryview(self.data)[offset : offset + count]

    def pwrite(self, data: memoryview, offset: int) -> int:
        raise NotSupported("a file system that is read only does not write")

    def close(self) -> None: ...


class Owner:
    def __init__(self, root: Node) -> None:
        self.root = root

    def attach(self, uname: str, aname: str) -> Maybe[Node]:
        return self.root

    def refused(self, error: Exception, what: str, path: str) -> None: ...


def namespace(image: Path) -> Node:
    disk = Disk(image)
    unit = Folder({"linux": File(0o440, lambda _: disk, lambda: disk.length)})
    top = {"dev": Folder({"sdE0": unit}), "proc": Folder({"self": Self()})}
    return Tree("test").root(Folder(top))


class Program:
    """The running program, its service's socket, and what it said."""

    def __init__(self, path: str) -> None:
        self.said: list[str] = []
        self.kernel, theirs = pair()
        self.service, served = pair()
        with theirs, served:
            inherit = {CLIENT: theirs.fileno(), SERVICE: served.fileno()}
            argv = [sys.executable, "-m", "lux9.fs.ext4"]
            variables = {"LUX9_FILE": path, "PYTHONPATH": ":".join(sys.path)}
            self.child = Child(*spawn(argv, inherit, variables), self.said.append)


@asynccontextmanager
async def started(image: Path, path: str = FILE) -> AsyncGenerator[Program, None]:
    program, owner = Program(path), Owner(namespace(image))
    connection = await serve_socket(program.kernel, lambda: Connection(lambda _: owner))
    try:
        yield program
    finally:
        connection.close()
        program.service.close()
        await program.child.stop()


def run(work: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await work

    asyncio.run(limited())


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "dir").mkdir(parents=True)
    (root / "big").write_bytes(b"0123456789abcdef" * 300_000)
    (root / "dir" / "link").symlink_to("/big")
    return root


@pytest.fixture
def image(tree: Path, tmp_path: Path) -> Path:
    return make_image(tmp_path / "disk.img", tree, "ext4", "16M")


def test_serves_what_the_image_holds(image: Path, tree: Path) -> None:
    async def work() -> None:
        async with started(image) as program, await AsyncClient.over(program.service) as client:
            assert {s.name for s in await client.ls("/")} == {"big", "dir", "lost+found"}
            wanted = (tree / "big").read_bytes()
            for path in ("/big", "/dir/link"):
                assert (
                    hashlib.sha256(await client.read(path)).digest()
                    == hashlib.sha256(wanted).digest()
                )
            async with await client.open("/big") as f:
                parts = [(at, 77_777) for at in range(0, len(wanted), 1_000_003)]
                got = await asyncio.gather(*(f.pread(at, n) for at, n in parts))
                assert got == [wanted[at : at + n] for at, n in parts]

    run(work())


def test_refuses_to_change_anything(image: Path) -> None:
    async def work() -> None:
        async with started(image) as program, await AsyncClient.over(program.service) as client:
            for act in (
                client.open("/big", 1),
                client.create("/new", 0o644, 0),
                client.remove("/big"),
            ):
                with pytest.raises(RemoteError, match="file system is read only"):
                    await act
            with pytest.raises(RemoteError, match="file does not exist"):
                await client.open("/nowhere")

    run(work())


def test_ends_when_the_kernel_goes(image: Path) -> None:
    async def work() -> None:
        async with started(image) as program, await AsyncClient.over(program.service) as client:
            await client.ls("/")
            await client.close()
            assert await program.child.ended == ENDED
            assert not program.said

    run(work())


def refusal(image: Path, path: str = FILE) -> str:
    said: list[str] = []

    async def work() -> None:
        async with started(image, path) as program:
            assert await program.child.ended == f"exited with status {REFUSED}"
            said.extend(program.said)

    run(work())
    (line,) = said
    return line


def test_refuses_a_dirty_journal_in_one_line(image: Path) -> None:
    debugfs(image, "feature +needs_recovery")
    line = refusal(image)
    assert line.startswith(f"ext4: {FILE}: the journal holds changes")
    assert "`e2fsck -f IMG`" in line


def test_refuses_what_is_not_ext4(tmp_path: Path) -> None:
    (tmp_path / "zeros").write_bytes(bytes(1 << 20))
    assert refusal(tmp_path / "zeros").startswith(
        f"ext4: {FILE}: not ext4: the magic at byte 1080 is 0x0000"
    )


def test_refuses_a_file_that_is_not_there(image: Path) -> None:
    assert "ext4: /dev/sdF0/linux: file does not exist" in refusal(image, "/dev/sdF0/linux")
