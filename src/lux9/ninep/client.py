"""9P for people who write Python: a connection with files, synchronous.

    with Client.dial("unix!/run/lux9.sock") as c:
        print(c.read("/dev/pci/bus").decode())
        with c.open("/dev/pci/0000:00:1f.2/bar5") as bar:
            version = bar.pread(0x10, 4)

On an event loop (`attach_loop`) the same client serves a driver: register access stays synchronous, and the
answers to `submit` come from the loop.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from ..errors import Disconnected, Lux9Error
from ..pending import Pending
from ..wire.dialects import named
from ..wire.messages import OREAD, OWRITE, P9, Stat
from ..wire.node import Bytes
from .ahead import Ahead
from .caller import Caller
from .paths import Opened, Paths
from .wires import SocketWire, dial

if TYPE_CHECKING:
    import asyncio

    from .restore import Line

T = TypeVar("T")
MANY = 1024  # posted writes that are queued before they are sent without being asked for


class Client:
    """One connection, attached."""

    paths: Paths

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self._detach: Callable[[], object] | None = None

    @property
    def root(self) -> int:
        """The fid of the attached root."""
        return self.paths.root

    @classmethod
    def dial(
        cls, addr: str, aname: str = "", version: str = P9.version, keys: Path | None = None
    ) -> Self:
        """Connect to an address (`address.py`) and attach, in a dialect. Raises UserError when nobody is there.

        `keys`: the key file for TLS, else $LUX9_KEYS or the user's own.
        """
        return cls.over(dial(addr, keys), aname, version)

    @classmethod
    def resuming(cls, line: Line, aname: str = "", version: str = P9.version) -> Self:
        """The same on a connection that is made anew when it is lost (`resume.py`); not for an event loop."""
        from .resume import Resuming  # which most programs do without

        return cls._attached(Resuming(line, named(version)), aname)

    @classmethod
    def over(cls, sock: socket.socket, aname: str = "", version: str = P9.version) -> Self:
        """The same on a socket that is connected."""
        caller = Caller(dialect=named(version))
        SocketWire(caller, sock)
        return cls._attached(caller, aname)

    @classmethod
    def _attached(cls, caller: Caller, aname: str) -> Self:
        self = cls(caller)
        try:
            self.attach(aname)
        except Lux9Error:
            self.close()
            raise
        return self

    def attach(self, aname: str = "") -> None:
        """Start the session."""
        self.paths = Paths(self.caller, self.wait(self.caller.start(aname)))

    def attach_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """From here the answers to `submit` come from the loop."""
        self.caller.soon = loop.call_soon
        wire = self.caller.wire
        if isinstance(wire, SocketWire):
            fd = wire.sock.fileno()

            def readable() -> None:
                wire.take()  # or nothing: a synchronous wait in this turn may have had it
                if self.caller.gone is not None:
                    loop.remove_reader(fd)

            loop.add_reader(fd, readable)
            self._detach = lambda: loop.is_closed() or loop.remove_reader(fd)

    def wait(self, pending: Pending[T]) -> T:
        """Block until it is settled: one of ours, or of `submit` itself, not one mapped from that."""
        caller = self.caller
        caller.flush()
        while not pending.done:
            if not caller.urge(pending):
                caller.wire.wait()
                caller.flush()
        return pending.result()

    # -- files

    def walk(self, path: str) -> int:
        """A fid for the file."""
        return self.wait(self.paths.walk(path))

    def open(self, path: str, mode: int = OREAD) -> File:
        """Open a file; `mode` is OREAD, OWRITE or ORDWR, with OTRUNC if wanted. Raises RemoteError."""
        return File(self, path, self.wait(self.paths.open(path, mode)))

    def create(self, path: str, perm: int, mode: int) -> File:
        """Create a file and open it."""
        return File(self, path, self.wait(self.paths.create(path, perm, mode)))

    def remove(self, path: str) -> None:
        """Remove a file."""
        self.wait(self.paths.remove(path))

    def stat(self, path: str) -> Stat:
        """What stat(5) tells."""
        return self.wait(self.paths.stat(path))

    def wstat(self, path: str, stat: Stat) -> None:
        """Change what `stat` names."""
        self.wait(self.paths.wstat(path, stat))

    def ls(self, path: str) -> list[Stat]:
        """The stats of a directory, all of them."""
        return self.wait(self.paths.ls(path))

    def read(self, path: str) -> bytes:
        """A file to its end."""
        with self.open(path) as f:
            return f.read()

    def write(self, path: str, data: Bytes) -> int:
        """Write to a file from its beginning; how many bytes were taken."""
        with self.open(path, OWRITE) as f:
            return f.write(data)

    def flush_posted(self) -> None:
        """Wait until every posted write was answered. Raises the first error among them."""
        self.caller.flush()
        while self.caller.posted and self.caller.gone is None:
            self.caller.wire.wait()
        self.caller.check()
        if self.caller.gone is not None:
            raise self.caller.gone

    def pause(self, seconds: float) -> None:
        """Let time pass for the other side, between two looks at a register."""
        self.caller.flush()
        self.caller.wire.pause(seconds)

    def close(self) -> None:
        """Hang up; whoever still waits is told now."""
        self.caller.flush()
        if self._detach is not None:
            self._detach()
        self.caller.wire.close()
        self.caller.soon = None
        self.caller.deliver()
        self.caller.lost(Disconnected("closed here"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class File:
    """An open file."""

    def __init__(self, client: Client, path: str, opened: Opened) -> None:
        self.client, self.caller, self.path = client, client.caller, path
        self.fid, self.qid, self.iounit = opened.fid, opened.qid, opened.iounit
        self.offset = 0

    def pread(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes at `offset`; several reads on their way at once where one does not do."""
        caller = self.caller
        if count <= self.iounit:
            data = self.client.wait(caller.read(self.fid, offset, count, copy=True))
        else:
            data = b"".join(self._ahead(Ahead(self._ask, self.iounit, offset, count, short=True)))
        if caller.posted_error is not None:
            caller.check()
        return bytes(data)

    def _ask(self, offset: int, count: int) -> Pending[Bytes]:
        return self.caller.read(self.fid, offset, count, copy=True)

    def chunks(self, offset: int = 0, count: int | None = None) -> Iterator[bytes]:
        """The file's bytes from `offset`, read ahead of whoever takes them, to the end or for `count` bytes."""
        return self._ahead(Ahead(self._ask, self.iounit, offset, count))

    def events(self, offset: int = 0) -> Iterator[bytes]:
        """An event file's events, or a followed log's new texts, as they come; ends when its server does.

        A log tells once that its end is reached, and waits from then on: two empty answers are the end of all.
        """
        empty = 0
        while empty < 2:
            data = self.pread(offset, self.iounit)
            offset += len(data)
            empty = 0 if data else empty + 1
            if data:
                yield data

    def _ahead(self, ahead: Ahead) -> Iterator[bytes]:
        try:
            while (pending := ahead.next()) is not None:
                data = bytes(self.client.wait(pending))
                ahead.took(data)
                if data:
                    yield data
        finally:
            ahead.stop()

    def pwrite(self, offset: int, data: Bytes) -> int:
        """Write at `offset`, in order; how many bytes were taken."""
        done, view = 0, memoryview(data)
        while True:
            took = self.client.wait(
                self.caller.write(self.fid, offset + done, view[done : done + self.iounit])
            )
            self.caller.check()
            done += took
            if done >= len(view) or took == 0:
                return done

    def post(self, offset: int, data: Bytes) -> None:
        """Write without waiting; an error is raised at the next read or wait, and names the write."""
        self.caller.post(self.fid, offset, data, self.path)
        if len(self.caller.queue) >= MANY:
            self.caller.flush()

    def submit(self, offset: int, count: int) -> Pending[Bytes]:
        """One read whose answer is told; a view of it is good only in the callback."""
        return self.caller.read(self.fid, offset, count, later=True)

    def submit_write(self, offset: int, data: Bytes) -> Pending[int]:
        """One write whose answer is told."""
        return self.caller.write(self.fid, offset, data, later=True)

    def read(self, count: int = -1) -> bytes:
        """From the file offset on: `count` bytes, or to the end."""
        if count >= 0:
            data = self.pread(self.offset, count)
            self.offset += len(data)
            return data
        data = b"".join(self.chunks(self.offset))
        self.offset += len(data)
        return data

    def write(self, data: Bytes) -> int:
        """At the file offset."""
        done = self.pwrite(self.offset, data)
        self.offset += done
        return done

    def close(self) -> None:
        """Let go of it; not waited for."""
        if self.fid >= 0:
            self.caller.forget(self.fid)
            self.fid = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
