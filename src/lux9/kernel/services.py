"""Posted services: 9P servers, by name, whoever they are.

A service is reached through a client of ours on its connection; `post` starts that session, and the service is
there once it has answered the attach. So a driver is ready when it answers, and not before.
"""

from __future__ import annotations

import socket
from hashlib import blake2b

from ..errors import Exists, NotFound
from ..ninep.caller import Attached, Caller
from ..ninep.loopwire import connect
from ..ninep.remote import RemoteNode, Service
from ..pending import Pending
from ..wire.node import Node
from .process import Process


class Posted:
    """A service that has answered."""

    def __init__(self, service: Service, owner: Process, root: RemoteNode) -> None:
        self.service, self.owner, self.root = service, owner, root

    @property
    def line(self) -> str:
        """Its line in #M."""
        s = self.service
        return f"{self.owner.name}/{self.owner.number} {s.requests} {s.bytes} {len(s.caller.table)}"


class Services:
    """All of them."""

    def __init__(self) -> None:
        self.posted: dict[str, Posted] = {}
        self.generation = 0

    def find(self, name: str) -> Node:
        """The root of a service. Raises NotFound."""
        posted = self.posted.get(name)
        if posted is None:
            raise NotFound(f"#s/{name}: no service of that name is posted")
        return posted.root

    async def post_socket(self, name: str, owner: Process, sock: socket.socket) -> None:
        """Post the server at the other end of a socket; returns when it is ready."""
        caller = Caller()
        await connect(caller, sock, lambda: self.drop(name, caller))
        await self.post(name, owner, caller)

    def post(self, name: str, owner: Process, caller: Caller) -> Pending[None]:
        """Post a server; settled when it is ready. Raises Exists when the name is taken."""
        if name in self.posted:
            raise Exists(f"#s/{name} is posted by {self.posted[name].owner.name}")
        self.generation += 1
        mark = blake2b(f"{name} {self.generation}".encode(), digest_size=8).digest()
        service = Service(name, caller, int.from_bytes(mark, "little"))

        def ready(got: Attached) -> None:
            self.posted[name] = Posted(service, owner, RemoteNode(service, *got))

        return caller.start(uname=owner.user).map(ready)

    def drop(self, name: str, caller: Caller) -> None:
        """The service's connection is gone."""
        caller.lost()
        posted = self.posted.get(name)
        if posted is not None and posted.service.caller is caller:
            del self.posted[name]

    def close(self) -> None:
        """Hang up on all of them."""
        for posted in list(self.posted.values()):
            posted.service.caller.wire.close()
