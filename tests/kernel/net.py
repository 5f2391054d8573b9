"""A kernel that listens on the loopback, for tests."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lux9.kernel.console import Console
from lux9.kernel.kernel import Kernel
from lux9.kernel.listen import Network
from lux9.kernel.users import User
from lux9.machine.sim import q35
from lux9.ninep import tcp
from lux9.ninep.address import Address, parse
from lux9.ninep.client import Client
from tests.ninep.serving import LIMIT, new_loop

AHCI = "0000:00:1f.2"


class Net:
    """A kernel that listens on the loopback, on a loop of its own thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.kernel = Kernel(q35([]), Console(quiet=True))
        self.at = ""

    async def up(self, users: Mapping[str, User], trust: bool, keys: Path | None) -> None:
        await self.kernel.start()
        self.network = Network(self.kernel, users, keys=keys, trust=trust)
        (where,) = await self.network.listen(Address("tls" if keys else "tcp", "127.0.0.1", 0))
        self.at = str(where)

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(LIMIT)

    def do(self, act: Callable[[], Any]) -> Any:
        async def call() -> Any:
            return act()

        return self.run(call())

    def until(self, there: Callable[[], Any]) -> Any:
        async def seen() -> Any:
            while not (found := there()):
                await asyncio.sleep(0.001)
            return found

        return self.run(asyncio.wait_for(seen(), LIMIT))

    def client(self, aname: str = "", keys: Path | None = None) -> Client:
        return Client.dial(self.at, aname, keys=keys)

    def socket(self) -> socket.socket:
        sock = tcp.dial(parse(self.at))
        sock.settimeout(LIMIT)
        return sock

    def owner(self) -> str:
        """Whose the disk controller is."""
        with self.client() as client:
            text = client.read(f"/dev/pci/{AHCI}/ctl").decode()
        return text.partition("owner: ")[2].split()[0]

    def audit(self, what: str) -> list[dict[str, Any]]:
        entries = [json.loads(line) for line in self.kernel.audit.journal.lines]
        return [e for e in entries if e["what"] == what]


@contextmanager
def serving(
    kind: str = "asyncio", trust: bool = False, keys: Path | None = None, **users: User
) -> Generator[Net, None, None]:
    loop = new_loop(kind)
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    net = Net(loop)
    try:
        net.run(net.up(users, trust, keys))
        yield net
    finally:
        net.run(net.kernel.stop())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(LIMIT)
        loop.close()
