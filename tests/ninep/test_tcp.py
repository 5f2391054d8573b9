"""TCP sockets: options on both sides, several addresses, and errors in words."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator

import pytest

from lux9.errors import UserError
from lux9.ninep import tcp
from lux9.ninep.address import Address

LIMIT = 10.0


def options(sock: socket.socket) -> dict[str, int]:
    names = ("TCP_NODELAY", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT", "TCP_USER_TIMEOUT")
    found = {name: sock.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) for name in names}
    return found | {"SO_KEEPALIVE": sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)}


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A dialled socket, and what the listening side has of it."""
    with contextlib.ExitStack() as undo:
        (sock,) = tcp.listen(Address("tcp", "127.0.0.1", 0), 12)
        undo.enter_context(sock)
        ours = undo.enter_context(tcp.dial(tcp.name_of("tcp", sock)))
        sock.settimeout(LIMIT)
        theirs, _ = sock.accept()
        yield ours, undo.enter_context(theirs)


def test_both_sides_send_at_once_and_look_after_each_other(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    for sock, seconds in ((ours, 30), (theirs, 12)):
        found = options(sock)
        assert found.pop("TCP_NODELAY")
        assert found.pop("SO_KEEPALIVE")
        assert found.pop("TCP_USER_TIMEOUT") == seconds * 1000
        idle, interval, count = found.values()
        assert idle + interval * count <= seconds, "a silent peer is found in time"
    assert ours.gettimeout() is None


def test_the_time_is_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(tcp.VARIABLE, "6")
    with socket.socket() as sock:
        tcp.tend(sock)
        assert options(sock)["TCP_USER_TIMEOUT"] == 6000
    monkeypatch.setenv(tcp.VARIABLE, "soon")
    with socket.socket() as sock, pytest.raises(UserError, match=r"\$LUX9_DEAD_AFTER soon"):
        tcp.tend(sock)


@pytest.mark.parametrize("text", ["", "x", "0", "2.9", "86401", "nan", "inf"])
def test_a_time_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="not a time of 3 to 86400 seconds"):
        tcp.dead_after(text, "--dead-after")


def test_every_address_of_the_host_has_the_same_port() -> None:
    with contextlib.ExitStack() as undo:
        socks = [undo.enter_context(s) for s in tcp.listen(Address("tcp", "*", 0))]
        (port,) = {s.getsockname()[1] for s in socks}
        hosts = ["127.0.0.1", *(["::1"] if socks[0].family == socket.AF_INET6 else [])]
        for host in hosts:
            tcp.dial(Address("tcp", host, port)).close()


def test_a_port_that_is_taken_is_named() -> None:
    with contextlib.ExitStack() as undo:
        (sock,) = tcp.listen(Address("tcp", "127.0.0.1", 0))
        at = tcp.name_of("tcp", undo.enter_context(sock))
        with pytest.raises(UserError, match=f"{at}: cannot listen: Address already in use"):
            tcp.listen(at)


def test_nobody_there_is_told_with_what_to_do() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        at = Address("tcp", "127.0.0.1", sock.getsockname()[1])
        with pytest.raises(UserError, match=f"no lux9 at {at}: Connection refused; start one"):
            tcp.dial(at)


def test_a_host_that_is_none_is_named() -> None:
    for act in (tcp.dial, tcp.listen):
        with pytest.raises(UserError, match="'no host' is no host"):
            act(Address("tcp", "no host", 564))
