"""A server on a loop in a thread, and connected sockets to it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Self, TypeVar

from lux9.errors import Lux9Error
from lux9.ninep.server import Connection, serve_socket, unix_socket
from lux9.ninep.session import Bounds
from lux9.tree import File
from tests.ninep.rig import Memory, Owner, Top

T = TypeVar("T")
LIMIT = 10.0  # seconds that anything here may take
LOOPS = ("asyncio", "uvloop")


def new_loop(kind: str) -> asyncio.AbstractEventLoop:
    """A loop of asyncio's own, or uvloop's."""
    if kind == "asyncio":
        return asyncio.new_event_loop()
    import uvloop

    return uvloop.new_event_loop()


class Served:
    """`Top`, served by a loop of its own thread to as many sockets as are asked for."""

    def __init__(self, kind: str = "asyncio", bounds: Bounds | None = None) -> None:
        self.top, self.bounds, self.loop = Top(), bounds, new_loop(kind)
        self.owner = Owner(self.top)
        self.unwelcome: Lux9Error | None = None
        self.connections: list[Connection] = []
        self.servers: list[asyncio.Server] = []
        self.theirs: list[socket.socket] = []  # what the server closes
        self.lost = threading.Semaphore(0)
        self.batches = 0
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self.thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.run(self._close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(LIMIT)
        assert not self.thread.is_alive()
        self.loop.close()

    async def _close(self) -> None:
        for server in self.servers:
            server.close()
        for connection in self.connections:
            connection.close()
        while any(sock.fileno() >= 0 for sock in self.theirs):  # `run` has the limit
            await asyncio.sleep(0)

    def _welcome(self, _: asyncio.Transport) -> Owner:
        if self.unwelcome is not None:
            raise self.unwelcome
        return self.owner

    def _batch(self) -> None:
        self.batches += 1

    def _connection(self) -> Connection:
        made = Connection(self._welcome, self.bounds, self._batch, lambda _: self.lost.release())
        self.connections.append(made)
        return made

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(LIMIT)

    def do(self, fn: Callable[[], T]) -> T:
        """Call a function on the server's loop."""

        async def call() -> T:
            return fn()

        return self.run(call())

    def socket(self) -> socket.socket:
        """A socket to the server."""
        ours, theirs = socket.socketpair()
        ours.settimeout(LIMIT)
        self.theirs.append(theirs)
        self.run(serve_socket(theirs, self._connection))
        return ours

    def listen(self, path: Path) -> None:
        """Serve whoever connects to a socket there, too."""

        async def up() -> asyncio.Server:
            return await asyncio.get_running_loop().create_unix_server(
                self._connection, sock=unix_socket(path)
            )

        self.servers.append(self.run(up()))

    def until(self, there: Callable[[], bool]) -> None:
        """Return when something has come about on the server's loop."""

        async def seen() -> None:
            while not there():  # `run` has the limit
                await asyncio.sleep(0)

        self.run(seen())

    def leaf(self, opened: Callable[[], object]) -> File:
        """A file that does something when it is opened."""

        def open_(mode: int) -> Memory:
            opened()
            return Memory(b"")

        return File(0o666, open_)

    def event(self, text: str, n: int = -1) -> None:
        """Let the reads of `event` that wait have one."""
        self.do(lambda: self.top.waiting[n].resolve(text))
