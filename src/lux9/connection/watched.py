"""The socket of a connection that several threads use: one of them watches it."""

from __future__ import annotations

import math
import os
import select
import socket
import ssl

from typing_extensions import override

from ..ninep.caller import Caller
from ..ninep.wires import SocketWire


class Watched(SocketWire):
    """`news`: something was taken in by a thread that is not the watcher, who may sleep on what it waits for."""

    def __init__(self, caller: Caller, sock: socket.socket) -> None:
        super().__init__(caller, sock)
        self.news = False
        self.bell = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)

    @override
    def take(self, *, block: bool = False) -> None:
        """As any socket's."""
        super().take(block=block)
        self.news = True

    def arrives(self, seconds: float | None) -> None:
        """Wait until there is something to take, the bell rings, or the time is over; touches nothing else."""
        if isinstance(self.sock, ssl.SSLSocket) and self.sock.pending():
            return  # it is decrypted already, and the socket will not tell
        poll = select.poll()
        poll.register(self.sock, select.POLLIN)
        poll.register(self.bell, select.POLLIN)
        came = poll.poll(None if seconds is None else math.ceil(seconds * 1000))
        if any(fd == self.bell for fd, _ in came):
            os.eventfd_read(self.bell)

    def ring(self) -> None:
        """Let the watcher look about."""
        os.eventfd_write(self.bell, 1)

    @override
    def close(self) -> None:
        """Hang up."""
        if self.bell >= 0:
            super().close()
            os.close(self.bell)
            self.bell = -1
