"""The driver on whole machines, written once: on sim, whose models are ours, and on QEMU, whose are not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lux9.arch.ahci import GHC, HBA
from lux9.drivers.ahci.controller import Controller
from lux9.drivers.ahci.disk import AtaDisk
from lux9.drivers.ahci.state import State
from lux9.drivers.block import Disks
from lux9.errors import BadArgument, DeviceGone
from lux9.machine.abstract import Machine
from lux9.machine.qemu import Board, Medium, Qemu
from lux9.machine.qemu.board import Kind
from lux9.machine.sim import q35
from lux9.pending import Pending
from tests.drivers.anywhere import MachineRig, on
from tests.drivers.conftest import LIMIT, run
from tests.machine.qemu.system import needs_qemu

SATA = 0x1F << 3 | 2
SECTORS = 4096


class Started:
    """A controller, and what it serves."""

    def __init__(self, rig: MachineRig, disks: Disks, controller: Controller) -> None:
        self.rig, self.disks, self.controller = rig, disks, controller

    def disk(self, n: int = 0) -> AtaDisk:
        disk = self.disks.units[f"sdE{n}"].disk
        assert isinstance(disk, AtaDisk)
        return disk

    async def sleepy(self) -> None:
        """Let everything be done by interrupts, from when the ports have them on."""
        spinners = [port.spinner for port in self.controller.ports.values()]
        for spinner in spinners:
            spinner.longest = 0.0
        while not all(spinner.armed for spinner in spinners):
            await asyncio.sleep(0)


class Maker:
    """Machines of one name, and images."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path

    def image(self, n: int) -> Path:
        path = self.path / f"{n}.img"
        if not path.exists():
            path.write_bytes(random.Random(n).randbytes(SECTORS * 512))
        return path

    def bytes(self, n: int = 0) -> bytes:
        return self.image(n).read_bytes()

    def machine(self, disks: int) -> Machine:
        images = [self.image(n) for n in range(disks)]
        if self.name == "sim":
            return q35(images)
        return Qemu(Board(media=[Medium(path) for path in images]))

    @asynccontextmanager
    async def start(self, disks: int = 1) -> AsyncGenerator[Started, None]:
        served = Disks("E", "ahci")
        async with asyncio.timeout(LIMIT), on(self.machine(disks), SATA) as rig:
            async with Controller(rig, served.add, served.remove) as controller:
                yield Started(rig, served, controller)
            assert not rig.buffers, "memory was not given back"
            assert not rig.mastering, "bus master was left on"


@pytest.fixture(params=["sim", pytest.param("qemu", marks=needs_qemu)])
def machine(request: pytest.FixtureRequest, tmp_path: Path) -> Maker:
    return Maker(str(request.param), tmp_path)


def test_it_comes_up_and_tells_what_it_found(machine: Maker) -> None:
    async def work() -> None:
        async with machine.start(2) as s:
            assert s.disks.sdctl() == "sdE ahci 2 units\n"
            lines = s.disks.units["sdE0"].ctl().splitlines()
            assert "lba48 ncq depth 32" in lines[1]
            assert lines[2] == f"geometry {SECTORS} 512"
            assert [p.state for p in s.controller.ports.values()].count(State.EMPTY) == 4
            assert not s.rig.reports

    run(work())


def test_reads_give_what_the_image_has(machine: Maker) -> None:
    async def work() -> None:
        async with machine.start() as s:
            data, disk = machine.bytes(), s.disk()
            for lba, count in [(0, 1), (1, 7), (4095, 1), (0, 2048), (100, 2100)]:
                assert await disk.read(lba, count).map(bytes) == data[lba * 512 :][: count * 512]
            assert not s.rig.reports

    run(work())


def test_writes_are_on_the_image_after_a_flush(machine: Maker) -> None:
    async def work() -> None:
        async with machine.start() as s:
            disk, new = s.disk(), bytes(range(256)) * 16
            assert await disk.write(77, memoryview(new)) == len(new)
            await disk.flush()
            assert machine.bytes()[77 * 512 :][: len(new)] == new
            assert await disk.read(77, 8).map(bytes) == new
            assert disk.stats.flush.count == 1

    run(work())


def test_all_slots_are_in_flight(machine: Maker) -> None:
    async def work() -> None:
        async with machine.start() as s:
            data, disk = machine.bytes(), s.disk()
            reads = [disk.read(i * 8 % 4000, 8).map(bytes) for i in range(200)]
            for i, read in enumerate(reads):
                assert await read == data[i * 8 % 4000 * 512 :][:4096]
            assert disk.stats.counters["deepest"] == 32

    run(work())


def test_more_than_the_pool_holds_waits_its_turn(machine: Maker) -> None:
    async def work() -> None:
        async with machine.start() as s:
            data, disk = machine.bytes(), s.disk()
            reads = [disk.read(i, 2048).map(lambda v: bytes(v[:512])) for i in range(20)]
            for i, read in enumerate(reads):
                assert await read == data[i * 512 :][:512]

    run(work())


def test_writes_that_wait_for_room_keep_their_data(machine: Maker) -> None:
    async def work() -> None:
        async with machine.start() as s:
            disk, buffer = s.disk(), bytearray(1 << 20)
            writes: list[Pending[int]] = []
            for i in range(8):
                buffer[:] = bytes([i]) * len(buffer)
                writes.append(disk.write(i * 8 % 16, memoryview(buffer)))
            for write in writes:
                assert await write == len(buffer)
            assert set(await disk.read(8, 2048).map(bytes)) == {7}

    run(work())


