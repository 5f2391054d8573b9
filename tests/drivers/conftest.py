"""A started AHCI driver on the model, and disks to put behind it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lux9.drivers.ahci.controller import Controller
from lux9.drivers.ahci.disk import AtaDisk
from lux9.drivers.block import Disks
from lux9.models.ahci import Ahci, Quirks
from lux9.models.disk import Disk
from lux9.models.pci import Fault
from tests.drivers.rig import BASE, Rig

LIMIT = 20.0  # seconds that any of these tests may wait


class Setup:
    """A controller with what it serves, the model behind it and the images behind that."""

    def __init__(self, rig: Rig, model: Ahci, disks: Disks, controller: Controller) -> None:
        self.rig, self.model, self.disks, self.controller = rig, model, disks, controller

    def disk(self, n: int = 0) -> AtaDisk:
        disk = self.disks.units[f"sdE{n}"].disk
        assert isinstance(disk, AtaDisk)
        return disk

    async def until(self, true: Callable[[], object]) -> None:
        """Let the loop run until something is so."""
        async with asyncio.timeout(LIMIT):
            while not true():
                await asyncio.sleep(0)


class Maker:
    """Makes images and controllers."""

    def __init__(self, path: Path) -> None:
        self.path = path
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
        rig = Rig(model, memory, base)
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


@pytest.fixture
def make(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def run(work: Awaitable[None]) -> None:
    """A test's coroutine, on a loop of its own."""

    async def limited() -> None:
        async with asyncio.timeout(LIMIT):
            await work

    asyncio.run(limited())
