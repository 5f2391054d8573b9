"""Declared directories as `wire.node.Node`s: walking, stat, permissions, opening."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any

from ..errors import Exists, IsADirectory, Lux9Error, NotADirectory, NotFound, PermissionDenied
from ..pending import Maybe, Pending, after
from ..wire.messages import DMDIR, KEEP16, KEEP32, KEEP64, OTRUNC, QTDIR, Qid, Stat
from ..wire.node import Created, Handle, Listing, Node, Opened
from .declare import Dir, Entry, File
from .handles import Answers, Events, as_handle, lines

Path = tuple[str, ...]


@lru_cache(maxsize=65536)
def number(path: Path) -> int:
    """The file's number, the same whenever it is walked to: a hash of its path, 64 bits."""
    told = "/".join(path).encode(errors="surrogateescape")
    return int.from_bytes(blake2b(told, digest_size=8).digest(), "little")


class Tree:
    """What the files of one tree share: its name, its owner, and the versions of its texts.

    A version rises when the text is seen to have changed.
    """

    def __init__(self, name: str, user: str = "lux9", group: str = "lux9") -> None:
        self.name, self.user, self.group = name, user, group
        self.started = int(time.time())
        self.seen: dict[int, tuple[int, int, int]] = {}  # number: hash of the text, version, when

    def root(self, top: Dir) -> DirNode:
        """The tree's root as a node."""
        return DirNode(self, (self.name,), top, None)

    def version(self, number: int) -> int:
        """The version that was last seen."""
        found = self.seen.get(number)
        return found[1] if found else 0

    def saw(self, number: int, content: str) -> None:
        """Note a text; its version rises when it is another one."""
        mark, found = hash(content), self.seen.get(number)
        if found is None or found[0] != mark:
            self.seen[number] = (mark, found[1] + 1 if found else 0, int(time.time()))

    def stat(self, node: DirNode | FileNode, mode: int, length: int) -> Stat:
        """The stat of a file of this tree."""
        qid = node.qid
        found = self.seen.get(qid.path)
        when = found[2] if found else self.started
        name = node.path[-1] if len(node.path) > 1 else "/"
        return Stat(*(0, 0, qid, mode, when, when, length, name, self.user, self.group, self.user))


class _Common:
    """What files and directories share."""

    __slots__ = ("parent", "path", "tree")

    def __init__(self, tree: Tree, path: Path, parent: DirNode | None) -> None:
        self.tree, self.path, self.parent = tree, path, parent

    @property
    def shown(self) -> str:
        """The path in words."""
        return "/".join(self.path)

    def wstat(self, stat: Stat) -> None:
        """Truncating and touching are what programs do on open and mean nothing here; the rest is refused."""
        kept = stat.mode == KEEP32 and not (stat.name or stat.uid or stat.gid or stat.muid)
        kept = kept and stat.type == KEEP16 and stat.dev == KEEP32
        if not (kept and stat.length in (0, KEEP64)):
            raise PermissionDenied(f"{self.shown}: name, mode, owner and length cannot be changed")

    def remove(self) -> None:
        """Ask the directory."""
        if self.parent is None:
            raise PermissionDenied(f"{self.shown} is a root")
        self.parent.dir.drop(self.path[-1])


