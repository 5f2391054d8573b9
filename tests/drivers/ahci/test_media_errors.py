"""Bad sectors, told by number and with no harm to others: where the device names them, and where it does not.

`sim` keeps the log that ACS-3 has for queued commands, and leaves the sector in its registers; `nameless` is the same
model as QEMU's devices are; `qemu` those themselves, with blkdebug below.
"""

from __future__ import annotations

import asyncio
import errno
import random
from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import pytest

from lux9.arch.ata import h2d
from lux9.drivers.ahci import commands
from lux9.drivers.ahci.commands import AtaError
from lux9.drivers.ahci.controller import Controller
from lux9.drivers.block import Disks, UnitDir
from lux9.drivers.extent import Extent
from lux9.errors import SectorError
from lux9.machine.abstract import Machine
from lux9.machine.qemu import Board, Medium, Qemu
from lux9.machine.qemu.board import bad_sectors
from lux9.machine.sim import Plan, Rule, q35
from lux9.models.ahci import Ahci, Quirks
from lux9.models.pci import Fault
from lux9.pending import Pending
from tests.drivers.ahci.test_anywhere import SATA, SECTORS, Started
from tests.drivers.anywhere import on
from tests.drivers.conftest import LIMIT, run
from tests.machine.qemu.system import needs_qemu

AS_QEMU = Quirks(runs_on=True, nameless=True)
MIB = 2048  # sectors


class Bad:
    """Machines with bad sectors: of reads, of writes; for good, or `once`."""

    def __init__(self, name: str, path: Path) -> None:
        self.name, self.path = name, path / "bad.img"
        self.path.write_bytes(random.Random(0).randbytes(SECTORS * 512))
        self.bytes = self.path.read_bytes()

    def at(self, lba: int, count: int) -> bytes:
        """What was on the disk."""
        return self.bytes[lba * 512 : (lba + count) * 512]

    def machine(self, sectors: tuple[int, ...], once: bool) -> Machine:
        if self.name == "qemu":
            return Qemu(Board(media=[Medium(self.path, faults=bad_sectors(*sectors, once=once))]))
        times = 1 if once else 0
        rules = [Rule(Fault.MEDIA, where=range(n, n + 1), times=times) for n in sectors]
        machine = q35([self.path], plan=Plan(rules))
        model = machine.function(SATA)
        assert isinstance(model, Ahci)
        if self.name == "nameless":
            model.quirks = AS_QEMU
        return machine

    def start(self, *sectors: int, once: bool = False) -> AbstractAsyncContextManager[Started]:
        return self.on(self.machine(sectors, once))

    @asynccontextmanager
    async def on(self, machine: Machine) -> AsyncGenerator[Started, None]:
        served = Disks("E", "ahci")
        async with (
            asyncio.timeout(LIMIT),
            on(machine, SATA) as rig,
            Controller(rig, served.add, served.remove) as controller,
        ):
            yield Started(rig, served, controller)


@pytest.fixture(params=["sim", "nameless", pytest.param("qemu", marks=needs_qemu)])
def bad(request: pytest.FixtureRequest, tmp_path: Path) -> Bad:
    return Bad(str(request.param), tmp_path)


@needs_qemu
def test_a_host_s_disk_that_is_full_is_an_error_of_the_disk(tmp_path: Path) -> None:
    """QEMU does not stop its machine for it, until somebody makes room."""
    bad = Bad("qemu", tmp_path)
    faults = bad_sectors(100, number=errno.ENOSPC)

    async def test() -> None:
        async with bad.on(Qemu(Board(media=[Medium(bad.path, faults=faults)]))) as s:
            with pytest.raises(AtaError, match="write of 4 sectors at 98 failed at sector 100"):
                await s.disk().write(98, memoryview(bytes(4 * 512)))
            assert await s.disk().read(0, 8).map(bytes) == bad.at(0, 8)
            assert s.disk().stats.counters["timeouts"] == 0

    run(test())


queued = pytest.mark.parametrize("moves", [commands.NCQ, commands.DMA_EXT], ids=["ncq", "dma"])


