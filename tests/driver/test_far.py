"""The same drivers where no memory is shared: everything through the kernel's files."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from lux9.driver.files import FileFunction
from lux9.driver.function import Kind
from lux9.drivers.ahci.controller import Controller
from lux9.drivers.block import Disks
from lux9.errors import RemoteError
from lux9.pending import waits
from tests.driver.test_files import BDF, Place, kernel_of, run


class Far:
    """A place without an arena. `trips`: how often somebody waited for the kernel."""

    arena = None

    def __init__(self, place: Place) -> None:
        self.client, self.failures = place.client, place.failures

    def function(self, bdf: str = BDF) -> FileFunction:
        return FileFunction(self, bdf, self.failures.append)


def test_a_buffer_goes_there_and_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with kernel_of(tmp_path) as kernel:
            place = Place(kernel, "one")
            with Far(place).function() as function:
                assert function.far
                buffer = function.dma(3 << 20)
                truth = place.arena.at(
                    place.arena.vaddr + buffer.bus - place.arena.bus, buffer.size
                )
                data = random.Random(1).randbytes(buffer.size)
                buffer.view[:] = data
                assert truth[:100] == bytes(100)
                buffer.for_device(1, 2 << 20)
                place.client.flush_posted()
                assert truth[: 1 + (2 << 20)] == bytes(1) + data[1 : 1 + (2 << 20)]
                assert not any(truth[1 + (2 << 20) :])
                truth[5000:6000] = bytes(range(250)) * 4
                fetched = buffer.for_cpu(5000, 1000)
                assert waits(fetched)
                await fetched
                assert buffer.view[5000:6000] == bytes(range(250)) * 4
                assert buffer.view[6000:7000] == data[6000:7000]
                buffer.free()
                assert "process allocations: 0\n" in place.client.read("/dev/dma/ctl").decode()

    run(work())


def test_a_lost_write_is_told_by_the_next_look(tmp_path: Path) -> None:
    async def work() -> None:
        async with kernel_of(tmp_path) as kernel:
            with Far(Place(kernel, "one")).function() as function:
                bar = function.bar(5)
                bar.write(0x1002, 4, 0)
                asked = bar.ask(0, 4)
                assert waits(asked)
                with pytest.raises(RemoteError, match=r"posted write to .*bar5\+0x1002"):
                    await asked
                assert bar.read(0x0C, 4) == 0x3F

    run(work())


@pytest.mark.parametrize("kind", ["intx", "msi"])
def test_a_disk_is_read_and_written(tmp_path: Path, kind: Kind) -> None:
    async def work() -> None:
        async with kernel_of(tmp_path) as kernel:
            place, disks = Far(Place(kernel, "one")), Disks("E", "ahci")
            with place.function() as function:
                async with Controller(function, disks.add, disks.remove, prefer=kind) as controller:
                    assert controller.irq.kind == kind
                    disk = disks.units["sdE0"].disk
                    whole = bytes(range(256)) * 2048
                    assert await disk.read(0, 1024).map(bytes) == whole
                    written = random.Random(2).randbytes(64 << 10)
                    await disk.write(100, memoryview(written))
                    await disk.flush()
                    many = [disk.read(lba, 8).map(bytes) for lba in range(0, 1024, 8)]
                    expected = whole[: 100 * 512] + written + whole[100 * 512 + len(written) :]
                    assert b"".join([await each for each in many]) == expected
                    assert (await disk.smart()) == "smart passed"
                assert (tmp_path / "d.img").read_bytes() == expected
                assert "allocations: 0\n" in place.client.read("/dev/dma/ctl").decode()
            assert not place.failures

    run(work())
