"""The short ways for stat and walk answer as the long ways do, byte for byte, and notice every change."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given, strategies as st

from lux9.errors import Lux9Error, Stale
from lux9.ninep.quick import KEPT, Quick
from lux9.ninep.session import Bounds, Session
from lux9.wire import linux as l, messages as m, unix as u
from lux9.wire.codec import NOFID, NOTAG, Message
from lux9.wire.steady import changed
from tests.ninep.boards import ACTS, REQUESTS, VERSIONS, Board, Chip, hello
from tests.ninep.rig import Owner

pytestmark = pytest.mark.usefixtures("one_time")
NONE: dict[int, object] = {}


class Slow(Session):
    """A session that knows no short way."""

    def shortcuts(self) -> Mapping[int, Quick]:
        return {}


class Side:
    """A session over a board, with short ways or without."""

    def __init__(self, quick: bool, version: str, bounds: Bounds | None = None) -> None:
        self.board = Board()
        kind = Session if quick else Slow
        self.session = kind(Owner(self.board), lambda: None, bounds)
        self.say(hello(version))

    def say(self, data: bytes) -> bytes:
        """Bytes in, all the answers out."""
        view = memoryview(data)
        while used := self.session.receive(view):
            view = view[used:]
        answers = b"".join(self.session.out)
        self.session.sent()
        return answers


def both(version: str) -> tuple[Side, Side]:
    return Side(True, version), Side(False, version)


@pytest.mark.parametrize("version", VERSIONS)
@given(acts=st.lists(ACTS, max_size=40))
def test_the_short_way_is_the_long_way(version: str, acts: list[object]) -> None:
    quick, slow = both(version)
    for act in acts:
        if callable(act):
            act(quick.board)
            act(slow.board)
            continue
        assert isinstance(act, Message)
        data = act.encode(7)
        assert quick.say(data) == slow.say(data), act
    assert set(quick.session.fids) == set(slow.session.fids)
    assert quick.session.requests == slow.session.requests
    assert quick.session.errors == slow.session.errors
    names = {n: f.name for n, f in quick.session.fids.items()}
    assert names == {n: f.name for n, f in slow.session.fids.items()}


@given(
    acts=st.lists(REQUESTS, min_size=1, max_size=12),
    cuts=st.lists(st.integers(1, 40), min_size=1, max_size=60),
    junk=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3),
)
def test_however_the_bytes_arrive(
    acts: list[Message], cuts: list[int], junk: list[tuple[int, int]]
) -> None:
    """In pieces cut anywhere, with bytes changed: the same answers, or the same end of the connection."""
    data = bytearray(b"".join(act.encode(7) for act in acts * 2))
    for at, value in junk:
        data[at % len(data)] = value
    quick, slow = both("9P2000.L")
    assert _fed(quick, bytes(data), cuts) == _fed(slow, bytes(data), [len(data)])


@pytest.mark.parametrize("request_", [m.Tstat(0), l.Tgetattr(0, l.GETATTR_ALL)])
def test_what_was_asked_as_another_message_is_not_its_answer(request_: Message) -> None:
    """The dialect that has Tstat and Tgetattr: each with the other's length is wrong, whatever is kept."""
    other = m.Tstat.number ^ l.Tgetattr.number ^ request_.number
    data = request_.encode(7)
    odd = data[:4] + bytes([other]) + data[5:]
    quick, slow = both("9P2000.lux9")
    for side in (quick, slow):
        assert side.say(data)[4] == request_.number + 1
    assert _fed(quick, data + odd, [99]) == _fed(slow, data + odd, [99])


def _fed(side: Side, data: bytes, cuts: list[int]) -> tuple[bytes, str]:
    """The answers, and the error that ended it; a message that is not whole waits for its rest."""
    got, have, at, turn = b"", b"", 0, 0
    while at < len(data):
        step = cuts[turn % len(cuts)]
        have, at, turn = have + data[at : at + step], at + step, turn + 1
        try:
            have = have[side.session.receive(memoryview(have)) :]
        except Lux9Error as error:
            return got + b"".join(side.session.out), error.message
        got += b"".join(side.session.out)
        side.session.sent()
    return got, ""


def answers(side: Side, message: Message) -> int:
    """The number of what a request is answered with."""
    return side.say(message.encode(1))[4]


