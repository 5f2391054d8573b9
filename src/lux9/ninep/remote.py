"""The files of another 9P server as `Node`s: what a mount is made of.

Payload passes through untouched: the view that an answer brought is handed on within the callback. A node that
nobody holds any more clunks its fid.

When the service comes back on another connection (`service`), a node knows its path, so it can be walked to again;
an open file can be opened again; a read that was not answered is sent again, and so is a write where the service
says that repeating one does no harm. Every other request that was on its way fails.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TypeVar

from ..errors import IsADirectory, NotADirectory, TooManyLinks
from ..pending import Maybe, Pending, after
from ..wire import links, linux as l, messages as m
from ..wire.codec import Message
from ..wire.links import Attr, attr_of
from ..wire.messages import Qid, Stat
from ..wire.node import LOOPS, Bytes, Created, Node, Opened
from .caller import Attached
from .service import Service
from .speech import entries

T = TypeVar("T")


class RemoteNode:
    """A file of the service, by its path from the root and, on the connection of the moment, by a fid of ours."""

    __slots__ = ("_qid", "fid", "generation", "path", "service")

    def __init__(self, service: Service, path: tuple[str, ...], fid: int, qid: Qid) -> None:
        self.service, self.path, self.fid, self._qid = service, path, fid, qid
        self.generation = service.generation

    def __del__(self) -> None:
        service = self.service
        if self.generation == service.generation and self.fid != service.root_fid:
            service.caller.forget(self.fid)

    @property
    def qid(self) -> Qid:
        """Its number among all that are mounted."""
        return self.service.qid(self._qid)

    def at(self) -> Maybe[int]:
        """Its fid on the connection of the moment; walked to again when that is another one."""
        service = self.service
        if not self.path:
            return service.root_fid
        if self.generation == service.generation:
            return self.fid

        def walked(got: Attached) -> int:
            if self.generation == service.generation:  # somebody else's walk was answered first
                service.caller.forget(got[0])
            else:
                self.generation, (self.fid, self._qid) = service.generation, got
            return self.fid

        return service.caller.walk(service.root_fid, self.path).map(walked)

    def walk(self, name: str) -> Maybe[Node]:
        """One step, on the service, to where a symbolic link leads."""
        made: Maybe[Any] = self.look(name)
        return after(made, lambda node: self._follow(node, name))

    def look(self, name: str) -> Maybe[Node]:
        """One step, on the service: to a symbolic link itself."""
        if name == "..":
            return self._clone(self.path[:-1])
        if not self._qid.is_dir:
            raise NotADirectory(f"there is no {name!r} in a file of {self.service.name}")
        return self._clone((*self.path, name))

    def _follow(self, node: RemoteNode, name: str) -> Maybe[Node]:
        if not node.is_link:
            return node
        return self._to([name], 0)

    def _to(self, todo: list[str], hops: int) -> Maybe[Node]:
        """Down a path that has symbolic links in it; one that is absolute begins at the service's root."""
        name, *rest = todo

        def at(node: RemoteNode) -> Maybe[Node]:
            if not node.is_link:
                return node._to(rest, hops) if rest else node
            if hops == LOOPS:
                raise TooManyLinks(f"{name}: more than {LOOPS} on the way")
            said: Maybe[Any] = node.target()
            return after(said, led)

        def led(target: str) -> Maybe[Node]:
            names = [part for part in target.split("/") if part not in ("", ".")] + rest
            top: Maybe[Any] = self._clone(() if target.startswith("/") else self.path)
            return after(top, lambda node: node._to(names, hops + 1) if names else node)

        made: Maybe[Any] = self.look(name)
        return after(made, at)

    @property
    def is_link(self) -> bool:
        """A symbolic link; nothing else is `look`ed at and not walked to."""
        return bool(self._qid.type & m.QTSYMLINK)

    def target(self) -> Maybe[str]:
        """What a symbolic link says."""
        return self._ask(l.Treadlink, lambda r: r.target)

    def attr(self) -> Maybe[Attr]:
        """As the service tells it, or made from a stat where it cannot."""
        if l.Tgetattr.number not in self.service.caller.dialect.types:
            return after(self.stat(), attr_of)
        return self._ask(
            lambda fid: l.Tgetattr(fid, l.GETATTR_ALL),
            lambda a: a.but(qid=self.service.qid(a.qid)),
        )

    def statfs(self) -> Maybe[l.Rstatfs]:
        """As the service tells it."""
        if l.Tstatfs.number not in self.service.caller.dialect.types:
            return links.NO_SPACE
        return self._ask(l.Tstatfs, lambda r: r)

    def _ask(self, request: Callable[[int], Message], told: Callable[[Any], T]) -> Maybe[T]:
        """Something that changes nothing, of the fid of the moment."""
        service = self.service

        def work() -> Maybe[T]:
            return after(self.at(), lambda fid: service.caller.submit(request(fid)).map(told))

        return service.ask(work)

    def _clone(self, path: tuple[str, ...]) -> Maybe[Any]:
        """A node of its own for a path that is this one's, or a step from it."""
        service = self.service
        names = path[len(self.path) :] if path[: len(self.path)] == self.path else ()

        def walked(got: Attached) -> RemoteNode:
            qid = got[1] if path else service.root_qid  # a walk of no names tells none
            return RemoteNode(service, path, got[0], self._qid if path == self.path else qid)

        def work() -> Maybe[RemoteNode]:
            if len(path) < len(self.path):  # up: from the top, for `..` is not every server's
                return service.caller.walk(service.root_fid, path).map(walked)
            return after(self.at(), lambda fid: service.caller.walk(fid, names).map(walked))

        return service.ask(work)

    def stat(self) -> Maybe[Stat]:
        """As the service tells it."""
        service = self.service

        def told(fid: int) -> Pending[Stat]:
            name = self.path[-1] if self.path else "/"
            return service.caller.stat(fid, name).map(service.stat)

        return service.ask(lambda: after(self.at(), told))

    def open(self, mode: int) -> Maybe[Opened]:
        """A clone of the fid is opened, so that this one can be walked on."""
        if self._qid.is_dir and mode & 3:
            raise IsADirectory(f"a directory of {self.service.name} can only be read")
        made: Maybe[Any] = self._clone(self.path)
        return after(made, lambda node: self._open(node, mode))

    def _open(self, node: RemoteNode, mode: int) -> Pending[Opened]:
        opened = self.service.caller.open(node.fid, mode)
        return opened.map(lambda r: _opened(node, r.qid, mode, self))

    def create(self, name: str, perm: int, mode: int) -> Maybe[Created]:
        """On a clone, which becomes the new file."""

        def made(node: RemoteNode, r: m.Rcreate) -> Created:
            node.path, node._qid = (*node.path, name), r.qid
            return node, _opened(node, r.qid, mode)

        def cloned(node: RemoteNode) -> Pending[Created]:
            created = self.service.caller.create(node.fid, name, perm, mode)
            return created.map(lambda r: made(node, r))

        clone: Maybe[Any] = self._clone(self.path)
        return after(clone, cloned)

    def remove(self) -> Maybe[None]:
        """A clone goes with the file."""

        def cloned(node: RemoteNode) -> Pending[None]:
            return self.service.caller.submit(m.Tremove(node.fid)).map(lambda _: None)

        clone: Maybe[Any] = self._clone(self.path)
        return after(clone, cloned)

    def wstat(self, stat: Stat) -> Maybe[None]:
        """As it is; a qid in it means nothing (stat(5))."""
        kept = stat.but(qid=m.KEEP.qid)

        def told(fid: int) -> Pending[None]:
            return self.service.caller.wstat(fid, kept)

        return after(self.service.ready(), lambda _: after(self.at(), told))


