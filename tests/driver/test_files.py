"""The library over a kernel's files, with no process between them."""

from __future__ import annotations

import asyncio
import mmap
from collections.abc import AsyncGenerator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from lux9.arch.ahci import HBA
from lux9.driver.arena import Arena
from lux9.driver.files import FileFunction
from lux9.driver.function import Kind
from lux9.drivers.ahci.controller import Controller
from lux9.drivers.block import Disks
from lux9.errors import Lux9Error, NotFound, RemoteError
from lux9.kernel.kernel import Kernel
from lux9.kernel.process import ALL, Cap
from lux9.machine.sim import q35
from lux9.ninep.client import Client

BDF = "0000:00:1f.2"


class Place:
    """A process of the kernel's, with its connection and arena."""

    def __init__(self, kernel: Kernel, name: str, caps: Cap = ALL) -> None:
        self.life = kernel.process(name, caps=caps, kind="sip")
        self.life.group = kernel.standard
        self.client = Client(kernel.join(self.life))
        self.client.attach()
        self.client.attach_loop(asyncio.get_running_loop())
        arena = kernel.hardware.dma.arena(self.life.process)
        memory = memoryview(mmap.mmap(arena.fd, arena.size))
        self.arena = Arena(memory, self.life.process.vaddr, arena.bus)
        self.failures: list[Exception] = []

    def function(self, bdf: str = BDF) -> FileFunction:
        return FileFunction(self, bdf, self.failures.append)


@asynccontextmanager
async def kernel_of(path: Path) -> AsyncGenerator[Kernel, None]:
    (path / "d.img").write_bytes(bytes(range(256)) * 2048)
    kernel = Kernel(q35([path / "d.img"]))
    await kernel.start()
    try:
        yield kernel
    finally:
        await kernel.stop()


def run(work: Coroutine[Any, Any, None]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(20):
            await work

    asyncio.run(limited())


def test_a_function_is_claimed_and_released(tmp_path: Path) -> None:
    async def work() -> None:
        async with kernel_of(tmp_path) as kernel:
            place = Place(kernel, "one")
            with place.function():
                ctl = place.client.read(f"/dev/pci/{BDF}/ctl").decode()
                assert "owner: one\n" in ctl
                with pytest.raises(RemoteError, match="in use"), Place(kernel, "two").function():
                    pass
            assert "owner: -\n" in place.client.read(f"/dev/pci/{BDF}/ctl").decode()

    run(work())


def test_registers_are_read_written_and_read_in_runs(tmp_path: Path) -> None:
    async def work() -> None:
        async with kernel_of(tmp_path) as kernel:
            with Place(kernel, "one").function() as function:
                bar = function.bar(5)
                assert bar.size == 4096
                regs = HBA(bar)
                assert regs.pi.read().pi == 0x3F
                regs.ghc.update(ie=True)
                assert regs.ghc.read().ie
                words = bar.read_bytes(0, 0x14)
                assert [int.from_bytes(words[i : i + 4], "little") for i in (0, 12)] == [
                    regs.cap.read().raw,
                    0x3F,
                ]
                assert function.config.read(0, 4) == 0x29228086

    run(work())


def test_an_error_of_a_posted_write_is_raised_at_the_next_read_and_names_it(tmp_path: Path) -> None:
    async def work() -> None:
        async with kernel_of(tmp_path) as kernel:
            with Place(kernel, "one").function() as function:
                bar = function.bar(5)
                bar.write(0x1002, 4, 0)
                with pytest.raises(RemoteError, match=r"posted write to .*bar5\+0x1002"):
                    bar.read(0, 4)
                assert bar.read(0x0C, 4) == 0x3F

    run(work())


def test_a_bar_that_is_not_there(tmp_path: Path) -> None:
    async def work() -> None:
        async with kernel_of(tmp_path) as kernel:
            with (
                Place(kernel, "one").function() as function,
                pytest.raises(NotFound, match=r"has no BAR0; it has \[4, 5\]"),
            ):
                function.bar(0)

    run(work())


def test_buffers_are_in_the_arena_and_given_back(tmp_path: Path) -> None:
    async def work() -> None:
        async with kernel_of(tmp_path) as kernel:
            place = Place(kernel, "one")
            with place.function() as function:
                first, second = function.dma(5000), function.dma(4096, 65536)
                assert first.size >= 5000
                assert second.bus % 65536 == 0
                first.view[:5] = b"hello"
                at = first.bus - place.arena.bus
                assert bytes(place.arena.view[at : at + 5]) == b"hello"
                assert "process allocations: 2\n" in place.client.read("/dev/dma/ctl").decode()
                first.free()
                first.free()
                second.free()
                assert "process allocations: 0\n" in place.client.read("/dev/dma/ctl").decode()
                with pytest.raises(RemoteError):
                    function.dma(1 << 30)

    run(work())


@pytest.mark.parametrize("kind", ["intx", "msi"])
def test_disks_by_either_kind_of_interrupt(tmp_path: Path, kind: Kind) -> None:
    async def work() -> None:
        async with kernel_of(tmp_path) as kernel:
            place, disks = Place(kernel, "one"), Disks("E", "ahci")
            with place.function() as function:
                async with Controller(function, disks.add, disks.remove, prefer=kind) as controller:
                    assert controller.irq.kind == kind
                    controller.ports[0].spinner.longest = 0.0
                    disk = disks.units["sdE0"].disk
                    before = disk.stats.counters["interrupts"]
                    for lba in range(20):
                        data = await disk.read(lba, 2).map(bytes)
                        assert data == bytes(range(256)) * 4
                    assert disk.stats.counters["interrupts"] > before
                assert "allocations: 0\n" in place.client.read("/dev/dma/ctl").decode()
            assert place.client.read("/dev/irq/ctl").decode() == ""
            assert not place.failures

    run(work())


def test_messages_that_are_not_there_fall_back_to_the_pin(tmp_path: Path) -> None:
    async def work() -> None:
        async with kernel_of(tmp_path) as kernel:
            with Place(kernel, "one").function() as function:
                assert function.interrupt(lambda: None, "msix").kind == "intx"

    run(work())


def test_a_handler_that_fails_is_told_and_the_interrupt_stays_off(tmp_path: Path) -> None:
    async def work() -> None:
        async with kernel_of(tmp_path) as kernel:
            place = Place(kernel, "one")

            def broken() -> None:
                raise Lux9Error("no")

            with place.function() as function:
                irq = function.interrupt(broken)
                line = int(place.client.read("/dev/irq/ctl").split()[1].rstrip(b":"))
                kernel.hardware.irq.sink(line, True)
                while not place.failures:
                    await asyncio.sleep(0)
                assert str(place.failures[0]) == "no"
                irq.close()
                irq.close()

    run(work())
