"""#s: posted 9P services. srv(3).

A name that is opened is a byte stream to that service: T-messages are written to it, R-messages read from it.
A name that is created is the other end: whoever created it reads the T-messages and writes the R-messages,
and so serves files from any program that can read and write, wherever it runs.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

from ...errors import BadArgument, PermissionDenied, ProtocolError, ServiceDown
from ...ninep.caller import Caller
from ...ninep.inbox import Inbox
from ...ninep.session import Bounds, Session
from ...pending import Maybe, Pending
from ...tree import Dir, File, entries
from ...wire.messages import DMDIR
from ...wire.node import Bytes, Node
from ..process import Process
from ..services import Services

HIGH = 4 << 20  # bytes that wait to be read, from which a writer is refused
PIECE = 4096  # bytes of requests that are taken at once


class Pipe:
    """Bytes from one side that the other has not read yet. Readers that wait are served in their order."""

    def __init__(self) -> None:
        self.data, self.ended = bytearray(), False
        self.readers: deque[tuple[int, Pending[Bytes]]] = deque()

    def put(self, parts: list[Bytes]) -> None:
        """Add some; a reader that waits has them now."""
        for part in parts:
            self.data += part
        while self.data and self.readers:
            wanted, reader = self.readers.popleft()
            if not reader.done:  # else it was given up
                reader.resolve(self._take(wanted))

    def get(self, count: int) -> Maybe[Bytes]:
        """Some, now or later; empty when the other side is gone."""
        if self.data or self.ended:
            return self._take(count)
        reader: Pending[Bytes] = Pending()
        self.readers.append((count, reader))
        return reader

    def _take(self, count: int) -> bytes:
        data = bytes(self.data[:count])
        del self.data[:count]
        return data

    def end(self) -> None:
        """The other side is gone."""
        self.ended = True
        readers, self.readers = self.readers, deque()
        for _, reader in readers:
            reader.resolve(b"")


class Stream:
    """A client's byte stream to a service: a session of ours on the service's root."""

    def __init__(self, root: Node) -> None:
        self.node, self.pipe = root, Pipe()
        self.session = Session(self, self._wake, Bounds(unsent=HIGH))
        self.inbox = Inbox(self.session.receive)

    def attach(self, uname: str, aname: str) -> Node:
        """The service's root."""
        return self.node

    def refused(self, error: Exception, what: str, path: str) -> None:
        """The service's own affair."""

    def _wake(self) -> None:
        self.pipe.put(self.session.out)
        self.session.sent()

    def read(self, offset: int, count: int) -> Maybe[Bytes]:
        """The next bytes of R-messages."""
        if self.inbox.have and not self.pipe.data:
            self.inbox.took(0)  # what was left when enough answers waited
            self._wake()
        return self.pipe.get(count)

    def write(self, offset: int, data: memoryview) -> int:
        """Some bytes of T-messages; fewer are taken when many answers wait. Raises ProtocolError."""
        if len(self.pipe.data) >= HIGH:
            raise BadArgument(f"{len(self.pipe.data)} bytes of answers wait; read them first")
        at = 0
        while at < len(data) and len(self.pipe.data) < HIGH:
            piece = data[at : at + PIECE]
            self.inbox.put(piece)
            self._wake()
            at += len(piece)
        return at

    def close(self) -> None:
        """The session ends."""
        self.session.reset()


class Post:
    """The service's end of a name that was created: what it reads are requests of ours."""

    def __init__(self, services: Services, name: str, owner: Process) -> None:
        self.services, self.name, self.pipe = services, name, Pipe()
        self.caller = Caller()
        self.caller.wire = self
        self.inbox = Inbox(self.caller.receive)
        services.offer(name, owner, self.caller)
        self.caller.flush()
        self.caller.soon = asyncio.get_running_loop().call_soon

    def send(self, parts: list[Bytes]) -> None:
        """Requests for the service to read."""
        self.pipe.put(parts)

    def wait(self) -> None:
        """Nobody waits on the loop."""
        raise AssertionError("a request on the loop is awaited, not waited for")

    def pause(self, seconds: float) -> None:
        """Nor does anybody poll."""
        raise AssertionError("whoever polls on the loop sleeps with asyncio")

    def read(self, offset: int, count: int) -> Maybe[Bytes]:
        """The next bytes of T-messages."""
        return self.pipe.get(count)

    def write(self, offset: int, data: memoryview) -> int:
        """Some bytes of R-messages. Raises ProtocolError, and the service is gone, when they are none."""
        if self.pipe.ended:
            raise ServiceDown(f"#s/{self.name}: was taken away; create it anew")
        try:
            self.inbox.put(data)
        except ProtocolError:
            self.close()
            raise
        return len(data)

    def close(self) -> None:
        """The service is gone."""
        self.pipe.end()
        self.services.drop(self.name, self.caller)


class SrvDir(Dir):
    """The posted services."""

    mode = 0o775

    def __init__(self, services: Services, process: Process) -> None:
        self.services, self.process = services, process

    @entries
    def names(self) -> Mapping[str, File]:
        """A posted service: opened, a byte stream of 9P to it; created, its other end.

        One that is gone for a while can be created anew, so it is not there. A user of the network sees its own
        alone: what it may have of others is mounted for it.
        """
        alone = self.process.kind == "user"
        shown = (
            name
            for name, posted in self.services.posted.items()
            if posted.answers and (posted.owner is self.process or not alone)
        )
        return {name: self._file(name) for name in shown}

    def _file(self, name: str) -> File:
        return File(0o600, lambda mode: Stream(self.services.find(name)))

    def make(self, name: str, perm: int, mode: int) -> File:
        """Post a service: whoever created the name serves 9P on it."""
        if perm & DMDIR or mode & 3 != 2:
            raise PermissionDenied(
                f"#s/{name}: a service is a file, created open for reading and writing"
            )
        return File(0o600, lambda mode: Post(self.services, name, self.process))

    def drop(self, name: str) -> None:
        """Hang up on a service."""
        self.services.find(name)
        posted = self.services.posted[name]
        if self.process.confined and posted.owner is not self.process:
            raise PermissionDenied(f"#s/{name} is posted by {posted.owner.name}")
        posted.service.caller.wire.close()
