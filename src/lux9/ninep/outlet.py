"""The shortest way out of a connection, and back in: the socket itself, while its transport has nothing to do.

A transport queues what it is given and sends it at the end of the loop's turn. An answer that is sent at once wakes its
reader sooner, and costs less. What the socket does not take goes to the transport, and all that follows goes after it
until that has caught up, so that the order stays. A transport that is not a bare stream socket (TLS) gets everything.

Where client and server share a processor, the next request may be there as soon as the answer was sent: the client
ran meanwhile. So we look, without waiting, before the loop goes to sleep; a few times in a row, so that the others have
their turn; not while several connections are served by turns; and hardly ever where nothing has come the last times.
With processors to spare, a look may wait awake (`stay_awake`): going to sleep and being woken takes longer than most
clients need until they ask again.
"""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from collections.abc import Sequence
from time import monotonic
from typing import ClassVar

from ..wire.node import Bytes
from . import short

PARTS = 512  # in one writev; IOV_MAX is 1024
LOOKS = 16  # reads in one turn of the loop
REST = 4  # turns
write, readv = os.write, os.readv
LEAST_HOPE = 8  # after so many turns without luck, one in 256 looks


def stay_awake(microseconds: int) -> None:
    """For how long this process waits for a client's next request before it goes to sleep."""
    Outlet.awake = microseconds / 1_000_000
    short.spin(microseconds)


class Outlet:
    """The way out of one transport."""

    __slots__ = ("behind", "closing", "fd", "hope", "looks", "missed", "number", "transport")
    made: ClassVar[int] = 0
    served: ClassVar[int] = 0  # whose turn was the last one
    awake: ClassVar[float] = 0.0  # seconds that a look may wait

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport, self.closing = transport, transport.is_closing
        self.fd = _bare(transport)
        Outlet.made += 1
        self.number = Outlet.made
        self.behind = (
            self.fd < 0
        )  # the transport has something that was not sent yet, or has to have everything
        self.looks = 0  # how many more times we look in this turn of the loop
        self.missed = 0  # turns in a row in which we looked for nothing
        self.hope = 0  # turns until we look again

    def turn(self) -> None:
        """The loop has told of something to read."""
        if Outlet.served != self.number:
            Outlet.served = self.number
            self.looks = 0
        elif self.hope:
            self.hope -= 1
            self.looks = 0
        else:
            self.looks = LOOKS

    def send(self, data: Bytes, room: memoryview | None = None) -> int:
        """All of it, now or when the socket takes it; then a look: how many bytes came into `room`."""
        if self.behind and not self._caught_up():
            self.transport.write(data)
            return 0
        if self.closing():  # and the number may be another file's by now
            return 0
        try:
            sent = write(self.fd, data)
        except OSError:  # full, or broken, which the transport will find out
            sent = 0
        if sent < len(data):
            self.behind = True
            self.transport.write(memoryview(data)[sent:])
            return 0
        if room is None or not self.looks:
            return 0
        self.looks -= 1
        try:
            came = readv(self.fd, (room,))
        except OSError:  # nothing has; or it is broken
            came = self._awake(room)
        if not came:
            return self._in_vain()
        self.missed = 0
        return came

    def _awake(self, room: memoryview) -> int:
        """What comes while we may stay awake for it."""
        end = monotonic() + Outlet.awake if Outlet.awake else 0.0
        while monotonic() < end:
            try:
                return readv(self.fd, (room,))
            except BlockingIOError:
                continue
            except OSError:
                break
        return 0

    def rest(self) -> None:
        """Something was changed, for which the loop may have to turn: no looking in the next turns."""
        self.hope = max(self.hope, REST)

    def looked(self, looks: int, came: int) -> None:
        """Somebody else has looked for us, so that `looks` are left; `came` bytes were there the last time."""
        self.looks = looks
        if came:
            self.missed = 0
        else:
            self._in_vain()

    def _in_vain(self) -> int:
        if self.looks == LOOKS - 1:
            self.missed = min(self.missed + 1, LEAST_HOPE)
            self.hope = (1 << self.missed) - 1
        return 0

    def send_parts(self, parts: Sequence[Bytes]) -> None:
        """The same of several parts, which are not joined; what the socket does not take is copied."""
        sent = 0
        if (not self.behind or self._caught_up()) and not self.closing():
            try:
                sent = os.writev(self.fd, parts[:PARTS])
            except OSError:
                sent = 0
        left: list[Bytes] = []
        for part in parts:
            if sent < len(part):
                left.append(part if type(part) is bytes and not sent else bytes(part[sent:]))
            sent = max(0, sent - len(part))
        if left:
            self.behind = True
            self.transport.writelines(
                left
            )  # uvloop sends them as they are; asyncio joins them itself

    def outright(self, parts: Sequence[Bytes]) -> bool:
        """The same, if nothing is before them; else they are somebody else's to keep, and it gives False."""
        if self.behind and not self._caught_up():
            return False
        self.send_parts(parts)
        return True

    def _caught_up(self) -> bool:
        if self.fd < 0 or self.transport.get_write_buffer_size():
            return False
        self.behind = False
        return True


def _bare(transport: asyncio.Transport) -> int:
    """The descriptor of a transport that puts nothing around its bytes, or -1."""
    sock: socket.socket | None = transport.get_extra_info("socket")
    if sock is None or transport.get_extra_info("sslcontext") is not None:
        return -1
    fd = sock.fileno()
    return fd if fd >= 0 and stat.S_ISSOCK(os.fstat(fd).st_mode) else -1
