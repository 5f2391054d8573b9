"""A client's bytes on asyncio."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from ..errors import ProtocolError
from ..wire.node import Bytes
from .address import parse
from .caller import Caller
from .inbox import Inbox
from .tcp import ended
from .wires import dial


class LoopWire(asyncio.BufferedProtocol):
    """A transport of the event loop; nobody waits, everybody is told."""

    def __init__(self, caller: Caller, lost: Callable[[], None] | None = None) -> None:
        self.caller, self.inbox, self.on_lost = caller, Inbox(caller.receive), lost
        self.transport: asyncio.Transport
        caller.wire = self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From here requests go out at the end of each turn of the loop."""
        self.transport = cast("asyncio.Transport", transport)
        self.caller.soon = asyncio.get_running_loop().call_soon

    def get_buffer(self, sizehint: int) -> memoryview:
        """Room behind what is there."""
        return self.inbox.room()

    def buffer_updated(self, nbytes: int) -> None:
        """Settle what was answered; a server that talks nonsense is hung up on."""
        try:
            self.inbox.took(nbytes)
        except ProtocolError as error:
            self.caller.lost(error)
            self.transport.abort()

    def eof_received(self) -> bool:
        """Half-closed is closed."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Everything that waits fails; whoever was to be told of it may say why."""
        if self.on_lost is not None:
            self.on_lost()
        self.caller.lost(ended(exc if isinstance(exc, OSError) else None))

    def send(self, parts: list[Bytes]) -> None:
        """Hand them to the loop."""
        if not self.transport.is_closing():
            self.transport.write(parts[0] if len(parts) == 1 else b"".join(parts))

    def wait(self) -> None:
        """Not on a loop."""
        raise AssertionError("a request on the loop is awaited, not waited for")

    def pause(self, seconds: float) -> None:
        """Not on a loop, either."""
        raise AssertionError("whoever polls on the loop sleeps with asyncio")

    def close(self) -> None:
        """Hang up."""
        self.transport.abort()


async def connect(
    caller: Caller, sock: socket.socket, lost: Callable[[], None] | None = None
) -> LoopWire:
    """Put a caller on the loop, behind a connected socket."""
    sock.setblocking(False)
    loop: Any = asyncio.get_running_loop()
    _, wire = await loop.create_connection(lambda: LoopWire(caller, lost), sock=sock)
    return cast("LoopWire", wire)


async def dialled(caller: Caller, addr: str, keys: Path | None = None) -> LoopWire:
    """Put a caller on the loop, behind a connection to an address. Raises UserError with the remedy."""
    address = parse(addr)
    if address.kind != "tls":
        local = not address.on_network
        return await connect(caller, dial(addr) if local else await asyncio.to_thread(dial, addr))
    from . import secure  # which takes its time, and few programs need

    wire = LoopWire(caller)
    await secure.dial(address, keys, lambda: wire)
    return wire
