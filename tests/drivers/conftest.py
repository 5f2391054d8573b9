"""A started AHCI driver on the model, and disks to put behind it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest

from lux9.drivers.ahci.controller import Controller
from lux9.drivers.ahci.disk import AtaDisk
from lux9.drivers.block import Disks
from lux9.machine.qemu import Board, Medium, Qemu
from lux9.machine.qemu.board import bad_sectors
from lux9.models.ahci import Ahci, Quirks
from lux9.models.disk import Disk
from lux9.models.pci import Fault
from tests.drivers.anywhere import on
from tests.drivers.rig import BASE, Rig
from tests.machine.qemu.system import needs_qemu

SATA = 0x1F << 3 | 2
LIMIT = 20.0  # seconds that any of these tests may wait


class AnyRig(Protocol):
    """What a rig does to the driver on either machine: at the boundary, whatever is behind it."""

    lose_interrupts: bool
    removed: bool  # every read of a BAR gives all ones, writes are lost
    revoked: bool  # every access of a BAR is refused
    reports: list[str]
    sent: int  # writes that have reached the device

    def master(self, on: bool) -> None: ...


class Served:
    """A controller with what it serves."""

    def __init__(self, rig: AnyRig, disks: Disks, controller: Controller) -> None:
        self.any, self.disks, self.controller = rig, disks, controller

    def disk(self, n: int = 0) -> AtaDisk:
        disk = self.disks.units[f"sdE{n}"].disk
        assert isinstance(disk, AtaDisk)
        return disk

    async def until(self, true: Callable[[], object]) -> None:
        """Let the loop run until something is so."""
        async with asyncio.timeout(LIMIT):
            while not true():
                await asyncio.sleep(0)


class Setup(Served):
    """The same, with the model behind it."""

    def __init__(self, rig: Rig, model: Ahci, disks: Disks, controller: Controller) -> None:
        super().__init__(rig, disks, controller)
        self.rig, self.model = rig, model


class Maker:
    """Makes images and controllers."""

    def __init__(self, path: Path, far: bool = False) -> None:
        self.path, self.far = path, far
        self.images: dict[int, Path] = {}

    def image(self, n: int = 0, sectors: int = 4096) -> Disk:
        path = self.path / f"{n}.img"
        if not path.exists():
            path.write_bytes(random.Random(n).randbytes(sectors * 512))
        self.images[n] = path
        return Disk(path)

    def bytes(self, n: int = 0) -> bytes:
        return self.images[n].read_bytes()

    @asynccontextmanager
    async def start(
        self,
        disks: int = 1,
        *,
        sectors: int = 4096,
        base: int = BASE,
        memory: int = 32 << 20,
        quirks: Quirks | None = None,
        prepare: Callable[[Ahci], None] = lambda _: None,
        faults: dict[Fault, float] | None = None,
    ) -> AsyncGenerator[Setup, None]:
        images = {n: self.image(n, sectors) for n in range(disks)}
        model = Ahci(images, quirks=quirks)
        prepare(model)
        rig = Rig(model, memory, base, self.far)
        rig.faults = faults or {}
        served = Disks("E", "ahci rig")
        try:
            async with asyncio.timeout(LIMIT):
                async with Controller(rig, served.add, served.remove) as controller:
                    yield Setup(rig, model, served, controller)
                assert not rig.buffers, "memory was not given back"
                assert not rig.mastering, "bus master was left on"
        finally:
            for image in {**images, **model.disks}.values():
                image.close()


@pytest.fixture(params=["near", "far"])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Maker:
    return Maker(tmp_path, request.param == "far")


class Every:
    """Controllers on the model alone, and on QEMU: what holds on both. `bad` sectors are of the first disk."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.maker = name, Maker(path, name == "far")

    def bytes(self, n: int = 0) -> bytes:
        return self.maker.bytes(n)

    @asynccontextmanager
    async def start(
        self, disks: int = 1, *, bad: Sequence[int] = ()
    ) -> AsyncGenerator[Served, None]:
        if self.name != "qemu":

            def spoil(model: Ahci) -> None:
                for sector in bad:
                    model.disks[0].fail(range(sector, sector + 1))

            async with self.maker.start(disks, prepare=spoil) as setup:
                yield setup
            return
        for n in range(disks):
            self.maker.image(n).close()
        media = [Medium(self.maker.images[n]) for n in range(disks)]
        media[0] = replace(media[0], faults=bad_sectors(*bad))
        served = Disks("E", "ahci qemu")
        async with asyncio.timeout(LIMIT), on(Qemu(Board(media=media)), SATA) as rig:
            async with Controller(rig, served.add, served.remove) as controller:
                yield Served(rig, served, controller)
            assert not rig.buffers, "memory was not given back"
            assert not rig.mastering, "bus master was left on"


@pytest.fixture(params=["model", "far", pytest.param("qemu", marks=needs_qemu)])
def every(request: pytest.FixtureRequest, tmp_path: Path) -> Every:
    return Every(str(request.param), tmp_path)


@pytest.fixture(params=["model", pytest.param("qemu", marks=needs_qemu)])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Every:
    """Where the driver's memory is the device's."""
    return Every(str(request.param), tmp_path)


def run(work: Awaitable[None]) -> None:
    """A test's coroutine, on a loop of its own."""

    async def limited() -> None:
        async with asyncio.timeout(LIMIT):
            await work

    asyncio.run(limited())
