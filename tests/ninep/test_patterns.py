"""What strangers' clients say, message by message: dialogues that were recorded with the real ones, and our answers.

plan9port's `9p` and `9pfuse`, 9fans.net/go, go9p (9P2000.u), go-p9p and u-root's p9 (9P2000.L) were built and run by
hand against a kernel; here their messages are sent again. docs/conformance.md says
which client was run, and what it showed.
"""

from __future__ import annotations

import errno

import pytest

from lux9.wire import linux as l, messages as m, unix as u
from lux9.wire.codec import NOFID, NOTAG, Message
from lux9.wire.messages import KEEP, OREAD, OTRUNC, OWRITE, Stat
from tests.ninep.marks import proves
from tests.ninep.speaking import Speaker

V = "9P2000"
U = "9P2000.u"
L = "9P2000.L"


@pytest.fixture
def peer() -> Speaker:
    return Speaker(V)


def names(data: bytes) -> list[str]:
    at, view, found = 0, memoryview(data), list[str]()
    while at < len(view):
        stat, at = Stat.get(view, at, len(view))
        found.append(stat.name)
    return found


class TestPlan9port:
    """One fid at a time, numbers used again at once, tags from 0, and a Tauth that may be refused."""

    @pytest.fixture(autouse=True)
    def begun(self, peer: Speaker) -> None:
        assert peer.ask(m.Tversion(8192, V), NOTAG) == m.Rversion(8192, V)
        assert peer.refused(m.Tauth(0, "root", ""), 0).startswith("not supported")
        peer.get(m.Rattach, m.Tattach(0, NOFID, "root", ""))

    @proves(V, "Tauth", "Twalk", "Tstat", "Topen", "Tread", "Tclunk")
    def test_9p_ls(self, peer: Speaker) -> None:
        for _ in range(2):
            assert len(peer.get(m.Rwalk, m.Twalk(0, 1, ("n003", "down"))).qids) == 2
            assert peer.get(m.Rstat, m.Tstat(1)).stat.name == "down"
            peer.get(m.Rclunk, m.Tclunk(1))
            peer.walk(1, "n003/down")
            assert peer.get(m.Ropen, m.Topen(1, OREAD)).iounit == 8192 - m.IOHDR
            data = peer.read(1, 0, 8168)
            assert sorted(names(data)) == ["down", "here"]
            assert peer.read(1, len(data), 8168) == b""
            peer.get(m.Rclunk, m.Tclunk(1))

    def test_9p_stat_of_nothing(self, peer: Speaker) -> None:
        """It takes a walk that stops for a failed one, and goes on with the same fid."""
        assert len(peer.get(m.Rwalk, m.Twalk(0, 1, ("n003", "nope"))).qids) == 1
        peer.walk(1, "n003/here")
        assert len(peer.get(m.Rwalk, m.Twalk(0, 2, ("ctl", "x"))).qids) == 1

    @proves(V, "Twrite")
    def test_9p_write(self, peer: Speaker) -> None:
        peer.open(1, "ctl", OWRITE | OTRUNC)
        assert peer.get(m.Rwrite, m.Twrite(1, 0, b"say hello\n")).count == 10
        assert "unknown command" in peer.refused(m.Twrite(1, 10, b"nonsense\n"))
        peer.get(m.Rclunk, m.Tclunk(1))

    def test_its_own_messages_are_refused_and_it_goes_on(self, peer: Speaker) -> None:
        """Topenfd, 98: size[4] 98 tag[2] fid[4] mode[1]."""
        peer.walk(1, "ctl")
        data = (12).to_bytes(4, "little") + bytes([98, 0, 0, 1, 0, 0, 0, 0])
        assert peer.raw(data) == 12
        ((tag, answer),) = peer.answers()
        assert (tag, answer) == (0, m.Rerror("protocol error: 9P2000 has no message 98"))
        peer.get(m.Rclunk, m.Tclunk(1))

    @proves(V, "Tread")
    def test_9pfuse(self, peer: Speaker) -> None:
        """A fid a directory, cloned to be opened. It relies on offset 0 to rewind, as its source says."""
        for fid, name in ((1, "n001"), (2, "down")):
            assert len(peer.get(m.Rwalk, m.Twalk(fid - 1, fid, (name,))).qids) == 1
            peer.get(m.Rstat, m.Tstat(fid))
        assert peer.get(m.Rwalk, m.Twalk(0, 3, ())).qids == ()
        peer.get(m.Ropen, m.Topen(3, OREAD))
        first = peer.read(3, 0, 4096)
        second = peer.read(3, len(first), 4096)
        assert not set(names(first)) & set(names(second))
        assert peer.read(3, 0, 4096) == first
        assert peer.read(3, len(first), 4096) == second
        assert peer.get(m.Rwalk, m.Twalk(2, 4, ("here",))).qids

    @proves(V, "Tflush")
    def test_a_read_that_waits_and_is_interrupted(self, peer: Speaker) -> None:
        """As libmux would: 9pfuse itself sends no Tflush."""
        peer.open(1, "event")
        assert peer.send(m.Tread(1, 0, 4096), 0) == []
        got = peer.send(m.Tflush(0), 1)
        assert [tag for tag, _ in got][-1] == 1
        assert isinstance(got[-1][1], m.Rflush)
        assert peer.top.given_up == 1
        peer.get(m.Rclunk, m.Tclunk(1))


