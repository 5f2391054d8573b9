"""A session with no socket, and a tree that has whatever the protocol's rules can be tried on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from lux9.errors import NotFound, PermissionDenied
from lux9.ninep.session import Bounds, Session
from lux9.pending import Maybe, Pending
from lux9.tree import Dir, File, Raw, Tree, entries, event, raw, rpc, text, verb
from lux9.wire import messages as m
from lux9.wire.codec import NOFID, NOTAG, Message
from lux9.wire.messages import P9
from lux9.wire.node import Bytes, Node

ROOT = 0  # the fid that `Peer.start` attaches
LONG = 300_000  # bytes of the file `long`


class Memory:
    """A Raw over bytes. Each call is noted; `late` makes answers wait."""

    def __init__(self, data: bytes) -> None:
        self.data = bytearray(data)
        self.calls: list[str] = []
        self.closed = 0

    def pread(self, count: int, offset: int) -> bytes:
        self.calls.append(f"r{offset}+{count}")
        return bytes(self.data[offset : offset + count])

    def pwrite(self, data: memoryview, offset: int) -> int:
        self.calls.append(f"w{offset}+{len(data)}")
        if offset >= len(self.data):
            raise PermissionDenied(f"{offset:#x} is outside")
        self.data[offset : offset + len(data)] = data
        return len(data)

    def close(self) -> None:
        self.closed += 1


class Odd:
    """A file whose answers are whatever it was given, right or wrong."""

    def __init__(self, answer: Any) -> None:
        self.answer = answer

    def pread(self, count: int, offset: int) -> Any:
        return self.answer

    def pwrite(self, data: memoryview, offset: int) -> Any:
        return self.answer


def odd(answer: Any) -> File:
    """The same as a leaf of the tree."""
    return File(0o666, lambda mode: Odd(answer))


class Level(Dir):
    """A directory in a directory, without end."""

    def __init__(self, depth: int = 0) -> None:
        self.depth = depth

    @text(0o444)
    def here(self) -> str:
        """How deep this is."""
        return f"{self.depth}\n"

    @entries
    def below(self) -> Mapping[str, Dir]:
        """The next."""
        return {"down": Level(self.depth + 1)}


class Top(Dir):
    """The tree that is served."""

    mode = 0o775

    def __init__(self) -> None:
        self.memory = Memory(bytes(range(256)))
        self.long_ = Memory(bytes(i * 7 % 251 for i in range(LONG)))
        self.waiting: list[Pending[str]] = []
        self.given_up = 0
        self.opening: list[Pending[Raw]] = []
        self.names: dict[str, Dir | File] = {f"n{i:03}": Level(i) for i in range(100)}
        self.removed: list[str] = []
        self.hide = False

    def shows(self, name: str) -> bool:
        return not self.hide

    @text(0o664)
    def ctl(self) -> str:
        """Facts."""
        return "facts\n"

    @verb(1)
    def say(self, word: str) -> str:
        """Answer with it."""
        return f"{word}\n"

    @raw(0o660)
    def mem(self) -> Raw:
        """Bytes."""
        return self.memory

    @raw(0o660)
    def long(self) -> Raw:
        """Many bytes."""
        return self.long_

    @raw(0o660)
    def later(self) -> Pending[Raw]:
        """Opened when the test says so."""
        pending: Pending[Raw] = Pending(self._gave_up)
        self.opening.append(pending)
        return pending

    def _gave_up(self) -> None:
        self.given_up += 1

    @event(0o444)
    def event(self) -> Pending[str]:
        """Waits until the test says so."""
        pending: Pending[str] = Pending(self._gave_up)
        self.waiting.append(pending)
        return pending

    @rpc(0o600)
    def ask(self, request: str) -> str:
        """Answers."""
        return request[::-1]

    @text(0o444)
    def broken(self) -> str:
        """Our own mistake."""
        raise ZeroDivisionError

    @entries
    def many(self) -> Mapping[str, Dir | File]:
        """A hundred directories, and what was created."""
        return self.names

    def make(self, name: str, perm: int, mode: int) -> File:
        memory = Memory(b"\0" * 16)
        file = self.names[name] = File(perm, lambda mode: memory, lambda: len(memory.data))
        return file

    def drop(self, name: str) -> None:
        if name not in self.names:
            super().drop(name)
        del self.names[name]
        self.removed.append(name)


class Owner:
    """Whom the session is for; notes what was refused."""

    def __init__(self, top: Dir) -> None:
        self.root: Node = Tree("#t").root(top)
        self.refusals: list[tuple[str, str, str]] = []
        self.attaching: Pending[Node] | None = None

    def attach(self, uname: str, aname: str) -> Maybe[Node]:
        if aname == "late":
            self.attaching = Pending()
            return self.attaching
        if aname:
            raise NotFound(aname)
        return self.root

    def refused(self, error: Exception, what: str, path: str) -> None:
        self.refusals.append((type(error).__name__, what, path))


class Peer:
    """A client of a session, message by message."""

    def __init__(self, bounds: Bounds | None = None) -> None:
        self.top = Top()
        self.owner = Owner(self.top)
        self.woken = 0
        self.session = Session(self.owner, self._wake, bounds)
        self.tag = 0

    def _wake(self) -> None:
        self.woken += 1

    def start(self, msize: int = 8192) -> Self:
        """Version and attach."""
        assert self.ask(m.Tversion(msize, "9P2000"), NOTAG) == m.Rversion(
            min(msize, self.session.bounds.msize), "9P2000"
        )
        assert isinstance(self.ask(m.Tattach(ROOT, NOFID, "me", "")), m.Rattach)
        return self

    def raw(self, data: Bytes) -> int:
        """Bytes in; how many were used."""
        return self.session.receive(memoryview(data))

    def answers(self) -> list[tuple[int, Message]]:
        """What has been answered since the last time, by tag."""
        data = memoryview(b"".join(self.session.out))
        self.session.sent()
        got: list[tuple[int, Message]] = []
        while len(data):
            size = int.from_bytes(data[:4], "little")
            got.append(P9.decode(bytes(data[:size])))
            data = data[size:]
        return got

    def send(self, message: Message, tag: int) -> list[tuple[int, Message]]:
        """A request; whatever is answered now."""
        data = message.encode(tag)
        assert self.raw(data) == len(data)
        return self.answers()

    def ask(self, message: Message, tag: int = 1) -> Message:
        """A request that is answered at once."""
        got = self.send(message, tag)
        assert [t for t, _ in got] == [tag]
        return got[0][1]

    def refused(self, message: Message, tag: int = 1) -> str:
        """Why a request is refused."""
        answer = self.ask(message, tag)
        assert isinstance(answer, m.Rerror), answer
        return answer.ename

    def walk(self, fid: int, path: str) -> Self:
        """A fid for a file."""
        names = tuple(path.split("/")) if path else ()
        answer = self.ask(m.Twalk(ROOT, fid, names))
        assert isinstance(answer, m.Rwalk), answer
        assert len(answer.qids) == len(names)
        return self

    def open(self, fid: int, path: str, mode: int = m.OREAD) -> Self:
        """The same, opened."""
        self.walk(fid, path)
        answer = self.ask(m.Topen(fid, mode))
        assert isinstance(answer, m.Ropen), answer
        return self

    def read(self, fid: int, offset: int = 0, count: int = 8000) -> bytes:
        """Read an open file."""
        answer = self.ask(m.Tread(fid, offset, count))
        assert isinstance(answer, m.Rread), answer
        return bytes(answer.data)
