"""The server on real sockets: however the bytes come, and whatever the client does."""

from __future__ import annotations

import contextlib
import socket
import stat
from pathlib import Path

import pytest

from lux9.errors import PermissionDenied, UserError
from lux9.ninep.client import Client
from lux9.ninep.inbox import FIRST, Inbox
from lux9.ninep.server import unix_socket
from lux9.ninep.session import Bounds
from lux9.wire import messages as m
from lux9.wire.codec import NOFID, NOTAG, Message
from lux9.wire.messages import P9
from tests.ninep.rig import LONG
from tests.ninep.serving import LIMIT, Served

HELLO = m.Tversion(1 << 20, "9P2000").encode(NOTAG) + m.Tattach(0, NOFID, "", "").encode(1)


def answer(sock: socket.socket) -> tuple[int, Message]:
    """The next message."""
    head = exactly(sock, 4)
    return P9.decode(head + exactly(sock, int.from_bytes(head, "little") - 4))


def exactly(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = sock.recv(count - len(data))
        if not more:
            raise EOFError(data)
        data += more
    return data


def opening(fid: int, name: str, mode: int = 0) -> bytes:
    return m.Twalk(0, fid, (name,)).encode(2) + m.Topen(fid, mode).encode(3)


def started(served: Served, fid: int = 1, name: str = "mem") -> socket.socket:
    """A connection with an open file."""
    sock = served.socket()
    sock.sendall(HELLO + opening(fid, name, 2 if name != "event" else 0))
    kinds = [type(answer(sock)[1]) for _ in range(4)]
    assert kinds == [m.Rversion, m.Rattach, m.Rwalk, m.Ropen]
    return sock


def test_byte_by_byte(served: Served) -> None:
    with served.socket() as sock:
        data = HELLO + opening(1, "mem") + m.Tread(1, 16, 4).encode(4)
        for i in range(len(data)):
            sock.sendall(data[i : i + 1])
        got = [answer(sock) for _ in range(5)]
    assert [tag for tag, _ in got] == [NOTAG, 1, 2, 3, 4]
    assert got[-1][1] == m.Rread(b"\x10\x11\x12\x13")


def test_a_thousand_requests_in_one_send(served: Served) -> None:
    with started(served) as sock:
        before = served.batches
        sock.sendall(b"".join(m.Tread(1, i % 256, 1).encode(i) for i in range(1000)))
        got = [answer(sock) for _ in range(1000)]
        assert served.batches - before < 100, "many were taken at once"
    assert got == [(i, m.Rread(bytes([i % 256]))) for i in range(1000)]


def test_a_message_larger_than_the_first_buffer(served: Served) -> None:
    with started(served, name="long") as sock:
        data = bytes(i % 253 for i in range(3 * FIRST))
        sock.sendall(m.Twrite(1, 5, data).encode(1) + m.Tread(1, 5, len(data)).encode(2))
        assert answer(sock) == (1, m.Rwrite(len(data)))
        assert answer(sock) == (2, m.Rread(data))


def test_a_client_that_never_reads_harms_nobody_else(served: Served) -> None:
    with started(served, name="long") as greedy, started(served) as other:
        requests = b"".join(m.Tread(1, 0, LONG).encode(tag) for tag in range(2000))
        greedy.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):  # the server takes no more at some point
            while sent < len(requests) * 100:
                sent += greedy.send(requests[sent % len(requests) :])
        assert sent < len(requests) * 100
        for i in range(100):
            other.sendall(m.Tread(1, i, 1).encode(i))
            assert answer(other) == (i, m.Rread(bytes([i])))
        connection = served.connections[0]
        waiting = served.do(lambda: connection.transport.get_write_buffer_size())
        assert 0 < waiting < 3 * connection.session.bounds.unsent
        assert not served.do(lambda: connection.transport.is_reading())


def test_a_slow_reader_has_all_its_answers(served: Served) -> None:
    with started(served, name="long") as slow:
        requests = b"".join(m.Tread(1, 0, LONG).encode(tag) for tag in range(100))
        slow.sendall(requests)
        for tag in range(100):
            assert answer(slow) == (tag, m.Rread(bytes(served.top.long_.data)))


def test_a_connection_that_is_lost_gives_up_what_it_waited_for(served: Served) -> None:
    sock = started(served, name="event")
    other = started(served, 5, "mem")
    sock.sendall(b"".join(m.Tread(1, 0, 10).encode(tag) for tag in range(10)))
    sock.sendall(m.Tstat(0).encode(11))
    assert answer(sock)[0] == 11
    sock.close()
    assert served.lost.acquire(timeout=LIMIT)
    assert served.do(lambda: served.top.given_up) == 10
    assert not served.connections[0].session.fids
    other.sendall(m.Tstat(0).encode(1))
    assert answer(other)[0] == 1
    other.close()


