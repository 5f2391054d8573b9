"""QEMU's monitor, for what qtest has no words for: plugging, faults of a medium, screenshots.

`qemu.qmp`, the library of QEMU's own people, speaks it; it is asked for when it is needed, and not before.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import BadArgument, UserError
from .qtest import QemuGone

if TYPE_CHECKING:
    from qemu.qmp import EventListener, QMPClient


class Monitor:
    """A connection to the monitor, made at the first command."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._client: asyncio.Task[QMPClient] | None = None

    async def _connected(self) -> QMPClient:
        """The one connection, for all: QEMU greets once, so nobody who gives up takes it along."""
        if self._client is None:
            self._client = asyncio.ensure_future(self._connect())
            self._client.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._client)

    async def _connect(self) -> QMPClient:
        try:
            from qemu.qmp import ConnectError, QMPClient
        except ImportError:
            raise UserError(
                "qemu.qmp is not installed, and plugging needs it: pip install 'lux9[qemu]'"
            ) from None
        client = QMPClient("lux9")
        try:
            await client.connect(self._sock.dup())
        except ConnectError:
            raise QemuGone("QEMU ended before its monitor answered") from None
        return client

    async def do(self, command: str, **arguments: Any) -> Any:
        """One command (`_` in argument names is `-`); what it returns. Raises BadArgument with QEMU's words."""
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        return await self.command(command, named)

    async def command(self, command: str, arguments: Mapping[str, object]) -> Any:
        """As `do`, with the arguments named as they are."""
        client = await self._connected()
        from qemu.qmp import ExecInterruptedError, ExecuteError, StateError

        try:
            return await client.execute(command, dict(arguments))
        except ExecuteError as error:
            raise BadArgument(f"qemu: {command}: {error}") from None
        except (ExecInterruptedError, StateError):
            raise QemuGone(f"QEMU ended before it answered {command}") from None

    async def screenshot(self, path: Path) -> None:
        """What the first display shows, as PNG. Raises BadArgument where there is none."""
        await self.do("screendump", filename=str(path.absolute()), format="png")

    @asynccontextmanager
    async def events(self, *names: str) -> AsyncGenerator[EventListener, None]:
        """Events of those names that come from here on; `get()` waits for one."""
        client = await self._connected()
        with client.listener(names) as listener:
            yield listener

    async def close(self) -> None:
        """Hang up."""
        if (task := self._client) is None:
            return
        self._client = None
        task.cancel()  # where it is still under way
        await asyncio.wait([task])
        if not task.cancelled() and task.exception() is None:
            with contextlib.suppress(EOFError, OSError):  # QEMU hung up first
                await task.result().disconnect()
