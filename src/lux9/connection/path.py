"""Paths of the tree, after pathlib."""

from __future__ import annotations

import os
import stat as s
from collections.abc import Iterator
from fnmatch import fnmatchcase
from functools import total_ordering
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING, Any

from ..wire.messages import DMDIR, Stat
from ..wire.numeral import numeral
from ..wire.unix import DMSYMLINK

if TYPE_CHECKING:
    from .follow import Follower
    from .tree import RemoteTree


@total_ordering
class RemotePath:
    """A path of a tree. It says what pathlib's paths say, and asks the server where those ask the system."""

    __slots__ = ("pure", "tree")

    def __init__(self, tree: RemoteTree, path: str | PurePosixPath = "/") -> None:
        self.tree, self.pure = tree, PurePosixPath("/", path)

    # -- what needs no server

    def __truediv__(self, more: str) -> RemotePath:
        return RemotePath(self.tree, self.pure / more.lstrip("/"))

    def __str__(self) -> str:
        return str(self.pure)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self.pure)!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemotePath) and (other.tree, other.pure) == (self.tree, self.pure)

    def __lt__(self, other: RemotePath) -> bool:
        return self.pure < other.pure

    def __hash__(self) -> int:
        return hash((id(self.tree), self.pure))

    @property
    def name(self) -> str:
        """The last of its names."""
        return self.pure.name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self.pure.stem

    @property
    def suffix(self) -> str:
        """`.img`, or nothing."""
        return self.pure.suffix

    @property
    def parts(self) -> tuple[str, ...]:
        """The names, `/` first."""
        return self.pure.parts

    @property
    def parent(self) -> RemotePath:
        """The directory that it is in."""
        return RemotePath(self.tree, self.pure.parent)

    def match(self, pattern: str) -> bool:
        """Whether the path fits, as pathlib decides."""
        return self.pure.match(pattern)

    # -- what is there

    def stat(self) -> os.stat_result:
        """As os.stat: an owner that has no number is -1 (`owner()` has the name). Raises OSError."""
        return stat_result(self.tree.stat(str(self)))

    def owner(self) -> str:
        """The name of whom it belongs to."""
        return self.tree.stat(str(self)).uid

    def group(self) -> str:
        """The name of its group."""
        return self.tree.stat(str(self)).gid

    def exists(self) -> bool:
        """Whether there is such a file."""
        try:
            self.tree.stat(str(self))
        except (FileNotFoundError, NotADirectoryError):
            return False
        return True

    def is_dir(self) -> bool:
        """Whether it is a directory."""
        return self.exists() and s.S_ISDIR(self.stat().st_mode)

    def is_file(self) -> bool:
        """Whether it is a file that is there."""
        return self.exists() and s.S_ISREG(self.stat().st_mode)

    def iterdir(self) -> Iterator[RemotePath]:
        """What is in the directory, in the order of the names."""
        return (self / name for name in self.tree.listdir(str(self)))

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """The files below that fit: `*/ctl`, `**/bar?`. A name in the pattern is walked to, not listed."""
        return _glob(self, PurePosixPath(pattern).parts)

    def rglob(self, pattern: str) -> Iterator[RemotePath]:
        """The same, however deep."""
        return self.glob(f"**/{pattern}")

    def walk(self) -> Iterator[tuple[RemotePath, list[str], list[str]]]:
        """Each directory from here down, with the names of the directories and of the files in it.

        Where the server follows links, one may lead to a directory above itself: that is named, and not gone into.
        """
        return self._walk((self.tree.stat(str(self)).qid.path,))

    def _walk(self, above: tuple[int, ...]) -> Iterator[tuple[RemotePath, list[str], list[str]]]:
        found = self.tree.scandir(str(self))
        inner = {f.name: f.qid.path for f in found if f.mode & DMDIR}
        yield self, list(inner), [f.name for f in found if not f.mode & DMDIR]
        for name, number in inner.items():
            if number not in above:
                yield from (self / name)._walk((*above, number))

    # -- what is in it

    def open(
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """As `open()`; see `files.py` for what is buffered."""
        return self.tree.open(str(self), mode, buffering, encoding, errors, newline)

    def read_bytes(self) -> bytes:
        """The whole file."""
        return self.tree.read_bytes(str(self))

    def read_text(self, encoding: str = "utf-8") -> str:
        """The whole file."""
        return self.tree.read_text(str(self), encoding)

    def write_bytes(self, data: bytes) -> int:
        """Write it in one piece; of a ctl file, that is one text of commands. How many bytes were taken."""
        return self.tree.write_bytes(str(self), data)

    def write_text(self, text: str, encoding: str = "utf-8") -> int:
        """Write it in one piece; how many bytes were taken."""
        return self.tree.write_text(str(self), text, encoding)

    def follow(self, timeout: float | None = None) -> Follower:
        """The lines of an event file, or of a log as it grows."""
        return self.tree.follow(str(self), timeout)

    # -- what comes and goes

    def mkdir(self) -> None:
        """Make a directory."""
        self.tree.mkdir(str(self))

    def unlink(self) -> None:
        """Remove the file."""
        self.tree.remove(str(self))

    def rmdir(self) -> None:
        """Remove the directory, which has to be empty."""
        self.tree.remove(str(self))

    def rename(self, name: str) -> RemotePath:
        """Give it another name in its directory. Raises ValueError for a path."""
        self.tree.rename(str(self), name)
        return self.parent / name


def stat_result(stat: Stat) -> os.stat_result:
    """A stat of 9P as the system's."""
    kind = s.S_IFDIR if stat.mode & DMDIR else s.S_IFLNK if stat.mode & DMSYMLINK else s.S_IFREG
    uid, gid = numeral(stat.uid), numeral(stat.gid)
    mode = kind | stat.mode & 0o777
    times = (stat.atime, stat.mtime, stat.mtime)
    return os.stat_result((mode, stat.qid.path, 0, 1, uid, gid, stat.length, *times))


def _glob(path: RemotePath, parts: tuple[str, ...]) -> Iterator[RemotePath]:
    if not parts:
        yield path
        return
    first, rest = parts[0], parts[1:]
    if first == "**":
        for below, _, files in path.walk():
            yield from _glob(below, rest) if rest else (below / name for name in files)
        return
    if not any(c in first for c in "*?["):
        if (path / first).exists():
            yield from _glob(path / first, rest)
        return
    for found in path.tree.scandir(str(path)):
        if fnmatchcase(found.name, first) and (not rest or found.mode & DMDIR):
            yield from _glob(path / found.name, rest)
