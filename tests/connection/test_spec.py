"""The tree by fsspec: by hand on our server, and fsspec's own tests of a file system on diod, which can be written."""

from __future__ import annotations

import pickle
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import quote

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from fsspec.tests import abstract

import lux9
from lux9 import RemoteTree
from lux9.connection.spec import Lux9FileSystem
from lux9.wire.messages import DMDIR, QTDIR, Qid, Stat
from tests.ninep.rig import LONG
from tests.ninep.serving import LIMIT, Served
from tests.ninep.test_diod import connectable, tool


@pytest.fixture
def fs(addr: str) -> Iterator[Lux9FileSystem]:
    fs = Lux9FileSystem(addr, skip_instance_cache=True)
    yield fs
    fs.tree.close()


class TestUrls:
    def test_where_the_commands_go(self, addr: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LUX9_ADDR", addr)
        with fsspec.open("lux9:///ctl", "rb", skip_instance_cache=True) as f:
            assert f.read() == b"facts\n"
        with fsspec.open("lux9:///ctl", "r", skip_instance_cache=True) as f:
            assert list(f) == ["facts\n"]

    def test_with_an_address(self, addr: str) -> None:
        url = f"lux9://{quote(addr, safe='!')}/n003/here"
        fs, path = fsspec.url_to_fs(url, skip_instance_cache=True)
        assert isinstance(fs, Lux9FileSystem)
        assert (fs.addr, path) == (addr, "/n003/here")
        assert fs.cat_file(path) == b"3\n"
        assert fs.unstrip_protocol(path) == url
        fs.tree.close()

    @pytest.mark.parametrize(
        ("url", "addr", "path"),
        [
            ("lux9://tls!lab.example!564/a/b", "tls!lab.example!564", "/a/b"),
            ("lux9://tls![%3A%3A1]!564/", "tls![::1]!564", "/"),
            ("lux9://unix!%2Frun%2Fs", "unix!/run/s", "/"),
        ],
    )
    def test_of_other_hosts(self, url: str, addr: str, path: str) -> None:
        fs, found = fsspec.url_to_fs(url)
        assert isinstance(fs, Lux9FileSystem)
        assert (fs.addr, found) == (addr, path)
        assert fs.unstrip_protocol(found).rstrip("/") == url.rstrip("/")


class TestReading:
    def test_a_link_that_leads_back_is_not_gone_into(
        self, fs: Lux9FileSystem, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        loop = Stat(0, 0, Qid(QTDIR, 0, 7), DMDIR | 0o555, 0, 0, 0, "loop", "", "", "")
        for name, told in (("stat", loop), ("scandir", [loop])):
            monkeypatch.setattr(fs.tree, name, Mock(return_value=told))
        assert list(fs.walk("/")) == [("/", ["loop"], [])]

    def test_what_is_there(self, fs: Lux9FileSystem) -> None:
        assert fs.ls("/n001", detail=False) == ["/n001/down", "/n001/here"]
        assert fs.ls("/ctl", detail=False) == ["/ctl"]
        info = fs.info("/n001/down")
        assert (info["name"], info["type"], info["mode"]) == ("/n001/down", "directory", 0o555)
        assert fs.glob("/n00[12]/h*") == ["/n001/here", "/n002/here"]
        assert fs.exists("lux9:///ctl")
        assert not fs.exists("/nope")
        assert next(iter(fs.walk("/n005"))) == ("/n005", ["down"], ["here"])
        assert list(fs.walk("/n005", maxdepth=1)) == [("/n005", ["down"], ["here"])]
        assert list(fs.walk("/n005", 1, False)) == [("/n005", ["down"], ["here"])]
        assert fs.modified("/ctl").year >= 1970
        assert fs.ukey("/ctl") != fs.ukey("/mem")

    def test_a_device_is_not_cached(self, fs: Lux9FileSystem, served: Served) -> None:
        calls = served.top.memory.calls
        with fs.open("/mem", "rb") as f:
            f.seek(4)
            assert f.read(2) == b"\4\5"
            f.seek(4)
            assert f.read(2) == b"\4\5"
        assert calls == ["r4+2", "r4+2"]

    def test_a_plain_file_is_read_by_blocks(self, fs: Lux9FileSystem, served: Served) -> None:
        fs.pipe_file("/new", b"abc" + bytes(13))
        with fs.open("/new", "rb") as f:
            assert [f.read(1), f.read(2)] == [b"a", b"bc"]
            assert f.seek(-1, 2) == 15
        assert fs.cat_file("/new", 1, 3) == b"bc"
        assert fs.cat_file("/new", -16, -13) == b"abc"
        assert fs.cat_file("/new", 14) == b"\0\0"
        assert fs.cat_file("/new") == b"abc" + bytes(13)

    def test_copied_here(self, fs: Lux9FileSystem, served: Served, tmp_path: Path) -> None:
        fs.get_file("/long", str(tmp_path / "copy"))
        assert (tmp_path / "copy").stat().st_size == LONG

    def test_a_connection_that_ended_is_made_again(self, fs: Lux9FileSystem) -> None:
        assert fs.exists("/ctl")
        fs.tree.close()
        assert fs.exists("/ctl")
        assert pickle.loads(pickle.dumps(fs)).addr == fs.addr

    def test_refusals(self, fs: Lux9FileSystem) -> None:
        with pytest.raises(FileNotFoundError):
            fs.open("/nope", "rb")
        with pytest.raises(PermissionError):
            fs.mkdir("/n001/new")
        with pytest.raises(NotImplementedError):
            fs.touch("/ctl", truncate=False)


def test_the_same_tree_beside_it(fs: Lux9FileSystem, tree: RemoteTree) -> None:
    fs.pipe_file("/new", b"x")
    assert tree.read_bytes("/new")[:1] == b"x"


@pytest.fixture(scope="module")
def diod(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lux9FileSystem]:
    """A directory that can be written, served."""
    home = tmp_path_factory.mktemp("diod")
    (home / "files").mkdir()
    options = ["-f", "-n", "-N", "-c", "/dev/null", "-L", str(home / "log")]
    where = ["-l", str(home / "s"), "-e", str(home / "files")]
    server = subprocess.Popen([tool("diod"), *options, *where])
    try:
        connectable(server, home / "s")
        fs = Lux9FileSystem(
            f"unix!{home / 's'}",
            aname=str(home / "files"),
            version="9P2000.L",
            auto_mkdir=True,
            timeout=LIMIT,
        )
        yield fs
        fs.tree.close()
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait(LIMIT)


class OnDiod(abstract.AbstractFixtures):
    """fsspec's own tests want a file system that can be written: diod serves one."""

    @pytest.fixture
    def fs(self, diod: Lux9FileSystem) -> Lux9FileSystem:
        return diod

    @pytest.fixture
    def fs_path(self) -> str:
        return "/top"

    @pytest.fixture
    def local_fs(self) -> LocalFileSystem:
        return LocalFileSystem(auto_mkdir=True)

    @pytest.fixture
    def local_path(self, tmp_path: Path) -> str:
        return str(tmp_path)


class TestCopy(abstract.AbstractCopyTests, OnDiod): ...


class TestGet(abstract.AbstractGetTests, OnDiod): ...


class TestPut(abstract.AbstractPutTests, OnDiod): ...


class TestOpen(abstract.AbstractOpenTests, OnDiod): ...


class TestPipe(abstract.AbstractPipeTests, OnDiod): ...


class TestOnDiod(OnDiod):
    def test_another_name(self, fs: Lux9FileSystem) -> None:
        fs.pipe_file("/a/old", b"data")
        fs.mv_file("/a/old", "/a/new")
        fs.mkdir("/b")
        fs.mv_file("/a/new", "/b/there")
        assert fs.find("/b") == ["/b/there"]
        assert not fs.find("/a")
        assert fs.cat_file("/b/there") == b"data"
        with pytest.raises(FileExistsError):
            fs.mkdir("/b")
        with pytest.raises(FileExistsError):
            fs.makedirs("/b")
        with pytest.raises(OSError, match="not empty"):
            fs.rmdir("/b")
        fs.rm("/b", recursive=True)
        fs.rmdir("/a")
        assert not fs.exists("/a")

    def test_long_ones(self, fs: Lux9FileSystem, tmp_path: Path) -> None:
        data = bytes(i * 7 % 251 for i in range(3_000_000))
        with fs.open("/long", "wb") as f:
            f.write(data)
        with fs.open("/long", "rb", block_size=100_000) as f:
            f.seek(1_234_567)
            assert f.read(500_000) == data[1_234_567:1_734_567]
        fs.cp_file("/long", "/copy")
        with lux9.connect(fs.addr, aname=fs.aname, version=fs.version) as tree:
            assert tree.read_bytes("/copy") == data
            with tree.open("/copy", "r+b") as f:
                f.truncate(5)
            assert (tree / "copy").stat().st_size == 5
            assert (tree / "copy").stat().st_uid >= 0
            tree.remove("/copy")
        fs.rm("/long")
