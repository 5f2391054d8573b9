"""The server's side without a socket: what intro(5) and its pages rule about fids, tags and messages."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from lux9.errors import ProtocolError
from lux9.ninep.session import Bounds
from lux9.pending import Pending
from lux9.tree import File
from lux9.wire import messages as m
from lux9.wire.codec import NOFID, NOTAG, Message
from lux9.wire.messages import KEEP, Qid, Stat
from tests.ninep.rig import LONG, ROOT, Memory, Odd, Peer, odd


@pytest.fixture
def peer() -> Peer:
    return Peer().start()


class TestVersion:
    @pytest.mark.parametrize(
        ("asked", "answered"),
        [
            ("9P2000", "9P2000"),
            ("9P2000.u", "9P2000.u"),
            ("9P2000.L", "9P2000.L"),
            ("9P2000.x", "9P2000"),
            ("9P2000.L.Google.7", "9P2000.L"),
            ("9P2000.u.x.y", "9P2000.u"),
            ("9P2000.", "9P2000"),
            (".9P2000", "unknown"),
            ("9P", "unknown"),
            ("9P1999", "unknown"),
            ("", "unknown"),
            ("http", "unknown"),
        ],
    )
    def test_is_agreed_on(self, asked: str, answered: str) -> None:
        assert Peer().ask(m.Tversion(8192, asked), NOTAG) == m.Rversion(8192, answered)

    @pytest.mark.parametrize(
        ("asked", "agreed"), [(256, 256), (8192, 8192), (1 << 31, (1 << 20) + 24)]
    )
    def test_msize_is_the_smaller_one(self, asked: int, agreed: int) -> None:
        answer = Peer().ask(m.Tversion(asked, "9P2000"), NOTAG)
        assert answer == m.Rversion(agreed, "9P2000")

    def test_msize_too_small(self) -> None:
        assert "msize 255: at least 256" in Peer().refused(m.Tversion(255, "9P2000"), NOTAG)

    @pytest.mark.parametrize("message", [m.Tattach(0, NOFID, "", ""), m.Tclunk(0), m.Tflush(3)])
    def test_comes_first(self, message: Message) -> None:
        assert "before Tversion" in Peer().refused(message)

    def test_an_unknown_one_leaves_no_session(self, peer: Peer) -> None:
        peer.ask(m.Tversion(8192, "nonsense"), NOTAG)
        assert "before Tversion" in peer.refused(m.Tattach(1, NOFID, "", ""))

    def test_in_the_middle_begins_anew(self, peer: Peer) -> None:
        peer.open(1, "event").open(2, "mem")
        assert peer.send(m.Tread(1, 0, 10), 7) == []
        peer.ask(m.Tversion(4096, "9P2000"), NOTAG)
        assert peer.top.given_up == 1
        assert peer.top.memory.closed == 1
        assert not peer.session.waiting
        assert peer.session.inflight == 0
        assert "fid 0 is unknown" in peer.refused(m.Tclunk(0))
        peer.top.waiting[0].resolve("too late")
        assert peer.answers() == []
        assert isinstance(peer.ask(m.Tattach(1, NOFID, "", "")), m.Rattach)

    def test_even_when_its_tag_waits(self, peer: Peer) -> None:
        peer.open(1, "event")
        peer.send(m.Tread(1, 0, 10), NOTAG)
        assert isinstance(peer.ask(m.Tversion(4096, "9P2000"), NOTAG), m.Rversion)


class TestMessages:
    @pytest.mark.parametrize("size", [0, 6, (1 << 20) + 25, 0xFFFFFFFF])
    def test_a_size_that_cannot_be_ends_the_session(self, size: int) -> None:
        with pytest.raises(ProtocolError, match=f"{size} bytes"):
            Peer().raw(struct.pack("<IBH", size, 100, NOTAG) + b"\0" * 60)

    def test_larger_than_was_agreed_on(self, peer: Peer) -> None:
        with pytest.raises(ProtocolError, match="msize is 8192"):
            peer.raw(m.Twrite(ROOT, 0, b"\0" * 8192).encode(1))

    def test_what_came_before_is_answered(self, peer: Peer) -> None:
        with pytest.raises(ProtocolError):
            peer.raw(m.Tstat(ROOT).encode(1) + b"\xff" * 7)
        assert [tag for tag, _ in peer.answers()] == [1]

    def test_part_of_one_is_left(self, peer: Peer) -> None:
        whole = m.Tstat(ROOT).encode(1)
        for n in range(len(whole)):
            assert peer.raw(whole[:n]) == 0
            assert peer.raw(whole + whole[:n]) == len(whole)
        assert len(peer.answers()) == len(whole)

    @pytest.mark.parametrize(
        "data",
        [
            struct.pack("<IBH", 7, 99, 5),  # no such message
            struct.pack("<IBH", 7, 106, 5),  # Terror: illegal
            struct.pack("<IBH", 7, 120, 5),  # a Tclunk without a fid
            struct.pack("<IBHI", 11, 109, 5, 0),  # an answer, and bytes left over
            m.Rclunk().encode(5),  # an answer
            m.Rversion(8192, "9P2000").encode(5),
            struct.pack("<IBHIQIB", 24, 116, 5, 0, 0, 0, 0),  # a Tread with a byte too many
            struct.pack("<IBHIQI", 23, 118, 5, 0, 0, 1),  # a Twrite whose data is missing
            struct.pack("<IBHIIHH", 19, 110, 5, 0, 1, 1, 9),  # a name longer than the message
        ],
        ids=lambda data: data[4:].hex(),
    )
    def test_malformed_ones_are_refused_and_the_session_goes_on(
        self, peer: Peer, data: bytes
    ) -> None:
        assert peer.raw(data) == len(data)
        ((tag, answer),) = peer.answers()
        assert (tag, type(answer)) == (5, m.Rerror)
        assert ("DecodeError" in peer.owner.refusals[-1]) or (
            "ProtocolError" in peer.owner.refusals[-1]
        )
        assert isinstance(peer.ask(m.Tstat(ROOT)), m.Rstat)

    def test_auth_is_refused_clearly(self, peer: Peer) -> None:
        text = peer.refused(m.Tauth(9, "glenda", ""))
        assert text.startswith("not supported: no authentication")
        assert "attach with afid NOFID" in text
        assert "afid 9" in peer.refused(m.Tattach(1, 9, "glenda", ""))

    def test_our_own_mistake_is_told_and_contained(self, peer: Peer) -> None:
        peer.walk(1, "broken")
        assert peer.refused(m.Topen(1, 0)) == "i/o error: ZeroDivisionError: "
        assert peer.owner.refusals == [("ZeroDivisionError", "Topen", "/broken")]
        assert peer.session.errors == 1

    def test_a_file_that_gives_nonsense_harms_its_reader_alone(self, peer: Peer) -> None:
        peer.top.names["odd"] = odd(None)
        peer.open(1, "odd", m.ORDWR)
        assert "TypeError" in peer.refused(m.Tread(1, 0, 8))
        assert isinstance(peer.ask(m.Twrite(1, 0, b"x")), m.Rerror)
        assert isinstance(peer.ask(m.Tstat(ROOT)), m.Rstat)

    @pytest.mark.parametrize("data", [b"x" * 20_000, memoryview(b"x" * 20_000), b"x" * 11])
    def test_a_file_that_gives_more_than_was_asked_for_is_cut(
        self, peer: Peer, data: bytes | memoryview
    ) -> None:
        peer.top.names["odd"] = odd(data)
        peer.open(1, "odd")
        assert peer.read(1, 0, 10) == b"x" * 10

    def test_an_answer_larger_than_the_msize_is_an_error(self) -> None:
        peer = Peer().start(256)
        name = "n" * 230
        peer.top.names[name] = odd(b"")
        peer.walk(1, name)
        assert peer.refused(m.Tstat(1)).startswith("limit reached: an answer of")

    def test_errors_fit_the_msize_and_are_text(self) -> None:
        peer = Peer().start(256)
        text = peer.refused(m.Tattach(1, NOFID, "", "é" * 115))
        assert text.startswith("file does not exist: é")
        assert len(text.encode()) <= 256 - 9

    def test_an_error_that_is_no_text(self, peer: Peer) -> None:
        def fails(mode: int) -> Odd:
            raise OSError(5, "a\0b \udcff" + "x" * 70_000)

        peer.top.names["odd"] = File(0o444, fails)
        peer.walk(1, "odd")
        assert peer.refused(m.Topen(1, 0)).startswith("i/o error: a\\0b \\udcffxxx")


class TestFids:
    def test_one_that_is_unknown(self, peer: Peer) -> None:
        for message in (
            m.Twalk(9, 10, ()),
            m.Topen(9, 0),
            m.Tcreate(9, "a", 0, 0),
            m.Tread(9, 0, 1),
            m.Twrite(9, 0, b""),
            m.Tclunk(9),
            m.Tremove(9),
            m.Tstat(9),
            m.Twstat(9, KEEP),
        ):
            assert peer.refused(message) == "bad file descriptor: fid 9 is unknown"

    def test_one_that_is_in_use(self, peer: Peer) -> None:
        peer.walk(1, "ctl")
        assert "fid 1 is in use" in peer.refused(m.Twalk(ROOT, 1, ()))
        assert "fid 1 is in use" in peer.refused(m.Tattach(1, NOFID, "", ""))

    def test_nofid_is_none(self, peer: Peer) -> None:
        assert "NOFID" in peer.refused(m.Twalk(ROOT, NOFID, ()))
        assert "NOFID" in peer.refused(m.Tattach(NOFID, NOFID, "", ""))

    def test_as_many_as_are_allowed(self) -> None:
        peer = Peer(Bounds(fids=3)).start()
        peer.walk(1, "ctl").walk(2, "ctl")
        assert peer.refused(m.Twalk(ROOT, 3, ())).startswith("limit reached: 3 fids are in use")
        peer.ask(m.Tclunk(1))
        peer.walk(3, "ctl")

    def test_a_clunked_one_is_free(self, peer: Peer) -> None:
        peer.open(1, "mem").ask(m.Tclunk(1))
        assert peer.top.memory.closed == 1
        peer.walk(1, "ctl")

    def test_an_open_one_is_not_opened_or_walked_from(self, peer: Peer) -> None:
        peer.open(1, "ctl")
        assert "is open already" in peer.refused(m.Topen(1, 0))
        assert "is open already" in peer.refused(m.Twalk(1, 2, ()))
        assert "is open already" in peer.refused(m.Tcreate(1, "x", 0, 0))

    def test_one_that_is_not_open(self, peer: Peer) -> None:
        peer.walk(1, "mem")
        assert "fid 1 is not open" in peer.refused(m.Tread(1, 0, 1))
        assert "fid 1 is not open" in peer.refused(m.Twrite(1, 0, b"x"))

    def test_one_that_is_open_the_other_way(self, peer: Peer) -> None:
        peer.open(1, "mem", m.OWRITE).open(2, "mem", m.OREAD)
        assert "not open for reading" in peer.refused(m.Tread(1, 0, 1))
        assert "not open for writing" in peer.refused(m.Twrite(2, 0, b"x"))
        assert peer.top.memory.calls == []

    def test_a_directory_is_not_written(self, peer: Peer) -> None:
        peer.open(1, "")
        assert peer.refused(m.Twrite(1, 0, b"x")).startswith("file is a directory")
        assert peer.refused(m.Topen(ROOT, m.OWRITE)).startswith("file is a directory")
        assert peer.refused(m.Topen(ROOT, m.ORCLOSE)).startswith("file is a directory")

    def test_attach_by_a_name_that_is_not_there(self, peer: Peer) -> None:
        assert peer.refused(m.Tattach(1, NOFID, "", "#Z")) == "file does not exist: #Z"
        assert peer.owner.refusals[-1] == ("NotFound", "Tattach", "#Z")
        peer.walk(1, "ctl")

    def test_a_late_attach(self, peer: Peer) -> None:
        assert peer.send(m.Tattach(1, NOFID, "", "late"), 5) == []
        assert "unknown" in peer.refused(m.Tstat(1)), "the fid is not there yet"
        assert "unknown" in peer.refused(m.Tclunk(1))
        assert "in use" in peer.refused(m.Twalk(ROOT, 1, ()))
        assert peer.owner.attaching is not None
        peer.owner.attaching.resolve(peer.owner.root)
        assert [(tag, type(a)) for tag, a in peer.answers()] == [(5, m.Rattach)]
        assert peer.woken == 1
        assert isinstance(peer.ask(m.Tstat(1)), m.Rstat)

    def test_a_late_attach_that_is_given_up(self, peer: Peer) -> None:
        peer.send(m.Tattach(1, NOFID, "", "late"), 5)
        assert peer.ask(m.Tflush(5), 6) == m.Rflush()
        peer.walk(1, "ctl")


class TestWalk:
    def test_no_names_is_a_clone(self, peer: Peer) -> None:
        assert peer.ask(m.Twalk(ROOT, 1, ())) == m.Rwalk(())
        assert peer.ask(m.Tstat(1)) == peer.ask(m.Tstat(ROOT))
        assert peer.ask(m.Twalk(ROOT, ROOT, ())) == m.Rwalk(())

    def test_sixteen_names_and_not_seventeen(self, peer: Peer) -> None:
        deep = ("n007", *["down"] * 15)
        answer = peer.ask(m.Twalk(ROOT, 1, deep))
        assert isinstance(answer, m.Rwalk)
        assert len(answer.qids) == 16
        assert peer.ask(m.Topen(1, 0)) == m.Ropen(answer.qids[-1], 8192 - 24)
        assert "17 names in a walk; 16 at most" in peer.refused(m.Twalk(ROOT, 2, (*deep, "down")))

    def test_to_the_same_fid(self, peer: Peer) -> None:
        peer.walk(1, "n001")
        answer = peer.ask(m.Twalk(1, 1, ("down", "here")))
        assert isinstance(answer, m.Rwalk)
        assert len(answer.qids) == 2
        peer.ask(m.Topen(1, 0))
        assert peer.read(1) == b"2\n"

    def test_a_first_name_that_fails_is_an_error(self, peer: Peer) -> None:
        assert peer.refused(m.Twalk(ROOT, 1, ("nope", "ctl"))) == "file does not exist"  # Linux's
        peer.walk(1, "ctl")

    def test_a_later_name_that_fails_ends_the_walk(self, peer: Peer) -> None:
        answer = peer.ask(m.Twalk(ROOT, 1, ("n001", "down", "nope", "down")))
        assert isinstance(answer, m.Rwalk)
        assert len(answer.qids) == 2
        assert "fid 1 is unknown" in peer.refused(m.Tclunk(1)), "newfid is affected only by success"
        answer = peer.ask(m.Twalk(ROOT, ROOT, ("n001", "nope")))
        assert isinstance(answer, m.Rwalk)
        assert len(answer.qids) == 1
        stat = peer.ask(m.Tstat(ROOT))
        assert isinstance(stat, m.Rstat)
        assert stat.stat.name == "/", "the fid stays where it was"

    def test_not_through_a_file(self, peer: Peer) -> None:
        answer = peer.ask(m.Twalk(ROOT, 1, ("ctl", "..")))
        assert isinstance(answer, m.Rwalk)
        assert len(answer.qids) == 1
        peer.walk(2, "ctl")
        assert peer.refused(m.Twalk(2, 3, ("..",))).startswith("not a directory")
        assert peer.ask(m.Twalk(2, 3, ())) == m.Rwalk(()), "but a file can be cloned"

    def test_not_out_of_the_tree(self, peer: Peer) -> None:
        peer.walk(1, "../../n001/../..")
        assert peer.ask(m.Tstat(1)) == peer.ask(m.Tstat(ROOT))

    @pytest.mark.parametrize("name", ["", "/", "a/b", "/etc"])
    def test_names_that_are_none(self, peer: Peer, name: str) -> None:
        assert "is not a file name" in peer.refused(m.Twalk(ROOT, 1, ("n001", name)))

    def test_qids_tell_what_was_walked(self, peer: Peer) -> None:
        answer = peer.ask(m.Twalk(ROOT, 1, ("n001", "here")))
        assert isinstance(answer, m.Rwalk)
        assert [q.is_dir for q in answer.qids] == [True, False]

    def test_audited_by_its_path(self, peer: Peer) -> None:
        peer.walk(1, "n001").refused(m.Twalk(1, 2, ("nope",)))
        assert peer.owner.refusals == [("Missing", "Twalk", "/n001/nope")]


class TestOpen:
    def test_iounit_is_what_fits(self, peer: Peer) -> None:
        peer.walk(1, "mem")
        answer = peer.ask(m.Topen(1, m.ORDWR))
        assert isinstance(answer, m.Ropen)
        assert answer.iounit == 8192 - 24

    def test_that_fails_leaves_the_fid(self, peer: Peer) -> None:
        peer.walk(1, "event")
        assert "cannot be written" in peer.refused(m.Topen(1, m.OWRITE))
        assert isinstance(peer.ask(m.Topen(1, m.OREAD)), m.Ropen)

    def test_that_is_answered_later(self, peer: Peer) -> None:
        peer.walk(1, "later")
        assert peer.send(m.Topen(1, m.ORDWR), 5) == []
        assert "is open already" in peer.refused(m.Topen(1, 0))
        assert "is not open" in peer.refused(m.Tread(1, 0, 1))
        peer.top.opening[0].resolve(Memory(b"late"))
        assert [(tag, type(a)) for tag, a in peer.answers()] == [(5, m.Ropen)]
        assert peer.read(1) == b"late"

    @pytest.mark.parametrize("how", ["fails", "flushed"])
    def test_that_fails_later_leaves_the_fid(self, peer: Peer, how: str) -> None:
        peer.walk(1, "later")
        peer.send(m.Topen(1, m.ORDWR), 5)
        if how == "fails":
            peer.top.opening[0].fail(OSError(5, "no"))
            assert [type(a) for _, a in peer.answers()] == [m.Rerror]
        else:
            assert peer.ask(m.Tflush(5), 6) == m.Rflush()
            assert peer.top.given_up == 1
        assert peer.send(m.Topen(1, m.ORDWR), 7) == []
        peer.top.opening[1].resolve(Memory(b"now"))
        assert [(tag, type(a)) for tag, a in peer.answers()] == [(7, m.Ropen)]
        assert peer.read(1) == b"now"

    def test_a_fid_that_is_being_opened_can_be_clunked(self, peer: Peer) -> None:
        peer.walk(1, "later")
        peer.send(m.Topen(1, m.ORDWR), 5)
        got = peer.send(m.Tclunk(1), 6)
        assert [(tag, type(a)) for tag, a in got] == [(5, m.Rerror), (6, m.Rclunk)]
        assert peer.top.given_up == 1

    def test_create_write_and_remove(self, peer: Peer) -> None:
        peer.walk(1, "")
        answer = peer.ask(m.Tcreate(1, "new", 0o600, m.ORDWR))
        assert isinstance(answer, m.Rcreate)
        assert peer.ask(m.Twrite(1, 2, b"ab")) == m.Rwrite(2)
        assert peer.read(1, 0, 5) == b"\0\0ab\0"
        stat = peer.ask(m.Tstat(1))
        assert isinstance(stat, m.Rstat)
        assert (stat.stat.name, stat.stat.length) == ("new", 16)
        peer.walk(2, "")
        assert peer.refused(m.Tcreate(2, "new", 0o600, 0)).startswith("file already exists")
        assert peer.ask(m.Tremove(1)) == m.Rremove()
        assert peer.top.removed == ["new"]
        assert "unknown" in peer.refused(m.Tclunk(1))

    @pytest.mark.parametrize("name", ["", ".", "..", "a/b"])
    def test_create_wants_a_name(self, peer: Peer, name: str) -> None:
        assert "is not a file name" in peer.refused(m.Tcreate(ROOT, name, 0o600, 0))

    def test_create_wants_a_directory(self, peer: Peer) -> None:
        peer.walk(1, "ctl")
        assert peer.refused(m.Tcreate(1, "x", 0o600, 0)).startswith("not a directory")

    def test_a_remove_that_fails_is_a_clunk_all_the_same(self, peer: Peer) -> None:
        peer.open(1, "mem")
        assert "cannot be removed" in peer.refused(m.Tremove(1))
        assert peer.top.memory.closed == 1
        assert "fid 1 is unknown" in peer.refused(m.Tclunk(1))

    @pytest.mark.parametrize("how", ["clunk", "version", "end"])
    def test_removed_on_close(self, peer: Peer, how: str) -> None:
        peer.walk(1, "").ask(m.Tcreate(1, "tmp", 0o600, m.ORDWR | m.ORCLOSE))
        if how == "clunk":
            peer.ask(m.Tclunk(1))
        elif how == "version":
            peer.ask(m.Tversion(8192, "9P2000"), NOTAG)
        else:
            peer.session.reset()
        assert peer.top.removed == ["tmp"]

    def test_removed_once(self, peer: Peer) -> None:
        peer.walk(1, "").ask(m.Tcreate(1, "tmp", 0o600, m.ORDWR | m.ORCLOSE))
        assert peer.ask(m.Tremove(1)) == m.Rremove()
        assert peer.top.removed == ["tmp"]

    def test_what_fails_at_the_end_keeps_nothing_open(self, peer: Peer) -> None:
        peer.walk(1, "").ask(m.Tcreate(1, "tmp", 0o600, m.ORDWR | m.ORCLOSE))
        peer.open(2, "mem")
        del peer.top.names["tmp"]
        peer.session.reset()
        assert peer.top.memory.closed == 1
        assert peer.owner.refusals == [("PermissionDenied", "Tclunk", "/tmp")]


class TestStat:
    def test_wstat_of_nothing_is_taken(self, peer: Peer) -> None:
        peer.walk(1, "ctl")
        assert peer.ask(m.Twstat(1, KEEP)) == m.Rwstat()
        assert "cannot be changed" in peer.refused(m.Twstat(1, KEEP.but(name="x")))

    def test_of_an_open_file(self, peer: Peer) -> None:
        peer.open(1, "ctl")
        answer = peer.ask(m.Tstat(1))
        assert isinstance(answer, m.Rstat)
        assert (answer.stat.name, answer.stat.mode) == ("ctl", 0o664)


def stats_of(data: bytes) -> list[Stat]:
    at, got = 0, list[Stat]()
    while at < len(data):
        stat, at = Stat.get(memoryview(data), at, len(data))
        got.append(stat)
    return got


class TestDirectories:
    @pytest.mark.parametrize("count", [100, 128, 500, 8000, 0xFFFFFFFF])
    def test_read_whole_at_any_count(self, peer: Peer, count: int) -> None:
        peer.open(1, "")
        data = b""
        while piece := peer.read(1, len(data), count):
            assert stats_of(piece), "whole entries"
            data += piece
        names = [stat.name for stat in stats_of(data)]
        assert names == [*peer.top.table, *peer.top.names]

    def test_an_offset_between_entries_is_refused(self, peer: Peer) -> None:
        peer.open(1, "")
        first = len(peer.read(1, 0, 100))
        for offset in (1, first - 1, first + 1, 1 << 40):
            assert "not where an entry" in peer.refused(m.Tread(1, offset, 8000))
        assert peer.read(1, first, 100)

    def test_a_count_that_holds_no_entry_is_refused(self, peer: Peer) -> None:
        peer.open(1, "")
        for count in (0, 1, 40):
            assert "too small for the next entry" in peer.refused(m.Tread(1, 0, count))

    def test_the_end_is_empty_at_any_count(self, peer: Peer) -> None:
        peer.open(1, "n001")
        end = len(peer.read(1))
        assert peer.read(1, end, 0) == b""
        assert peer.read(1, end) == b""

    def test_a_list_is_of_one_moment_until_it_is_begun_anew(self, peer: Peer) -> None:
        peer.open(1, "")
        first = peer.read(1, 0, 200)
        peer.top.names.clear()
        names = [s.name for s in stats_of(first + peer.read(1, len(first)))]
        assert "n000" in names
        assert "n000" not in [s.name for s in stats_of(peer.read(1))]

    def test_to_begin_at_another_offset(self, peer: Peer) -> None:
        peer.open(1, "").open(2, "")
        first = len(peer.read(1, 0, 200))
        assert peer.read(2, first, 300) == peer.read(1, first, 300)

    def test_very_many_entries(self, peer: Peer) -> None:
        peer.top.names = {f"file{i}": odd(b"") for i in range(20_000)}
        peer.open(1, "")
        at, names = 0, 0
        while piece := peer.read(1, at):
            at += len(piece)
            names += len(stats_of(piece))
        assert names == 20_000 + len(peer.top.table)


class TestReads:
    @given(st.integers(0, 300), st.integers(0, 300))
    def test_any_offset_and_count(self, offset: int, count: int) -> None:
        peer = Peer().start().open(1, "mem")
        assert peer.read(1, offset, count) == bytes(range(256))[offset : offset + count]

    @pytest.mark.parametrize("count", [8168, 8169, 1 << 20, 0xFFFFFFFF])
    def test_more_than_fits_is_cut(self, peer: Peer, count: int) -> None:
        peer.open(1, "long")
        assert len(peer.read(1, 0, count)) == 8168

    def test_long_answers(self) -> None:
        peer = Peer().start(1 << 20).open(1, "long")
        assert peer.read(1, 0, LONG) == bytes(peer.top.long_.data)

    def test_writes(self, peer: Peer) -> None:
        peer.open(1, "mem", m.ORDWR)
        assert peer.ask(m.Twrite(1, 3, b"abc")) == m.Rwrite(3)
        assert peer.ask(m.Twrite(1, 3, b"")) == m.Rwrite(0)
        assert peer.read(1, 2, 5) == b"\x02abc\x06"
        assert "0x200 is outside" in peer.refused(m.Twrite(1, 0x200, b"x"))
        assert peer.owner.refusals == [("PermissionDenied", "write", "/mem")]

    def test_answers_keep_the_order_of_what_is_answered_at_once(self, peer: Peer) -> None:
        peer.open(1, "mem", m.ORDWR)
        requests = [m.Twrite(1, 0, b"x"), m.Tread(1, 0, 1), m.Tstat(1), m.Tread(9, 0, 1)]
        data = b"".join(request.encode(tag) for tag, request in enumerate(requests))
        assert peer.raw(data) == len(data)
        kinds = [type(answer) for _, answer in peer.answers()]
        assert kinds == [m.Rwrite, m.Rread, m.Rstat, m.Rerror]

    def test_enough_long_answers_stop_it_until_they_are_sent(self) -> None:
        peer = Peer(Bounds(unsent=500_000)).start(1 << 20).open(1, "long")
        data = b"".join(m.Tread(1, 0, LONG).encode(tag) for tag in range(10))
        used = 0
        for _ in range(5):
            used += peer.raw(data[used:])
            assert peer.session.full
            assert len(peer.answers()) == 2
        assert used == len(data)


class TestWaiting:
    @pytest.fixture
    def peer(self) -> Peer:
        return Peer().start().open(1, "event")

    def test_an_answer_comes_when_it_comes(self, peer: Peer) -> None:
        assert peer.send(m.Tread(1, 0, 100), 5) == []
        assert peer.session.inflight == 100
        peer.top.waiting[0].resolve("irq\n")
        assert peer.answers() == [(5, m.Rread(b"irq\n"))]
        assert peer.woken == 1
        assert peer.session.inflight == 0

    def test_out_of_order(self, peer: Peer) -> None:
        for tag in (5, 6, 7):
            peer.send(m.Tread(1, 0, 100), tag)
        for i in (1, 2, 0):
            peer.top.waiting[i].resolve(str(i))
        assert [tag for tag, _ in peer.answers()] == [6, 7, 5]

    def test_an_error_later(self, peer: Peer) -> None:
        peer.send(m.Tread(1, 0, 100), 5)
        peer.top.waiting[0].fail(OSError(5, "gone"))
        assert peer.answers() == [(5, m.Rerror("i/o error: gone"))]

    def test_a_tag_that_waits_is_not_used_again(self, peer: Peer) -> None:
        peer.send(m.Tread(1, 0, 100), 5)
        for message in (m.Tread(1, 0, 1), m.Twrite(1, 0, b"x"), m.Tstat(ROOT)):
            assert peer.refused(message, 5) == "protocol error: tag 5 is in use"
        peer.top.waiting[0].resolve("x")
        assert peer.answers() == [(5, m.Rread(b"x"))]
        assert isinstance(peer.ask(m.Tstat(ROOT), 5), m.Rstat)

    def test_flush(self, peer: Peer) -> None:
        peer.send(m.Tread(1, 0, 100), 5)
        assert peer.ask(m.Tflush(5), 6) == m.Rflush()
        assert peer.top.given_up == 1
        peer.top.waiting[0].resolve("late")
        assert peer.answers() == [], "a flushed request is not answered"
        assert peer.session.inflight == 0
        assert peer.send(m.Tread(1, 0, 100), 5) == [], "and its tag is free"

    @pytest.mark.parametrize("old", [5, 6, 99, NOTAG])
    def test_flush_of_what_does_not_wait_is_answered(self, peer: Peer, old: int) -> None:
        assert peer.ask(m.Tflush(old), 6) == m.Rflush()

    def test_a_batch_with_its_own_flush(self, peer: Peer) -> None:
        peer.raw(m.Tread(1, 0, 9).encode(5) + m.Tflush(5).encode(6) + m.Tread(1, 0, 9).encode(5))
        assert peer.answers() == [(6, m.Rflush())]
        peer.top.waiting[1].resolve("second")
        assert peer.answers() == [(5, m.Rread(b"second"))]

    def test_clunk_interrupts_what_waits_on_the_fid(self, peer: Peer) -> None:
        peer.open(2, "event")
        peer.send(m.Tread(1, 0, 100), 5)
        peer.send(m.Tread(2, 0, 100), 6)
        got = peer.send(m.Tclunk(1), 7)
        assert got == [(5, m.Rerror("interrupted: the fid was clunked")), (7, m.Rclunk())]
        assert peer.top.given_up == 1
        peer.top.waiting[1].resolve("other")
        assert peer.answers() == [(6, m.Rread(b"other"))]

    def test_remove_does_so_too(self, peer: Peer) -> None:
        peer.send(m.Tread(1, 0, 100), 5)
        assert [tag for tag, _ in peer.send(m.Tremove(1), 7)] == [5, 7]

    def test_the_end_gives_everything_up(self, peer: Peer) -> None:
        peer.open(2, "mem")
        for tag in range(10):
            peer.send(m.Tread(1, 0, 100), tag + 10)
        peer.session.reset()
        assert peer.top.given_up == 10
        assert peer.top.memory.closed == 1
        assert not peer.session.fids
        assert peer.answers() == []

    def test_a_full_table(self) -> None:
        peer = Peer(Bounds(pending=3)).start().open(1, "event")
        for tag in (5, 6, 7):
            assert peer.send(m.Tread(1, 0, 10), tag) == []
        assert peer.refused(m.Tread(1, 0, 10), 8).startswith("limit reached: 3 requests wait")
        assert peer.top.given_up == 1, "the refused one"
        assert isinstance(peer.ask(m.Tstat(ROOT), 8), m.Rstat), "what need not wait is answered"
        peer.top.waiting[0].resolve("x")
        peer.answers()
        assert peer.send(m.Tread(1, 0, 10), 8) == []

    def test_too_many_bytes_asked_for(self) -> None:
        peer = Peer(Bounds(inflight=10_000)).start().open(1, "event")
        assert peer.send(m.Tread(1, 0, 0xFFFFFFFF), 5) == [], "a count is only what fits the msize"
        assert peer.session.inflight == 8168
        assert "wait for 8168 bytes" in peer.refused(m.Tread(1, 0, 0xFFFFFFFF), 6)
        assert peer.send(m.Tread(1, 0, 100), 6) == []

    def test_every_tag(self) -> None:
        peer = Peer(Bounds(pending=1 << 16)).start(256).open(1, "event")
        data = b"".join(m.Tread(1, 0, 1).encode(tag) for tag in range(NOTAG))
        assert peer.raw(data) == len(data)
        assert len(peer.session.waiting) == NOTAG
        assert "tag 77 is in use" in peer.refused(m.Tread(1, 0, 1), 77)
        peer.session.reset()
        assert peer.top.given_up == NOTAG


def test_rpc_by_a_program_that_goes_on_reading(peer: Peer) -> None:
    peer.open(1, "ask", m.ORDWR)
    assert peer.ask(m.Twrite(1, 0, b"abc")) == m.Rwrite(3)
    assert peer.read(1, 3) == b"cba"
    assert peer.read(1, 6) == b""


def test_a_late_walk() -> None:
    """Names whose nodes have to be waited for, as through a mount."""
    peer = Peer().start()
    waits: list[Pending[object]] = []

    class Slow:
        qid = Qid(0x80, 0, 1)

        def walk(self, name: str) -> Pending[object]:
            waits.append(Pending())
            return waits[-1]

    peer.session.fids[ROOT].node = Slow()  # type: ignore[assignment]  # enough of a node
    peer.send(m.Twalk(ROOT, 1, ("a", "b", "c")), 5)
    waits[0].resolve(Slow())
    waits[1].resolve(peer.owner.root)
    ((tag, answer),) = peer.answers()
    assert tag == 5
    assert isinstance(answer, m.Rwalk)
    assert len(answer.qids) == 2, "c is not in our tree"
    peer.send(m.Twalk(ROOT, 1, ("a",)), 5)
    assert "in use" in peer.refused(m.Twalk(ROOT, 1, ()))
    assert peer.ask(m.Tflush(5), 6) == m.Rflush()
    assert waits[2].cancelled
    peer.send(m.Twalk(ROOT, 1, ("a",)), 5)
    waits[3].fail(OSError(2, "no"))
    assert [type(a) for _, a in peer.answers()] == [m.Rerror]
    peer.send(m.Twalk(ROOT, ROOT, ("a",)), 5)
    waits[4].resolve(peer.owner.root)
    assert [type(a) for _, a in peer.answers()] == [m.Rwalk]
    peer.walk(1, "ctl")


# Noise

fids, tags = st.integers(0, 3), st.sampled_from([1, 2, 3, NOTAG])
names = st.sampled_from(["ctl", "mem", "event", "later", "n001", "down", "..", "nope", "", "a/b"])
requests: st.SearchStrategy[Message] = st.one_of(
    st.builds(m.Tversion, st.sampled_from([100, 256, 8192]), st.sampled_from(["9P2000", "x"])),
    st.builds(m.Tattach, fids, st.just(NOFID), st.just(""), st.sampled_from(["", "late"])),
    st.builds(m.Tflush, tags),
    st.builds(m.Twalk, fids, fids, st.lists(names, max_size=3).map(tuple)),
    st.builds(m.Topen, fids, st.integers(0, 0x53)),
    st.builds(m.Tcreate, fids, names, st.just(0o644), st.integers(0, 3)),
    st.builds(m.Tread, fids, st.integers(0, 300), st.integers(0, 300)),
    st.builds(m.Twrite, fids, st.integers(0, 300), st.binary(max_size=9)),
    st.builds(m.Tclunk, fids),
    st.builds(m.Tremove, fids),
    st.builds(m.Tstat, fids),
    st.builds(m.Twstat, fids, st.just(KEEP)),
)


@settings(deadline=None)
@given(st.lists(st.tuples(tags, requests), max_size=60))
def test_whatever_is_asked_each_request_has_one_answer_or_waits(
    asked: list[tuple[int, Message]],
) -> None:
    peer = Peer().start()
    waiting: set[int] = set()
    for tag, message in asked:
        before = set(peer.session.waiting)
        answered = [t for t, _ in peer.send(message, tag)]
        if isinstance(message, m.Tversion):
            assert answered == [tag]
        else:
            ended = before - set(peer.session.waiting)
            if isinstance(message, m.Tflush) and tag not in before:
                ended.discard(message.oldtag)
            waits = tag in peer.session.waiting and tag not in before
            assert sorted(answered) == sorted([*ended, *([] if waits else [tag])])
    waiting = set(peer.session.waiting)
    left: list[Pending[Any]] = [*peer.top.waiting, *peer.top.opening]
    for pending in left:
        if not pending.done:
            pending.fail(OSError(5, "over"))
    assert {t for t, _ in peer.answers()} <= waiting
    peer.session.reset()
    assert not peer.session.fids
    assert peer.session.inflight == 0


@given(st.binary(max_size=200))
def test_noise_is_refused_or_ends_the_session(noise: bytes) -> None:
    peer = Peer().start()
    try:
        used = peer.raw(noise)
    except ProtocolError:
        used = 0
    assert used <= len(noise)
    assert all(isinstance(answer, Message) for _, answer in peer.answers())
