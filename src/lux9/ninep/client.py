"""9P for people who write Python: a connection with files, synchronous.

    with Client.dial("unix!/run/lux9.sock") as c:
        print(c.read("/dev/pci/bus").decode())
        with c.open("/dev/pci/0000:00:1f.2/bar5") as bar:
            version = bar.pread(0x10, 4)

On an event loop (`attach_loop`) the same client serves a driver: register access stays synchronous, and the
answers to `submit` come from the loop.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from collections.abc import Iterator
from typing import Any, TypeVar

from typing_extensions import Self

from ..errors import Disconnected, Lux9Error
from ..pending import Pending
from ..wire import messages as m
from ..wire.messages import OREAD, OWRITE, Qid, Stat
from ..wire.node import Bytes
from .caller import Caller
from .wires import SocketWire, dial

T = TypeVar("T")
WINDOW = 16  # requests on their way in a long read


def names(path: str) -> list[str]:
    """A path's names; `.` and doubled slashes mean nothing."""
    return [name for name in path.split("/") if name not in ("", ".")]


class Client:
    """One connection, attached."""

    def __init__(self, caller: Caller) -> None:
        self.caller = caller
        self.root, self.root_qid = 0, Qid(0, 0, 0)

    @classmethod
    def dial(cls, addr: str, aname: str = "") -> Self:
        """Connect to `unix!PATH` or `fd!N` and attach. Raises UserError when nobody is there."""
        return cls.over(dial(addr), aname)

    @classmethod
    def over(cls, sock: socket.socket, aname: str = "") -> Self:
        """The same on a socket that is connected."""
        caller = Caller()
        SocketWire(caller, sock)
        self = cls(caller)
        self.attach(aname)
        return self

    def attach(self, aname: str = "") -> None:
        """Start the session."""
        self.root, self.root_qid = self.wait(self.caller.start(aname))

    def attach_loop(self, loop: asyncio.AbstractEventLoop) -> None:
        """From here the answers to `submit` come from the loop."""
        self.caller.soon = loop.call_soon
        wire = self.caller.wire
        if isinstance(wire, SocketWire):
            fd = wire.sock.fileno()

            def readable() -> None:
                wire.wait()
                if self.caller.gone is not None:
                    loop.remove_reader(fd)

            loop.add_reader(fd, readable)

    def wait(self, pending: Pending[T]) -> T:
        """Block until it is settled."""
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
        return self.wait(self.caller.walk(self.root, names(path)))[0]

    def open(self, path: str, mode: int = OREAD) -> File:
        """Open a file; `mode` is OREAD, OWRITE or ORDWR, with OTRUNC if wanted. Raises RemoteError."""
        fid = self.walk(path)
        try:
            opened = self.wait(self.caller.open(fid, mode))
        except Lux9Error:
            self.caller.forget(fid)
            raise
        return File(self, fid, path, opened.qid, opened.iounit)

    def create(self, path: str, perm: int, mode: int) -> File:
        """Create a file and open it."""
        above, _, name = path.rstrip("/").rpartition("/")
        fid = self.walk(above)
        try:
            made = self.wait(self.caller.submit(m.Tcreate(fid, name, perm, mode)))
        except Lux9Error:
            self.caller.forget(fid)
            raise
        return File(self, fid, path, made.qid, made.iounit)

    def remove(self, path: str) -> None:
        """Remove a file."""
        self.wait(self.caller.submit(m.Tremove(self.walk(path))))

    def stat(self, path: str) -> Stat:
        """What stat(5) tells."""
        fid = self.walk(path)
        try:
            stat: Stat = self.wait(self.caller.submit(m.Tstat(fid))).stat
        finally:
            self.caller.forget(fid)
        return stat

    def wstat(self, path: str, stat: Stat) -> None:
        """Change what `stat` names."""
        fid = self.walk(path)
        try:
            self.wait(self.caller.submit(m.Twstat(fid, stat)))
        finally:
            self.caller.forget(fid)

    def ls(self, path: str) -> list[Stat]:
        """The stats of a directory, all of them."""
        with self.open(path) as f:
            return self.wait(self.caller.listing(f.fid))

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
        """Hang up."""
        self.caller.flush()
        self.caller.wire.close()
        self.caller.lost(Disconnected("closed here"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


class File:
    """An open file."""

    def __init__(self, client: Client, fid: int, path: str, qid: Qid, iounit: int) -> None:
        self.client, self.caller, self.fid, self.path, self.qid = client, client.caller, fid, path, qid
        self.iounit = min(iounit or self.caller.most, self.caller.most)
        self.offset = 0

    def pread(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes at `offset`; several reads on their way at once where one does not do."""
        caller = self.caller
        if count <= self.iounit:
            pending = caller.read(self.fid, offset, count, copy=True)
            data: Any = self.client.wait(pending)
            if caller.posted_error is not None:
                caller.check()
            return bytes(data)
        return b"".join(self.chunks(offset, count))

    def chunks(self, offset: int = 0, count: int | None = None, window: int = WINDOW) -> Iterator[bytes]:
        """The file's bytes from `offset`, read ahead of whoever takes them; ends at the first short read."""
        end = None if count is None else offset + count
        ahead: deque[tuple[int, Pending[Bytes]]] = deque()
        try:
            while True:
                while len(ahead) < window and (end is None or offset < end):
                    n = self.iounit if end is None else min(self.iounit, end - offset)
                    ahead.append((n, self.caller.read(self.fid, offset, n, copy=True)))
                    offset += n
                if not ahead:
                    return
                n, pending = ahead.popleft()
                data = bytes(self.client.wait(pending))
                if data:
                    yield data
                if len(data) < n:
                    return
        finally:
            for _, pending in ahead:
                pending.cancel()

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
        parts: list[bytes] = []
        while data := self.pread(self.offset, self.iounit):
            self.offset += len(data)
            parts.append(data)
        return b"".join(parts)

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
