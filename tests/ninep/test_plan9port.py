"""plan9port's wire codec, in C, under a client from PyPI (python-9p): it reads our bytes, and we read its."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import py9p
import pytest

from lux9.wire.messages import DMDIR, ORDWR, OWRITE
from tests.ninep.rig import LONG
from tests.ninep.serving import Served

ROOT = 0
MODE = slice(21, 25)  # of a stat's bytes. stat(5)
DONT_TOUCH = (47).to_bytes(2, "little") + b"\xff" * 39 + bytes(8)  # four empty strings


@pytest.fixture
def theirs(served: Served, tmp_path: Path) -> Iterator[py9p.Client]:
    """Attached."""
    served.listen(tmp_path / "s")
    with py9p.Client.connect_unix(str(tmp_path / "s"), msize=8192) as client:
        assert client.negotiate().msize == 8192
        assert client.attach(ROOT, uname="glenda").type == 0x80
        yield client


def entries(client: py9p.Client, fid: int, count: int) -> list[py9p.Dir]:
    """A directory, read on as its answers end, in reads of so many bytes."""
    found: list[py9p.Dir] = []
    offset = 0
    while data := client.read(fid, count, offset):
        offset += len(data)
        while data:
            size = 2 + int.from_bytes(data[:2], "little")
            found.append(py9p.Dir.from_bytes(data[:size]))
            data = data[size:]
    return found


@pytest.mark.parametrize("count", [100, 999, 8000])
def test_a_big_directory(theirs: py9p.Client, served: Served, count: int) -> None:
    theirs.walk(ROOT, 1, "")
    theirs.open(1)
    found = entries(theirs, 1, count)
    assert len(found) == 7 + 100
    assert {d.name for d in found if d.mode & DMDIR} == {f"n{i:03}" for i in range(100)}
    assert len(entries(theirs, 1, count)) == 107, "offset 0 begins anew"


def test_reads_and_writes(theirs: py9p.Client, served: Served) -> None:
    theirs.walk(ROOT, 1, "long")
    theirs.open(1, ORDWR)
    assert theirs.read(1, 8000, 1000) == bytes(served.top.long_.data[1000:9000])
    assert theirs.read(1, 10, LONG) == b""
    assert theirs.write(1, b"abc", 5) == 3
    assert theirs.read(1, 5, 4) == bytes(served.top.long_.data[4:5]) + b"abc" + theirs.read(1, 1, 8)
    theirs.clunk(1)


def test_comes_and_goes(theirs: py9p.Client, served: Served) -> None:
    theirs.walk(ROOT, 1, "")
    theirs.create(1, "new", 0o600, OWRITE)
    assert theirs.write(1, b"x" * 16) == 16
    assert theirs.stat(1).length == 16
    theirs.remove(1)
    assert served.top.removed == ["new"]


def test_stat_and_a_wstat_of_nothing(theirs: py9p.Client) -> None:
    theirs.walk(ROOT, 1, "ctl")
    found = theirs.stat(1)
    assert (found.name, found.mode, found.length) == ("ctl", 0o664, 0)
    theirs.wstat(1, DONT_TOUCH)
    other = bytearray(DONT_TOUCH)
    other[MODE] = (0o600).to_bytes(4, "little")
    with pytest.raises(py9p.RemoteError, match="permission denied"):
        theirs.wstat(1, bytes(other))


def test_walks(theirs: py9p.Client) -> None:
    assert len(theirs.walk(ROOT, 1, ["n000"] + ["down"] * 15)) == 16
    assert len(theirs.walk(1, 1, ["down"] * 16)) == 16
    assert len(theirs.walk(1, 2, ["here"])) == 1
    theirs.open(2)
    assert theirs.read(2, 10) == b"31\n"
    assert len(theirs.walk(ROOT, 3, ["n000", "nope", "x"])) == 1
    with pytest.raises(py9p.RemoteError, match="fid 3 is unknown"):
        theirs.open(3)
    with pytest.raises(py9p.RemoteError, match="file does not exist"):
        theirs.walk(ROOT, 3, ["nope"])
    theirs.clunk(1)
