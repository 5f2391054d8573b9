"""A driver within the kernel's own process: isolation `none`.

For tests, for teaching, and to measure what isolation costs. The driver's code is the same, and so is the
kernel's: between them are the same messages, handed over by a call instead of a socket.
"""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import mmap
from collections.abc import Awaitable, Callable, Mapping

from ..driver.arena import Arena
from ..driver.environment import Environment
from ..errors import NotSupported, UserError, text_of
from ..kernel.dev.proc import Life
from ..kernel.kernel import Kernel
from ..kernel.process import Cap, Limits
from ..ninep.caller import Caller
from ..ninep.client import Client
from ..ninep.session import Session
from ..ninep.wires import DirectWire
from ..pending import Maybe, void
from ..wire.node import Node
from .spawn import GRACE, ending
from .stanza import Stanza


class Inside:
    """A driver's task; it answers to what `spawn.Child` does."""

    pid = 0

    def __init__(
        self, kernel: Kernel, life: Life, name: str, stanza: Stanza, variables: Mapping[str, str]
    ) -> None:
        self.kernel, self.life, self.name, self.stanza = kernel, life, name, stanza
        main = _main(stanza.module)
        self.loop = asyncio.get_running_loop()
        self.ended: asyncio.Future[str] = self.loop.create_future()
        self.served: asyncio.Future[None] = self.loop.create_future()
        client = Client(kernel.join(life))
        client.attach()
        client.attach_loop(self.loop)
        self.environment = Environment(client, self._arena(), variables, self._serve)
        self.client = client
        self.task = asyncio.ensure_future(main(self.environment))
        self.task.add_done_callback(self._done)

    def _arena(self) -> Arena:
        process = self.life.process
        if Cap.DMA not in process.caps:
            return Arena(memoryview(bytearray()), 0, 0)
        arena = self.kernel.hardware.dma.arena(process)
        mapped = mmap.mmap(arena.fd, arena.size)  # goes when the driver's last view of it does
        process.vaddr = ctypes.addressof(ctypes.c_char.from_buffer(mapped))
        return Arena(memoryview(mapped), process.vaddr, arena.bus)

    async def _serve(
        self, node: Node, after_batch: Callable[[], None] | None, lost: Callable[[], None]
    ) -> None:
        caller = Caller()
        wire = DirectWire(caller, lambda: None, after_batch)
        wire.session = Session(_Owner(node), lambda: void(self.loop.call_soon(wire.deliver)))
        caller.soon = self.loop.call_soon
        hold, repeats = self.stanza.hold, self.stanza.repeats
        await self.kernel.services.post(self.name, self.life.process, caller, hold, repeats)
        self.served.set_result(None)

    def ready(self) -> asyncio.Future[None]:
        """Done when it serves."""
        return self.served

    def _done(self, task: asyncio.Task[None]) -> None:
        self.client.close()
        if task.cancelled():
            why = "ended"
        else:
            error = task.exception()
            why = f"failed: {text_of(error)}" if error else "exited with status 0"
        if not self.ended.done():
            self.ended.set_result(why)

    def signal(self, number: int) -> None:
        """Any signal ends the task; nothing less can be done to it in here."""
        self.task.cancel()

    def limit(self, name: str, limits: Limits) -> None:
        """Within the kernel's process, it has that one's. Raises NotSupported."""
        raise NotSupported("it runs within the kernel's process, which nothing limits")

    async def stop(self) -> str:
        """Ask it to end, then make it; how it ended."""
        self.environment.stop(self.task)
        await asyncio.wait([self.ended], timeout=GRACE)
        self.task.cancel()
        return await ending(self.ended)


class _Owner:
    """Whom a driver's session is for."""

    def __init__(self, root: Node) -> None:
        self.root = root

    def attach(self, uname: str, aname: str) -> Maybe[Node]:
        """What it serves."""
        return self.root

    def refused(self, error: Exception, what: str, path: str) -> None:
        """The driver's own affair."""


def _main(module: str) -> Callable[[Environment], Awaitable[None]]:
    """A driver module's `main`."""
    if not module:
        raise UserError("a driver given by a command cannot run within the kernel; name its module")
    main: Callable[[Environment], Awaitable[None]] = importlib.import_module(module).main
    return main