def test_out_of_range_is_refused_before_anything_is_issued(machine: Maker) -> None:
    async def work() -> None:
        async with machine.start() as s:
            with pytest.raises(BadArgument, match="it has 4096"):
                s.disk().read(4095, 2)

    run(work())


def test_interrupts_do_the_work_when_looking_does_not_pay(machine: Maker) -> None:
    async def work() -> None:
        async with machine.start() as s:
            await s.sleepy()
            disk = s.disk()
            assert s.rig.irq is not None
            before = s.rig.irq.count
            for i in range(10):
                assert await disk.read(i, 1).map(bytes) == machine.bytes()[i * 512 :][:512]
            assert s.rig.irq.count >= before + 10
            assert disk.stats.counters["interrupts"] >= 10

    run(work())


def test_a_lost_interrupt_costs_a_moment_and_no_more(machine: Maker) -> None:
    async def work() -> None:
        async with machine.start() as s:
            await s.sleepy()
            s.rig.lose_interrupts = True
            assert await s.disk().read(5, 1).map(bytes) == machine.bytes()[5 * 512 :][:512]

    run(work())


def test_several_disks_work_at_once(machine: Maker) -> None:
    async def work() -> None:
        async with machine.start(6) as s:

            async def one(n: int) -> None:
                for i in range(30):
                    got = await s.disk(n).read(i, 4).map(bytes)
                    assert got == machine.bytes(n)[i * 512 :][:2048]

            await asyncio.gather(*(one(n) for n in range(6)))

    run(work())


def test_random_work_and_a_shadow(machine: Maker) -> None:
    async def work() -> None:
        rng, shadow = random.Random(11), bytearray(machine.bytes())
        async with machine.start() as s:
            for _ in range(60):
                lba, count = rng.randrange(SECTORS - 64), rng.randrange(1, 64)
                if rng.random() < 0.5:
                    data = rng.randbytes(count * 512)
                    await s.disk().write(lba, memoryview(data))
                    shadow[lba * 512 : (lba + count) * 512] = data
                else:
                    got = await s.disk().read(lba, count).map(bytes)
                    assert got == shadow[lba * 512 : (lba + count) * 512]
            await s.disk().flush()
        assert machine.bytes() == shadow

    run(work())


@pytest.mark.parametrize("depth", [0, 32])
def test_after_somebody_elses_reset_nothing_counts_as_done(machine: Maker, depth: int) -> None:
    async def work() -> None:
        told: list[int | BaseException] = []
        async with machine.start() as s:
            disk = s.disk()

            async def write(n: int) -> int:
                return await disk.write(n, memoryview(bytes([n]) * 512))

            writes = [asyncio.ensure_future(write(n)) for n in range(depth)]
            await asyncio.sleep(0)
            s.rig.post()
            abar = s.rig.info.bar(5)
            assert abar is not None
            s.rig.machine.mem_write(abar.address + HBA.ghc.offset, 4, GHC(hr=True, ae=True).raw)
            writes += [asyncio.ensure_future(write(n)) for n in range(depth, depth + 8)]
            told += await asyncio.gather(*writes, return_exceptions=True)
            with pytest.raises(DeviceGone, match="somebody else has reset the function"):
                await s.controller.gone
        data = machine.bytes()
        for n, answer in enumerate(told):
            if not isinstance(answer, DeviceGone):
                assert data[n * 512 :][:512] == bytes([n]) * 512, f"write {n} was lost: {answer}"
        assert all(isinstance(answer, DeviceGone) for answer in told[depth:])

    run(work())


BEHIND = {  # QEMU's devices, and where the controller then is
    "pcie-root-port": ("q35", ["pcie-root-port,id=b,slot=1,addr=5", "ahci,id=hba,bus=b"], 0x100),
    "pci-bridge": (
        "q35",
        ["pci-bridge,id=b,chassis_nr=1,addr=6", "ahci,id=hba,bus=b,addr=3"],
        0x118,
    ),
    "two bridges": (
        "q35",
        [
            "pci-bridge,id=a,chassis_nr=1,addr=7",
            "pci-bridge,id=b,chassis_nr=2,bus=a,addr=2",
            "ahci,id=hba,bus=b,addr=1",
        ],
        0x208,
    ),
    "pc": ("pc", ["ahci,id=hba,addr=4"], 0x20),
    "pci-bridge of a pc": (
        "pc",
        ["pci-bridge,id=b,chassis_nr=1,addr=5", "ahci,id=hba,bus=b,addr=3"],
        0x118,
    ),
}


@needs_qemu
@pytest.mark.parametrize(("kind", "devices", "bdf"), BEHIND.values(), ids=BEHIND)
def test_a_controller_anywhere_on_the_buses_interrupts(
    tmp_path: Path, kind: Kind, devices: list[str], bdf: int
) -> None:
    path = tmp_path / "0.img"
    path.write_bytes(random.Random(0).randbytes(SECTORS * 512))
    drive = f"if=none,id=d,format=raw,file={path}"
    board = Board(kind, devices=[*devices, "ide-hd,drive=d,bus=hba.0"], drives=[drive])

    async def work() -> None:
        served = Disks("E", "ahci")
        async with (
            asyncio.timeout(LIMIT),
            on(Qemu(board), bdf) as rig,
            Controller(rig, served.add, served.remove) as controller,
        ):
            s = Started(rig, served, controller)
            await s.sleepy()
            for i in range(3):
                assert await s.disk().read(i, 1).map(bytes) == path.read_bytes()[i * 512 :][:512]
            assert s.disk().stats.counters["interrupts"] >= 3
            assert s.disk().stats.counters["timeouts"] == 0

    run(work())
