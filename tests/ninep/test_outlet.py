"""The way past the transport: nothing is lost, doubled or out of order, whatever the socket takes."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import given, strategies as st

from lux9.ninep.outlet import LEAST_HOPE, LOOKS, Outlet
from lux9.wire.node import Bytes
from tests.readable import readable


class Transport(asyncio.Transport):
    """A transport that sends what it was given when the test says so."""

    def __init__(self, sock: socket.socket | None, tls: bool = False) -> None:
        super().__init__({"socket": sock, "sslcontext": object() if tls else None})
        self.queue = bytearray()
        self.shut = False

    def write(self, data: Bytes) -> None:
        self.queue += data

    def writelines(self, list_of_data: Any) -> None:
        for part in list_of_data:
            self.queue += part

    def get_write_buffer_size(self) -> int:
        return len(self.queue)

    def is_closing(self) -> bool:
        return self.shut

    def close(self) -> None:
        self.shut = True


Pair = tuple[socket.socket, socket.socket]


def _pair() -> Pair:
    ours, theirs = socket.socketpair()
    for sock in (ours, theirs):
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4608)
    return ours, theirs


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = _pair()
    with ours, theirs:
        yield ours, theirs


def came(sock: socket.socket) -> bytes:
    """What is there now."""
    got = b""
    try:
        while data := sock.recv(1 << 20):
            got += data
    except BlockingIOError:
        pass
    return got


@contextmanager
def answering(sock: socket.socket, data: bytes) -> Generator[None, None, None]:
    """A client that sends something when it has got an answer."""

    def answer() -> None:
        readable(sock, 20.0)
        sock.send(data)

    client = threading.Thread(target=answer)
    client.start()
    yield
    client.join()


@given(
    sizes=st.lists(st.one_of(st.integers(0, 40), st.integers(0, 9000)), max_size=12),
    drained=st.lists(st.booleans(), min_size=12, max_size=12),
    parts=st.lists(st.booleans(), min_size=12, max_size=12),
)
def test_all_of_it_in_order(sizes: list[int], drained: list[bool], parts: list[bool]) -> None:
    """The reader reads now and then, and then the transport sends; one answer or parts of one."""
    ours, theirs = _pair()
    with ours, theirs:
        transport = Transport(ours)
        outlet, sent, got = Outlet(transport), b"", b""
        for i, size in enumerate(sizes):
            data = bytes((i * 31 + k) % 251 for k in range(size))
            sent += data
            if parts[i]:
                buffer = bytearray(data)
                outlet.send_parts([data[:5], memoryview(buffer)[5:9], memoryview(buffer)[9:]])
                buffer[:] = bytes(size)  # whose it was may change it now
            else:
                outlet.send(data)
            if drained[i]:
                got += came(theirs) + bytes(transport.queue)
                transport.queue.clear()
        assert got + came(theirs) + bytes(transport.queue) == sent


def test_what_the_socket_takes_never_meets_the_transport(pair: Pair) -> None:
    transport = Transport(pair[0])
    Outlet(transport).send(b"answer")
    assert (came(pair[1]), bytes(transport.queue)) == (b"answer", b"")


@pytest.mark.parametrize("tls", [True, False])
def test_a_transport_with_something_around_its_bytes_gets_all(pair: Pair, tls: bool) -> None:
    transport = Transport(pair[0] if tls else None, tls)
    outlet = Outlet(transport)
    outlet.turn()
    assert outlet.send(b"one", memoryview(bytearray(9))) == 0
    outlet.send_parts([b"two", b"three"])
    assert (bytes(transport.queue), came(pair[1])) == (b"onetwothree", b"")


def test_outright_is_now_or_not_at_all(pair: Pair) -> None:
    transport = Transport(pair[0])
    outlet = Outlet(transport)
    assert outlet.outright([b"a", memoryview(b"b")])
    assert came(pair[1]) == b"ab"
    outlet.send(bytes(1 << 20))
    assert not outlet.outright([b"c"])
    assert len(came(pair[1]) + bytes(transport.queue)) == 1 << 20


def test_a_closing_transport_sends_nothing(pair: Pair) -> None:
    """Its descriptor's number may be another file's."""
    transport = Transport(pair[0])
    outlet = Outlet(transport)
    transport.shut = True
    outlet.turn()
    outlet.send(b"one", memoryview(bytearray(9)))
    outlet.send_parts([b"two"])
    assert came(pair[1]) == b""


def test_a_reader_that_is_gone_is_the_transports_business(pair: Pair) -> None:
    transport = Transport(pair[0])
    pair[1].close()
    Outlet(transport).send(b"answer")
    assert transport.queue == b"answer"


def looking(outlet: Outlet, room: memoryview) -> list[int]:
    """A turn of the loop: what each look brought, to the first that brought nothing."""
    outlet.turn()  # nobody else had one since
    outlet.turn()
    found = [outlet.send(b"a", room)]
    while found[-1]:
        found.append(outlet.send(b"a", room))
    return found


def test_a_look_finds_what_has_come(pair: Pair) -> None:
    outlet, buffer = Outlet(Transport(pair[0])), bytearray(8)
    pair[1].send(b"request")
    assert looking(outlet, memoryview(buffer)) == [7, 0]
    assert buffer == b"request\0"


def test_a_look_that_may_stay_awake_meets_who_answers_soon(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Outlet, "awake", 20.0)  # it ends with what comes
    outlet, buffer = Outlet(Transport(pair[0])), bytearray(8)
    with answering(pair[1], b"request"):
        outlet.turn()
        outlet.turn()
        assert outlet.send(b"a", memoryview(buffer)) == 7
    assert buffer == b"request\0"
    monkeypatch.setattr(Outlet, "awake", 1e-4)
    assert looking(outlet, memoryview(buffer)) == [0]


def test_the_others_have_their_turn(pair: Pair) -> None:
    pair[0].setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    outlet, room = Outlet(Transport(pair[0])), memoryview(bytearray(1))
    pair[1].send(bytes(2 * LOOKS))
    assert looking(outlet, room) == [1] * LOOKS + [0]


def test_whoever_is_not_alone_waits_for_its_turn(pair: Pair) -> None:
    one, other = Outlet(Transport(pair[0])), Outlet(Transport(pair[0]))
    room = memoryview(bytearray(1))
    pair[1].send(b"12")
    for outlet in (one, other, one):
        outlet.turn()
        assert not outlet.send(b"a", room)
    assert looking(one, room) == [1, 1, 0]


def test_looks_in_vain_become_rare_and_luck_brings_them_back(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = list[int]()

    def readv(fd: int, rooms: Sequence[memoryview]) -> int:
        looks.append(fd)
        return pair[0].recv_into(rooms[0])

    monkeypatch.setattr("lux9.ninep.outlet.readv", readv)
    outlet, room = Outlet(Transport(pair[0])), memoryview(bytearray(8))
    for _ in range(1 << LEAST_HOPE + 2):
        assert looking(outlet, room) == [0]
        came(pair[1])
    assert LEAST_HOPE < len(looks) < 3 * LEAST_HOPE
    outlet.hope = 0
    pair[1].send(b"!")
    assert looking(outlet, room) == [1, 0]
    looks.clear()
    pair[1].send(b"!")
    assert looking(outlet, room) == [1, 0]
    assert len(looks) == 2


def test_the_end_is_nothing_to_read(pair: Pair) -> None:
    outlet = Outlet(Transport(pair[0]))
    pair[1].shutdown(socket.SHUT_WR)
    assert looking(outlet, memoryview(bytearray(8))) == [0]