@pytest.mark.parametrize("spin", [0.0, 250e-6], ids=["interrupt", "polling"])
@queued
def test_one_command_fails_and_the_others_do_not(
    bad: Bad, monkeypatch: pytest.MonkeyPatch, moves: commands.Moves, spin: float
) -> None:
    monkeypatch.setattr(commands, "moves_of", lambda *_: moves)  # pyright: ignore

    async def test() -> None:
        async with bad.start(1002) as s:
            disk = s.disk()
            s.controller.ports[0].spinner.longest = spin
            starts = range(600, 1400, 4)
            reads = [disk.read(lba, 4).map(bytes) for lba in starts]
            for lba, read in zip(starts, reads, strict=True):
                if lba == 1000:
                    words = "sdE0: read of 4 sectors at 1000 failed at sector 1002: Status"
                    with pytest.raises(AtaError, match=words) as caught:
                        await read
                    assert caught.value.sector == 1002
                else:
                    assert await read == bad.at(lba, 4)
            assert await disk.read(0, 8).map(bytes) == bad.at(0, 8)
            assert disk.stats.counters["errors"] == 1
            assert disk.stats.counters["timeouts"] == 0

    run(test())


@queued
@pytest.mark.parametrize("write", [False, True], ids=["read", "write"])
@pytest.mark.parametrize(("first", "count"), [(100, MIB), (777, 9), (2047, 1), (1, 2100)])
def test_the_first_bad_sector_is_named(
    bad: Bad,
    monkeypatch: pytest.MonkeyPatch,
    moves: commands.Moves,
    write: bool,
    first: int,
    count: int,
) -> None:
    """Of a request of one command, of several, of one sector; the last sector of a request, and of a command."""
    monkeypatch.setattr(commands, "moves_of", lambda *_: moves)  # pyright: ignore
    last = first + count - 1

    async def test() -> None:
        async with bad.start(last, last + 1, 2048) as s:
            disk = s.disk()
            expected = 2048 if first <= 2048 <= last else last
            wrong: Pending[int] | Pending[memoryview] = (
                disk.write(first, memoryview(bytes(count * 512)))
                if write
                else disk.read(first, count)
            )
            with pytest.raises(SectorError) as caught:
                await wrong
            assert caught.value.sector == expected
            assert await disk.read(0, 1).map(bytes) == bad.at(0, 1)
            await disk.write(4000, memoryview(bytes(512)))

    run(test())


def test_an_error_that_does_not_come_again(bad: Bad) -> None:
    """Where the device named the sector that is the answer; where it did not, the search has read them all."""

    async def test() -> None:
        async with bad.start(55, once=True) as s:
            read = s.disk().read(50, 8).map(bytes)
            if bad.name == "sim":
                with pytest.raises(AtaError, match="at sector 55"):
                    await read
                read = s.disk().read(50, 8).map(bytes)
            assert await read == bad.at(50, 8)

    run(test())


def test_a_raw_command_that_fails_is_nobody_elses_error(bad: Bad) -> None:
    """What it leaves in the error register stays there while queued commands go well."""

    async def test() -> None:
        async with bad.start() as s:
            for lba in range(4):
                status, _ = await s.disk().command(h2d(0xFF), 0)
                assert status & 1
                assert await s.disk().read(lba, 1).map(bytes) == bad.at(lba, 1)

    run(test())


async def some(unit: UnitDir, offset: int, count: int) -> bytes:
    got = Extent(unit.disk, unit.ranges, 0, SECTORS).pread(count, offset)
    assert isinstance(got, Pending)
    return await got.map(bytes)


@pytest.mark.parametrize(("skip", "tail"), [(0, 0), (0, 100), (100, 0), (513, 77)])
def test_a_file_gives_what_lies_before_the_bad_sector(bad: Bad, skip: int, tail: int) -> None:
    async def test() -> None:
        async with bad.start(300) as s:
            unit, start, end = s.disks.units["sdE0"], 290 * 512 + skip, 310 * 512 - tail
            assert await some(unit, start, end - start) == bad.bytes[start : 300 * 512]
            for offset in (300 * 512, 300 * 512 + 7):
                with pytest.raises(SectorError, match=r"at (sector )?300"):
                    await some(unit, offset, end - offset)
            assert await some(unit, 301 * 512, 999) == bad.bytes[301 * 512 :][:999]
            assert unit.disk.stats.counters["errors"] == 3

    run(test())


def test_a_write_of_part_of_a_bad_sector_harms_nothing(bad: Bad) -> None:
    async def test() -> None:
        async with bad.start(300) as s:
            unit = s.disks.units["sdE0"]
            extent = Extent(unit.disk, unit.ranges, 0, SECTORS)
            for offset in (299 * 512 + 5, 300 * 512 + 5):
                wrote = extent.pwrite(memoryview(b"x" * 600), offset)
                assert isinstance(wrote, Pending)
                with pytest.raises(SectorError, match="sector"):
                    await wrote
            assert not unit.ranges.held
            wrote = extent.pwrite(memoryview(b"x" * 600), 301 * 512 + 5)
            assert isinstance(wrote, Pending)
            assert await wrote == 600

    run(test())
