"""What one fid of a served connection is: a file walked to, perhaps open; and a directory being read."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

from ..errors import BadArgument, Lux9Error
from ..pending import Maybe, waits
from ..wire import messages as m
from ..wire.linux import Entry
from ..wire.messages import Qid
from ..wire.node import Bytes, Node

if TYPE_CHECKING:
    from .quick import Spot


class Record(Protocol):
    """What a directory read gives, one for each file: a dialect's stat."""

    def put(self) -> bytes:
        """As it goes over the wire."""
        ...


class Fid:
    """A file that the client names. `node` is None while the walk or attach that makes it is on its way.

    Most are never opened: what belongs to an open file stays the class's until then, so that a walk is cheap.
    """

    node: Node | None
    name: str
    spot: Spot | None  # the answers kept of the place
    opened = orclose = False
    handle: Any = None
    read: Callable[[int, int], Maybe[Bytes]] | None = None
    write: Callable[[int, memoryview], Maybe[int]] | None = None
    entries: Packed | None = None
    rows: Rows | None = None
    ending: Callable[[], None] | None = None  # called once when the file is let go

    def __init__(self, node: Node | None, name: str, spot: Spot | None = None) -> None:
        self.node, self.name, self.spot = node, name, spot

    def move(self, node: Node, name: str) -> None:
        """It is another file from here on."""
        self.node, self.name, self.spot = node, name, None

    def below(self, *names: str) -> str:
        """The path of a file below this one, in words."""
        return "/".join((self.name.rstrip("/"), *names)) if names else self.name

    def start(self, handle: Any, mode: int, is_dir: bool) -> None:
        """Take an open's result."""
        self.handle, self.opened, self.orclose = handle, True, bool(mode & m.ORCLOSE)
        if not is_dir:
            self.read = handle.read if mode & 3 != m.OWRITE else None
            self.write = handle.write if mode & 3 in (m.OWRITE, m.ORDWR) else None

    def revoke(self, why: Lux9Error) -> None:
        """Take the file away; the number stays the client's until it clunks it."""
        node, opened = self.node, self.opened
        self.close()
        if node is not None:
            gone: Any = Revoked(node.qid, why)
            self.node, self.opened, self.entries, self.spot = gone, opened, None, None
            self.rows = None
            self.read = self.write = gone.refuse

    def close(self) -> None:
        """Let the file go."""
        handle, self.handle = self.handle, None
        if self.ending is not None:
            ending, self.ending = self.ending, None
            ending()
        self.read = self.write = self.node = self.spot = None
        if handle is not None:
            handle.close()


class Revoked:
    """A file that was taken away from whoever had walked to it: whatever is asked of it fails."""

    def __init__(self, qid: Qid, why: Lux9Error) -> None:
        self.qid, self.why = qid, why

    def refuse(self, *asked: object) -> NoReturn:
        """Any request."""
        raise self.why

    walk = stat = open = create = remove = wstat = refuse


class Packed:
    """A directory's entries as they go over the wire, and where each begins."""

    __slots__ = ("entries", "starts")

    def __init__(self, stats: Iterable[Record]) -> None:
        self.entries = [stat.put() for stat in stats]
        self.starts = [0, *accumulate(len(entry) for entry in self.entries)]

    def cut(self, offset: int, count: int) -> bytes:
        """The whole entries from `offset` that fit into `count` (read(5)). Raises BadArgument between two."""
        first = bisect_left(self.starts, offset)
        if first == len(self.starts) or self.starts[first] != offset:
            raise BadArgument(f"offset {offset} is not where an entry of the directory begins")
        last = bisect_right(self.starts, offset + count) - 1
        if first == last < len(self.entries):
            size = len(self.entries[first])
            raise BadArgument(f"count {count} is too small for the next entry, of {size} bytes")
        return b"".join(self.entries[first:last])


class Rows:
    """A directory's entries as Treaddir gives them: an entry's offset is the place of the one behind it."""

    __slots__ = ("entries", "starts")

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries = [
            Entry(e.qid, at, e.type, e.name).put() for at, e in enumerate(entries, start=1)
        ]
        self.starts = [0, *accumulate(len(entry) for entry in self.entries)]

    def cut(self, offset: int, count: int) -> bytes:
        """The whole entries from the offset on that fit into `count`. Raises BadArgument when not one does."""
        if offset >= len(self.entries):
            return b""
        last = bisect_right(self.starts, self.starts[offset] + count) - 1
        if last == offset:
            raise BadArgument(f"count {count} is too small for the next entry")
        return b"".join(self.entries[offset:last])


def opening(f: Fid, act: Callable[[], Maybe[Any]]) -> Maybe[Any]:
    """A fid counts as open while the open is on its way, and is as it was if that fails or is given up."""

    def over(_: object = None) -> None:
        f.opened = f.handle is not None

    f.opened = True
    try:
        opened = act()
    except Exception:
        over()
        raise
    return opened.ended(over) if waits(opened) else opened