@pytest.fixture
def side() -> Side:
    return Side(True, "9P2000")


WALK = m.Twalk(0, 1, ("a", "regs"))


def walk_twice(side: Side) -> None:
    """So that the second time it is kept."""
    for _ in range(2):
        assert answers(side, WALK) == m.Rwalk.number
        assert answers(side, m.Tclunk(1)) == m.Rclunk.number


def kept(side: Side) -> int:
    spot = side.session.fids[0].spot
    return 0 if spot is None else len(spot.trails)


def test_a_walk_is_kept_and_asked_of_nobody(side: Side, monkeypatch: pytest.MonkeyPatch) -> None:
    walk_twice(side)
    monkeypatch.setattr(side.session, "acts", NONE)  # there is no long way any more
    assert answers(side, WALK) == m.Rwalk.number
    assert side.session.fids[1].name == "/a/regs"


def test_a_change_is_noticed_at_once(side: Side) -> None:
    walk_twice(side)
    side.board.chips.clear()
    changed()
    assert answers(side, WALK) == m.Rerror.number


def test_a_walk_stops_at_the_limit_of_fids() -> None:
    side = Side(True, "9P2000", Bounds(fids=2))
    walk_twice(side)
    assert answers(side, WALK) == m.Rwalk.number
    assert answers(side, m.Twalk(0, 2, ("a", "regs"))) == m.Rerror.number


def test_a_fid_in_use_and_nofid_are_refused(side: Side) -> None:
    walk_twice(side)
    assert answers(side, WALK) == m.Rwalk.number
    for new in (1, NOFID):
        assert answers(side, m.Twalk(0, new, ("a", "regs"))) == m.Rerror.number


def test_what_was_revoked_is_not_told_again(side: Side) -> None:
    walk_twice(side)
    assert answers(side, WALK) == m.Rwalk.number
    for _ in range(2):
        assert answers(side, m.Tstat(1)) == m.Rstat.number
    side.session.revoke(1, Stale("taken away"))
    assert answers(side, m.Tstat(1)) == m.Rerror.number
    assert answers(side, m.Twalk(0, 3, ("a", "regs"))) == m.Rwalk.number, (
        "the others of that file go on"
    )
    assert answers(side, m.Tstat(3)) == m.Rstat.number


def test_a_text_is_never_kept(side: Side) -> None:
    """Its version rises with each look."""
    assert answers(side, m.Twalk(0, 1, ("a", "facts"))) == m.Rwalk.number
    assert side.say(m.Tstat(1).encode(1)) != side.say(m.Tstat(1).encode(1))
    assert not kept(side)


def test_a_length_that_grows_is_seen(side: Side) -> None:
    assert answers(side, m.Twalk(0, 1, ("file",))) == m.Rwalk.number
    first = side.say(m.Tstat(1).encode(1))
    side.board.length = 99
    assert side.say(m.Tstat(1).encode(1)) != first


def test_a_moved_fid_is_another_place(side: Side) -> None:
    assert answers(side, m.Twalk(0, 1, ("a",))) == m.Rwalk.number
    first = side.say(m.Tstat(1).encode(1))
    assert answers(side, m.Twalk(1, 1, ("regs",))) == m.Rwalk.number
    assert side.say(m.Tstat(1).encode(1)) != first


def test_what_is_kept_is_bounded(side: Side) -> None:
    for i in range(3 * KEPT):
        side.board.chips[f"c{i}"] = Chip(set())
    for i in range(3 * KEPT):
        assert answers(side, m.Twalk(0, 1, (f"c{i}",))) == m.Rwalk.number
        assert answers(side, m.Tclunk(1)) == m.Rclunk.number
    assert 0 < kept(side) <= KEPT + 1


def test_a_new_version_forgets(side: Side) -> None:
    walk_twice(side)
    side.say(m.Tversion(8192, "9P2000.L").encode(NOTAG))
    side.say(u.Tattach(0, NOFID, "me", "", 0).encode(1))
    assert answers(side, l.Tgetattr(0, l.GETATTR_ALL)) == l.Rgetattr.number
    assert answers(side, m.Tstat(0)) == l.Rlerror.number, "which this dialect does not have"
