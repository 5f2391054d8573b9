"""The short ways in C answer as those in Python do, byte for byte, however the requests arrive."""

from __future__ import annotations

import asyncio
import importlib.util
import socket
import subprocess
import sys
import sysconfig
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, strategies as st

from lux9.errors import PermissionDenied
from lux9.ninep import short as shorts
from lux9.ninep.server import Connection
from lux9.ninep.session import Bounds
from lux9.ninep.short import INTERFACE, Turn
from lux9.pending import Pending
from lux9.wire import messages as m
from lux9.wire.codec import Message
from lux9.wire.node import Bytes
from lux9.wire.steady import EPOCH
from tests.ninep.boards import ACTS, REQUESTS, VERSIONS, Board, hello
from tests.ninep.rig import Owner
from tests.ninep.test_outlet import Transport, answering, came

pytestmark = pytest.mark.usefixtures("one_time")
SOURCE = Path(__file__).parents[2] / "accel" / "lux9_short.c"
WARNINGS = (
    "-Wall",
    "-Wextra",
    "-Werror",
    "-Wno-unused-parameter",
    "-Wno-missing-field-initializers",
)


@pytest.fixture(scope="module")
def short(tmp_path_factory: pytest.TempPathFactory) -> Turn:
    """The module, compiled anew: not what may be installed."""
    made = tmp_path_factory.mktemp("short") / f"lux9_short{sysconfig.get_config_var('EXT_SUFFIX')}"
    include = sysconfig.get_paths()["include"]
    command = [
        "gcc",
        "-O2",
        "-shared",
        "-fPIC",
        *WARNINGS,
        f"-I{include}",
        "-o",
        str(made),
        str(SOURCE),
    ]
    subprocess.run(command, check=True)
    spec = importlib.util.spec_from_file_location("lux9_short", made)
    assert spec is not None
    assert spec.loader is not None
    module: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.INTERFACE == INTERFACE
    turn: Turn = module.turn
    return turn


def test_what_was_made_for_another_lux9_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(shorts.VARIABLE, raising=False)
    made = SimpleNamespace(turn=len, INTERFACE=INTERFACE)
    monkeypatch.setitem(sys.modules, "lux9_short", made)
    assert importlib.reload(shorts).TURN is len
    made.INTERFACE += 1
    assert importlib.reload(shorts).TURN is None
    assert shorts.stale()
    del made.INTERFACE  # as before there were any
    assert importlib.reload(shorts).TURN is None
    monkeypatch.undo()
    importlib.reload(shorts)


class Side:
    """A connection on a socket whose loop is the test: it says when there is something to read."""

    def __init__(self, short: Turn | None, ours: socket.socket, theirs: socket.socket) -> None:
        self.board, self.ours, self.theirs = Board(), ours, theirs
        self.transport = Transport(ours)
        self.owner = Owner(self.board)
        self.bounds = Bounds()
        self.connection = Connection(lambda _: self.owner, self.bounds)
        self.turned = list[tuple[int, int, int, int, bytes]]()
        self.short = short

    async def start(self, version: str) -> None:
        """With the short ways that were given."""
        self.connection.connection_made(self.transport)
        self.connection.short = self._turn if self.short is not None else None
        assert self.say(hello(version))

    def _turn(self, *args: Any) -> tuple[int, int, int, int, bytes]:
        assert self.short is not None
        self.turned.append(self.short(*args))
        return self.turned[-1]

    def say(self, data: bytes, cuts: tuple[int, ...] = (1 << 16,)) -> bytes:
        """Requests in, in pieces; the answers."""
        answers, at, turn = b"", 0, 0
        while (
            at < len(data) and not self.transport.shut
        ):  # else nobody takes it, and it fills the socket
            self.theirs.sendall(data[at : at + cuts[turn % len(cuts)]])
            at, turn = at + cuts[turn % len(cuts)], turn + 1
            answers += self._read()
        return answers

    def _read(self) -> bytes:
        answers = b""
        while not self.transport.shut:
            try:
                count = self.ours.recv_into(self.connection.get_buffer(-1))
            except BlockingIOError:
                break
            self.connection.buffer_updated(count)
            answers += came(self.theirs)
        return answers + came(self.theirs)


