"""What the machine itself can do: a socket between two Python processes, and the image read directly."""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path

from .timing import rate

REQUEST, ANSWER = 23, 15  # bytes of a Tread, and of an Rread with 4 bytes


def ping_pong(window: int = 1) -> float:
    """Exchanges a second of a request and an answer, `window` of them on their way."""
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        _answer(theirs)
        os._exit(0)
    theirs.close()
    try:
        return rate(lambda: _ask(ours, window))
    finally:
        ours.close()
        os.waitpid(child, 0)


def _ask(sock: socket.socket, window: int) -> int:
    wanted = ANSWER * window
    sock.sendall(bytes(REQUEST * window))
    while wanted:
        wanted -= len(sock.recv(wanted))
    return window


def _answer(sock: socket.socket) -> None:
    buffer, have = bytearray(1 << 16), 0
    while count := sock.recv_into(buffer):
        done, have = divmod(have + count, REQUEST)
        sock.sendall(bytes(ANSWER * done))


def preads(image: Path, size: int) -> float:
    """Reads of `size` bytes a second at random places of a file that is in the page cache."""
    fd = os.open(image, os.O_RDONLY)
    places = os.fstat(fd).st_size // size
    buffer = bytearray(size)

    def some() -> int:
        for _ in range(64):
            os.preadv(fd, [buffer], random.randrange(places) * size)
        return 64

    try:
        return rate(some)
    finally:
        os.close(fd)
