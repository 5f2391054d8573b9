"""The client's side with no socket: tags, fids, flushes, and answers that are wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from lux9.errors import BadArgument, Disconnected, ProtocolError, RemoteError
from lux9.ninep.ahead import Ahead
from lux9.ninep.caller import Caller
from lux9.ninep.paths import Paths, names
from lux9.pending import Pending
from lux9.wire import messages as m
from lux9.wire.codec import NOTAG, Dialect, Message
from lux9.wire.dialects import LUX9
from lux9.wire.linux import LINUX
from lux9.wire.messages import P9, Qid
from lux9.wire.node import Bytes
from lux9.wire.unix import UNIX

QID = Qid(0, 0, 1)


class Script:
    """A wire whose other end is the test."""

    def __init__(self, caller: Caller) -> None:
        self.caller, self.sent = caller, list[tuple[int, Message]]()
        caller.wire = self

    def send(self, parts: list[Bytes]) -> None:
        self.sent += [P9.decode(part) for part in parts]

    def asked(self) -> list[tuple[int, Message]]:
        """What was sent since the last time."""
        self.caller.flush()
        sent, self.sent = self.sent, []
        return sent

    def one(self) -> tuple[int, Any]:
        ((tag, message),) = self.asked()
        return tag, message

    def say(self, tag: int, message: Message) -> None:
        data = message.encode(tag)
        assert self.caller.receive(memoryview(data)) == len(data)

    def wait(self) -> None:
        raise AssertionError("nobody waits here")

    def pause(self, seconds: float) -> None:
        raise AssertionError("nobody polls here")

    def close(self) -> None:
        pass


@pytest.fixture
def caller() -> Caller:
    return Caller()


@pytest.fixture
def wire(caller: Caller) -> Script:
    return Script(caller)


class TestTags:
    def test_requests_are_sent_together(self, caller: Caller, wire: Script) -> None:
        for i in range(3):
            caller.read(1, i, 4)
        assert wire.sent == []
        assert wire.asked() == [(i, m.Tread(1, i, 4)) for i in range(3)]

    def test_answers_in_any_order(self, caller: Caller, wire: Script) -> None:
        pending = [caller.read(1, i, 4, copy=True) for i in range(3)]
        wire.asked()
        for tag in (2, 0, 1):
            wire.say(tag, m.Rread(b"%d" % tag))
        assert [p.result() for p in pending] == [b"0", b"1", b"2"]

    def test_a_tag_is_free_after_its_answer(self, caller: Caller, wire: Script) -> None:
        caller.read(1, 0, 4)
        wire.asked()
        wire.say(0, m.Rread(b""))
        caller.read(1, 0, 4)
        assert wire.one()[0] == 0

    def test_one_that_was_given_up_is_flushed_and_not_free_before_that_is_answered(
        self, caller: Caller, wire: Script
    ) -> None:
        caller.read(1, 0, 4).cancel()
        assert wire.asked() == [(0, m.Tread(1, 0, 4)), (1, m.Tflush(0))]
        caller.read(1, 4, 4)
        assert wire.one()[0] == 2
        wire.say(1, m.Rflush())
        caller.read(1, 8, 4)
        caller.read(1, 12, 4)
        assert sorted(tag for tag, _ in wire.asked()) == [0, 1]

    def test_an_answer_before_the_rflush_is_thrown_away(self, caller: Caller, wire: Script) -> None:
        pending = caller.read(1, 0, 4)
        pending.cancel()
        wire.asked()
        wire.say(0, m.Rread(b"late"))
        caller.read(1, 4, 4)
        assert wire.one()[0] == 2, "tag 0 is held all the same (flush(5))"
        wire.say(1, m.Rflush())
        assert pending.cancelled
        assert {0, 1} <= set(caller.tags)
        assert not caller.held

    def test_there_are_as_many_as_9p_has(self, caller: Caller, wire: Script) -> None:
        for _ in range(NOTAG):
            caller.read(1, 0, 4)
        assert len({tag for tag, _ in wire.asked()} - {NOTAG}) == NOTAG
        with pytest.raises(ProtocolError, match="no tag is left"):
            caller.read(1, 0, 4)

    def test_a_message_that_cannot_be_sent_costs_none(self, caller: Caller, wire: Script) -> None:
        before = len(caller.tags)
        with pytest.raises(ProtocolError):
            caller.submit(m.Twalk(0, 1, ("\ud800",)))
        assert len(caller.tags) == before
        assert wire.asked() == []

    @pytest.mark.parametrize("offset", [-1, 1 << 64])
    def test_an_offset_that_no_message_has_costs_none(
        self, caller: Caller, wire: Script, offset: int
    ) -> None:
        free = len(caller.tags), caller.top_tag
        for ask in (
            lambda: caller.read(1, offset, 4),
            lambda: caller.write(1, offset, b"x"),
            lambda: caller.post(1, offset, b"x", "bar5"),
        ):
            with pytest.raises(BadArgument, match=f"offset {offset} is not one of a file"):
                ask()
        assert wire.asked() == []
        assert caller.posted == 0
        assert caller.top_tag - len(caller.tags) == free[1] - free[0], "no tag is lost"


class TestAnswers:
    @pytest.mark.parametrize(
        "data",
        [
            m.Rread(b"x").encode(9),  # nobody asked
            m.Rclunk().encode(0),  # not that
            m.Tread(1, 0, 4).encode(0),
            b"\x06\0\0\0\x75\0\0",
            b"\xff\xff\xff\xff\x75\0\0",
            b"\x0f\0\0\0\x75\0\0\x05\0\0\0abcd",  # a count that is not the data's
            b"\x0b\0\0\0\x75\0\0\x00",
            b"\x07\0\0\0\x75\0\0",
            b"\x08\0\0\0\x6b\0\0x",
        ],
        ids=bytes.hex,
    )
    def test_that_are_wrong_are_a_protocol_error(
        self, caller: Caller, wire: Script, data: bytes
    ) -> None:
        caller.read(1, 0, 4)
        wire.asked()
        if len(data) >= int.from_bytes(data[:4], "little") or data[0] == 0xFF:
            with pytest.raises(ProtocolError):
                caller.receive(memoryview(data))
        else:
            assert caller.receive(memoryview(data)) == 0

    def test_a_server_s_last_word(self, caller: Caller, wire: Script) -> None:
        with pytest.raises(ProtocolError, match="go away"):
            caller.receive(memoryview(m.Rerror("go away").encode(NOTAG)))

    @pytest.mark.parametrize("dialect", [P9, UNIX, LINUX, LUX9], ids=lambda d: d.version)
    def test_a_server_of_another_dialect_refuses_in_its_own(self, dialect: Dialect) -> None:
        """Before one is agreed on, there is no number in an Rerror that could be asked for."""
        caller = Caller(dialect=dialect)
        wire = Script(caller)
        started = caller.start()
        caller.flush()
        wire.say(NOTAG, m.Rerror("no more room"))
        with pytest.raises(RemoteError, match="no more room"):
            started.result()

    def test_errors_keep_their_number(self, caller: Caller, wire: Script) -> None:
        pending = caller.read(1, 0, 4)
        wire.asked()
        wire.say(0, m.Rerror("stale handle: claim 3"))
        with pytest.raises(RemoteError, match="claim 3") as caught:
            pending.result()
        assert caught.value.number == 116

    def test_a_view_is_good_in_the_callback(self, caller: Caller, wire: Script) -> None:
        seen: list[tuple[type, bytes]] = []
        caller.read(1, 0, 4).then(lambda p: seen.append((type(p.result()), bytes(p.result()))))
        caller.read(1, 0, 4, copy=True).then(lambda p: seen.append((type(p.result()), b"")))
        wire.asked()
        wire.say(0, m.Rread(b"abcd"))
        wire.say(1, m.Rread(b"abcd"))
        assert seen == [(memoryview, b"abcd"), (bytes, b"")]


class TestPosted:
    def test_errors_name_the_write(self, caller: Caller, wire: Script) -> None:
        caller.post(1, 0x118, b"\1\2\3\4", "/dev/pci/0000:00:1f.2/bar5")
        caller.post(1, 0x11C, b"\1", "/other")
        assert caller.posted == 2
        assert wire.asked()[0] == (0, m.Twrite(1, 0x118, b"\1\2\3\4"))
        wire.say(0, m.Rerror("stale handle: gone"))
        wire.say(1, m.Rerror("second"))
        with pytest.raises(RemoteError) as caught:
            caller.check()
        assert str(caught.value) == (
            "stale handle: gone (posted write to /dev/pci/0000:00:1f.2/bar5+0x118)"
        )
        assert caught.value.number == 116
        caller.check()
        assert caller.posted == 0

    def test_the_data_may_change_afterwards(self, caller: Caller, wire: Script) -> None:
        data = bytearray(b"1234")
        caller.post(1, 0, memoryview(data), "x")
        caller.write(1, 0, data)
        data[:] = b"----"
        assert [message for _, message in wire.asked()] == [m.Twrite(1, 0, b"1234")] * 2


class TestLoss:
    def test_fails_everything(self, caller: Caller, wire: Script) -> None:
        waiting = [caller.read(1, 0, 4), caller.submit(m.Tstat(1)), caller.start()]
        caller.post(1, 0, b"x", "x")
        caller.lost()
        for pending in [*waiting, caller.read(1, 0, 4), caller.walk(0, ["a"])]:
            assert pending.done
            with pytest.raises(Disconnected):
                pending.result()
        with pytest.raises(Disconnected):
            caller.post(1, 0, b"x", "x")
        assert caller.posted == 0
        caller.forget(1)
        caller.flush()
        assert wire.sent == []

    def test_the_reason_is_kept(self, caller: Caller) -> None:
        pending = caller.read(1, 0, 4)
        caller.lost(ProtocolError("nonsense"))
        caller.lost()
        with pytest.raises(ProtocolError, match="nonsense"):
            pending.result()


class TestLater:
    """Answers that programs submitted for are told from the loop."""

    @pytest.fixture
    def turns(self, caller: Caller) -> list[Callable[[], None]]:
        todo: list[Callable[[], None]] = []
        caller.soon = todo.append
        return todo

    def run(self, turns: list[Callable[[], None]]) -> None:
        todo, turns[:] = turns[:], []
        for act in todo:
            act()

    def test_requests_are_sent_once_a_turn(
        self, caller: Caller, wire: Script, turns: list[Callable[[], None]]
    ) -> None:
        caller.read(1, 0, 1)
        caller.read(1, 1, 1)
        assert len(turns) == 1
        self.run(turns)
        assert len(wire.sent) == 2

    def test_not_in_the_middle_of_receiving(
        self, caller: Caller, wire: Script, turns: list[Callable[[], None]]
    ) -> None:
        said: list[str] = []
        caller.read(1, 0, 1, later=True).then(lambda p: said.append("later"))
        caller.read(1, 0, 1).then(lambda p: said.append("at once"))
        wire.asked()
        wire.say(0, m.Rread(b"x"))
        wire.say(1, m.Rread(b"y"))
        assert said == ["at once"]
        self.run(turns)
        assert said == ["at once", "later"]

    def test_one_that_is_waited_for_comes_at_once(
        self, caller: Caller, wire: Script, turns: list[Callable[[], None]]
    ) -> None:
        first, second = (caller.read(1, i, 1, later=True) for i in range(2))
        wire.asked()
        wire.say(0, m.Rread(b"0"))
        wire.say(1, m.Rread(b"1"))
        assert caller.urge(second)
        assert second.result() == b"1"
        assert not first.done
        assert not caller.urge(second)
        self.run(turns)
        assert first.result() == b"0"

    def test_one_that_raises_does_not_keep_the_others_back(
        self, caller: Caller, wire: Script, turns: list[Callable[[], None]]
    ) -> None:
        said: list[str] = []

        def fails(_: object) -> None:
            raise ValueError("mine")

        caller.read(1, 0, 1, later=True).then(fails)
        caller.read(1, 0, 1, later=True).then(lambda p: said.append("second"))
        wire.asked()
        wire.say(0, m.Rread(b"x"))
        wire.say(1, m.Rread(b"x"))
        self.run(turns[:1])  # sends
        turns[:] = turns[1:]
        with pytest.raises(ValueError, match="mine"):
            self.run(turns)
        self.run(turns)
        assert said == ["second"]

    def test_nor_when_the_connection_is_lost(
        self, caller: Caller, wire: Script, turns: list[Callable[[], None]]
    ) -> None:
        pending = caller.read(1, 0, 1, later=True)
        caller.lost()
        assert not pending.done
        self.run(turns)
        with pytest.raises(Disconnected):
            pending.result()


class TestSession:
    def test_start(self, caller: Caller, wire: Script) -> None:
        pending = caller.start("#P", "me")
        assert wire.one() == (NOTAG, m.Tversion((1 << 20) + 24, "9P2000"))
        wire.say(NOTAG, m.Rversion(8192, "9P2000"))
        tag, attach = wire.one()
        assert (attach.uname, attach.aname, attach.afid) == ("me", "#P", 0xFFFFFFFF)
        wire.say(tag, m.Rattach(QID))
        assert pending.result() == (attach.fid, QID)
        assert (caller.msize, caller.most) == (8192, 8168)

    @pytest.mark.parametrize(
        "answer",
        [
            m.Rversion(8192, "unknown"),
            m.Rversion(8192, "9P2000.L"),
            m.Rversion(100, "9P2000"),
            m.Rversion(1 << 30, "9P2000"),
        ],
    )
    def test_a_version_that_will_not_do(
        self, caller: Caller, wire: Script, answer: m.Rversion
    ) -> None:
        pending = caller.start()
        wire.asked()
        wire.say(NOTAG, answer)
        with pytest.raises(ProtocolError, match="the server offers"):
            pending.result()

    def test_fids_come_back(self, caller: Caller, wire: Script) -> None:
        paths = Paths(caller, (0, QID))
        for _ in range(50):
            paths.stat("/a/b").then(lambda _: None)
            tag, walk = wire.one()
            wire.say(tag, m.Rwalk((QID, QID)))
            tag, stat = wire.one()
            assert stat == m.Tstat(walk.newfid)
            wire.say(tag, m.Rstat(m.KEEP))
            tag, clunk = wire.one()
            assert clunk == m.Tclunk(walk.newfid)
            wire.say(tag, m.Rclunk())
        assert caller.top_fid == 1

    def test_a_walk_that_fails_gives_its_fid_back(self, caller: Caller, wire: Script) -> None:
        refused = caller.walk(0, ["a"])
        tag, walk = wire.one()
        wire.say(tag, m.Rerror("file does not exist: a"))
        with pytest.raises(RemoteError, match="file does not exist: a"):
            refused.result()
        assert caller.fids == [walk.newfid]

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            ("file does not exist", "^file does not exist: a/b$"),
            ("permission denied: b lacks capability irq", "lacks capability irq"),
        ],
    )
    def test_a_walk_that_ends_early_asks_why(
        self, caller: Caller, wire: Script, said: str, told: str
    ) -> None:
        partly = caller.walk(0, ["a", "b", "c"])
        tag, walk = wire.one()
        assert walk == m.Twalk(0, 1, ("a", "b", "c"))
        wire.say(tag, m.Rwalk((QID,)))
        tag, walk = wire.one()
        assert walk == m.Twalk(0, 1, ("a",))
        wire.say(tag, m.Rwalk((QID,)))
        tag, walk = wire.one()
        assert walk == m.Twalk(1, 2, ("b", "c"))
        wire.say(tag, m.Rerror(said))
        tag, clunk = wire.one()
        assert clunk == m.Tclunk(1)
        wire.say(tag, m.Rclunk())
        with pytest.raises(RemoteError, match=told):
            partly.result()
        assert sorted(caller.fids) == [1, 2]

    def test_a_walk_that_is_given_up_leaves_no_fid(self, caller: Caller, wire: Script) -> None:
        caller.walk(0, ["a"]).cancel()
        (_, walk), (tflush, flush), (tclunk, clunk) = wire.asked()
        assert isinstance(walk, m.Twalk)
        assert (flush, clunk) == (m.Tflush(0), m.Tclunk(walk.newfid))
        assert walk.newfid not in caller.fids
        wire.say(tflush, m.Rflush())
        wire.say(tclunk, m.Rerror("bad file descriptor"))
        assert caller.fids == [walk.newfid]

    def test_a_long_walk_holds_the_fid_half_way(self, caller: Caller, wire: Script) -> None:
        path = [f"d{i}" for i in range(20)]
        pending = caller.walk(0, path)
        tag, first = wire.one()
        assert first.names == tuple(path[:16])
        wire.say(tag, m.Rwalk((QID,) * 16))
        tag, second = wire.one()
        assert (second.fid, second.names) == (first.newfid, tuple(path[16:]))
        wire.say(tag, m.Rwalk((QID,) * 4))
        assert pending.result() == (second.newfid, QID)
        assert wire.one()[1] == m.Tclunk(first.newfid)

    @pytest.mark.parametrize("how", ["refused", "given up"])
    def test_an_open_that_fails_leaves_no_fid(self, caller: Caller, wire: Script, how: str) -> None:
        pending = Paths(caller, (0, QID)).open("/a")
        tag, walk = wire.one()
        wire.say(tag, m.Rwalk((QID,)))
        tag, _ = wire.one()
        if how == "refused":
            wire.say(tag, m.Rerror("permission denied"))
            assert wire.one()[1] == m.Tclunk(walk.newfid)
            with pytest.raises(RemoteError):
                pending.result()
        else:
            pending.cancel()
            assert [a for _, a in wire.asked()] == [m.Tflush(tag), m.Tclunk(walk.newfid)]

    def test_a_create_that_cannot_be_asked_leaves_no_fid(
        self, caller: Caller, wire: Script
    ) -> None:
        pending = Paths(caller, (0, QID)).create("/" + "x" * 70_000, 0o600, 0)
        tag, walk = wire.one()
        wire.say(tag, m.Rwalk(()))
        assert wire.one()[1] == m.Tclunk(walk.newfid)
        with pytest.raises(ProtocolError):
            pending.result()

    def test_a_remove_that_is_given_up_leaves_no_fid(self, caller: Caller, wire: Script) -> None:
        """It may have been carried out, or not: its fid is no other file's before that is known."""
        pending = Paths(caller, (0, QID)).remove("/a")
        tag, walk = wire.one()
        wire.say(tag, m.Rwalk((QID,)))
        tag, _ = wire.one()
        pending.cancel()
        asked = wire.asked()
        assert [a for _, a in asked] == [m.Tflush(tag), m.Tclunk(walk.newfid)]
        assert walk.newfid not in caller.fids
        wire.say(asked[0][0], m.Rflush())
        wire.say(asked[1][0], m.Rerror("bad file descriptor"))
        assert walk.newfid in caller.fids

    def test_a_directory_that_is_nonsense(self, caller: Caller, wire: Script) -> None:
        pending = caller.listing(1)
        wire.asked()
        wire.say(0, m.Rread(b"\xff\xff nonsense"))
        with pytest.raises(ProtocolError):
            pending.result()


