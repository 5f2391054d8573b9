"""A line that is cut: bytes are passed on between clients and a server, until so many have gone by."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Self

from lux9.ninep.address import Address, parse
from lux9.ninep.wires import dial

LIMIT = 20.0


class Cutter:
    """Listens on the loopback. `after()` gives the bytes that the next connection passes from the server, or None.

    `tls`: what it listens for, in its address; the bytes are passed on as they are.
    """

    def __init__(self, server: str, after: Callable[[], int | None] = lambda: None) -> None:
        self.server, self.after = server, after
        self.kind = parse(server).kind
        self.cuts = self.made = 0
        self.refusing = self.deaf = False  # nobody is let in; what the server says is lost
        self.listening = socket.create_server(("127.0.0.1", 0))
        self.listening.settimeout(LIMIT)
        self.pairs: list[tuple[socket.socket, socket.socket]] = []
        self.threads: list[threading.Thread] = []

    @property
    def address(self) -> str:
        """What clients dial."""
        kind = "tls" if self.kind == "tls" else "tcp"
        return str(Address(kind, "127.0.0.1", self.listening.getsockname()[1]))

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def _start(self, work: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=work, args=args, daemon=True)
        self.threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                ours, _ = self.listening.accept()
                if self.refusing:
                    ours.close()
                    continue
                theirs = dial(self.server.replace("tls!", "tcp!"))
                self.made += 1
                self.pairs.append((ours, theirs))
                self._start(self._pass, ours, theirs, None)
                self._start(self._pass, theirs, ours, self.after())

    def _pass(self, source: socket.socket, to: socket.socket, most: int | None) -> None:
        left = most
        with contextlib.suppress(OSError):
            for data in iter(lambda: source.recv(65536), b""):
                if self.deaf and to in [ours for ours, _ in self.pairs]:
                    continue
                part = data if left is None else data[:left]
                to.sendall(part)
                if left is not None:
                    left -= len(part)
                    if not left:
                        self.cuts += 1
                        break
        _end(source, to)

    def cut(self) -> None:
        """Cut what is connected now."""
        for ours, theirs in self.pairs:
            _end(ours, theirs)

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(OSError):
            self.listening.shutdown(socket.SHUT_RDWR)
        self.listening.close()
        self.cut()
        for thread in self.threads:
            thread.join(LIMIT)
            assert not thread.is_alive()
        for pair in self.pairs:
            for sock in pair:
                sock.close()


def _end(*socks: socket.socket) -> None:
    for sock in socks:
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)


def cuts(numbers: Iterator[int]) -> Callable[[], int | None]:
    """After so many bytes each, and then no more."""
    return lambda: next(numbers, None)
