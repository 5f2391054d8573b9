"""A client that talks 9P byte by byte, and may talk nonsense."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Self

from lux9.wire import messages as m
from lux9.wire.codec import NOFID, NOTAG, Message
from lux9.wire.messages import P9
from tests.system.running import LIMIT

MSIZE = 65536
ROOT = 0


class Peer:
    """One connection to a unix socket."""

    def __init__(self, path: Path) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(LIMIT)
        self.sock.connect(str(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.sock.close()

    def raw(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send(self, message: Message, tag: int = 1) -> None:
        self.raw(message.encode(tag))

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            got = self.sock.recv(count - len(data))
            if not got:
                raise EOFError(f"hung up after {len(data)} of {count} bytes")
            data += got
        return data

    def answer(self) -> tuple[int, Message]:
        """The next answer. Raises EOFError when it hung up."""
        head = self._exactly(4)
        return P9.decode(head + self._exactly(int.from_bytes(head, "little") - 4))

    def ask(self, message: Message, tag: int = 1) -> Message:
        self.send(message, tag)
        got, answer = self.answer()
        assert got == tag
        return answer

    def refused(self, message: Message, tag: int = 1) -> str:
        answer = self.ask(message, tag)
        assert isinstance(answer, m.Rerror), answer
        return answer.ename

    def hung_up(self) -> str:
        """The last word before the other side closes."""
        tag, answer = self.answer()
        assert isinstance(answer, m.Rerror), answer
        assert tag == NOTAG
        assert self.sock.recv(1) == b""
        return answer.ename

    def version(self, msize: int = MSIZE) -> Self:
        assert isinstance(self.ask(m.Tversion(msize, "9P2000"), NOTAG), m.Rversion)
        return self

    def start(self, msize: int = MSIZE, aname: str = "") -> Self:
        """Version and attach."""
        self.version(msize)
        assert isinstance(self.ask(m.Tattach(ROOT, NOFID, "me", aname)), m.Rattach)
        return self

    def walk(self, fid: int, path: str) -> Self:
        names = tuple(path.strip("/").split("/"))
        answer = self.ask(m.Twalk(ROOT, fid, names))
        assert isinstance(answer, m.Rwalk), answer
        assert len(answer.qids) == len(names)
        return self

    def open(self, fid: int, path: str, mode: int = m.OREAD) -> Self:
        answer = self.walk(fid, path).ask(m.Topen(fid, mode))
        assert isinstance(answer, m.Ropen), answer
        return self

    def read(self, fid: int, offset: int = 0, count: int = 4096) -> bytes:
        answer = self.ask(m.Tread(fid, offset, count))
        assert isinstance(answer, m.Rread), answer
        return bytes(answer.data)
