"""Between a client and a server: what kinds of messages go by, in their order."""

from __future__ import annotations

import socket
import struct
import threading
from pathlib import Path
from typing import Self

HEADER = struct.Struct("<IB")  # size[4] type[1]
MOST = 1 << 20


class Tap:
    """A socket in `folder` for one client of the server on the unix socket `path`."""

    def __init__(self, folder: Path, path: Path) -> None:
        self.server = path
        self.address = f"unix!{folder / 'tap'}"
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(folder / "tap"))
        self.listener.listen()
        self.kinds: list[int] = []  # of all messages, requests and answers
        self.seen = threading.Condition()
        self.ends: list[socket.socket] = []
        self.threads = [threading.Thread(target=self._serve)]

    def __enter__(self) -> Self:
        self.threads[0].start()
        return self

    def _serve(self) -> None:
        try:
            client, _ = self.listener.accept()
        except OSError:  # nobody came
            return
        server = socket.socket(socket.AF_UNIX)
        server.connect(str(self.server))
        self.ends += client, server
        for a, b in ((client, server), (server, client)):
            self.threads.append(threading.Thread(target=self._pass, args=(a, b)))
            self.threads[-1].start()

    def _pass(self, a: socket.socket, b: socket.socket) -> None:
        have = b""
        try:
            while data := a.recv(MOST):
                have = self._note(have + data)
                b.sendall(data)
            b.shutdown(socket.SHUT_WR)  # a close would leave the other thread in its recv
        except OSError:  # the other side has ended
            pass

    def _note(self, have: bytes) -> bytes:
        while len(have) >= HEADER.size:
            size, kind = HEADER.unpack_from(have)
            if len(have) < size:
                break
            with self.seen:
                self.kinds.append(kind)
                self.seen.notify_all()
            have = have[size:]
        return have

    def wait(self, kind: int, limit: float = 60.0) -> None:
        """Until one of those has gone by."""
        with self.seen:
            assert self.seen.wait_for(lambda: kind in self.kinds, limit), f"no message {kind}"

    def __exit__(self, *exc: object) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for end in self.ends:
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:  # it has ended already
                pass
        for thread in self.threads:
            thread.join()
        for end in self.ends:
            end.close()
