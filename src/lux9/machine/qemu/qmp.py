"""QEMU's monitor, for what qtest has no words for: plugging, faults of a medium, screenshots.

`qemu.qmp`, the library of QEMU's own people, speaks it; it is asked for when it is needed, and not before.
"""

from __future__ import annotations

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
        self._client: QMPClient | None = None

    async def _connected(self) -> QMPClient:
        if self._client is None:
            try:
                from qemu.qmp import QMPClient
            except ImportError:
                raise UserError(
                    "qemu.qmp is not installed, and plugging needs it: pip install 'lux9[qemu]'"
                ) from None
            self._client = QMPClient("lux9")
            await self._client.connect(self._sock.dup())
        return self._client

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
        if self._client is not None:
            client, self._client = self._client, None
            try:
                await client.disconnect()
            except (EOFError, OSError):
                pass  # QEMU hung up first
