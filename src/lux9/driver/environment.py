"""What a driver's process is given, and its life: from three inherited sockets to a clean exit.

    fd 3   9P: the driver is the client, the kernel's namespace is there
    fd 4   the arena, a memfd, mapped where /proc/self/status says
    fd 5   9P: the driver is the server, the kernel mounts what it serves
    LUX9_FUNCTION=0000:00:1f.2    the function that it is to drive
    LUX9_FILE=/dev/sdE0/linux     the file that a file system is to serve

On another host than its function's, a driver has one connection and shares no memory (`function.py`):

    LUX9_SERVICE=ahci             the name in /srv that it posts what it serves under
    LUX9_ADDR=unix!PATH           the kernel's address, where that is not on fd 3

`Environment` is the same for a driver within the kernel's own process, where a launcher makes one with other
means; a driver is a coroutine that takes one.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import Any

from ..errors import Disconnected, Lux9Error, UserError, text_of
from ..ninep.client import Client
from ..ninep.server import Connection, serve_socket
from ..pending import Maybe
from ..tree import Dir, Tree
from ..wire.node import Node
from . import arena as arenas
from .arena import Arena
from .files import FileFunction
from .posting import Posted

CLIENT_FD, ARENA_FD, SERVICE_FD = 3, 4, 5
PR_SET_PDEATHSIG = 1  # linux/prctl.h

Main = Callable[["Environment"], Coroutine[Any, Any, None]]
Serve = Callable[[Node, "Callable[[], None] | None", Callable[[], None]], Awaitable[object]]

log = logging.getLogger("lux9.driver")


class Environment:
    """A driver's connections, arena and variables.

    `serve_node(node, after_batch, lost)` starts to serve and returns; `lost` is called when the service's
    other end is gone. No arena: no memory is shared with the function's host.
    """

    def __init__(
        self, client: Client, arena: Arena | None, variables: Mapping[str, str], serve_node: Serve
    ) -> None:
        self.client, self.arena, self.variables, self.serve_node = (
            client,
            arena,
            variables,
            serve_node,
        )
        self._ended: asyncio.Future[None] | None = None
        self._ending = False  # it undoes what it holds: that is not to be cut short

    @property
    def ended(self) -> asyncio.Future[None]:
        """Done when there is nobody left to serve; failed when the driver cannot go on."""
        if self._ended is None:
            self._ended = asyncio.get_running_loop().create_future()
        return self._ended

    def end(self, error: Exception | None = None) -> None:
        """Let `serve` return, or raise."""
        if self.ended.done():
            return
        if error is None or isinstance(error, Disconnected):
            self.ended.set_result(None)  # the kernel is gone: that is how a driver's life ends
        else:
            self.ended.set_exception(error)

    def variable(self, name: str) -> str:
        """`LUX9_FUNCTION` and the like. Raises UserError when it is not set."""
        if not (value := self.variables.get(name)):
            raise UserError(f"{name} is not set; a driver is started by the kernel, which sets it")
        return value

    def function(self, bdf: str = "") -> FileFunction:
        """The function that this driver is for, to be claimed by `with`."""
        return FileFunction(self, bdf or self.variable("LUX9_FUNCTION"), self.end)

    async def serve(
        self, top: Dir | Node, name: str = "driver", after_batch: Callable[[], None] | None = None
    ) -> None:
        """Serve a tree until the kernel goes. Being ready is to answer the attach.

        `after_batch` is called when all requests that came at once have been taken.
        """
        node = Tree(name).root(top) if isinstance(top, Dir) else top
        try:
            await self.serve_node(node, after_batch, self.end)
            await self.ended
        finally:
            self._ending = True

    def stop(self, driver: asyncio.Task[None]) -> None:
        """Have the driver end, as when the kernel goes; once: it may have begun to, since it was hung up on first."""
        if not self._ending:
            self._ending = True
            driver.cancel()


class _Owner:
    """Whom the service is for: the kernel, that may open everything."""

    def __init__(self, root: Node) -> None:
        self.root = root

    def attach(self, uname: str, aname: str) -> Maybe[Node]:
        return self.root

    def refused(self, error: Exception, what: str, path: str) -> None:
        if not isinstance(error, Lux9Error):
            log.error("%s of %s: %s", what, path or "/", text_of(error), exc_info=error)


async def _serve_fd(
    node: Node, after_batch: Callable[[], None] | None, lost: Callable[[], None]
) -> Connection:
    sock = socket.socket(fileno=SERVICE_FD)
    owner = _Owner(node)
    return await serve_socket(
        sock, lambda: Connection(lambda _: owner, None, after_batch, lambda _: lost())
    )


def inherited() -> Environment:
    """The environment of a process that the kernel started, or that is far from it."""
    if name := os.environ.get("LUX9_SERVICE"):
        return far(os.environ.get("LUX9_ADDR") or f"fd!{CLIENT_FD}", name, os.environ)
    client = Client.dial(f"fd!{CLIENT_FD}")
    where = arenas.parse(client.read("/proc/self/status").decode())
    if where is None:
        arena = Arena(memoryview(bytearray(0)), 0, 0)  # a file system has no devices
    else:
        vaddr, bus, size = where
        arena = arenas.map_fixed(ARENA_FD, vaddr, bus, size)
    return Environment(client, arena, os.environ, _serve_fd)


def far(address: str, name: str, variables: Mapping[str, str]) -> Environment:
    """The environment of a driver on another host: one connection, a service posted as `name`, no arena."""
    client = Client.dial(address)
    client.write("/proc/self/args", name.encode())

    async def serve(
        node: Node, after_batch: Callable[[], None] | None, lost: Callable[[], None]
    ) -> None:
        def over(error: Exception) -> None:
            environment.end(error)

        Posted(client, name, _Owner(node), after_batch, over)

    environment = Environment(client, None, variables, serve)
    return environment


def run(main: Main) -> None:
    """A driver process: `if __name__ == "__main__": run(main)`.

    Ends with status 0 when the kernel goes or SIGTERM comes, with 1 and one line on an error of ours.
    """
    _die_with_parent()
    logging.basicConfig(format="%(message)s", level=os.environ.get("LUX9_LOG", "INFO"))
    try:
        with _runner() as runner:
            runner.run(_guarded(main))
    except Lux9Error as error:
        print(text_of(error), file=sys.stderr)
        sys.exit(1)


async def _guarded(main: Main) -> None:
    """`main`, ended by SIGTERM as by the kernel's going: what it holds is undone in order."""
    environment = inherited()
    environment.client.attach_loop(asyncio.get_running_loop())
    task = asyncio.ensure_future(main(environment))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, environment.stop, task)
    try:
        await task
    except asyncio.CancelledError:
        return


def _runner() -> asyncio.Runner:
    """The loop: uvloop where it is installed: half of a wake-up's cost."""
    try:
        import uvloop
    except ImportError:
        return asyncio.Runner()
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def _die_with_parent() -> None:
    """A driver does not outlive its kernel, even one that was killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
