"""Everything at once, from a seed: clients that read and write while media fail, disks go and interrupts are lost.

What is read is always right, or ends before a bad sector, or is an error that says why; nothing hangs, and no
memory is lost.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from lux9.drivers.block import UnitDir
from lux9.drivers.extent import Extent
from lux9.errors import DeviceError
from lux9.models.ahci import Quirks
from lux9.models.pci import Fault
from tests.drivers.conftest import Every, Maker, Served, Setup, run
from tests.machine.qemu.system import needs_qemu

DISKS, CLIENTS, REQUESTS = 2, 6, 60
SECTORS = 4096
HALF = SECTORS * 512 // 2  # below it nobody writes; above it each client has a stripe of its own
STRIPE = HALF // CLIENTS


async def client(s: Served, make: Maker | Every, number: int, rng: random.Random) -> None:
    for _ in range(REQUESTS):
        n = rng.randrange(DISKS)
        await s.until(lambda n=n: f"sdE{n}" in s.disks.units)  # type: ignore[misc]  # n is bound now
        try:
            await one(s.disks.units[f"sdE{n}"], make.bytes(n), number, rng)
        except DeviceError as error:
            if not any(word in str(error) for word in ("failed", "removed", "met 3 errors")):
                raise


async def one(unit: UnitDir, image: bytes, number: int, rng: random.Random) -> None:
    extent = Extent(unit.disk, unit.ranges, 0, SECTORS)
    if rng.random() < 0.6:
        offset, count = rng.randrange(HALF), rng.choice([1, 512, 4096, 5000, 200000])
        got = await soon(extent, offset, count)
        known = max(0, min(len(got), HALF - offset))
        assert got
        assert got[:known] == image[offset : offset + known]
        return
    base = HALF + number * STRIPE
    data = rng.randbytes(rng.randrange(1, STRIPE // 2))
    offset = base + rng.randrange(STRIPE // 2)
    written = extent.pwrite(memoryview(data), offset)
    assert not isinstance(written, int)
    assert await written == len(data)
    got = await soon(extent, offset, len(data))
    assert got
    assert got == data[: len(got)], "all of it, or what lies before a sector that is bad by now"


async def soon(extent: Extent, offset: int, count: int) -> bytes:
    pending = extent.pread(count, offset)
    assert not isinstance(pending, bytes | bytearray | memoryview)
    return await pending.map(bytes)


def mischief(s: Setup, rng: random.Random) -> Iterator[None]:
    """Do one bad thing, and when asked again, make it good."""
    n = rng.randrange(DISKS)
    model = s.model.ports[n]
    kind = rng.choice(["media", "pull", "deaf", "late", "spin"])
    if kind == "media" and model.drive is not None:
        disk = model.drive.disk
        at = rng.randrange(SECTORS)
        disk.fail(range(at, at + rng.randrange(1, 200)))
        yield
        disk.mend()
    elif kind == "pull" and model.drive is not None:
        disk = model.eject()
        yield
        model.insert(disk)
    elif kind == "deaf":
        s.rig.lose_interrupts = True
        yield
        s.rig.lose_interrupts = False
    elif kind == "late":
        s.rig.faults[Fault.LATE] = 0.002
        yield
        s.rig.faults.clear()
    else:
        s.controller.ports[n].spinner.longest = rng.choice([0.0, 250e-6])
        yield


@pytest.mark.parametrize("seed", range(6))
def test_a_storm(make: Maker, seed: int) -> None:
    rng = random.Random(seed)
    quirks = Quirks(sticky_is=bool(seed & 1), quiet_queue_errors=bool(seed & 2))

    async def work() -> None:
        async with make.start(DISKS, sectors=SECTORS, quirks=quirks) as s:
            clients = [client(s, make, i, random.Random(seed * 100 + i)) for i in range(CLIENTS)]
            task = asyncio.ensure_future(asyncio.gather(*clients))
            while not task.done():
                for _ in mischief(s, rng):
                    await turns(rng.randrange(200))
            await task
            await s.until(lambda: len(s.disks.units) == DISKS)
            for port in list(s.controller.ports.values())[:DISKS]:
                await s.until(lambda port=port: port.pool.free_bytes == port.pool.size)  # type: ignore[misc]  # as above

    run(work())


@needs_qemu
@pytest.mark.parametrize("seed", range(2))
def test_a_storm_on_qemu(tmp_path: Path, seed: int) -> None:
    """The same clients; sectors are bad from the beginning, and what can be done to the driver is done."""
    rng, every = random.Random(seed), Every("qemu", tmp_path)
    bad = [rng.randrange(1, SECTORS) for _ in range(8)]

    async def work() -> None:
        async with every.start(DISKS, bad=bad) as s:
            clients = [client(s, every, i, random.Random(seed * 100 + i)) for i in range(CLIENTS)]
            task = asyncio.ensure_future(asyncio.gather(*clients))
            while not task.done():
                s.any.lose_interrupts = rng.random() < 0.3
                port = s.controller.ports[rng.randrange(DISKS)]
                port.spinner.longest = rng.choice([0.0, 250e-6])
                await turns(rng.randrange(200))
            await task
            s.any.lose_interrupts = False
            assert s.disk(0).stats.counters["errors"]
            for port in list(s.controller.ports.values())[:DISKS]:
                await s.until(lambda port=port: port.pool.free_bytes == port.pool.size)  # type: ignore[misc]  # as above

    run(work())


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)