@contextmanager
def side(short: Turn | None, version: str = "9P2000") -> Generator[Side]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for sock in (ours, theirs):
            sock.setblocking(False)
        made = Side(short, ours, theirs)

        async def begin() -> None:
            await made.start(version)

        loop = asyncio.new_event_loop()
        try:
            loop.run_until_complete(begin())
            yield made
        finally:
            loop.close()


@pytest.mark.parametrize("version", VERSIONS)
@given(acts=st.lists(ACTS, max_size=30))
def test_it_is_the_same(short: Turn, version: str, acts: list[object]) -> None:
    with side(short, version) as quick, side(None, version) as slow:
        for act in acts:
            if callable(act):
                act(quick.board)
                act(slow.board)
                continue
            assert isinstance(act, Message)
            data = act.encode(7)
            assert quick.say(data) == slow.say(data), act
        ends = [s.connection.session for s in (quick, slow)]
        assert len({(s.requests, s.errors, frozenset(s.fids)) for s in ends}) == 1


@given(
    acts=st.lists(REQUESTS, min_size=1, max_size=12),
    cuts=st.lists(st.integers(1, 60), min_size=1, max_size=40),
    junk=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=3),
)
def test_however_it_arrives(
    short: Turn, acts: list[Message], cuts: list[int], junk: list[tuple[int, int]]
) -> None:
    data = bytearray(b"".join(act.encode(7) for act in acts * 2))
    for at, value in junk:
        data[at % len(data)] = value
    with side(short, "9P2000.L") as quick, side(None, "9P2000.L") as slow:
        one, other = quick.say(bytes(data), tuple(cuts)), slow.say(bytes(data))
        assert one == other or (quick.transport.shut and slow.transport.shut)


def opened(s: Side) -> None:
    """Fid 1 is the registers, open."""
    s.say(m.Twalk(0, 1, ("a", "regs")).encode(1))
    assert s.say(m.Topen(1, m.ORDWR).encode(1))[4] == m.Ropen.number


READ = m.Tread(1, 8, 4)


def test_many_at_once_are_one_turn(short: Turn) -> None:
    with side(short) as s:
        opened(s)
        answers = s.say(b"".join(READ.encode(i) for i in range(64)))
        wanted = [m.Rread(bytes(range(8, 12))).encode(i) for i in range(64)]
        assert answers == b"".join(wanted)
        at, have, asked, _, rest = s.turned[-1]
        assert (at, asked, rest) == (have, 64, b"")


