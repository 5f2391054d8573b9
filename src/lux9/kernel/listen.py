"""A kernel on the network: who is let in over TCP, as whom, and how many.

The identity is the connection's: over TLS it is the name in the client's certificate; a client of plain TCP has
none, and is the user `none`, unless the kernel's owner trusts the network. What each user may do is the manifest's
affair (`users.py`). Nothing that a stranger does takes more than his share: connections, those among them whose
handshake is not done, the time for that, and lines of the audit are bounded.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Coroutine
from functools import partial
from pathlib import Path
from typing import Any

from ..errors import LimitReached, PermissionDenied, UserError
from ..ninep import tcp, tls
from ..ninep.address import Address
from ..ninep.session import Bounds
from .dev.proc import Life
from .guest import Guest
from .kernel import Kernel
from .owner import bounds_of
from .process import ALL, Process
from .revoked import NAME as REVOKED, Revoked
from .users import NOBODY, NONE, User, Users

MOST = 256  # connections from the network at once
SHAKING = 64  # those among them whose handshake is not done
AGAIN = 1.0  # seconds before the next try when the host has no descriptor left
LOOK = 2.0  # seconds between two looks at whether certificates still count
TRUSTED = "TRUSTED: everyone who reaches it has the rights of {user}, over hardware and drivers"


class Network:
    """The listening sockets of one kernel, and the connections that came by them.

    `keys`: the key file for TLS. `trust`: a client of plain TCP has the rights of the kernel's owner. `dead_after`:
    seconds of silence after which a peer counts as gone.
    """

    def __init__(
        self,
        kernel: Kernel,
        users: Users = NOBODY,
        *,
        keys: Path | None = None,
        trust: bool = False,
        dead_after: float = tcp.DEAD_AFTER,
    ) -> None:
        self.kernel, self.trust, self.dead_after = kernel, trust, dead_after
        self.users = {**NOBODY, **users}
        self.keys = tls.load(keys) if keys is not None else None
        self.revoked = Revoked(keys.parent / REVOKED) if keys is not None else None
        self.stranger = Process(0, "network", NONE)  # who is refused, as far as the audit knows
        self.tasks: set[asyncio.Task[None]] = set()
        self.guests: set[Guest] = set()
        self.where: list[Address] = []
        kernel.servers.append(self)

    # -- listening

    async def listen(self, address: Address) -> list[Address]:
        """Serve an address; where that is, by number. Raises UserError."""
        context = self._context() if address.kind == "tls" else None
        socks = tcp.listen(address, self.dead_after)
        where = [tcp.name_of(address.kind, sock) for sock in socks]
        for at, sock in zip(where, socks, strict=True):
            accepting = self.task(self._accept(sock, context))
            accepting.add_done_callback(partial(_close, sock))  # also when it never began
            self._tell(at)
        self.where += where
        return where

    def _context(self) -> ssl.SSLContext:
        if self.keys is None:
            raise UserError("TLS needs a key file; `lux9 keys init` makes one for this host")
        if not any(at.kind == "tls" for at in self.where):
            self.task(self._watch())
        return tls.context(self.keys, server=True)

    def _tell(self, at: Address) -> None:
        """In the console, /dev/listen and, where that is dangerous, in the audit."""
        kernel, who = self.kernel, "user none, by the manifest"
        if at.kind == "tls":
            named = ", ".join(sorted(name for name in self.users if name != NONE))
            who = f"users {named or '(none in the manifest)'}, by certificate"
        elif self.trust:
            who = TRUSTED.format(user=kernel.user)
            kernel.audit.record(None, "trust-network", str(at), "done", warning=who)
            kernel.warnings.append(f"{at}: {who}")
        kernel.listening.append(f"{at} {who}")
        kernel.console.log(f"on the network at {at}: {who}")

    def shown(self, guest: Guest) -> str:
        """Where guests of its kind are let in."""
        return " ".join(str(at) for at in self.where if at.kind == guest.at.kind)

    def close(self) -> None:
        """Nobody is let in any more; who is, is the kernel's affair."""
        for task in self.tasks:
            task.cancel()
        for guest in list(self.guests):
            guest.close()

    def task(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Do it meanwhile, at most until the end."""
        task = asyncio.ensure_future(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return task

    async def _accept(self, listening: socket.socket, context: ssl.SSLContext | None) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listening)
            except OSError as error:  # of the peer's, or no descriptor is left
                self.kernel.console.log(f"network: accept: {error.strerror or error}")
                await asyncio.sleep(AGAIN)
                continue
            self.task(self._serve(sock, context))

    async def _serve(self, sock: socket.socket, context: ssl.SSLContext | None) -> None:
        """One client, from its first byte on."""
        try:
            at = tcp.name_of("tls" if context else "tcp", sock, peer=True)
        except OSError:  # it is gone already
            sock.close()
            return
        shaking = sum(guest.shaking for guest in self.guests)
        if context and shaking >= SHAKING:
            error = f"{shaking} handshakes are on their way; try again"
            self.kernel.audit.record(self.stranger, "tls", str(at), "denied", error=error)
            sock.close()
            return
        guest = Guest(self, at)
        try:
            await (guest.secure(sock, context) if context else guest.plain(sock))
        except OSError as error:
            guest.over(error)

    async def _watch(self) -> None:
        """End whoever's certificate was revoked, or has run out."""
        while True:
            await asyncio.sleep(LOOK)
            for guest in list(self.guests):
                guest.look()

    # -- who is let in

    def admit(self, guest: Guest) -> Life:
        """A process for a client. Raises Lux9Error with what is in the way."""
        if len(self.guests) > MOST:
            raise LimitReached(f"{MOST} connections from the network are open; try again later")
        if guest.peer is not None:
            self.valid(guest.peer)
        name, at = guest.name, guest.at
        command = f"{at.kind} {at.where} {at.port}"
        if at.kind == "tcp" and self.trust:
            return self.kernel.process("network", caps=ALL, command=command)
        user = self.users[name]
        has = sum(g.life is not None for g in self.guests if g.name == name)
        if has >= user.connections:
            raise LimitReached(
                f"{name} has {has} connections, limit {user.connections}; raise it in the manifest"
            )
        return self._life(user, command)

    def valid(self, peer: tls.Peer) -> None:
        """Whether a certificate's holder may come. Raises Lux9Error."""
        if peer.name not in self.users or peer.name == NONE:
            raise PermissionDenied(
                f"{peer.name!r} has a certificate, and no [[user]] of that name is in the manifest of this kernel"
            )
        since = self.revoked.since(peer.serial) if self.revoked else None
        if since is not None:
            raise PermissionDenied(
                f"the certificate {peer.serial} of {peer.name} was revoked on {since}; ask for a new one"
            )
        if time.time() > peer.until:
            raise PermissionDenied(
                f"the certificate {peer.serial} of {peer.name} has expired on {peer.expires}; ask for a new one"
            )

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


def _close(sock: socket.socket, _: asyncio.Task[None]) -> None:
    sock.close()
