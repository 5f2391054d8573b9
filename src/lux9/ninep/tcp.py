"""TCP as both sides use it: dialled and listened on, without delay, and never trusted to say when the peer is gone.

A connection over which nothing comes is probed; one whose peer answers neither probes nor data for `dead_after`
seconds is ended by the host's kernel (tcp(7): SO_KEEPALIVE, TCP_USER_TIMEOUT), and whatever waits on it fails.
"""

from __future__ import annotations

import contextlib
import errno
import os
import socket

from ..errors import Disconnected, Lux9Error, PermissionDenied, UserError
from .address import Address

DEAD_AFTER = 30.0  # seconds without a sign of life, unless $LUX9_DEAD_AFTER says otherwise
VARIABLE = "LUX9_DEAD_AFTER"
LEAST, MOST = 3.0, 86_400.0
DIALLING = 10.0  # seconds that a connection may take to come about
BACKLOG = 128
MAPPED = "::ffff:"  # of an IPv4 address on a socket for both (RFC 4291 §2.5.5.2)
SILENCE = (errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.ENETUNREACH)  # a peer that is given up


def dead_after(text: str, where: str) -> float:
    """The time after which a silent peer counts as gone, as a user writes it. Raises UserError."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not LEAST <= seconds <= MOST:
        raise UserError(f"{where} {text}: not a time of {LEAST:g} to {MOST:g} seconds")
    return seconds


def tend(sock: socket.socket, seconds: float | None = None) -> None:
    """Send at once what there is to send, and find out about a peer that is gone within so many seconds.

    Three probes, the first after half of the time; what was sent and is not acknowledged has all of it.
    """
    if seconds is None:
        asked = os.environ.get(VARIABLE)
        seconds = dead_after(asked, f"${VARIABLE}") if asked else DEAD_AFTER
    tcp = socket.IPPROTO_TCP
    sock.setsockopt(tcp, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(tcp, socket.TCP_KEEPIDLE, max(1, int(seconds / 2)))
    sock.setsockopt(tcp, socket.TCP_KEEPINTVL, max(1, int(seconds / 6)))
    sock.setsockopt(tcp, socket.TCP_KEEPCNT, 3)
    sock.setsockopt(tcp, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


def dial(address: Address) -> socket.socket:
    """A connected socket, which waits without limit from here on. Raises UserError with the remedy."""
    try:
        sock = socket.create_connection((address.where, address.port), timeout=DIALLING)
    except socket.gaierror as error:
        raise UserError(f"{address}: {address.where!r} is no host: {error.strerror}") from None
    except TimeoutError:
        raise UserError(
            f"nobody answers at {address} within {DIALLING:g} s; is the host up, and lets a firewall pass it?"
        ) from None
    except OSError as error:
        why = error.strerror or str(error)
        raise UserError(
            f"no lux9 at {address}: {why}; start one there with `lux9 boot --listen {address}`"
        ) from None
    try:
        tend(sock)
    except UserError:
        sock.close()
        raise
    sock.settimeout(None)
    return sock


def listen(address: Address, seconds: float = DEAD_AFTER) -> list[socket.socket]:
    """Listening sockets, one for each address that the host has; what they accept is tended. Raises UserError.

    Port 0 is one port that is free, the same for all of them.
    """
    with contextlib.ExitStack() as undo:
        try:
            socks, port = list[socket.socket](), address.port
            for family, where in _families(address):
                sock = undo.enter_context(_bound(family, where, port))
                tend(sock, seconds)  # what is accepted inherits it
                sock.setblocking(False)
                socks.append(sock)
                port = sock.getsockname()[1]
        except socket.gaierror as error:
            raise UserError(f"{address}: {address.where!r} is no host: {error.strerror}") from None
        except OSError as error:
            raise UserError(f"{address}: cannot listen: {error.strerror or error}") from None
        undo.pop_all()
    return socks


def ended(error: OSError | None) -> Lux9Error:
    """The end of a connection, as whoever waits on it is told."""
    if error is None:
        return Disconnected("the other side hung up")
    said = error.strerror or str(error) or "closed"
    if isinstance(error, PermissionError):  # by an alert of TLS
        return PermissionDenied(said)
    if error.errno in SILENCE:
        return Disconnected(f"no sign of life from the other side: {said}")
    return Disconnected(said)


def _families(address: Address) -> list[tuple[socket.AddressFamily, str]]:
    """What a host is, without doubles."""
    if address.where == "*":
        if socket.has_dualstack_ipv6():
            return [(socket.AF_INET6, "::")]
        return [(socket.AF_INET, "0.0.0.0")]
    found = socket.getaddrinfo(address.where, address.port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys((family, str(where[0])) for family, _, _, _, where in found))


def _bound(family: socket.AddressFamily, where: str, port: int) -> socket.socket:
    both = where == "::"
    return socket.create_server((where, port), family=family, backlog=BACKLOG, dualstack_ipv6=both)


def name_of(kind: str, sock: socket.socket, peer: bool = False) -> Address:
    """Where a socket listens, or who is at its other end."""
    where = sock.getpeername() if peer else sock.getsockname()
    return Address(kind, str(where[0]).removeprefix(MAPPED), int(where[1]))
