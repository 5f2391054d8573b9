"""A session with no socket, spoken to in a dialect; and the proofs that the conformance table names.

`@proves("9P2000.L", Tlopen, ...)` on a test says which requests it proves in which dialect. That it sends them, and
gets an answer other than a refusal or a refusal, is checked when it runs; that none is missing, in
`test_conformance.py`; docs/conformance.md is derived from the same marks.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Self, TypeVar

from lux9.ninep.session import Bounds
from lux9.pending import Maybe
from lux9.wire import links, linux as l, messages as m, unix as u
from lux9.wire.codec import NOFID, NOTAG, Dialect, Message
from lux9.wire.dialects import SPOKEN
from lux9.wire.links import Attr
from lux9.wire.messages import DMDIR, QTDIR, QTSYMLINK, Qid, Stat
from lux9.wire.node import Bytes, Created, Node, Opened
from tests.ninep.rig import ROOT, Peer

M = TypeVar("M", bound=Message)
SEEN: list[tuple[str, str]] = []  # (dialect, message) that went over a `Speaker` in this test


class Speaker(Peer):
    """A client of a session in a dialect; what goes over it is noted in SEEN."""

    def __init__(
        self, version: str, node: Node | None = None, bounds: Bounds | None = None
    ) -> None:
        super().__init__(bounds)
        self.version = version
        self.dialect: Dialect = SPOKEN[version]
        if node is not None:
            self.owner.root = node

    def start(self, msize: int = 8192) -> Self:
        assert self.ask(m.Tversion(msize, self.version), NOTAG) == m.Rversion(
            min(msize, self.session.bounds.msize), self.version
        )
        self.get(m.Rattach, self.attaching(ROOT))
        return self

    def attaching(self, fid: int) -> Message:
        """The Tattach of this dialect."""
        if self.version == "9P2000":
            return m.Tattach(fid, NOFID, "me", "")
        return u.Tattach(fid, NOFID, "me", "", 1000)

    def answers(self) -> list[tuple[int, Message]]:
        data = memoryview(b"".join(self.session.out))
        self.session.sent()
        got: list[tuple[int, Message]] = []
        while len(data):
            size = int.from_bytes(data[:4], "little")
            got.append(self.dialect.decode(bytes(data[:size])))
            data = data[size:]
        SEEN.extend((self.version, type(message).__name__) for _, message in got)
        return got

    def send(self, message: Message, tag: int) -> list[tuple[int, Message]]:
        SEEN.append((self.version, type(message).__name__))
        return super().send(message, tag)

    def get(self, kind: type[M], message: Message) -> M:
        """The answer, of the kind that it has to be."""
        answer = self.ask(message)
        assert isinstance(answer, kind), answer
        return answer

    def errno(self, message: Message) -> int:
        """Why a request is refused, as a number."""
        answer: Any = self.ask(message)
        return int(answer.ecode if self.version == "9P2000.L" else answer.errno)

    def lopen(self, fid: int, path: str, flags: int = 0) -> Self:
        """Walk and open, in .L."""
        self.walk(fid, path)
        self.get(l.Rlopen, l.Tlopen(fid, flags))
        return self

    def names(self, fid: int, count: int = 8000) -> list[l.Entry]:
        """A directory that is open, read by cookies, in .L."""
        got: list[l.Entry] = []
        offset = 0
        while data := self.get(l.Rreaddir, l.Treaddir(fid, offset, count)).data:
            at, view = 0, memoryview(data)
            while at < len(view):
                entry, at = l.Entry.get(view, at, len(view))
                got.append(entry)
            offset = got[-1].offset
        return got


class Disk:
    """A small file system with links: directories are dictionaries, files bytes, symbolic links strings."""

    def __init__(self, tree: dict[str, Any]) -> None:
        self.top = DiskNode(self, "/", tree, None)
        self.changed: list[Stat] = []


class DiskNode:
    """A file of it."""

    def __init__(self, disk: Disk, name: str, what: Any, parent: DiskNode | None) -> None:
        self.disk, self.name, self.parent = disk, name, parent
        self.what: Any = what

    @property
    def qid(self) -> Qid:
        kinds: dict[type, int] = {dict: QTDIR, str: QTSYMLINK, bytes: 0}
        return Qid(kinds[type(self.what)], 3, id(self.what))

    def look(self, name: str) -> Node:
        from lux9.errors import NotFound

        if name == "..":
            return self.parent or self
        if name not in self.what:
            raise NotFound(name)
        return DiskNode(self.disk, name, self.what[name], self)

    def walk(self, name: str) -> Node:
        found = self.look(name)
        assert isinstance(found, DiskNode)
        return self.walk(found.what) if isinstance(found.what, str) else found

    def target(self) -> str:
        assert isinstance(self.what, str)
        return self.what

    def attr(self) -> Attr:
        kinds: dict[type, int] = {dict: 0o040755, str: 0o120777, bytes: 0o100640}
        when = (1_000_000_001, 2_000_000_002, 3_000_000_003)
        return links.make(
            self.qid,
            kinds[type(self.what)],
            uid=7,
            gid=8,
            nlink=5,
            size=len(self.what),
            blocks=16,
            times=when,
            born=4_000_000_004,
            gen=9,
        )

    def statfs(self) -> l.Rstatfs:
        return l.Rstatfs(0xEF53, 1024, 100, 50, 40, 30, 20, 10, 255)

    def stat(self) -> Stat:
        is_dir = self.qid.is_dir
        mode, size = (0o755 | DMDIR, 0) if is_dir else (0o640, len(self.what))
        return Stat(0, 0, self.qid, mode, 1, 2, size, self.name, "7", "who?", "")

    def open(self, mode: int) -> Opened:
        return self

    def read(self, offset: int, count: int) -> Bytes:
        return bytes(self.what)[offset : offset + count]

    def write(self, offset: int, data: memoryview) -> int:
        assert self.parent is not None
        old = bytes(self.what)
        self.what = old[:offset] + bytes(data) + old[offset + len(data) :]
        self.parent.what[self.name] = self.what
        return len(data)

    def close(self) -> None:
        pass

    def entries(self) -> Sequence[Stat]:
        found: list[Any] = [self.walk(name) for name in self.what]
        return [node.stat().but(name=name) for node, name in zip(found, self.what, strict=True)]

    def links(self) -> Sequence[l.Entry]:
        return [links.entry(self.look(name).qid, name) for name in self.what]

    def create(self, name: str, perm: int, mode: int) -> Maybe[Created]:
        from lux9.errors import Exists

        if name in self.what:
            raise Exists(name)
        self.what[name] = {} if perm & DMDIR else b""
        node = DiskNode(self.disk, name, self.what[name], self)
        return node, node

    def remove(self) -> None:
        assert self.parent is not None
        del self.parent.what[self.name]

    def wstat(self, stat: Stat) -> None:
        self.disk.changed.append(stat)
        if stat.name and self.parent is not None:
            self.parent.what[stat.name] = self.parent.what.pop(self.name)


def disk() -> Disk:
    """One with a file, a link to it, one to a directory, and a directory."""
    return Disk({"file": b"0123456789", "soft": "file", "dir": {"in": b"x"}, "to": "dir"})
