"""The driver through the kernel: a machine, kernel, launcher, and clients in threads of their own."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from lux9.cli.system import System
from lux9.machine.abstract import Machine
from lux9.machine.qemu import Board, Medium, Qemu
from lux9.machine.qemu.board import bad_sectors
from lux9.machine.sim import q35
from lux9.machine.sim.sim import Sim
from lux9.models.ahci import Ahci
from lux9.models.disk import Disk
from lux9.ninep.client import Client
from lux9.sip.manifest import parse
from lux9.sip.sandbox.level import Level
from lux9.sip.server import Sip

T = TypeVar("T")
SATA = 0x1F << 3 | 2
LIMIT = 30.0
MANIFEST = """
[ahci]
class = "01.06.01"
module = "lux9.drivers.ahci.main"
capabilities = ["pci", "mem", "irq", "dma"]
mount = "/dev"
"""


class Booted:
    """A running kernel with the AHCI driver on it."""

    def __init__(self, path: Path, machine: Machine, system: System) -> None:
        self.path, self.machine = path, machine
        self.launcher, self.address = system.launcher, system.address

    @property
    def sip(self) -> Sip:
        return self.launcher.find("ahci")

    @property
    def sim(self) -> Sim:
        assert isinstance(self.machine, Sim)
        return self.machine

    @property
    def model(self) -> Ahci:
        found = self.sim.function(SATA)
        assert isinstance(found, Ahci)
        return found

    async def ask(self, work: Callable[[Client], T]) -> T:
        """What a client program does, in a thread: it blocks, and the kernel must go on."""

        def session() -> T:
            with Client.dial(self.address) as client:
                return work(client)

        async with asyncio.timeout(LIMIT):
            return await asyncio.to_thread(session)

    async def read(self, path: str) -> str:
        return await self.ask(lambda c: c.read(path).decode())

    async def until(self, path: str, true: Callable[[str], object]) -> None:
        """Read a file until it says so."""
        async with asyncio.timeout(LIMIT):
            while not true(await self.read(path)):
                await asyncio.sleep(0.01)


def image(path: Path, n: int = 0, sectors: int = 8192) -> Disk:
    name = path / f"{n}.img"
    if not name.exists():
        name.write_bytes(random.Random(n).randbytes(sectors * 512))
    return Disk(name)


def machine_of(name: str, path: Path, disks: int, bad: Sequence[int] = ()) -> Machine:
    """A machine of that name with so many disks; some sectors of the first are bad."""
    images = [image(path, n) for n in range(disks)]
    if name == "sim":
        for sector in bad:
            images[0].fail(range(sector, sector + 1))
        return q35(images)
    for each in images:
        each.close()
    media = [Medium(path / f"{n}.img") for n in range(disks)]
    if bad:
        media[0] = replace(media[0], faults=bad_sectors(*bad))
    return Qemu(Board(media=media))


@asynccontextmanager
async def boot(
    path: Path, *, inside: bool, disks: int = 1, on: str = "sim", bad: Sequence[int] = ()
) -> AsyncGenerator[Booted, None]:
    machine = machine_of(on, path, disks, bad)
    ahci = parse(MANIFEST, "tests")
    level = Level.NONE if inside else Level.PROCESS
    async with System(machine, ahci, path / "sock", isolation=level) as system:
        booted = Booted(path, machine, system)
        assert booted.sip.state == "running", (booted.sip.reason, list(booted.sip.output))
        yield booted
