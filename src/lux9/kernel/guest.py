"""One client of the network, from its coming to its end: who it is, and what the audit has of it."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING

from ..errors import Lux9Error, ProtocolError
from ..ninep import tls
from ..ninep.address import Address
from ..ninep.refusals import client_wrong, is_9p
from ..ninep.secure import Secured
from ..ninep.server import Connection, serve_socket
from ..ninep.tcp import ended
from ..wire.codec import NOTAG
from ..wire.messages import Rerror
from .dev.proc import Life
from .owner import Owner, hang_up
from .users import NONE

if TYPE_CHECKING:
    from .listen import Network

SILENT = 30.0  # seconds within which a client has to begin its session


class Guest:
    """A client. `name` is `none` until a certificate says otherwise."""

    def __init__(self, network: Network, at: Address) -> None:
        self.network, self.kernel, self.at, self.name = network, network.kernel, at, NONE
        self.life: Life | None = None  # until it is let in
        self.peer: tls.Peer | None = None  # what its certificate says
        self.secured: Secured | None = None
        self.made: Connection | None = None
        network.guests.add(self)

    async def plain(self, sock: socket.socket) -> None:
        """Serve plain 9P."""
        self._took(await serve_socket(sock, self._connection))

    async def secure(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        """Serve 9P within TLS, once the handshake is done."""
        secured = self.secured = Secured(context, self._inside, self._failed, self._gone)
        loop = asyncio.get_running_loop()
        await loop.connect_accepted_socket(lambda: secured, sock)

    # -- coming

    def _connection(self) -> Connection:
        return self.kernel.known(lambda made: lambda _: self._owner(made), lost=self._lost)

    def _inside(self, session: ssl.SSLObject) -> Connection:
        """The handshake is done: the certificate tells who it is."""
        self.peer = tls.peer(session)
        self.name = self.peer.name
        made = self._connection()
        asyncio.get_running_loop().call_soon(self._took, made)
        return made

    def _owner(self, made: Connection) -> Owner:
        """Let it in. Raises Lux9Error."""
        audit, target, detail = self.kernel.audit, str(self.at), self._detail()
        try:
            self.life = life = self.network.admit(self)
        except Lux9Error as error:
            self._denied("connect", error.message)
            raise
        made.bounds = self.network.bounds(self.name)
        audit.record(life.process, "connect", target, "allowed", **detail)
        return Owner(self.kernel, life, trusted=True)

    def _detail(self) -> dict[str, str]:
        """What the audit has of a certificate."""
        if self.peer is None:
            return {}
        return {"name": self.name, "serial": self.peer.serial, "expires": self.peer.expires}

    def _denied(self, what: str, error: str) -> None:
        stranger, target = self.network.stranger, str(self.at)
        self.kernel.audit.record(stranger, what, target, "denied", error=error, **self._detail())

    def _took(self, made: Connection) -> None:
        """The connection is there: it is told of in /proc, and has some time to say something."""
        self.made = made
        if self.life is None:
            return
        self.kernel.holds(self.life, made)
        self.life.signal = lambda what: hang_up(made.transport, what)
        asyncio.get_running_loop().call_later(SILENT, self._begun, made)

    def _begun(self, made: Connection) -> None:
        """Whoever has said nothing by now does not keep a place."""
        if made.session.dialect is None and not made.transport.is_closing():
            made.transport.abort()

    # -- staying

    def look(self) -> None:
        """End it when its certificate counts no more."""
        if self.peer is None or self.made is None or self.life is None:
            return
        try:
            self.network.valid(self.peer)
        except Lux9Error as error:
            error.audited = True
            self._denied("connection", error.message)
            self.made.session.failed(NOTAG, error, "connection", "")
            self.made.hang_up()
            self.peer = None

    # -- going

    def _failed(self, error: Exception, first: bytes) -> bytes | None:
        """The handshake came to nothing: what is said instead of the alert."""
        said = client_wrong(error, first)
        self._denied("tls", said)
        if not is_9p(first):
            return None
        words = ProtocolError(f"TLS is spoken at {self.network.shown(self)}: write tls! for tcp!")
        return Rerror(words.message).encode(NOTAG)

    def _lost(self, connection: Connection) -> None:
        self.over(connection.why)

    def over(self, why: Exception | None) -> None:
        """Its connection has ended."""
        if self.life is not None:
            gone = why is None or isinstance(why, ConnectionResetError | BrokenPipeError)
            said = "hung up" if gone else str(ended(why) if isinstance(why, OSError) else why)
            process = self.life.process
            self.kernel.audit.record(process, "disconnect", str(self.at), "done", why=said)
        self._gone()

    def _gone(self) -> None:
        self.life = None
        self.network.guests.discard(self)

    @property
    def shaking(self) -> bool:
        """Whether it is not known yet who it is."""
        return self.secured is not None and self.peer is None

    def close(self) -> None:
        """End it at once; a connection of the kernel's is ended by that."""
        if self.secured is not None and self.made is None:
            self.secured.abort()