def test_half_closed_is_closed_after_the_answers(served: Served) -> None:
    with started(served) as sock:
        sock.sendall(m.Tread(1, 0, 1).encode(5))
        sock.shutdown(socket.SHUT_WR)
        assert answer(sock) == (5, m.Rread(b"\0"))
        assert sock.recv(1) == b""


@pytest.mark.parametrize("noise", [b"GET / HTTP/1.1\r\n", b"\xff" * 100, bytes(100)])
def test_nonsense_is_told_so_and_hung_up_on(served: Served, noise: bytes) -> None:
    with served.socket() as sock:
        sock.sendall(noise)
        tag, said = answer(sock)
        assert (tag, type(said)) == (NOTAG, m.Rerror)
        assert sock.recv(1) == b""
    assert served.owner.refusals[0][0] == "ProtocolError"
    with started(served):
        pass


def test_a_size_is_not_believed_before_it_was_looked_at(served: Served) -> None:
    with started(served) as sock:
        sock.sendall(b"\xff\xff\xff\xff")  # 4 GiB, says the size
        with started(served):
            pass  # the loop has been round
        inbox = served.connections[0].inbox
        assert (inbox.have, len(inbox.buffer)) == (4, FIRST)
        sock.sendall(b"\x64\xff\xff")
        assert isinstance(answer(sock)[1], m.Rerror)


def test_who_is_not_welcome_is_told_why(served: Served) -> None:
    served.unwelcome = PermissionDenied("glenda is not welcome")
    with served.socket() as sock:
        tag, said = answer(sock)
        assert (tag, said) == (NOTAG, m.Rerror("permission denied: glenda is not welcome"))
        assert sock.recv(1) == b""
    assert served.lost.acquire(timeout=LIMIT)
    with served.socket() as sock, pytest.raises(Exception, match="glenda is not welcome"):
        Client.over(sock)


def test_answers_later_are_sent_in_one_turn(served: Served) -> None:
    with started(served, name="event") as sock:
        sock.sendall(b"".join(m.Tread(1, 0, 9).encode(tag) for tag in range(5)))
        sock.sendall(m.Tstat(0).encode(9))
        assert answer(sock)[0] == 9

        def all_at_once() -> None:
            for i, pending in enumerate(served.top.waiting):
                pending.resolve(str(i))

        served.do(all_at_once)
        assert [answer(sock) for _ in range(5)] == [(i, m.Rread(b"%d" % i)) for i in range(5)]


def test_bounds_are_each_connection_s_own() -> None:
    with Served(bounds=Bounds(fids=3)) as served, started(served) as one, started(served) as other:
        for sock in (one, other):
            sock.sendall(m.Twalk(0, 7, ()).encode(1) + m.Twalk(0, 8, ()).encode(2))
            assert [type(answer(sock)[1]) for _ in range(2)] == [m.Rwalk, m.Rerror]


class TestInbox:
    def test_keeps_what_is_not_whole(self) -> None:
        seen: list[bytes] = []

        def receive(view: memoryview) -> int:
            seen.append(bytes(view))
            return len(view) // 10 * 10

        inbox = Inbox(receive)
        for piece in (b"a" * 15, b"b" * 3, b"c" * 2):
            inbox.room()[: len(piece)] = piece
            inbox.took(len(piece))
        assert seen == [b"a" * 15, b"aaaaabbb", b"aaaaabbbcc"]
        assert inbox.have == 0

    def test_there_is_always_room_for_the_message_that_is_coming(self) -> None:
        size = 5 * FIRST
        got: list[int] = []

        def receive(view: memoryview) -> int:
            if len(view) < size:
                return 0
            got.append(len(view))
            return size

        inbox = Inbox(receive)
        data = memoryview(m.Rread(bytes(size - 11)).encode(1))
        while len(data):
            room = inbox.room()
            n = min(len(room), len(data))
            assert n
            room[:n] = data[:n]
            inbox.took(n)
            data = data[n:]
        assert got == [size]


class TestUnixSocket:
    def test_is_its_owner_s_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        with unix_socket(path):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600

    def test_a_dead_server_s_is_taken_over(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        unix_socket(path).close()
        assert path.exists()
        with unix_socket(path), socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))

    def test_a_live_server_s_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        with unix_socket(path) as live:
            with pytest.raises(UserError, match="a lux9 is running there"):
                unix_socket(path)
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
            assert live.fileno() >= 0

    def test_what_is_no_socket_is_left_alone(self, tmp_path: Path) -> None:
        path = tmp_path / "s"
        path.write_text("precious")
        with pytest.raises(UserError, match="not a socket"):
            unix_socket(path)
        assert path.read_text() == "precious"

    @pytest.mark.parametrize("name", ["no/such/dir/s", "x" * 200])
    def test_a_place_where_none_can_be(self, tmp_path: Path, name: str) -> None:
        with pytest.raises(UserError, match=r"cannot listen: \w"):
            unix_socket(tmp_path / name)