def _opened(node: RemoteNode, qid: Qid, mode: int, base: RemoteNode | None = None) -> Opened:
    return RemoteListing(node, base or node) if qid.is_dir else RemoteHandle(node, mode)


class RemoteHandle:
    """An open file of the service. It holds the node, and with it the fid."""

    __slots__ = ("caller", "fid", "mode", "node", "service")

    def __init__(self, node: RemoteNode, mode: int) -> None:
        self.node, self.fid, self.mode = node, node.fid, mode & ~m.OTRUNC
        self.service, self.caller = node.service, node.service.caller

    def read(self, offset: int, count: int) -> Maybe[Bytes]:
        """One Tread; the answer's view goes straight on."""
        caller, service = self.caller, self.service
        if caller.gone is not None:
            return after(self._reopen(), lambda _: self.read(offset, count))
        service.requests += 1
        service.bytes += count
        again = partial(self.read, offset, count) if service.hold else None
        return caller.read(self.fid, offset, count, again=again)

    def write(self, offset: int, data: Bytes) -> Maybe[int]:
        """One Twrite."""
        caller, service = self.caller, self.service
        if caller.gone is not None:
            kept = bytes(data)  # the view is good only now
            return after(self._reopen(), lambda _: self.write(offset, kept))
        service.requests += 1
        service.bytes += len(data)
        if not (service.repeats and service.hold):
            return caller.write(self.fid, offset, data)
        return caller.write(self.fid, offset, data, again=partial(self.write, offset, bytes(data)))

    def _reopen(self) -> Maybe[None]:
        """Open the file once more, on the connection that comes."""
        service = self.service

        def opened(node: RemoteNode) -> None:
            if self.caller is not service.caller:  # else somebody else's read did it meanwhile
                self.node, self.fid, self.caller = node, node.fid, service.caller

        def walked(got: Attached) -> Pending[None]:
            node = RemoteNode(service, self.node.path, *got)
            return service.caller.open(node.fid, self.mode).map(lambda _: opened(node))

        def work() -> Maybe[None]:
            if self.caller is service.caller:
                return None
            return service.caller.walk(service.root_fid, self.node.path).map(walked)

        return service.ask(work)

    def close(self) -> None:
        """The fid goes with the node."""


class RemoteListing:
    """An open directory of the service; `base` is the same one, not open."""

    __slots__ = ("base", "node")

    def __init__(self, node: RemoteNode, base: RemoteNode) -> None:
        self.node, self.base = node, base

    def entries(self) -> Maybe[Sequence[Stat]]:
        """All of it, its numbers moved."""
        service = self.node.service
        listed = service.caller.listing(self.node.fid, self.base.fid)
        found: Pending[Sequence[Stat]] = listed.map(lambda stats: [service.stat(s) for s in stats])
        return found

    def links(self) -> Maybe[Sequence[l.Entry]]:
        """The same with symbolic links as such, where the service shows them."""
        service = self.node.service
        if l.Treaddir.number not in service.caller.dialect.types:
            return after(self.entries(), links.entries_of)
        found: Pending[Sequence[l.Entry]] = entries(service.caller, self.node.fid).map(
            lambda got: [e.but(qid=service.qid(e.qid)) for e in got]
        )
        return found

    def close(self) -> None:
        """The fid goes with the node."""
