"""A running lux9: machine, kernel and drivers, brought up in order and taken down in the other.

async with System(machine, stanzas, path) as system:
    ...
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from ..errors import UserError
from ..kernel.auditlog import AuditLog
from ..kernel.console import Console
from ..kernel.kernel import Kernel
from ..kernel.listen import Network
from ..kernel.users import User, Users
from ..machine.abstract import Machine
from ..ninep.address import Address
from ..ninep.tcp import DEAD_AFTER
from ..sip.launcher import Launcher
from ..sip.manifest import Stanza
from ..sip.sandbox.isolation import Isolation
from ..sip.sandbox.level import Level

T = TypeVar("T")


@dataclass
class Net:
    """What is asked for of the network: where to listen, for whom."""

    addresses: Sequence[Address] = ()
    users: Users = field(default_factory=dict[str, User])
    keys: Path | None = None  # the key file, for TLS
    trust: bool = False  # whoever comes by plain TCP has the rights of the kernel's owner
    dead_after: float = DEAD_AFTER


class System:
    """`path` is the socket, `net` what else to listen on.

    `isolation` is how far drivers are kept apart, else as far as the host can; `inside` names those that run within
    the kernel's process all the same.
    """

    def __init__(
        self,
        machine: Machine,
        stanzas: Sequence[Stanza],
        path: Path,
        *,
        inside: Sequence[str] = (),
        isolation: Level | None = None,
        console: Console | None = None,
        log: AuditLog | None = None,
        learn: bool = False,
        net: Net | None = None,
    ) -> None:
        self.net = net or Net()
        self.kernel = Kernel(machine, console, log)
        self.launcher = Launcher(self.kernel, stanzas, Isolation(isolation, inside), learn=learn)
        self.path = path
        self.undo = AsyncExitStack()

    @property
    def address(self) -> str:
        """What clients dial, from wherever they are."""
        return f"unix!{self.path.absolute()}"

    async def __aenter__(self) -> Self:
        """Everything up, drivers ready or failed; whatever fails on the way is undone."""
        async with AsyncExitStack() as undo:
            undo.push_async_callback(self.kernel.stop)
            await self.kernel.start()
            if notice := self.launcher.isolation.notice:
                self.kernel.console.log(notice)
            await self.kernel.listen(self.path)
            await self._network()
            undo.push_async_callback(self.launcher.stop_all)
            await self.launcher.start_all()
            self.undo = undo.pop_all()
        return self

    async def _network(self) -> None:
        """Let clients of other hosts in, where that was asked for."""
        net = self.net
        if net.addresses:
            network = Network(
                self.kernel, net.users, keys=net.keys, trust=net.trust, dead_after=net.dead_after
            )
            for address in net.addresses:
                await network.listen(address)

    async def __aexit__(self, *exc: object) -> None:
        await self.undo.aclose()


def private(path: Path) -> Path:
    """The path, in a directory that is made for this user alone if it is not there."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{path.parent}: cannot be made: {error.strerror}") from None
    status = path.parent.stat()
    if path.parent.name.startswith("lux9-") and status.st_uid != os.getuid():
        raise UserError(
            f"{path.parent} belongs to user {status.st_uid}; name another address with --listen"
        )
    return path


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on uvloop where it is installed."""
    with contextlib.closing(main):  # also one that never began, after a Ctrl-C
        try:
            import uvloop
        except ImportError:
            return asyncio.run(main)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)
