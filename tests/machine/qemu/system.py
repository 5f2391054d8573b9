"""The whole system on QEMU: kernel, drivers, and clients in threads of their own."""

from __future__ import annotations

import asyncio
import random
import shutil
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from lux9.cli.system import System
from lux9.machine.qemu import Board, Medium, Qemu
from lux9.machine.qemu.board import PROGRAM
from lux9.ninep.client import Client
from lux9.sip.manifest import built_in
from lux9.sip.server import Sip

T = TypeVar("T")
LIMIT = 30.0
needs_qemu = pytest.mark.skipif(shutil.which(PROGRAM) is None, reason=f"{PROGRAM} is not there")


class Booted:
    """A running system, its machine, and what it reported."""

    def __init__(self, system: System, machine: Qemu) -> None:
        self.system, self.machine = system, machine
        self.clients: list[Client] = []

    @property
    def log(self) -> str:
        return b"".join(self.system.kernel.console.journal.lines).decode()

    @property
    def pid(self) -> int:
        return self.machine.pid

    def sip_for(self, function: str) -> Sip:
        return next(s for s in self.system.launcher.sips if s.binding == function)

    def sip(self, name: str = "ahci") -> Sip:
        return self.system.launcher.find(name)

    async def ask(self, work: Callable[[Client], T], limit: float = LIMIT) -> T:
        """What a client program does, in a thread: it blocks, and the kernel must go on."""

        def session() -> T:
            with Client.dial(self.system.address) as client:
                return work(client)

        async with asyncio.timeout(limit):
            return await asyncio.to_thread(session)

    async def read(self, path: str) -> str:
        return await self.ask(lambda c: c.read(path).decode())


def image(path: Path, n: int = 0, sectors: int = 8192) -> Path:
    name = path / f"{n}.img"
    name.write_bytes(random.Random(n).randbytes(sectors * 512))
    return name


@asynccontextmanager
async def boot(path: Path, board: Board, *, inside: bool = False) -> AsyncGenerator[Booted, None]:
    machine = Qemu(board)
    stanzas = [stanza for stanza in built_in() if stanza.name == "ahci"]
    inner = ["ahci"] if inside else []
    async with System(machine, stanzas, path / "sock", inside=inner) as system:
        yield Booted(system, machine)


def disk(path: Path, n: int = 0, *faults: dict[str, object]) -> Medium:
    return Medium(image(path, n), faults=faults)
