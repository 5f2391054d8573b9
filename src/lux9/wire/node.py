"""What a served file can do: the seam between the 9P server and whatever it serves.

The server knows fids, tags and messages; a `Node` knows one file, a `Handle` one open file. Any answer may be
a value, or a `Pending` when it has to be waited for. They raise `Lux9Error`; only the server makes an Rerror.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from ..pending import Maybe
from .messages import Qid, Stat

LOOPS = 40  # symbolic links followed on the way to one file, as Linux does: path_resolution(7)
Bytes = bytes | bytearray | memoryview


class Handle(Protocol):
    """An open file. The server calls `close` once, when its fid goes."""

    def read(self, offset: int, count: int) -> Maybe[Bytes]:
        """Up to `count` bytes; empty at the end. A view stays good only until the next call."""
        ...

    def write(self, offset: int, data: memoryview) -> Maybe[int]:
        """How many bytes were taken. `data` is good only during the call."""
        ...

    def close(self) -> None:
        """Let go of whatever the open took."""
        ...


class Listing(Protocol):
    """An open directory."""

    def entries(self) -> Maybe[Sequence[Stat]]:
        """The whole directory; the server cuts it to the client's counts."""
        ...

    def close(self) -> None:
        """Let go of whatever the open took."""
        ...


Opened = Handle | Listing


class Node(Protocol):
    """One file or directory of a tree, as a fid holds it before it is opened."""

    @property
    def qid(self) -> Qid:
        """What the file is, which version, and its number."""
        ...

    def walk(self, name: str) -> Maybe[Node]:
        """One step down, or up for `..`."""
        ...

    def stat(self) -> Maybe[Stat]:
        """What stat(5) tells."""
        ...

    def open(self, mode: int) -> Maybe[Opened]:
        """An open file, or a listing of a directory; `mode` as in open(5)."""
        ...

    def create(self, name: str, perm: int, mode: int) -> Maybe[Created]:
        """A new file in this directory, open."""
        ...

    def remove(self) -> Maybe[None]:
        """Take the file away."""
        ...

    def wstat(self, stat: Stat) -> Maybe[None]:
        """Change what `stat` names; fields with all bits set, or empty, stay."""
        ...


Created = tuple[Node, Opened]
