"""TLS on a loop: between the transport of a socket and the protocol that is spoken inside.

The loops have TLS of their own, but a handshake that fails ends there without the alert that tells the other side
why. Here it is sent, and whoever sent it hears what was wrong. A client of TLS 1.3 has finished its handshake
before its certificate was looked at: it finds the alert where it waits for its first answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, cast

from ..errors import UserError
from . import tcp
from .address import Address
from .refusals import theirs_wrong
from .tls import SHAKING, context, default_keys, load, told

PARTING = 1.0  # seconds that a refused peer has to read why
ROOM = 1 << 16
PIECE = 1 << 16  # bytes that are encrypted at once

Inner = Callable[[ssl.SSLObject], asyncio.BufferedProtocol]


class Tunnel(asyncio.Transport):
    """What the protocol inside writes to."""

    def __init__(self, secured: Secured) -> None:
        super().__init__()
        self.secured = secured

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Of the socket's transport; its bytes are not those inside (asyncio's word for that is sslcontext)."""
        if name == "sslcontext":
            return self.secured.tls.context
        return self.secured.transport.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """Whether it is over."""
        return self.secured.transport.is_closing()

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        """Encrypt and send."""
        self.writelines([data])

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview[Any]]) -> None:
        """Encrypt all of them, and send them at once; what comes after a close is lost."""
        secured = self.secured
        if self.is_closing():
            return
        for data in list_of_data:
            view = memoryview(data)
            for at in range(0, len(view), PIECE):
                secured.tls.write(view[at : at + PIECE])
        secured.flush()

    def pause_reading(self) -> None:
        """Take nothing in for a while."""
        self.secured.paused = True
        self.secured.transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on, with what was taken in already."""
        self.secured.paused = False
        self.secured.transport.resume_reading()
        self.secured.loop.call_soon(self.secured.take)

    def close(self) -> None:
        """Send what is there, say that it was all, and close."""
        if not self.is_closing():
            with contextlib.suppress(ssl.SSLError):
                self.secured.tls.unwrap()  # which would wait for the other side to say so, too
            self.secured.flush()
            self.secured.transport.close()

    def abort(self) -> None:
        """Close at once."""
        self.secured.transport.abort()


class Secured(asyncio.BufferedProtocol):
    """One end of a connection with TLS; `server_name` is given by a client.

    `inner(tls)` makes the protocol inside, once the peer is known; `failed(error, first)` is told of a handshake that
    came to nothing, with the first bytes that the peer sent, and may give what is said instead of the alert;
    `gone` of the end of a connection that had nothing inside.
    """

    def __init__(
        self,
        context: ssl.SSLContext,
        inner: Inner,
        failed: Callable[[Exception, bytes], bytes | None],
        gone: Callable[[], object],
        server_name: str | None = None,
    ) -> None:
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(
            self.incoming,
            self.outgoing,
            server_side=server_name is None,
            server_hostname=server_name,
        )
        self.make, self.failed, self.gone = inner, failed, gone
        self.client = server_name is not None
        self.inner: asyncio.BufferedProtocol | None = None
        self.why: Exception | None = None
        self.first = b""
        self.paused = self.refused = False
        self.buffer = memoryview(bytearray(ROOM))
        self.transport: asyncio.Transport
        self.made = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; who is slow is given up."""
        self.transport, self.made = cast("asyncio.Transport", transport), True
        self.loop = asyncio.get_running_loop()
        self.timer = self.loop.call_later(SHAKING, self._late)
        self._shake()

    def get_buffer(self, sizehint: int) -> memoryview:
        """Room for what is encrypted."""
        return self.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Go on with the handshake, or give on what is inside."""
        if self.refused:
            return
        if len(self.first) < 8:
            self.first += bytes(self.buffer[: min(nbytes, 8)])
        self.incoming.write(self.buffer[:nbytes])
        if self.inner is None:
            self._shake()
        else:
            self.take()

    def _shake(self) -> None:
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self.flush()
            return
        except (ssl.SSLError, ssl.CertificateError) as error:
            self._refuse(error)
            return
        self.timer.cancel()
        self.flush()
        self.inner = self.make(self.tls)
        self.inner.connection_made(Tunnel(self))
        self.take()  # what came behind the handshake

    def take(self) -> None:
        """Give on what can be decrypted."""
        inner = self.inner
        while inner is not None and not self.paused and not self.transport.is_closing():
            room: Any = inner.get_buffer(-1)
            try:
                count = self.tls.read(len(room), room)
            except ssl.SSLWantReadError:
                break
            except ssl.SSLError as error:  # an alert, or what is none of TLS
                if not isinstance(error, ssl.SSLZeroReturnError):
                    self.why = told(error) if self.client else error
                self.flush()
                self.transport.close()
                return
            if not count:
                self.transport.close()
                return
            inner.buffer_updated(cast("int", count))
        self.flush()

    def flush(self) -> None:
        """Send what is encrypted."""
        if self.outgoing.pending and not self.transport.is_closing():
            self.transport.write(self.outgoing.read())

    def _refuse(self, error: Exception) -> None:
        """Say why, and listen until it was heard: what is closed with data unread loses what was said last."""
        self.timer.cancel()
        self.refused = True
        instead = self.failed(error, self.first)
        if instead is None:
            self.flush()
        else:
            self.transport.write(instead)
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.timer = self.loop.call_later(PARTING, self.transport.abort)

    def _late(self) -> None:
        self.refused = True
        self.failed(TimeoutError(f"no handshake within {SHAKING:g} s"), self.first)
        self.transport.abort()

    def pause_writing(self) -> None:
        """The peer does not read."""
        if self.inner is not None:
            self.inner.pause_writing()

    def resume_writing(self) -> None:
        """It reads again."""
        if self.inner is not None:
            self.inner.resume_writing()

    def eof_received(self) -> bool:
        """Half-closed is closed."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell whoever is inside; or, in the middle of the handshake, whoever asked for it."""
        self.timer.cancel()
        if self.inner is not None:
            self.inner.connection_lost(self.why or exc)
            return
        if not self.refused:
            self.refused = True
            hung_up = ConnectionResetError("hung up in the middle of the handshake")
            self.failed(exc or hung_up, self.first)
        self.gone()

    def abort(self) -> None:
        """End it, whatever there is of it."""
        if self.made:
            self.transport.abort()


async def dial(
    address: Address, keys: Path | None, inner: Callable[[], asyncio.BufferedProtocol]
) -> None:
    """A connection whose server is who it ought to be, with a protocol inside. Raises UserError."""
    made = context(load(keys or default_keys()), server=False)
    sock = await asyncio.to_thread(tcp.dial, address)
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def inside(_: ssl.SSLObject) -> asyncio.BufferedProtocol:
        done.set_result(None)
        return inner()

    def failed(error: Exception, first: bytes) -> None:
        said = theirs_wrong(error, address.where) if isinstance(error, OSError) else str(error)
        if not done.done():
            done.set_exception(UserError(f"{address}: {said}"))

    sock.setblocking(False)
    transport, _ = await loop.create_connection(
        lambda: Secured(made, inside, failed, lambda: None, address.where), sock=sock
    )
    try:
        await done
    except asyncio.CancelledError:  # nobody waits for the handshake any more
        transport.abort()
        raise
