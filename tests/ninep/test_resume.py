"""A client whose line is cut: it goes on where that means the same, and says where it does not."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from lux9.errors import Disconnected, RemoteError, Stale
from lux9.ninep import resume
from lux9.ninep.client import Client
from lux9.ninep.history import reading
from lux9.ninep.restore import Line
from lux9.ninep.resume import Resuming
from lux9.tree import File
from lux9.wire import linux as l, messages as m
from lux9.wire.messages import ORDWR, OREAD, OTRUNC, OWRITE
from tests.ninep.cutting import Cutter, cuts
from tests.ninep.rig import Memory
from tests.ninep.serving import Served

BIG = random.Random(3).randbytes(6 << 20)
DIALECTS = ("9P2000", "9P2000.u", "9P2000.L")


@pytest.fixture(autouse=True)
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resume, "FIRST", 0.001)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    with Served() as served:
        served.listen(tmp_path / "s")
        put(served, "big", BIG)
        yield served


@pytest.fixture
def cutter(served: Served, tmp_path: Path) -> Iterator[Cutter]:
    with Cutter(f"unix!{tmp_path / 's'}") as cutter:
        yield cutter


def put(served: Served, name: str, data: bytes) -> None:
    """A file that keeps what it says."""
    memory = Memory(data)
    served.do(
        lambda: served.top.names.__setitem__(
            name, File(0o666, lambda mode: memory, lambda: len(memory.data))
        )
    )


def client(cutter: Cutter, patience: float = 20.0, version: str = "9P2000") -> Client:
    return Client.resuming(Line(cutter.address, patience=patience), version=version)


def resumed(c: Client) -> int:
    assert isinstance(c.caller, Resuming)
    return c.caller.resumed


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(where=st.lists(st.integers(150, 2 << 20), max_size=6), version=st.sampled_from(DIALECTS))
def test_a_copy_is_whole_wherever_the_line_is_cut(
    served: Served, tmp_path: Path, where: list[int], version: str
) -> None:
    with Cutter(f"unix!{tmp_path / 's'}") as cutter, client(cutter, version=version) as c:
        cutter.after = cuts(iter(where[1:]))
        with c.open("/big") as f:
            if where:
                cutter.cut()
            assert f.read() == BIG
        assert resumed(c) >= bool(where)


def test_deep_walks_and_stats_go_on(cutter: Cutter) -> None:
    with client(cutter) as c:
        fid = c.walk("/".join(["n001", *["down"] * 20]))
        for _ in range(3):
            cutter.cut()
            stat = c.wait(c.caller.stat(fid))
            assert stat.name == "down"
            assert c.read("/n000/down/here") == b"1\n"
            assert len(c.ls("/")) > 100
        assert resumed(c) == 3


def test_fids_that_were_let_go_are_not_walked_to(served: Served, cutter: Cutter) -> None:
    with client(cutter) as c:
        for _ in range(5):
            with c.open("/big") as f:
                f.pread(0, 10)
            cutter.cut()
        assert c.stat("/big").length == len(BIG)
        assert isinstance(c.caller, Resuming)
        assert len(c.caller.history.fids) == 2, "the root's, and one that is being let go"
        c.caller.flush()
        served.until(lambda: sum(len(made.session.fids) for made in served.connections) == 1)


def test_files_that_do_not_keep_what_they_say_are_stale(served: Served, cutter: Cutter) -> None:
    with client(cutter) as c:
        mem, event, ctl = c.open("/mem"), c.open("/event"), c.open("/ctl")
        written, both = c.open("/big", OWRITE), c.open("/big", ORDWR)
        cutter.cut()
        for f in (mem, event, ctl):
            with pytest.raises(Stale, match=f"{f.path}: the connection was lost, and what it says"):
                f.pread(0, 4)
        for f in (written, both):
            with pytest.raises(Stale, match=r"/big: .* it was not open for reading alone"):
                f.pwrite(0, b"x")
        for f in (mem, event, ctl, written, both):
            f.close()
        assert c.read("/ctl") == b"facts\n", "opened anew, it is there"
        assert resumed(c) == 1


def test_what_changed_meanwhile_is_stale(served: Served, cutter: Cutter) -> None:
    with client(cutter) as c:
        grown, same, gone = c.open("/big"), c.open("/n000/here"), c.walk("/n002")
        same.close()
        put(served, "big", BIG + b"more")
        served.do(lambda: served.top.names.pop("n002"))
        cutter.cut()
        with pytest.raises(Stale, match=r"/big: .* the file has changed since"):
            grown.pread(0, 4)
        with pytest.raises(Stale, match=r"/n002: .* it cannot be had again: file does not exist"):
            c.wait(c.caller.stat(gone))
        assert c.read("/big")[-4:] == b"more"


def test_a_server_that_was_started_anew_is_another(served: Served, cutter: Cutter) -> None:
    with client(cutter) as c:
        f = c.open("/big")
        f.pread(0, 4)
        root: Any = served.owner.root
        root.tree.started += 10
        cutter.cut()
        with pytest.raises(Stale, match=r"/big: .* its server was started anew"):
            f.pread(0, 4)


@pytest.mark.parametrize(
    ("comes", "told"), [(True, "its server was started anew"), (False, "file does not exist")]
)
def test_a_server_that_was_started_anew_is_given_time_for_its_files(
    served: Served, cutter: Cutter, monkeypatch: pytest.MonkeyPatch, comes: bool, told: str
) -> None:
    """Its drivers are started after it listens: what they serve is not there at once."""
    put(served, "late", b"found")
    root: Any = served.owner.root

    def after() -> None:
        if comes and cutter.made == 3:
            put(served, "late", b"found")

    if not comes:
        monkeypatch.setattr(resume, "STARTING", 0.05)
    with client(cutter) as c:
        f = c.open("/late")
        root.tree.started += 10
        served.do(lambda: served.top.names.pop("late"))
        cutter.after = after
        cutter.cut()
        with pytest.raises(Stale, match=f"/late: .* {told}"):
            f.pread(0, 4)
        assert cutter.made >= 3, "it tried again"
        assert c.stat("/big").length == len(BIG), "the others are not harmed"


def test_a_write_on_its_way_is_not_repeated(served: Served, cutter: Cutter) -> None:
    put(served, "small", bytes(16))
    with client(cutter) as c:
        big, small = c.open("/big"), c.open("/small", OWRITE)
        fid = c.walk("/big")
        c.stat("/")
        session = served.connections[-1].session
        before = session.requests
        cutter.deaf = True  # what the server answers is lost
        wrote = c.caller.write(small.fid, 0, b"once")
        read, stat = c.caller.read(big.fid, 8, 4, copy=True), c.caller.stat(fid)
        c.caller.flush()
        served.until(lambda: session.requests >= before + 3)
        cutter.cut()
        cutter.deaf = False
        assert bytes(c.wait(read)) == BIG[8:12]
        assert c.wait(stat).length == len(BIG)
        with pytest.raises(Disconnected, match="this Twrite may have been carried out, and is not"):
            c.wait(wrote)
        assert c.read("/small")[:5] == b"once\0"


def test_a_remove_on_its_way_leaves_no_fid(served: Served, cutter: Cutter) -> None:
    with client(cutter) as c:
        fid = c.walk("/big")
        session = served.connections[-1].session
        before = session.requests
        cutter.deaf = True
        removed = c.caller.submit(m.Tremove(fid)).ended(lambda _: c.caller.fids.append(fid))
        c.caller.flush()
        served.until(lambda: session.requests > before)
        cutter.cut()
        cutter.deaf = False
        with pytest.raises(Disconnected, match="this Tremove may have been carried out"):
            c.wait(removed)
        assert c.walk("/n000") == fid, "its number is free, here and there"


def test_what_went_into_a_dead_line_is_not_repeated(served: Served, cutter: Cutter) -> None:
    with client(cutter) as c:
        fid = c.walk("/n001/here")
        cutter.cut()
        c.caller.wire.wait()  # it hears of the loss, and mends it
        asked = c.caller.submit(m.Twstat(fid, m.KEEP.but(mtime=1)))
        cutter.cut()
        with pytest.raises(Disconnected, match="Twstat may have been carried out"):
            c.wait(asked)  # it went into a line that was cut, and who knows
        c.wait(c.caller.submit(m.Twstat(fid, m.KEEP.but(mtime=1))))


def test_truncating_is_not_repeated() -> None:
    assert reading(m.Topen(1, OREAD))
    assert not any(reading(m.Topen(1, mode)) for mode in (OREAD | OTRUNC, OWRITE, ORDWR, 0x40))
    assert reading(l.Tlopen(1, 0o100000))
    assert not any(reading(l.Tlopen(1, flags)) for flags in (1, 2, l.O_TRUNC, l.O_CREAT))


def test_patience_may_have_no_end(cutter: Cutter) -> None:
    with client(cutter, patience=math.inf) as c, c.open("/big") as f:
        cutter.cut()
        assert f.pread(0, 4) == BIG[:4]


def test_patience_ends(served: Served, cutter: Cutter) -> None:
    with client(cutter, patience=0.05) as c:
        f = c.open("/big")
        cutter.refusing = True
        cutter.cut()
        with pytest.raises(Disconnected, match=r"not to be had again in 0\.05 s"):
            f.pread(0, 4)
        with pytest.raises(Disconnected, match="not to be had again"):
            c.stat("/")


def test_patience_with_one_who_listens_and_says_nothing_ends(
    served: Served, cutter: Cutter
) -> None:
    with client(cutter, patience=0.05) as c:
        f = c.open("/big")
        cutter.deaf = True
        cutter.cut()
        with pytest.raises(Disconnected, match=r"no sign of life .*: no answer in 0\.05 s"):
            f.pread(0, 4)
        served.until(lambda: cutter.made >= 2)  # it was let in


def test_who_is_not_wanted_any_more_does_not_try_again(served: Served, cutter: Cutter) -> None:
    with client(cutter) as c:
        f = c.open("/big")
        served.unwelcome = Stale("go away")
        cutter.cut()
        with pytest.raises(RemoteError, match="go away"):
            f.pread(0, 4)
        assert cutter.made < 10, "its patience is far from over"


def test_an_end_that_is_meant_is_one(cutter: Cutter) -> None:
    c = client(cutter)
    f = c.open("/big")
    cutter.cut()
    c.close()
    with pytest.raises(Disconnected):
        f.pread(0, 4)
    assert cutter.made == 1


def test_reads_given_up_are_not_asked_again(served: Served, cutter: Cutter) -> None:
    with client(cutter) as c:
        f = c.open("/big")
        reads = [c.caller.read(f.fid, i, 4) for i in range(8)]
        for read in reads[:4]:
            read.cancel()
        cutter.cut()
        assert [bytes(c.wait(read)) for read in reads[4:]] == [BIG[i : i + 4] for i in range(4, 8)]
        assert c.stat("/big").length == len(BIG)
        tags = c.caller.tags
        assert len(tags) == len(set(tags)), "no tag is free twice"


def test_it_says_what_it_does(cutter: Cutter) -> None:
    said: list[str] = []
    with Client.resuming(Line(cutter.address, say=said.append)) as c:
        cutter.cut()
        c.stat("/")
    assert len(said) == 1
    assert said[0].startswith("connection closed: ")
    assert said[0].endswith(f"; dialling {cutter.address} again")
