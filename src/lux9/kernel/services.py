"""Posted services: 9P servers, by name, whoever they are.

A service is reached through a client of ours on its connection; `post` starts that session, and the service is
there once it has answered the attach. So a driver is ready when it answers, and not before. A service that holds
its clients stays posted while it is gone, and the next one of its name takes them over.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from hashlib import blake2b
from typing import NamedTuple

from ..errors import Exists, NotFound, ProtocolError, ServiceDown
from ..ninep.caller import Attached, Caller
from ..ninep.loopwire import connect
from ..ninep.remote import RemoteNode
from ..ninep.service import Service
from ..pending import Pending
from ..wire.dialects import LUX9
from ..wire.linux import LINUX
from ..wire.messages import P9
from ..wire.node import Node
from .process import Process


class Posted:
    """A service that has answered."""

    def __init__(self, service: Service, owner: Process) -> None:
        self.service, self.owner = service, owner

    @property
    def root(self) -> RemoteNode:
        """The root of its files."""
        return RemoteNode(self.service, (), self.service.root_fid, self.service.root_qid)

    @property
    def answers(self) -> bool:
        """Whether its connection is there."""
        return self.service.caller.gone is None

    @property
    def line(self) -> str:
        """Its line in #M."""
        s = self.service
        return f"{self.owner.name}/{self.owner.number} {s.requests} {s.bytes} {len(s.caller.table)}"


class Terms(NamedTuple):
    """What a service is posted on: as of `ninep.service.Service`."""

    hold: float = 0.0
    repeats: bool = False


Broke = Callable[[str, Process, ProtocolError], None]


class Services:
    """All of them. `broke(name, owner, error)` is told of one that was hung up on because it spoke nonsense.

    `admit(name, owner)` is asked when a process posts one of its own accord, on which terms; it may refuse. `came` is
    told when that one answers.
    """

    def __init__(self, broke: Broke = lambda name, owner, error: None) -> None:
        self.posted: dict[str, Posted] = {}
        self.broke = broke
        self.admit: Callable[[str, Process], Terms] = lambda name, owner: Terms()
        self.came: Callable[[str, Process], None] = lambda name, owner: None

    def offer(self, name: str, owner: Process, caller: Caller) -> None:
        """Post a server that a process offers. Raises Exists, or what `admit` refuses."""
        self._free(name)
        terms = self.admit(name, owner)
        ready = self.post(name, owner, caller, *terms)
        ready.then(lambda answer: self.came(name, owner) if answer.ok else None)

    def find(self, name: str) -> Node:
        """The root of a service. Raises NotFound."""
        posted = self.posted.get(name)
        if posted is None:
            raise NotFound(f"#s/{name}: no service of that name is posted")
        return posted.root

    async def post_socket(
        self,
        name: str,
        owner: Process,
        sock: socket.socket,
        hold: float = 0.0,
        repeats: bool = False,
    ) -> None:
        """Post the server at the other end of a socket; returns when it is ready."""
        caller = Caller()

        def lost() -> None:
            if isinstance(caller.gone, ProtocolError):
                self.broke(name, owner, caller.gone)
            self.drop(name, caller)

        await connect(caller, sock, lost)
        await self.post(name, owner, caller, hold, repeats)

    def post(
        self, name: str, owner: Process, caller: Caller, hold: float = 0.0, repeats: bool = False
    ) -> Pending[None]:
        """Post a server; settled when it is ready. Raises Exists when the name is taken.

        `hold` and `repeats` are those of `ninep.service.Service`.
        """
        self._free(name)
        caller.speak(LUX9, P9, LINUX)

        def ready(got: Attached) -> None:
            self._free(name)
            known = self.posted.get(name)
            service = known.service if known else Service(name, _salt(name))
            service.hold, service.repeats = hold, repeats
            self.posted[name] = Posted(service, owner)  # before those who waited go on
            service.up(caller, got)

        return caller.start(uname=owner.user).map(ready)

    def _free(self, name: str) -> None:
        posted = self.posted.get(name)
        if posted is not None and posted.answers:
            raise Exists(f"#s/{name} is posted by {posted.owner.name}")

    def drop(self, name: str, caller: Caller) -> None:
        """The service's connection is gone."""
        caller.lost(ServiceDown(f"{name} has ended; its log says why"))
        posted = self.posted.get(name)
        if posted is None or posted.service.caller is not caller:
            return
        if not posted.service.hold or posted.service.expired:
            self.withdraw(name)

    def withdraw(self, name: str) -> None:
        """It will not come back: whoever waits for it is told."""
        posted = self.posted.pop(name, None)
        if posted is not None:
            posted.service.give_up()

    def close(self) -> None:
        """Hang up on all of them."""
        for posted in list(self.posted.values()):
            posted.service.caller.wire.close()


def _salt(name: str) -> int:
    """The same for a service that comes back: its files keep their numbers."""
    return int.from_bytes(blake2b(name.encode(), digest_size=8).digest(), "little")