class Refusing:
    """A file whose reads are answered otherwise."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def read(self, offset: int, count: int) -> Any:
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"four",
        b"more than was asked for",
        bytes(8192),
        bytearray(b"ab"),
        memoryview(b"abc"),
        PermissionDenied("not you"),
        ZeroDivisionError("our own"),
        None,
        17,
    ],
    ids=repr,
)
def test_whatever_a_file_gives(short: Turn, answer: Any) -> None:
    """Between two plain reads: the order stays, and only that one is refused."""
    with side(short) as quick, side(None) as slow:
        for s in (quick, slow):
            opened(s)
            s.say(m.Twalk(0, 2, ("a", "regs")).encode(1))
            s.say(m.Topen(2, 0).encode(1))
            s.connection.session.fids[2].read = Refusing(answer).read
        asked = READ.encode(3) + m.Tread(2, 0, 8000).encode(4) + READ.encode(5)
        assert quick.say(asked) == slow.say(asked)
        assert quick.owner.refusals == slow.owner.refusals


def test_a_read_that_waits_keeps_its_tag(short: Turn) -> None:
    with side(short) as s:
        opened(s)
        pending: Pending[Bytes] = Pending()
        s.connection.session.fids[1].read = lambda offset, count: pending
        assert s.say(READ.encode(9)) == b""
        assert s.say(READ.encode(9))[4] == m.Rerror.number, "the tag is in use"
        assert s.say(m.Tflush(9).encode(8))[4] == m.Rflush.number
        assert pending.cancelled


def test_a_reader_who_does_not_read_loses_nothing(short: Turn) -> None:
    with side(short) as s:
        opened(s)
        s.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
        asked = b"".join(m.Tread(1, 0, 64).encode(i) for i in range(600))
        s.theirs.sendall(asked)
        s.connection.buffer_updated(s.ours.recv_into(s.connection.get_buffer(-1)))
        assert s.transport.queue, "more than the socket takes"
        answers = came(s.theirs) + bytes(s.transport.queue)
        wanted = [m.Rread(bytes(range(64))).encode(i) for i in range(600)]
        assert answers == b"".join(wanted)


@pytest.mark.parametrize("long", [bytes(20_000), memoryview(bytes(20_000)), b"short"], ids=len)
def test_an_answer_that_another_read_brings_about(short: Turn, long: Bytes) -> None:
    """It does not come between the parts of a long one."""
    with side(short) as s:
        opened(s)
        s.say(m.Twalk(0, 2, ("a", "regs")).encode(1))
        s.say(m.Topen(2, 0).encode(1))
        s.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
        s.connection.session.msize, s.connection.session.most = 1 << 20, 1 << 19
        pending: Pending[Bytes] = Pending()
        s.connection.session.fids[2].read = lambda offset, count: pending
        assert s.say(m.Tread(2, 0, 99).encode(9)) == b""

        def both_now(offset: int, count: int) -> Bytes:
            pending.resolve(b"waited")
            return long

        s.connection.session.fids[1].read = both_now
        got = s.say(b"".join(m.Tread(1, 0, 1 << 19).encode(tag) for tag in (3, 4)))
        got += bytes(s.transport.queue)
        wanted = {3: len(long), 4: len(long), 9: len(b"waited")}
        while got:
            size = int.from_bytes(got[:4], "little")
            tag, answer = m.P9.decode(got[:size])
            assert isinstance(answer, m.Rread)
            assert len(answer.data) == wanted.pop(tag)
            got = got[size:]
        assert not wanted


def test_a_closing_transport_is_not_written_to(short: Turn) -> None:
    with side(short) as s:
        opened(s)

        def hang_up(offset: int, count: int) -> bytes:
            s.transport.shut = True
            return b"late"

        s.connection.session.fids[1].read = hang_up
        assert s.say(READ.encode(1)) == b""


def test_it_refuses_what_is_no_session(short: Turn) -> None:
    anything: Any = short
    with pytest.raises(TypeError):
        anything(0, 0, 0)
    room = memoryview(bytearray(8))
    with side(short) as s, pytest.raises(ValueError, match="room"):
        short(s.connection.session, EPOCH, object, -1, room, 9, 0, lambda: False)


def test_what_comes_soon_needs_no_turn_of_the_loop(short: Turn) -> None:
    with side(short) as s:
        opened(s)
        room = memoryview(bytearray(64))
        room[:23] = READ.encode(1)
        s.theirs.send(READ.encode(2))
        fd, session = s.ours.fileno(), s.connection.session
        got = short(session, EPOCH, object, fd, room, 23, 5, lambda: False)
        assert got == (0, 0, 2, 3, b""), "two answered, and a look in vain"
        assert len(came(s.theirs)) == 2 * len(m.Rread(b"four").encode(1))


def test_a_look_may_stay_awake(short: Any) -> None:
    spin = short.__self__.spin
    with side(short) as s:
        opened(s)
        room = memoryview(bytearray(64))
        room[:23] = READ.encode(1)
        fd, session = s.ours.fileno(), s.connection.session
        spin(20_000_000)  # microseconds: what comes ends it
        try:
            with answering(s.theirs, READ.encode(2)):
                got = short(session, EPOCH, object, fd, room, 23, 1, lambda: False)
        finally:
            spin(0)
        assert got == (23, 23, 2, 0, b""), "two answered in one turn"