class TestGo:
    """9fans.net/go: io.ReadAll, whose counts shrink; a fid that is lost at a walk that stops."""

    @pytest.fixture(autouse=True)
    def begun(self, peer: Speaker) -> None:
        peer.start(131072)

    def test_read_all_and_again(self, peer: Speaker) -> None:
        peer.open(2, "mem")
        whole = bytes(range(256))
        for _ in range(2):
            assert peer.read(2, 0, 512) == whole
            assert peer.read(2, 256, 256) == b""
        assert peer.read(2, 250, 166) == whole[250:]

    @proves(V, "Twstat")
    def test_wstat_of_nothing_is_a_sync(self, peer: Speaker) -> None:
        peer.walk(3, "ctl").get(m.Rwstat, m.Twstat(3, KEEP))
        peer.get(m.Rclunk, m.Tclunk(3))

    def test_dots_are_walked(self, peer: Speaker) -> None:
        assert len(peer.get(m.Rwalk, m.Twalk(0, 3, ("n001", "..", "n002", "here"))).qids) == 4
        peer.get(m.Ropen, m.Topen(3, OREAD))
        assert peer.read(3) == b"2\n"

    def test_go_p9p_opens_what_was_not_reached(self, peer: Speaker) -> None:
        assert len(peer.get(m.Rwalk, m.Twalk(0, 5, ("n001", "nope", "x"))).qids) == 1
        assert peer.refused(m.Topen(5, OREAD)) == "bad file descriptor: fid 5 is unknown"
        assert peer.refused(m.Tclunk(77)) == "bad file descriptor: fid 77 is unknown"
        assert peer.refused(m.Tread(0, 0, 100)).startswith("bad file descriptor")
        peer.walk(5, "ctl").get(m.Rclunk, m.Tclunk(5))


class TestGo9p:
    """9P2000.u: it clunks the fid of a walk that stopped, and cuts deep paths after 16 names."""

    @pytest.fixture
    def peer(self) -> Speaker:
        peer = Speaker(U)
        assert peer.ask(m.Tversion(8240, U), NOTAG) == m.Rversion(8240, U)
        peer.get(m.Rattach, u.Tattach(0, NOFID, "root", "", 0))
        return peer

    @proves(U, "Twalk", "Tclunk")
    def test_the_clunk_of_a_walk_that_stopped(self, peer: Speaker) -> None:
        assert len(peer.get(m.Rwalk, m.Twalk(0, 1, ("n001", "nope"))).qids) == 1
        answer = peer.ask(m.Tclunk(1))
        assert answer == u.Rerror("bad file descriptor: fid 1 is unknown", 9)
        peer.walk(1, "n001/here").get(m.Rclunk, m.Tclunk(1))

    def test_a_deep_path(self, peer: Speaker) -> None:
        deep = ("n000", *("down",) * 15)
        assert len(peer.get(m.Rwalk, m.Twalk(0, 1, deep)).qids) == 16
        assert len(peer.get(m.Rwalk, m.Twalk(1, 1, ("down", "down", "here"))).qids) == 3
        assert peer.get(u.Rstat, m.Tstat(1)).stat.name == "here"
        nowhere: Message = m.Twalk(0, 2, tuple("abcdefghijklmnop"))
        assert isinstance(peer.ask(nowhere), u.Rerror)

    @proves(U, "Tcreate", "Tremove")
    def test_what_is_refused_tells_its_number(self, peer: Speaker) -> None:
        peer.walk(1, "n001")
        assert peer.errno(u.Tcreate(1, "new", 0o644, OWRITE, "")) in (1, 30)
        peer.get(m.Rclunk, m.Tclunk(1))
        peer.walk(1, "ctl")
        assert peer.errno(m.Tremove(1)) == 1
        assert isinstance(peer.ask(m.Tclunk(1)), u.Rerror), "the fid went, whatever the answer"


class TestP9:
    """9P2000.L as u-root has it: a version of its own, small directory reads, an fsync of fids that are not open."""

    @pytest.fixture
    def peer(self) -> Speaker:
        peer = Speaker(L)
        asked = m.Tversion(65536, "9P2000.L.Google.7")
        assert peer.ask(asked, NOTAG) == m.Rversion(65536, L), "the longest beginning that is known"
        peer.get(m.Rattach, u.Tattach(1, NOFID, "", "", 0xFFFFFFFF))
        return peer

    @proves(L, "Tversion", "Treaddir")
    def test_a_directory_in_small_pieces(self, peer: Speaker) -> None:
        peer.get(m.Rwalk, m.Twalk(1, 0, ()))
        peer.lopen(2, "")
        found = [entry.name for entry in peer.names(2, 200) if entry.name not in (".", "..")]
        assert len(found) == len(set(found)) == 107

    @proves(L, "Tfsync", "Tsetattr", "Twalk")
    def test_attributes(self, peer: Speaker) -> None:
        peer.get(m.Rwalk, m.Twalk(1, 2, ("ctl",)))
        short = (11).to_bytes(4, "little") + bytes([50, 1, 0]) + (2).to_bytes(4, "little")
        assert peer.raw(short) == 11, "a Tfsync without datasync"
        ((_, answer),) = peer.answers()
        assert answer == l.Rlerror(errno.EBADF), "it is not open"
        peer.get(l.Rlopen, l.Tlopen(2, 0))
        assert peer.raw(short) == 11
        ((_, answer),) = peer.answers()
        assert isinstance(answer, l.Rfsync)
        peer.get(l.Rsetattr, l.Tsetattr(2, *(0,) * 9))
        assert len(peer.get(m.Rwalk, m.Twalk(1, 3, ("n001", "nope"))).qids) == 1
        assert peer.errno(m.Twalk(1, 4, ("nope",))) == errno.ENOENT
        peer.get(l.Rfsync, l.Tfsync(2, 1))
