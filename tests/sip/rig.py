"""A kernel on sim, and small drivers whose life can be watched."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from lux9.kernel.console import Console
from lux9.kernel.kernel import Kernel
from lux9.machine.abstract import Machine
from lux9.machine.sim import q35
from lux9.ninep.client import Client
from lux9.sip.launcher import Launcher
from lux9.sip.manifest import parse
from lux9.sip.sandbox.isolation import Isolation
from lux9.sip.sandbox.level import Level
from lux9.sip.server import Sip
from lux9.sip.supervisor import Pace

T = TypeVar("T")
LIMIT = 30.0
PROGRAM = Path(__file__).with_name("small.py")
QUICK = Pace(every=0.05, limit=1.0, grace=2.0)


class Rig:
    """A kernel whose drivers are told of in a manifest's text, where `$ok` and the like stand for the small ones."""

    def __init__(
        self, folder: Path, manifest: str, machine: Machine | None = None, **more: Any
    ) -> None:
        self.version = folder / "version"
        self.version.write_text("first")
        for what in ("ok", "fails", "slow", "claims"):
            command = [sys.executable, str(PROGRAM), what, str(self.version)]
            manifest = manifest.replace(f"${what}", f"command = {command!r}")
        self.sim = q35([])
        self.kernel = Kernel(machine or self.sim, Console(quiet=True))
        isolation = Isolation(Level.PROCESS)
        stanzas = parse(manifest, "t")
        self.launcher = Launcher(self.kernel, stanzas, isolation, pace=QUICK, **more)
        self.address = f"unix!{folder / 'sock'}"
        self.path = folder / "sock"

    def sip(self, name: str) -> Sip:
        return self.launcher.find(name)

    async def ask(self, work: Callable[[Client], T]) -> T:
        """What a client program does, in a thread: it blocks, and the kernel must go on."""

        def session() -> T:
            with Client.dial(self.address) as client:
                return work(client)

        async with asyncio.timeout(LIMIT):
            return await asyncio.to_thread(session)

    async def read(self, path: str) -> str:
        return await self.ask(lambda c: c.read(path).decode())

    async def write(self, path: str, text: str) -> None:
        await self.ask(lambda c: c.write(path, text.encode()))

    async def order(self, name: str, *lines: str) -> None:
        """Write to a driver's ctl."""
        for line in lines:
            await self.write(f"/dev/sip/servers/{name}/ctl", line)

    async def until(self, true: Callable[[], Any]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(LIMIT):
            while not true():
                await asyncio.sleep(0.005)

    async def entered(self, name: str, *states: str) -> None:
        """Wait until it is in one of these states."""
        await self.until(lambda: self.sip(name).state in states)

    def denied(self) -> list[str]:
        return [line.decode() for line in self.kernel.audit.journal.lines if b'"denied"' in line]

    def states(self, name: str) -> list[str]:
        """The states that it went through, from the events."""
        events = [line.decode().split() for line in self.launcher.events.lines]
        return [words[2] for words in events if words[1] == name]


@asynccontextmanager
async def rig(
    folder: Path, manifest: str, machine: Machine | None = None, **more: Any
) -> AsyncGenerator[Rig, None]:
    """A kernel with these drivers, on the embedded machine or another."""
    made = Rig(folder, manifest, machine, **more)
    await made.kernel.start()
    try:
        await made.kernel.listen(made.path)
        await made.launcher.start_all()
        yield made
    finally:
        await made.launcher.stop_all()
        await made.kernel.stop()