class DirNode(_Common):
    """A directory."""

    __slots__ = ("dir",)

    def __init__(self, tree: Tree, path: Path, d: Dir, parent: DirNode | None) -> None:
        super().__init__(tree, path, parent)
        self.dir = d

    @property
    def qid(self) -> Qid:
        """A directory's number is its path's."""
        return Qid(QTDIR, 0, number(self.path))

    def steady(self, name: str) -> bool:
        """Its own stat stays, and so do declared files; what comes and goes does where the class says so."""
        entry = self.dir.table.get(name)
        if entry is None:
            return name in ("", "..") or self.dir.steady
        shown = self.dir.steady or type(self.dir).shows is Dir.shows
        return shown and entry.kind != "text"

    def walk(self, name: str) -> Node:
        """To a child, or up."""
        if name == "..":
            return self.parent or self
        entry = self.dir.table.get(name)
        if entry is not None and self.dir.shows(name):
            return FileNode(self.tree, (*self.path, name), self, entry)
        found = self.dir.child(name) if self.dir.dynamic else None
        if found is None:
            raise NotFound(f"{self.shown}/{name}")
        return self._node(name, found)

    def _node(self, name: str, found: Dir | File) -> DirNode | FileNode:
        path = (*self.path, name)
        if isinstance(found, Dir):
            return DirNode(self.tree, path, found, self)
        return FileNode(self.tree, path, self, found)

    def stat(self) -> Stat:
        """What stat(5) tells."""
        return self.tree.stat(self, DMDIR | self.dir.mode, 0)

    def open(self, mode: int) -> Listing:
        """A listing; a directory is only ever read."""
        if mode & 3 or mode & OTRUNC:
            raise IsADirectory(f"{self.shown} can only be read")
        return self

    def entries(self) -> Sequence[Stat]:
        """Declared files first, then what comes and goes."""
        names = [(n, e) for n, e in self.dir.table.items() if self.dir.shows(n)]
        out = [FileNode(self.tree, (*self.path, n), self, e).listed() for n, e in names]
        for name, found in self.dir.children().items():
            node = self._node(name, found)
            out.append(node.listed() if isinstance(node, FileNode) else node.stat())
        return out

    def close(self) -> None:
        """Nothing is held."""

    def create(self, name: str, perm: int, mode: int) -> Maybe[Created]:
        """Ask the directory, for a name that is not there yet (create in open(5))."""
        if (name in self.dir.table and self.dir.shows(name)) or self.dir.child(name) is not None:
            raise Exists(f"{self.shown}/{name}")
        made = self.dir.make(name, perm, mode)
        node = FileNode(self.tree, (*self.path, name), self, made)
        opened: Maybe[Any] = node.open(mode)
        return after(opened, lambda handle: (node, handle))


class FileNode(_Common):
    """A file, declared or come and gone."""

    __slots__ = ("entry",)
    parent: DirNode

    def __init__(self, tree: Tree, path: Path, parent: DirNode, entry: Entry | File) -> None:
        super().__init__(tree, path, parent)
        self.entry = entry

    @property
    def qid(self) -> Qid:
        """The version is that of the text last seen."""
        n = number(self.path)
        return Qid(0, self.tree.version(n), n)

    def steady(self, name: str) -> bool:
        """A text has a version that rises, and a file that comes and goes a length."""
        return not name and isinstance(self.entry, Entry) and self.entry.kind != "text"

    def walk(self, name: str) -> Node:
        """Nowhere: walk(5) starts from directories."""
        raise NotADirectory(f"{self.shown} is a file; there is no {name!r} in it")

    def listed(self) -> Stat:
        """The stat in a directory read: nothing is made for it."""
        length = self.entry.length() if isinstance(self.entry, File) else 0
        return self.tree.stat(self, self.entry.mode, length)

    def stat(self) -> Stat:
        """What stat(5) tells; a text is made, so that its version is true."""
        if isinstance(self.entry, Entry) and self.entry.kind == "text":
            try:
                content = self.entry.fn(self.parent.dir)
            except Lux9Error:
                content = None  # the open will tell why
            if isinstance(content, str):
                self.tree.saw(number(self.path), content)
            elif isinstance(content, Pending):
                content.cancel()
        return self.listed()

    def open(self, mode: int) -> Maybe[Opened]:
        """Check the mode, then open by kind."""
        self.parent.dir.check(self.path[-1], self.entry.mode, mode)
        if isinstance(self.entry, File):
            file: Maybe[Any] = self.entry.open(mode)
            return after(file, as_handle)
        opened: Maybe[Opened] = getattr(self, "_" + self.entry.kind)(self.entry, mode)
        return opened

    def _text(self, entry: Entry, mode: int) -> Maybe[Handle]:
        d = self.parent.dir
        take: Any = getattr(d, entry.write) if entry.write else lines(d.control)
        if mode & 3 == 1:
            return Answers("", take)
        return after(entry.fn(d), lambda content: self._made(content, take if mode & 3 else None))

    def _made(self, content: str, take: Any) -> Handle:
        self.tree.saw(number(self.path), content)
        return Answers(content, take)

    def _raw(self, entry: Entry, mode: int) -> Maybe[Handle]:
        return after(entry.fn(self.parent.dir), as_handle)

    def _stream(self, entry: Entry, mode: int) -> Maybe[Handle]:
        opened: Maybe[Handle] = entry.fn(self.parent.dir, mode)
        return opened

    def _event(self, entry: Entry, mode: int) -> Handle:
        d = self.parent.dir
        return Events(lambda: entry.fn(d))

    def _rpc(self, entry: Entry, mode: int) -> Handle:
        d = self.parent.dir
        return Answers("", lambda request: entry.fn(d, request))

    def create(self, name: str, perm: int, mode: int) -> Maybe[Created]:
        """Not in a file."""
        raise NotADirectory(f"{self.shown} is a file")
