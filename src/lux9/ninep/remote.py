"""The files of another 9P server as `Node`s: what a mount is made of.

Payload passes through untouched: the view that an answer brought is handed on within the callback. A node that
nobody holds any more clunks its fid.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import IsADirectory, NotADirectory, ServiceDown
from ..pending import Maybe, Pending
from ..wire import messages as m
from ..wire.messages import Qid, Stat
from ..wire.node import Bytes, Created, Node, Opened
from .caller import Caller

MASK64 = (1 << 64) - 1


class Service:
    """One server that is mounted: its connection, and what makes its file numbers distinct from others'."""

    def __init__(self, name: str, caller: Caller, salt: int) -> None:
        self.name, self.caller, self.salt = name, caller, salt
        self.requests = self.bytes = 0

    def qid(self, qid: Qid) -> Qid:
        """The service's file number, moved to where no other service's are."""
        return Qid(qid.type, qid.version, (qid.path + self.salt) & MASK64)

    def stat(self, stat: Stat) -> Stat:
        """The same in a stat."""
        return stat.but(qid=self.qid(stat.qid))

    def check(self) -> None:
        """Refuse at once when the server has gone."""
        if self.caller.gone is not None:
            raise ServiceDown(f"{self.name} has ended; it may be back when it was restarted")


class RemoteNode:
    """A fid of ours on the service."""

    __slots__ = ("_qid", "fid", "service")

    def __init__(self, service: Service, fid: int, qid: Qid) -> None:
        self.service, self.fid, self._qid = service, fid, qid

    def __del__(self) -> None:
        self.service.caller.forget(self.fid)

    @property
    def qid(self) -> Qid:
        """Its number among all that are mounted."""
        return self.service.qid(self._qid)

    def walk(self, name: str) -> Pending[Node]:
        """One step, on the service."""
        self.service.check()
        found: Pending[Any] = self._clone((name,))
        return found

    def _clone(self, names: tuple[str, ...]) -> Pending[RemoteNode]:
        if names and not self._qid.is_dir and names != ("..",):
            raise NotADirectory(f"there is no {names[0]!r} in a file of {self.service.name}")
        caller, service = self.service.caller, self.service

        def walked(got: tuple[int, Qid]) -> RemoteNode:
            return RemoteNode(service, got[0], got[1] if names else self._qid)

        return caller.walk(self.fid, names).map(walked)

    def stat(self) -> Pending[Stat]:
        """As the service tells it."""
        self.service.check()
        answer = self.service.caller.submit(m.Tstat(self.fid))
        return answer.map(lambda r: self.service.stat(r.stat))

    def open(self, mode: int) -> Pending[Opened]:
        """A clone of the fid is opened, so that this one can be walked on."""
        self.service.check()
        if self._qid.is_dir and mode & 3:
            raise IsADirectory(f"a directory of {self.service.name} can only be read")

        def cloned(node: RemoteNode) -> Pending[Opened]:
            return node.service.caller.open(node.fid, mode).map(lambda r: _opened(node, r.qid))

        return self._clone(()).map(cloned)

    def create(self, name: str, perm: int, mode: int) -> Pending[Created]:
        """On a clone, which becomes the new file."""
        self.service.check()

        def made(node: RemoteNode, r: m.Rcreate) -> Created:
            node._qid = r.qid
            return node, _opened(node, r.qid)

        def cloned(node: RemoteNode) -> Pending[Created]:
            request = m.Tcreate(node.fid, name, perm, mode)
            return node.service.caller.submit(request).map(lambda r: made(node, r))

        return self._clone(()).map(cloned)

    def remove(self) -> Pending[None]:
        """A clone goes with the file."""
        self.service.check()

        def cloned(node: RemoteNode) -> Pending[None]:
            return node.service.caller.submit(m.Tremove(node.fid)).map(lambda _: None)

        return self._clone(()).map(cloned)

    def wstat(self, stat: Stat) -> Pending[None]:
        """As it is; a qid in it means nothing (stat(5))."""
        self.service.check()
        request = m.Twstat(self.fid, stat.but(qid=m.KEEP.qid))
        return self.service.caller.submit(request).map(lambda _: None)


def _opened(node: RemoteNode, qid: Qid) -> Opened:
    return RemoteListing(node) if qid.is_dir else RemoteHandle(node)


class RemoteHandle:
    """An open file of the service. It holds the node, and with it the fid."""

    __slots__ = ("caller", "fid", "node", "service")

    def __init__(self, node: RemoteNode) -> None:
        self.node, self.fid = node, node.fid
        self.service, self.caller = node.service, node.service.caller

    def read(self, offset: int, count: int) -> Maybe[Bytes]:
        """One Tread; the answer's view goes straight on."""
        if self.caller.gone is not None:
            self.service.check()
        self.service.requests += 1
        self.service.bytes += count
        return self.caller.read(self.fid, offset, count)

    def write(self, offset: int, data: memoryview) -> Maybe[int]:
        """One Twrite."""
        if self.caller.gone is not None:
            self.service.check()
        self.service.requests += 1
        self.service.bytes += len(data)
        return self.caller.write(self.fid, offset, data)

    def close(self) -> None:
        """The fid goes with the node."""


class RemoteListing:
    """An open directory of the service."""

    __slots__ = ("node",)

    def __init__(self, node: RemoteNode) -> None:
        self.node = node

    def entries(self) -> Maybe[Sequence[Stat]]:
        """All of it, its numbers moved."""
        service = self.node.service
        service.check()
        found: Pending[Sequence[Stat]] = service.caller.listing(self.node.fid).map(
            lambda stats: [service.stat(s) for s in stats]
        )
        return found

    def close(self) -> None:
        """The fid goes with the node."""
