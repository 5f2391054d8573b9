"""A kernel on the network: who is let in over TCP, as whom, and how many.

The identity is the connection's: a client of plain TCP has none, and is the user `none`, unless the kernel's owner
trusts the network. What each user may do is the manifest's affair (`users.py`).
"""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import Coroutine
from typing import Any

from ..errors import LimitReached, Lux9Error
from ..ninep import tcp
from ..ninep.address import Address
from ..ninep.server import Connection, serve_socket
from ..ninep.session import Bounds
from .dev.proc import Life
from .kernel import Kernel, Owner, bounds_of, hang_up
from .process import ALL
from .users import NOBODY, NONE, User, Users

MOST = 256  # connections from the network at once
SILENT = 30.0  # seconds within which a client has to begin its session
AGAIN = 1.0  # seconds before the next try when the host has no descriptor left
TRUSTED = "TRUSTED: everyone who reaches it has the rights of {user}, over hardware and drivers"


class Network:
    """The listening sockets of one kernel, and the connections that came by them.

    `trust`: a client of plain TCP has the rights of the kernel's owner. `dead_after`: seconds of silence after which
    a peer counts as gone.
    """

    def __init__(
        self,
        kernel: Kernel,
        users: Users = NOBODY,
        *,
        trust: bool = False,
        dead_after: float = tcp.DEAD_AFTER,
    ) -> None:
        self.kernel, self.trust, self.dead_after = kernel, trust, dead_after
        self.users = {**NOBODY, **users}
        self.tasks: set[asyncio.Task[None]] = set()
        self.open = 0  # connections, also those that are still being made
        self.of: Counter[str] = Counter()  # connections of each user
        kernel.servers.append(self)

    # -- listening

    async def listen(self, address: Address) -> list[Address]:
        """Serve an address; where that is, by number. Raises UserError."""
        socks = tcp.listen(address, self.dead_after)
        where = [tcp.name_of(address.kind, sock) for sock in socks]
        for at, sock in zip(where, socks, strict=True):
            self._task(self._accept(sock))
            self._tell(at)
        return where

    def _tell(self, at: Address) -> None:
        """In the console, /dev/listen and, where that is dangerous, in the audit."""
        kernel, users = self.kernel, "user none, by the manifest"
        if self.trust:
            users = TRUSTED.format(user=kernel.user)
            kernel.audit.record(None, "trust-network", str(at), "done", warning=users)
        kernel.listening.append(f"{at} {users}")
        kernel.console.log(f"listening on {at}: {users}")

    def close(self) -> None:
        """Nobody is let in any more; who is, is the kernel's affair."""
        for task in self.tasks:
            task.cancel()

    def _task(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _accept(self, listening: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with listening:
            while True:
                try:
                    sock, _ = await loop.sock_accept(listening)
                except OSError as error:  # of the peer's, or no descriptor is left
                    self.kernel.console.log(f"network: accept: {error.strerror or error}")
                    await asyncio.sleep(AGAIN)
                    continue
                self._task(self._serve(sock))

    # -- one connection

    async def _serve(self, sock: socket.socket) -> None:
        """One client, from its first byte on."""
        try:
            guest = Guest(self, tcp.name_of("tcp", sock, peer=True))
        except OSError:  # it is gone already
            sock.close()
            return
        try:
            await guest.serve(sock, NONE)
        except OSError as error:
            guest.over(error)

    def admit(self, name: str, peer: Address) -> Life:
        """A process for a client. Raises Lux9Error with what is in the way."""
        if self.open > MOST:
            raise LimitReached(f"{MOST} connections from the network are open; try again later")
        command = f"{peer.kind} {peer.where} {peer.port}"
        if name == NONE and self.trust:
            return self.kernel.process("network", caps=ALL, command=command)
        user = self.users[name]
        if self.of[name] >= user.connections:
            raise LimitReached(
                f"{name} has {self.of[name]} connections, limit {user.connections}; raise it in the manifest"
            )
        return self._life(user, command)

    def bounds(self, name: str) -> Bounds:
        """What one session of a user may hold at once."""
        return bounds_of(self.users[name].limits)

    def _life(self, user: User, command: str) -> Life:
        return self.kernel.process(
            user.name,
            user=user.name,
            caps=user.capabilities,
            kind="user",
            command=command,
            limits=user.limits,
            group=user.group(),
        )


class Guest:
    """One client of the network, from its coming to its end."""

    def __init__(self, network: Network, peer: Address) -> None:
        self.network, self.kernel, self.peer = network, network.kernel, peer
        self.name, self.counted = "", True
        self.life: Life | None = None  # until it is let in
        network.open += 1

    async def serve(self, sock: socket.socket, name: str) -> None:
        """Serve a connected socket to whoever is called so."""
        bounds = self.network.bounds(name)
        made = await serve_socket(
            sock,
            lambda: self.kernel.known(lambda _: lambda _: self._owner(name), bounds, self.lost),
        )
        self.took(made)

    def took(self, made: Connection) -> None:
        """The connection is there: it is told of in /proc, and has some time to say something."""
        if self.life is None:
            return
        self.kernel.holds(self.life, made)
        self.life.signal = lambda what: hang_up(made.transport, what)
        asyncio.get_running_loop().call_later(SILENT, self._begun, made)

    def _owner(self, name: str) -> Owner:
        """Let it in. Raises Lux9Error."""
        audit, target = self.kernel.audit, str(self.peer)
        try:
            life = self.network.admit(name, self.peer)
        except Lux9Error as error:
            audit.record(None, "connect", target, "denied", name=name, error=error.message)
            raise
        self.name, self.life = name, life
        self.network.of[name] += 1
        audit.record(life.process, "connect", target, "allowed")
        return Owner(self.kernel, life, trusted=True)

    def _begun(self, made: Connection) -> None:
        """Whoever has said nothing by now does not keep a place."""
        if made.session.dialect is None and not made.transport.is_closing():
            made.transport.abort()

    def lost(self, connection: Connection) -> None:
        """Its connection has ended."""
        self.over(connection.why)

    def over(self, why: Exception | None) -> None:
        """It is gone."""
        if not self.counted:
            return
        self.counted = False
        self.network.open -= 1
        if self.life is not None:
            self.network.of[self.name] -= 1
            gone = why is None or isinstance(why, ConnectionResetError | BrokenPipeError)
            process, said = self.life.process, "hung up" if gone else str(why)
            self.kernel.audit.record(process, "disconnect", str(self.peer), "done", why=said)
