"""9P served on asyncio: a `Session` behind a socket.

A `BufferedProtocol`, because the loop then reads straight into our buffer; everything that one read brought is
answered with one write.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import cast

from ..errors import Lux9Error, ProtocolError, UserError
from ..wire.codec import NOTAG
from ..wire.node import Node
from ..wire.steady import EPOCH
from .fids import Fid
from .inbox import Inbox
from .meter import Meter
from .outlet import Outlet
from .session import Bounds, Owner, Session
from .short import TURN

LINGER = 5.0  # seconds that a client which is hung up on has to read the last answers


class Stranger:
    """The owner of a connection that nobody wants to have."""

    def __init__(self, error: Lux9Error) -> None:
        self.error = error

    def attach(self, uname: str, aname: str) -> Node:
        """Refused."""
        raise self.error

    def refused(self, error: Exception, what: str, path: str) -> None:
        """Told by whoever refused."""


class Connection(asyncio.BufferedProtocol):
    """One client. `made(transport)` gives the owner once the connection is known."""

    def __init__(
        self,
        owner: Callable[[asyncio.Transport], Owner],
        bounds: Bounds | None = None,
        after_batch: Callable[[], None] | None = None,
        lost: Callable[[Connection], None] | None = None,
    ) -> None:
        self.owner, self.bounds, self.after_batch, self.lost = owner, bounds, after_batch, lost
        self.woken = self.paused = False
        self.pauses = 0  # times that the client did not read its answers
        self.why: Exception | None = None  # the connection ended, where it was not closed
        self.session: Session
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Find out who it is; whoever is not welcome gets one Rerror, and is hung up on."""
        self.transport = cast("asyncio.Transport", transport)
        self.loop = asyncio.get_running_loop()
        try:
            owner = self.owner(self.transport)
        except Lux9Error as error:
            owner = Stranger(error)
        self.session = Session(owner, self.wake, self.bounds)
        self.outlet = Outlet(self.transport)
        self.meter = Meter(self.session.bounds.rate, self.loop.time, self.wait)
        self.session.outright = self.outlet.outright
        self.inbox = Inbox(self.session.receive)
        bare = self.outlet.fd >= 0 and self.after_batch is None and not self.session.bounds.rate
        self.short = TURN if bare else None
        if isinstance(owner, Stranger):
            self.session.failed(NOTAG, owner.error, "connect", "")
            self.loop.call_soon(
                self.hang_up
            )  # uvloop would leak what is closed before it has begun

    def get_buffer(self, sizehint: int) -> memoryview:
        """Room behind what is there."""
        inbox = self.inbox
        return inbox.room() if inbox.have else inbox.view

    def buffer_updated(self, nbytes: int) -> None:
        """Answer every whole message; a client that talks nonsense is told so, and hung up on."""
        session, inbox, outlet = self.session, self.inbox, self.outlet
        outlet.turn()
        if self.short is not None and not (inbox.have or outlet.behind or session.out):
            looks = outlet.looks
            at, have, asked, left, rest = self.short(
                session,
                EPOCH,
                Fid,
                outlet.fd,
                inbox.view,
                nbytes,
                looks,
                outlet.closing,
            )
            session.requests += asked
            if left != looks:
                outlet.looked(left, have)
            if at == have and not rest and not session.out:
                return
            nbytes = self._left(at, have, rest)
            if not nbytes:
                return
        while True:
            try:
                inbox.took(nbytes)
            except ProtocolError as error:
                session.failed(NOTAG, error, "message", "")
                self.hang_up()
                return
            if self.after_batch is not None:
                self.after_batch()
            if session.unsent or session.bounds.rate:
                if not self._many():
                    return
                nbytes = 0  # enough long answers for one send; there may be more whole messages
                continue
            out = session.out
            if not out:
                return
            data = out[0] if len(out) == 1 else b"".join(out)
            out.clear()
            if not session.calm or self.paused:
                outlet.rest()
                outlet.send(data)
                return
            nbytes = outlet.send(data, inbox.room() if inbox.have else inbox.view)
            if not nbytes:
                return

    def _left(self, at: int, have: int, rest: bytes) -> int:
        """What the short ways in C left over: answers that are not sent, requests; how many bytes of these."""
        if rest:
            self.session.out.append(rest)
        if at == have:
            self.flush()
        elif at:
            self.inbox.buffer[: have - at] = self.inbox.buffer[at:have]
        return have - at

    def _many(self) -> bool:
        """Send long answers, and count what came; whether there may be more to answer."""
        stopped = self.session.full
        self.flush()
        if self.session.bounds.rate:
            self.meter.count(self.session)
        return stopped and not self.paused

    def wake(self) -> None:
        """An answer came outside of `buffer_updated`: send all that come in this turn of the loop at once."""
        if not self.woken:
            self.woken = True
            self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Send what is there."""
        self.woken = False
        session = self.session
        out = session.out
        if session.unsent:
            self.outlet.send_parts(out)
            session.sent()
        elif out:
            self.outlet.send(out[0] if len(out) == 1 else b"".join(out))
            out.clear()

    def hang_up(self) -> None:
        """Send what is there and close; whoever does not read it in time loses it."""
        self.flush()
        self.transport.close()
        self.loop.call_later(LINGER, self.transport.abort)

    def pause_writing(self) -> None:
        """The client does not read: take no more from it, so that its answers stay bounded."""
        self.paused = True
        self.pauses += 1
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_writing(self) -> None:
        """It reads again."""
        self.paused = False
        if not self.transport.is_closing():
            if not self.meter.empty:
                self.transport.resume_reading()
            self.buffer_updated(0)  # what was left when it was paused

    def bound(self, bounds: Bounds) -> None:
        """Other bounds, from now on."""
        self.session.bounds = bounds
        self.meter.set(bounds.rate, self.session)

    def wait(self, seconds: float) -> None:
        """It sent more than it may: take nothing from it for a while."""
        if not self.transport.is_closing():
            self.transport.pause_reading()
        self.loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self.meter.empty = False
        if not self.paused and not self.transport.is_closing():
            self.transport.resume_reading()

    def eof_received(self) -> bool:
        """Half-closed is closed."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Everything that the client held goes."""
        self.why = exc
        self.session.reset()
        if self.lost is not None:
            self.lost(self)

    def close(self) -> None:
        """Hang up."""
        self.transport.abort()


def unix_socket(path: Path) -> socket.socket:
    """A listening socket with mode 0600. Raises UserError when somebody is listening there already."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        with contextlib.suppress(FileNotFoundError):
            _clear(path)
        sock.bind(str(path))
        path.chmod(0o600)
        sock.listen(128)
    except OSError as error:  # a path that is too long has no strerror
        sock.close()
        raise UserError(f"{path}: cannot listen: {error.strerror or error}") from None
    except UserError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _clear(path: Path) -> None:
    """Take a dead server's socket away; refuse a live one's, and anything that is not a socket."""
    if not path.is_socket():
        path.stat()
        raise UserError(f"{path}: there is a file that is not a socket; name another address")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
        except TimeoutError:
            pass  # somebody is there, and busy
    raise UserError(
        f"{path}: a lux9 is running there; end it, or name another address with --listen"
    )


async def serve_socket(sock: socket.socket, connection: Callable[[], Connection]) -> Connection:
    """Serve one connected socket."""
    loop = asyncio.get_running_loop()
    sock.setblocking(False)
    _, protocol = await loop.create_connection(connection, sock=sock)
    return protocol


__all__ = ["Connection", "serve_socket", "unix_socket"]
