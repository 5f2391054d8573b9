"""Bytes passed on between two sockets, either of which may have TLS.

A driver in a sandbox has no network and no key: it has one socket, and this stands between that and the network.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl

PIECE = 1 << 18  # bytes taken at once
HIGH = 4 << 20  # bytes on their way from which no more are taken
WAIT = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Way:
    """One direction."""

    def __init__(self, source: socket.socket, to: socket.socket) -> None:
        self.source, self.to, self.left = source, to, bytearray()

    def go(self) -> bool:
        """What can be done without waiting; whether anything was. Raises EOFError and OSError."""
        moved = False
        if len(self.left) < HIGH:
            with contextlib.suppress(*WAIT):
                data = self.source.recv(PIECE)
                if not data:
                    raise EOFError
                self.left += data
                moved = True
        if self.left:
            with contextlib.suppress(*WAIT):
                del self.left[: self.to.send(self.left[:PIECE])]
                moved = True
        return moved


def relay(one: socket.socket, other: socket.socket) -> str:
    """Pass on what comes from either, until one of them ends; why it did. Both are closed then.

    Blocks: for a thread. Whoever wants it to end shuts one of them down.
    """
    for sock in (one, other):
        sock.setblocking(False)
    ways = Way(one, other), Way(other, one)
    try:
        while True:
            if not sum(way.go() for way in ways):  # both have their turn
                _wait(ways)
    except EOFError:
        return "hung up"
    except OSError as error:
        return error.strerror or "hung up"
    finally:
        for way in ways:
            with contextlib.suppress(OSError):  # the last words, as far as they go
                way.to.send(way.left)
        for sock in (one, other):
            sock.close()


def _wait(ways: tuple[Way, ...]) -> None:
    """Until one of them may move something."""
    events = dict.fromkeys((way.source.fileno() for way in ways), 0)
    for way in ways:
        if len(way.left) < HIGH:
            events[way.source.fileno()] |= select.POLLIN
        if way.left:
            events[way.to.fileno()] |= select.POLLOUT
    poll = select.poll()
    for fd, wanted in events.items():
        poll.register(fd, wanted)
    poll.poll()
