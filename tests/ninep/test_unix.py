"""9P2000.u on the server: what differs from 9P2000."""

from __future__ import annotations

import errno

import pytest

from lux9.wire import messages as m, unix as u
from lux9.wire.codec import NOFID
from tests.ninep.marks import proves
from tests.ninep.speaking import Speaker, disk

V = "9P2000.u"


@pytest.fixture
def peer() -> Speaker:
    return Speaker(V).start()


@pytest.fixture
def files() -> Speaker:
    return Speaker(V, disk().top).start()


@proves(V, "Tversion", "Tattach")
def test_a_session_begins(peer: Speaker) -> None:
    assert peer.get(m.Rattach, u.Tattach(5, NOFID, "", "", 1000)).qid.is_dir


@proves(V, "Tauth", "Rerror")
def test_a_refusal_has_a_number_and_a_text(peer: Speaker) -> None:
    got = peer.get(u.Rerror, u.Tauth(1, "me", "", 0))
    assert got.errno == errno.EOPNOTSUPP
    assert got.ename.startswith("not supported: no authentication")
    assert peer.errno(m.Twalk(0, 2, ("none",))) == errno.ENOENT


@proves(V, "Rerror")
def test_a_refusal_is_as_long_as_linux_has_room_for(peer: Speaker) -> None:
    got = peer.get(u.Rerror, u.Tattach(1, NOFID, "", "é" * 200, 0))
    assert got.errno == errno.ENOENT
    assert got.ename.startswith("file does not exist: éé")
    assert 127 <= len(got.encode(0)) - 7 <= 128, "P9_ERRMAX, the lengths of both fields among it"


@proves(V, "Tstat")
def test_a_stat_has_a_links_target_and_numbers(files: Speaker) -> None:
    files.walk(1, "soft")
    stat = files.get(u.Rstat, m.Tstat(1)).stat
    assert (stat.extension, stat.mode & u.DMSYMLINK) == ("file", u.DMSYMLINK)
    assert (stat.n_uid, stat.n_gid, stat.n_muid) == (7, 65534, u.NO_NUMBER)
    files.walk(2, "file")
    stat = files.get(u.Rstat, m.Tstat(2)).stat
    assert (stat.extension, stat.mode, stat.length) == ("", 0o640, 10)


@proves(V, "Twalk")
def test_a_walk_finds_links_themselves(files: Speaker) -> None:
    got = files.get(m.Rwalk, m.Twalk(0, 1, ("soft",)))
    assert got.qids[0].type == m.QTSYMLINK
    assert len(files.get(m.Rwalk, m.Twalk(0, 2, ("to", "in"))).qids) == 1, "ends at a link"


@proves(V, "Topen", "Tread")
def test_a_directory_shows_links_as_links(files: Speaker) -> None:
    data = memoryview(files.open(1, "").read(1))
    at, got = 0, dict[str, u.Stat]()
    while at < len(data):
        stat, at = u.Stat.get(data, at, len(data))
        got[stat.name] = stat
    assert {name: s.extension for name, s in got.items()} == {
        "file": "",
        "dir": "",
        "soft": "file",
        "to": "dir",
    }
    assert got["dir"].qid.is_dir
    assert not got["to"].qid.is_dir


@proves(V, "Tcreate", "Twrite", "Tclunk")
def test_a_file_is_created_and_written(files: Speaker) -> None:
    files.walk(1, "dir")
    files.get(m.Rcreate, u.Tcreate(1, "new", 0o644, m.ORDWR, ""))
    assert files.get(m.Rwrite, m.Twrite(1, 0, b"abc")).count == 3
    files.get(m.Rclunk, m.Tclunk(1))
    assert files.open(2, "dir/new").read(2) == b"abc"


@pytest.mark.parametrize("perm", [u.DMSYMLINK, u.DMDEVICE, u.DMLINK, u.DMNAMEDPIPE, u.DMSOCKET])
@proves(V, "Tcreate")
def test_what_no_file_here_can_be_is_refused(files: Speaker, perm: int) -> None:
    files.walk(1, "")
    assert files.errno(u.Tcreate(1, "x", perm | 0o644, 0, "b 8 1")) == errno.EPERM
    files.get(m.Rclunk, m.Tclunk(1))


@proves(V, "Twstat")
def test_a_wstat_keeps_what_it_does_not_name(peer: Speaker) -> None:
    none = u.NO_NUMBER
    keep = u.Stat(*_fields(m.KEEP), "", none, none, none)
    peer.walk(1, "mem")
    peer.get(m.Rwstat, u.Twstat(1, keep))
    owned = u.Stat(*_fields(m.KEEP), "", 1000, none, none)
    assert peer.errno(u.Twstat(1, owned)) == errno.EPERM, "a number is an owner, too"


def _fields(
    s: m.Stat,
) -> tuple[int, int, m.Qid, int, int, int, int, str, str, str, str]:
    return (
        *(s.type, s.dev, s.qid, s.mode, s.atime, s.mtime, s.length),
        *(s.name, s.uid, s.gid, s.muid),
    )


@proves(V, "Tremove", "Tflush")
def test_the_rest_is_as_in_9p2000(files: Speaker) -> None:
    files.walk(1, "file")
    files.get(m.Rremove, m.Tremove(1))
    assert files.errno(m.Twalk(0, 1, ("file",))) == errno.ENOENT
    files.get(m.Rflush, m.Tflush(77))
