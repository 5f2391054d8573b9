"""TLS on a loop, without a socket: whatever comes, it ends in one word to whoever asked for it."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from lux9.keys.authority import Authority
from lux9.keys.folder import Folder
from lux9.ninep import tls
from lux9.ninep.refusals import client_wrong
from lux9.ninep.secure import Secured


class Pipe(asyncio.Transport):
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.sent, self.closed, self.ended = b"", False, False

    def write(self, data: Any) -> None:
        self.sent += bytes(data)

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.ended = True

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


class Inside(asyncio.BufferedProtocol):
    """What is spoken inside: notes what came, and sends it back."""

    def __init__(self) -> None:
        self.room, self.came, self.ends = memoryview(bytearray(100)), b"", 0
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.room

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self.room[:nbytes])
        self.came += data
        self.transport.writelines([data[:1], data[1:]])

    def connection_lost(self, exc: Exception | None) -> None:
        self.ends += 1


class Ends:
    """A server, and what became of its handshake."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.pipe, self.inner = Pipe(), Inside()
        self.failures: list[str] = []
        self.gone = self.made = 0
        self.secured = Secured(context, self._made, self._failed, self._gone)
        self.secured.connection_made(self.pipe)

    def _made(self, session: ssl.SSLObject) -> Inside:
        self.made += 1
        assert tls.peer(session).name == "ada"
        return self.inner

    def _failed(self, error: Exception, first: bytes) -> None:
        self.failures.append(client_wrong(error, first))

    def _gone(self) -> None:
        self.gone += 1

    def put(self, data: bytes) -> None:
        while data and not self.pipe.closed:
            room = self.secured.get_buffer(-1)
            part, data = data[: len(room)], data[len(room) :]
            room[: len(part)] = part
            self.secured.buffer_updated(len(part))

    def end(self) -> None:
        self.secured.connection_lost(None)


class Talker:
    """A client's end, in memory."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")

    def shake(self, ends: Ends) -> None:
        for _ in range(4):
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                pass
            ends.put(self.outgoing.read())
            self.incoming.write(ends.pipe.sent)
            ends.pipe.sent = b""


@pytest.fixture(scope="module")
def contexts(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    made = Authority.init(Folder(tmp_path_factory.mktemp("keys")), "here")
    made.new("host", ["localhost"])
    made.new("ada")
    files: list[Path] = [made.folder.file(name) for name in ("host", "ada")]
    return tls.context(tls.load(files[0]), server=True), tls.context(tls.load(files[1]), False)


Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


def within(act: Any) -> None:
    """On a loop, whose timers are not waited for."""

    async def call() -> None:
        act()

    asyncio.run(call())


def test_what_is_spoken_inside(contexts: Contexts) -> None:
    def talk() -> None:
        ends, talker = Ends(contexts[0]), Talker(contexts[1])
        talker.shake(ends)
        data = bytes(range(256)) * 300
        for at in range(0, len(data), 5000):
            talker.tls.write(data[at : at + 5000])
        ends.put(talker.outgoing.read())
        assert ends.inner.came == data
        talker.incoming.write(ends.pipe.sent)
        back = b""
        while len(back) < len(data):
            back += talker.tls.read(len(data))
        assert back == data
        ends.inner.transport.close()
        assert ends.pipe.closed
        sent = ends.pipe.sent
        ends.inner.transport.write(b"an answer that comes too late")
        assert ends.pipe.sent == sent
        ends.end()
        assert (ends.made, ends.inner.ends, ends.failures, ends.gone) == (1, 1, [], 0)

    within(talk)


@given(
    cut=st.integers(0, 3000),
    flips=st.lists(st.tuples(st.integers(0, 3000), st.integers(1, 255)), max_size=4),
)
@settings(max_examples=60)
def test_a_handshake_of_nonsense_fails_once(
    contexts: Contexts, cut: int, flips: list[tuple[int, int]]
) -> None:
    def talk() -> None:
        ends, talker = Ends(contexts[0]), Talker(contexts[1])
        with pytest.raises(ssl.SSLWantReadError):
            talker.tls.do_handshake()
        data = bytearray(talker.outgoing.read())
        for at, flip in flips:
            data[at % len(data)] ^= flip
        ends.put(bytes(data[: cut % (len(data) + 1)]))
        ends.end()
        assert ends.made == 0
        assert len(ends.failures) == 1
        assert ends.gone == 1

    within(talk)


@given(data=st.binary(max_size=600))
@settings(max_examples=100)
def test_bytes_that_are_no_handshake(contexts: Contexts, data: bytes) -> None:
    def talk() -> None:
        ends = Ends(contexts[0])
        ends.put(data)
        ends.put(b"and more of it")
        ends.end()
        assert (ends.made, len(ends.failures), ends.gone) == (0, 1, 1)

    within(talk)


@given(at=st.integers(0, 5000), flip=st.integers(1, 255))
@settings(max_examples=40)
def test_what_was_changed_on_its_way_is_not_believed(
    contexts: Contexts, at: int, flip: int
) -> None:
    def talk() -> None:
        ends, talker = Ends(contexts[0]), Talker(contexts[1])
        talker.shake(ends)
        talker.tls.write(b"x" * 1000)
        data = bytearray(talker.outgoing.read())
        data[at % len(data)] ^= flip
        ends.put(bytes(data))
        assert ends.inner.came == b""
        ends.end()
        assert ends.inner.ends == 1

    within(talk)