def test_names_of_a_path() -> None:
    assert names("/") == names("") == names("./") == []
    assert names("//dev/./pci/../x/") == ["dev", "pci", "..", "x"]


class TestAhead:
    def ahead(self, content: bytes, iounit: int = 10, **rest: Any) -> tuple[bytes, list[int]]:
        """What is read, and the window at each answer."""
        asked: list[tuple[int, int, Pending[Bytes]]] = []
        cancelled: list[int] = []

        def ask(offset: int, count: int) -> Pending[Bytes]:
            pending: Pending[Bytes] = Pending(lambda: cancelled.append(offset))
            asked.append((offset, count, pending))
            return pending

        reads = Ahead(ask, iounit, 0, **rest)
        data, windows, done = b"", list[int](), 0
        while (pending := reads.next()) is not None:
            windows.append(len(asked) - done - len(cancelled))
            offset, count, _ = next(a for a in asked if a[2] is pending)
            pending.resolve(content[offset : offset + count])
            done += 1
            piece = bytes(pending.result())
            reads.took(piece)
            data += piece
        assert all(p.done for _, _, p in asked)
        return data, windows

    @pytest.mark.parametrize("length", [0, 1, 9, 10, 11, 100, 105, 1000])
    def test_reads_whole(self, length: int) -> None:
        content = bytes(i % 256 for i in range(length))
        assert self.ahead(content)[0] == content

    @pytest.mark.parametrize("count", [0, 1, 10, 55, 100])
    def test_reads_so_many(self, count: int) -> None:
        content = bytes(range(100))
        assert self.ahead(content, count=count)[0] == content[:count]
        assert self.ahead(content, count=count + 50, short=True)[0] == content[: count + 50]

    def test_the_window_grows(self) -> None:
        assert self.ahead(bytes(1000))[1][:6] == [1, 2, 4, 8, 16, 15]
        assert self.ahead(bytes(8 << 20), iounit=1 << 20)[1][:4] == [1, 2, 4, 3]

    def test_it_is_filled_again_when_half_of_it_is_used_up(self) -> None:
        """So that eight requests go out with one wake-up, not one each."""
        windows = self.ahead(bytes(10_000))[1]
        assert windows[4:14] == [16, 15, 14, 13, 12, 11, 10, 9, 16, 15]

    def test_short_answers_are_not_read_ahead_of(self) -> None:
        assert self.ahead(b"123", iounit=10)[1] == [1, 1]
