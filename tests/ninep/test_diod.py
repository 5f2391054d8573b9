"""diod, LLNL's 9P2000.L server in C, and its tools: a client and a server that we did not write."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lux9.errors import RemoteError
from lux9.ninep.aclient import AsyncClient
from lux9.ninep.client import Client
from lux9.tree import Dir, Raw, Tree, raw
from lux9.wire.messages import DMDIR, KEEP, ORDWR, OTRUNC, OWRITE
from lux9.wire.node import Node
from tests.ninep.rig import LONG, Owner
from tests.ninep.serving import LIMIT, Served

V = "9P2000.L"
PATH = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
MANY = 3000


def tool(name: str) -> str:
    """The path of one of diod's programs."""
    found = shutil.which(name, path=PATH)
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install diod")
    return found


def ran(name: str, *args: str | Path) -> bytes:
    """What a tool prints; it has to be content."""
    command = [tool(name), *map(str, args)]
    done = subprocess.run(command, capture_output=True, timeout=LIMIT, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


class TestServer:
    """Our client, and diod serving a directory."""

    @pytest.fixture
    def files(self, tmp_path: Path) -> Path:
        top = tmp_path / "files"
        (top / "dir").mkdir(parents=True)
        (top / "file").write_bytes(b"0123456789")
        (top / "soft").symlink_to("file")
        (top / "hard").hardlink_to(top / "file")
        (top / "big").write_bytes(bytes(i * 7 % 251 for i in range(3_000_000)))
        return top

    @pytest.fixture
    def addr(self, tmp_path: Path, files: Path) -> Iterator[str]:
        where, log = tmp_path / "s", tmp_path / "log"
        options = ["-f", "-n", "-N", "-c", "/dev/null", "-L", str(log)]
        server = subprocess.Popen([tool("diod"), *options, "-l", str(where), "-e", str(files)])
        try:
            connectable(server, where)
            yield f"unix!{where}"
        finally:
            server.send_signal(signal.SIGKILL)
            server.wait(LIMIT)

    def test_lists_and_reads(self, addr: str, files: Path) -> None:
        with Client.dial(addr, str(files), V) as c:
            found = {s.name: s for s in c.ls("/")}
            assert set(found) == {"dir", "file", "soft", "hard", "big"}
            assert found["dir"].mode == DMDIR | (files / "dir").stat().st_mode & 0o777
            assert found["file"].length == 10
            assert found["file"].mtime == int((files / "file").stat().st_mtime)
            assert c.read("big") == (files / "big").read_bytes()
            with c.open("file") as f:
                assert f.pread(3, 4) == b"3456"
            assert c.wait(c.paths.readlink("soft")) == "file"

    def test_writes_creates_and_removes(self, addr: str, files: Path) -> None:
        with Client.dial(addr, str(files), V) as c:
            c.create("dir/sub", 0o755 | DMDIR, 0).close()
            with c.create("dir/sub/new", 0o644, ORDWR) as f:
                assert f.pwrite(0, b"x" * 200_000) == 200_000
            assert (files / "dir/sub/new").read_bytes() == b"x" * 200_000
            c.open("dir/sub/new", OWRITE | OTRUNC).close()
            c.wstat("dir/sub/new", KEEP.but(name="renamed", mode=0o600, length=5))
            made = files / "dir/sub/renamed"
            assert (made.read_bytes(), made.stat().st_mode & 0o777) == (bytes(5), 0o600)
            c.remove("dir/sub/renamed")
            c.remove("dir/sub")
            assert not list((files / "dir").iterdir())

    def test_a_directory_of_any_size(self, addr: str, files: Path) -> None:
        for i in range(MANY):
            (files / "dir" / f"{i:05}").touch()
        with Client.dial(addr, str(files), V) as c:
            assert sorted(s.name for s in c.ls("dir")) == [f"{i:05}" for i in range(MANY)]
            assert c.caller.top_fid < 200, "fids come back"

    def test_a_name_of_any_bytes_is_one_as_in_os(self, addr: str, files: Path) -> None:
        name = os.fsdecode(b"bad\xff\xfename")
        (files / "dir" / name).write_bytes(b"found")
        (files / "dir" / "soft").symlink_to(name)
        with Client.dial(addr, str(files), V) as c:
            assert sorted(s.name for s in c.ls("dir")) == [name, "soft"]
            assert c.read(f"dir/{name}") == b"found"
            assert c.stat(f"dir/{name}").name == name
            c.remove(f"dir/{name}")
            assert [s.name for s in c.ls("dir")] == ["soft"]

    def test_a_time_before_1970_is_not_one_after_2100(self, addr: str, files: Path) -> None:
        os.utime(files / "file", (-5, -7))
        with Client.dial(addr, str(files), V) as c:
            assert (c.stat("file").atime, c.stat("file").mtime) == (0, 0), "its first second"

    def test_errors_have_their_numbers(self, addr: str, files: Path) -> None:
        with Client.dial(addr, str(files), V) as c:
            for path, act in _WRONG.items():
                with pytest.raises(RemoteError) as error:
                    act(c, path)
                assert error.value.number == _NUMBERS[path]

    def test_async(self, addr: str, files: Path) -> None:
        async def all_of_it() -> list[bytes]:
            async with await AsyncClient.connect(addr, str(files), V) as c:
                return await asyncio.gather(*(c.read("big") for _ in range(8)))

        assert set(asyncio.run(all_of_it())) == {(files / "big").read_bytes()}

    def test_a_server_of_other_dialects_is_refused_with_its_name(
        self, addr: str, files: Path
    ) -> None:
        with pytest.raises(Exception, match=r"i/o error|unknown"):
            Client.dial(addr, str(files), "9P2000")


_WRONG: dict[str, Callable[[Client, str], object]] = {
    "none": lambda c, p: c.read(p),
    "file/x": lambda c, p: c.read(p),
    "dir": lambda c, p: c.open(p, OWRITE),
}
_NUMBERS = {"none": 2, "file/x": 20, "dir": 21}


def connectable(server: subprocess.Popen[bytes], where: Path) -> None:
    """It takes connections; its socket is there before that."""
    end = time.monotonic() + LIMIT
    while server.poll() is None and time.monotonic() < end:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            try:
                probe.connect(str(where))
            except OSError:
                continue
            return
    raise AssertionError("diod does not listen")


class Ctl(Dir):
    """The files of diod's own `ctl` tree that diodload copies."""

    @raw(0o666)
    def zero(self) -> Raw:
        """Zeros."""
        return Zero()

    @raw(0o666)
    def null(self) -> Raw:
        """Takes everything."""
        return Zero()


class Zero:
    """Both /dev/zero and /dev/null."""

    def pread(self, count: int, offset: int) -> bytes:
        return bytes(count)

    def pwrite(self, data: memoryview, offset: int) -> int:
        return len(data)


class CtlOwner(Owner):
    """The same owner with a second tree, by its attach name."""

    def attach(self, uname: str, aname: str) -> Node:
        return Tree("#c").root(Ctl()) if aname == "ctl" else self.root


class TestTools:
    """diod's client programs, and our server."""

    @pytest.fixture
    def where(self, served: Served, tmp_path: Path) -> Path:
        served.owner = CtlOwner(served.top)
        served.listen(tmp_path / "s")
        return tmp_path / "s"

    def test_diodls(self, where: Path, served: Served) -> None:
        names = ran("diodls", "-s", where, "-a", "/", "/").decode().split()
        assert {"ctl", "mem", "long", "event", "n000", "n099"} <= set(names)
        served.do(lambda: setattr(served.top, "hide", True))  # among them one whose stat fails
        lines = ran("diodls", "-s", where, "-a", "/", "-l", "/").decode().splitlines()
        modes = {line.split()[-1]: line[:10] for line in lines}
        assert (modes["n000"], modes["."]) == ("dr-xr-xr-x", "drwxrwxr-x")
        assert not any(connection.session.fids for connection in served.connections)

    @pytest.mark.parametrize("msize", [4096, 65536, 1 << 20])
    def test_diodcat(self, where: Path, served: Served, msize: int) -> None:
        got = ran("diodcat", "-s", where, "-a", "/", "-m", str(msize), "long", "ctl")
        assert got == bytes(served.top.long_.data) + b"facts\n"
        assert len(got) == LONG + 6

    def test_diodcat_tells_what_is_wrong(self, where: Path) -> None:
        command = [tool("diodcat"), "-s", str(where), "-a", "/", "none"]
        done = subprocess.run(command, capture_output=True, timeout=LIMIT, check=False)
        assert done.returncode
        assert b"No such file or directory" in done.stderr

    @pytest.mark.parametrize("kind", [(), ("-g",)], ids=["copies", "getattrs"])
    def test_diodload(self, where: Path, served: Served, kind: tuple[str, ...]) -> None:
        command = [tool("diodload"), "-s", str(where), "-r", "1", "-n", "4", *kind]
        done = subprocess.run(command, capture_output=True, timeout=LIMIT, check=True)
        assert re.fullmatch(rb"diodload: \d+ ops/s.*\n", done.stderr), "a rate and no complaint"
        assert sum(c.session.requests for c in served.connections) > 100
        assert sum(c.session.errors for c in served.connections) <= 4, "each asks for a Tauth"
