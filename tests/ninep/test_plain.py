"""9P2000 on the server, message by message; `test_session.py` has the rules between them."""

from __future__ import annotations

import pytest

from lux9.wire import messages as m
from lux9.wire.codec import NOFID, NOTAG
from lux9.wire.messages import KEEP
from tests.ninep.marks import proves
from tests.ninep.speaking import Speaker, disk

V = "9P2000"


@pytest.fixture
def peer() -> Speaker:
    return Speaker(V).start()


@pytest.fixture
def files() -> Speaker:
    return Speaker(V, disk().top).start()


@proves(V, "Tversion", "Tattach", "Tauth", "Rerror")
def test_a_session_begins(peer: Speaker) -> None:
    assert peer.get(m.Rattach, m.Tattach(5, NOFID, "me", "")).qid.is_dir
    assert peer.refused(m.Tauth(1, "me", "")).startswith("not supported: no authentication")
    assert peer.ask(m.Tversion(8192, V), NOTAG) == m.Rversion(8192, V)
    assert peer.refused(m.Tstat(5)).startswith("bad file descriptor"), "its fids are gone"


@proves(V, "Twalk", "Tstat")
def test_links_are_followed(files: Speaker) -> None:
    assert len(files.get(m.Rwalk, m.Twalk(0, 1, ("to", "in"))).qids) == 2
    files.walk(2, "soft")
    assert files.get(m.Rstat, m.Tstat(2)).stat.length == 10


@proves(V, "Topen", "Tread")
def test_a_directory_shows_what_walks_find(files: Speaker) -> None:
    data = memoryview(files.open(1, "").read(1))
    at, kinds = 0, dict[str, bool]()
    while at < len(data):
        stat, at = m.Stat.get(data, at, len(data))
        kinds[stat.name] = stat.qid.is_dir
    assert kinds == {"file": False, "soft": False, "dir": True, "to": True}


@proves(V, "Tcreate", "Twrite", "Tclunk", "Tremove")
def test_a_file_comes_and_goes(files: Speaker) -> None:
    files.walk(1, "dir")
    files.get(m.Rcreate, m.Tcreate(1, "new", 0o644, m.ORDWR))
    assert files.get(m.Rwrite, m.Twrite(1, 0, b"abc")).count == 3
    files.get(m.Rclunk, m.Tclunk(1))
    assert files.open(2, "dir/new").read(2) == b"abc"
    files.get(m.Rremove, m.Tremove(2))
    assert len(files.get(m.Rwalk, m.Twalk(0, 2, ("dir", "new"))).qids) == 1


@proves(V, "Twstat", "Tflush")
def test_the_rest(peer: Speaker) -> None:
    peer.walk(1, "mem").get(m.Rwstat, m.Twstat(1, KEEP))
    assert peer.refused(m.Twstat(1, KEEP.but(name="x"))).startswith("permission denied")
    peer.get(m.Rflush, m.Tflush(9))
