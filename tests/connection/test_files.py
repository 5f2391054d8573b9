"""Files as `open()` gives them: what is buffered, and what is one access."""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
from pathlib import Path

import pytest

from lux9 import RemoteTree
from lux9.connection.files import checked
from tests.ninep.rig import LONG
from tests.ninep.serving import Served


def test_a_device_file_is_accessed_as_the_program_says(tree: RemoteTree, served: Served) -> None:
    calls = served.top.memory.calls
    with tree.open("/mem", "r+b") as f:
        assert isinstance(f, io.RawIOBase)
        f.seek(4)
        assert struct.unpack("<H", f.read(2)) == (0x0504,)
        f.seek(8)
        assert f.write(b"abcd") == 4
        assert f.tell() == 12
        assert calls == ["r4+2", "w8+4"]
        assert f.seek(-2, os.SEEK_CUR) == 10
    with tree.raw("/mem", "r+") as registers:
        calls.clear()
        assert registers.pread(4, 8) == b"abcd"
        assert registers.pwrite(b"e", 8) == 1
        assert calls == ["r8+4", "w8+1"]


def test_a_file_with_a_length_is_buffered(tree: RemoteTree, served: Served) -> None:
    tree.write_bytes("/plain", b"{}" + bytes(14))
    with tree.open("/plain", "rb") as f:
        assert isinstance(f, io.BufferedReader)
        assert f.read(2) == b"{}"
        assert f.seek(0, os.SEEK_END) == 16
    with tree.open("/plain", "r+b") as f:
        f.seek(2)
        f.write(b"xy")
        f.seek(0)
        assert f.read(4) == b"{}xy"


def test_text(tree: RemoteTree) -> None:
    with tree.open("/ctl") as f:
        assert (f.mode, f.name, f.readable()) == ("r", "/ctl", True)
        assert list(f) == ["facts\n"]
    with tree.open("/ctl", "w") as f:
        f.write("say hello\n")
    assert tree.read_text("/ctl") == "facts\n"
    assert tree.write_text("/ctl", "say hello") == 9
    with tree.open("/ask", "r+b") as f:
        f.write(b"ping")
        assert f.read(100) == b"gnip"


def test_other_people_s_code_takes_them(tree: RemoteTree, served: Served, tmp_path: Path) -> None:
    with tree.open("/long", "rb") as source, (tmp_path / "copy").open("wb") as copy:
        shutil.copyfileobj(source, copy)
    assert (tmp_path / "copy").read_bytes() == bytes(served.top.long_.data)
    with (tmp_path / "copy").open("rb") as source, tree.open("/long", "wb") as copy:
        served.top.long_.data[:] = bytes(LONG)
        shutil.copyfileobj(source, copy)
    assert bytes(served.top.long_.data) == (tmp_path / "copy").read_bytes()
    served.top.memory.data[:] = b'{"a": [1, 2]}'
    with tree.open("/mem", "rb") as f:
        assert json.load(f) == {"a": [1, 2]}
    with io.BufferedReader(tree.raw("/long")) as buffered:
        assert len(buffered.read()) == LONG


def test_created_and_appended_to(tree: RemoteTree) -> None:
    with tree.open("/new", "xb") as f:
        assert isinstance(f, io.BufferedWriter)
        f.write(b"1")
    with pytest.raises(FileExistsError):
        tree.open("/new", "x")
    with tree.open("/new", "ab") as f:
        assert f.tell() == 16
    with tree.open("/other", "w+") as f:
        f.write("abc")
        f.seek(0)
        assert f.read(3) == "abc"
    tree.remove("/new")
    assert "new" not in tree.listdir()


def test_what_a_file_is_not_open_for(tree: RemoteTree) -> None:
    with (
        tree.open("/mem", "rb") as f,
        pytest.raises(io.UnsupportedOperation, match="/mem is not open for writing"),
    ):
        f.write(b"x")
    with tree.open("/mem", "wb") as f, pytest.raises(io.UnsupportedOperation, match="reading"):
        f.read(1)
    with pytest.raises(ValueError, match="closed file /mem"):
        f.write(b"x")
    with pytest.raises(ValueError, match="closed file"):
        f.tell()


def test_a_forgotten_file_is_closed(tree: RemoteTree, served: Served) -> None:
    f = tree.raw("/mem")
    assert f.pread(1, 0) == b"\0"
    del f
    served.until(lambda: served.top.memory.closed == 1)


@pytest.mark.parametrize("mode", ["", "rw", "r++", "rbt", "q", "rbb", "b"])
def test_a_mode_that_is_none(tree: RemoteTree, mode: str) -> None:
    with pytest.raises(ValueError, match="is no mode; there are r w a x"):
        tree.open("/mem", mode)


@pytest.mark.parametrize(
    ("mode", "plain"), [("r", "rb"), ("rt", "rb"), ("rb+", "rb+"), ("+wb", "wb+"), ("x", "xb")]
)
def test_a_mode(mode: str, plain: str) -> None:
    assert checked(mode) == plain


def test_combinations_that_open_refuses_too(tree: RemoteTree) -> None:
    with pytest.raises(ValueError, match="binary mode"):
        tree.open("/mem", "rb", encoding="utf-8")
    with pytest.raises(ValueError, match="unbuffered"):
        tree.open("/mem", "r", 0)


def test_refusals_are_python_s_own(tree: RemoteTree) -> None:
    with pytest.raises(FileNotFoundError, match="file does not exist"):
        tree.open("/nope")
    with pytest.raises(FileNotFoundError) as caught:
        tree.stat("/n001/nope")
    assert caught.value.errno == 2
    with pytest.raises(PermissionError):
        tree.open("/event", "w")
    for mode in ("r", "rb", "rb+", "w"):
        with pytest.raises(IsADirectoryError, match=r"file is a directory: .*/n001"):
            tree.open("/n001", mode)
    with pytest.raises(IsADirectoryError):
        tree.read_bytes("/n001")
    with pytest.raises(OSError, match="0x300 is outside"), tree.raw("/mem", "r+") as f:
        f.pwrite(b"x", 0x300)
