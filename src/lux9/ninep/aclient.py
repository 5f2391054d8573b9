"""9P for people who write asyncio: the same connection and files as `client.py`, awaited.

    async with await AsyncClient.connect("unix!/run/lux9.sock") as c:
        print((await c.read("/dev/pci/bus")).decode())
        async with await c.open("/dev/audit") as audit:
            async for line in audit.events():
                ...

Any number of coroutines may use one connection: their requests go out together, at the end of the loop's turn.
A coroutine that is cancelled flushes what it waited for.
"""

from __future__ import annotations

import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Self

from ..errors import Disconnected
from ..pending import Pending
from ..wire.codec import Dialect
from ..wire.dialects import named
from ..wire.links import Attr
from ..wire.linux import Entry, Rstatfs
from ..wire.messages import OREAD, OWRITE, P9, Stat
from ..wire.node import Bytes
from .ahead import Ahead
from .caller import Caller
from .loopwire import LoopWire, connect, dialled
from .paths import Opened, Paths


class AsyncClient:
    """One connection, attached, on the running loop."""

    def __init__(self, caller: Caller, paths: Paths) -> None:
        self.caller, self.paths = caller, paths

    @classmethod
    async def connect(
        cls,
        addr: str,
        aname: str = "",
        version: str = P9.version,
        keys: Path | None = None,
        others: Sequence[Dialect] = (),
    ) -> Self:
        """Connect to an address (`address.py`) and attach, in a dialect. Raises UserError when nobody is there.

        `keys`: the key file for TLS, else $LUX9_KEYS or the user's own. `others`: dialects that will do as well.
        """
        caller = Caller(dialect=named(version), others=others)
        return await cls._attached(caller, await dialled(caller, addr, keys), aname)

    @classmethod
    async def over(cls, sock: socket.socket, aname: str = "", version: str = P9.version) -> Self:
        """The same on a socket that is connected."""
        caller = Caller(dialect=named(version))
        return await cls._attached(caller, await connect(caller, sock), aname)

    @classmethod
    async def _attached(cls, caller: Caller, wire: LoopWire, aname: str) -> Self:
        try:
            return cls(caller, Paths(caller, await caller.start(aname)))
        except BaseException:  # also of whoever waits no longer
            wire.close()
            raise

    async def open(self, path: str, mode: int = OREAD) -> AsyncFile:
        """Open a file; `mode` is OREAD, OWRITE or ORDWR, with OTRUNC if wanted. Raises RemoteError."""
        return AsyncFile(self.caller, path, await self.paths.open(path, mode))

    async def create(self, path: str, perm: int, mode: int) -> AsyncFile:
        """Create a file and open it."""
        return AsyncFile(self.caller, path, await self.paths.create(path, perm, mode))

    async def remove(self, path: str) -> None:
        """Remove a file."""
        await self.paths.remove(path)

    async def stat(self, path: str) -> Stat:
        """What stat(5) tells."""
        return await self.paths.stat(path)

    async def wstat(self, path: str, stat: Stat) -> None:
        """Change what `stat` names."""
        await self.paths.wstat(path, stat)

    async def ls(self, path: str) -> list[Stat]:
        """The stats of a directory, all of them."""
        return await self.paths.ls(path)

    async def attr(self, path: str) -> Attr:
        """What stat(2) tells."""
        return await self.paths.attr(path)

    async def entries(self, path: str) -> list[Entry]:
        """The names in a directory, and what kind each is."""
        return await self.paths.entries(path)

    async def readlink(self, path: str) -> str:
        """Where a symbolic link leads, in a dialect that has them."""
        return await self.paths.readlink(path)

    async def statfs(self, path: str) -> Rstatfs:
        """The size of the file system that the file is in."""
        return await self.paths.statfs(path)

    async def read(self, path: str) -> bytes:
        """A file to its end."""
        async with await self.open(path) as f:
            return await f.read()

    async def write(self, path: str, data: Bytes) -> int:
        """Write to a file from its beginning; how many bytes were taken."""
        async with await self.open(path, OWRITE) as f:
            return await f.pwrite(0, data)

    def when_lost(self, act: Callable[[], None]) -> None:
        """Call that when the connection has ended, whoever ended it."""
        assert isinstance(self.caller.wire, LoopWire)
        self.caller.wire.on_lost = act

    async def close(self) -> None:
        """Hang up; whoever still waits is told."""
        self.caller.flush()
        self.caller.lost(Disconnected("closed here"))
        self.caller.wire.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


class AsyncFile:
    """An open file."""

    def __init__(self, caller: Caller, path: str, opened: Opened) -> None:
        self.caller, self.path = caller, path
        self.fid, self.qid, self.iounit = opened.fid, opened.qid, opened.iounit

    def _ask(self, offset: int, count: int) -> Pending[Bytes]:
        return self.caller.read(self.fid, offset, count, copy=True)

    async def pread(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes at `offset`; several reads on their way at once where one does not do."""
        if count <= self.iounit:
            return bytes(await self._ask(offset, count))
        ahead = Ahead(self._ask, self.iounit, offset, count, short=True)
        return b"".join([data async for data in _taken(ahead)])

    async def pwrite(self, offset: int, data: Bytes) -> int:
        """Write at `offset`, in order; how many bytes were taken."""
        done, view = 0, memoryview(data)
        while True:
            part = view[done : done + self.iounit]
            took = await self.caller.write(self.fid, offset + done, part)
            done += took
            if done >= len(view) or took == 0:
                return done

    async def fsync(self) -> None:
        """What was written is where it stays."""
        await self.caller.speech.fsync(self.fid)

    async def read(self) -> bytes:
        """The whole file."""
        return b"".join([data async for data in self.chunks()])

    def chunks(self, offset: int = 0, count: int | None = None) -> AsyncGenerator[bytes, None]:
        """The file's bytes from `offset`, read ahead of whoever takes them, to the end or for `count` bytes."""
        return _taken(Ahead(self._ask, self.iounit, offset, count))

    async def events(self) -> AsyncIterator[str]:
        """An event file's events, or a followed log's new texts, as they come; ends when its server does.

        A log tells once that its end is reached, and waits from then on: two empty answers are the end of all.
        """
        offset = empty = 0
        while empty < 2:
            data = await self.pread(offset, self.iounit)
            offset += len(data)
            empty = 0 if data else empty + 1
            if data:
                yield data.decode(errors="replace")

    def close(self) -> None:
        """Let go of it; not waited for."""
        if self.fid >= 0:
            self.caller.forget(self.fid)
            self.fid = -1

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()


async def _taken(ahead: Ahead) -> AsyncGenerator[bytes, None]:
    try:
        while (pending := ahead.next()) is not None:
            data = bytes(await pending)
            ahead.took(data)
            if data:
                yield data
    finally:
        ahead.stop()
