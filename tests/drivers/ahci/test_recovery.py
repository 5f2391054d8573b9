from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from lux9.arch.ahci import PxCMD
from lux9.arch.ata import Command, Identify, h2d
from lux9.drivers.ahci import bringup, commands, search
from lux9.drivers.ahci.commands import AtaError
from lux9.drivers.ahci.state import State
from lux9.errors import DeviceTimeout, MediaChanged, Stale
from lux9.models.ahci import Ahci, Quirks
from lux9.models.disk import MediaError
from lux9.models.pci import Fault
from tests.drivers.conftest import Every, Maker, Served, run

# Without memory there is no signature from the disk, or nothing of it but that
WITHOUT_MEMORY = (
    r"tfd is still PxTFD\(0x7f.* after 0\.1 s|identify took longer than 0\.2 s, PxTFD\(0x130"
)


def use(moves: commands.Moves) -> Callable[[Identify, bool], commands.Moves]:
    """Whatever the disk can do, do that."""
    return lambda found, queues: moves


async def good(s: Served, make: Maker | Every, lba: int = 7) -> None:
    got = await s.disk().read(lba, 2).map(bytes)
    assert got == make.bytes()[lba * 512 : (lba + 2) * 512]


@pytest.mark.parametrize("quiet", [False, True], ids=["tfes", "sdbs alone"])
@pytest.mark.parametrize("spin", [0.0, 1e-3], ids=["interrupt", "polling"])
def test_a_queued_read_that_fails_is_told_and_the_others_are_not(
    make: Maker, quiet: bool, spin: float
) -> None:
    async def work() -> None:
        async with make.start(quirks=Quirks(quiet_queue_errors=quiet)) as s:
            s.controller.ports[0].spinner.longest = spin
            s.model.disks[0].fail(range(1000, 1001))
            reads = [s.disk().read(i, 8).map(bytes) for i in range(960, 1060, 8)]
            for i, read in zip(range(960, 1060, 8), reads, strict=True):
                if i <= 1000 < i + 8:
                    with pytest.raises(AtaError) as caught:
                        await read
                    said = caught.value.message
                    assert said.startswith(f"i/o error: sdE0: read of 8 sectors at {i} failed")
                    assert "Status(" in said
                    assert "err" in said
                    assert "Error(unc)" in said
                else:
                    assert await read == make.bytes()[i * 512 : (i + 8) * 512]
            assert s.disk().stats.counters["recoveries"] == 1
            assert s.disk().stats.counters["errors"] == 1
            assert s.disk().stats.counters["resets"] == 0
            s.model.disks[0].mend()
            await good(s, make, 1000)

    run(work())


def test_several_bad_sectors_fail_one_command_each(every: Every) -> None:
    async def work() -> None:
        bad = (5, 17, 29)
        async with every.start(bad=bad) as s:
            reads = [s.disk().read(i, 1).map(bytes) for i in range(40)]
            for i, read in enumerate(reads):
                if i in bad:
                    with pytest.raises(AtaError, match=f"1 sectors at {i} failed"):
                        await read
                else:
                    assert await read == every.bytes()[i * 512 : (i + 1) * 512]

    run(work())


def test_a_write_to_a_bad_sector_fails(every: Every) -> None:
    async def work() -> None:
        async with every.start(bad=[50]) as s:
            with pytest.raises(AtaError, match="write of 4 sectors at 48 failed"):
                await s.disk().write(48, memoryview(bytes(2048)))
            await good(s, every)

    run(work())


def test_without_ncq_the_slot_is_told_by_the_hba(
    every: Every, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "moves_of", use(commands.DMA_EXT))

    async def work() -> None:
        async with every.start(bad=[20]) as s:
            assert "lba48 dma" in s.disk().config
            reads = [s.disk().read(i, 4).map(bytes) for i in range(0, 80, 4)]
            for i, read in zip(range(0, 80, 4), reads, strict=True):
                if i == 20:
                    with pytest.raises(AtaError, match="4 sectors at 20 failed"):
                        await read
                else:
                    assert await read == every.bytes()[i * 512 : (i + 4) * 512]
            await s.disk().write(100, memoryview(b"x" * 512))
            assert await s.disk().read(100, 1).map(bytes) == b"x" * 512

    run(work())


def test_28_bit_commands_do_for_an_old_disk(every: Every, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "moves_of", use(commands.DMA))

    async def work() -> None:
        async with every.start() as s:
            assert await s.disk().read(3, 600).map(bytes) == every.bytes()[3 * 512 : 603 * 512]

    run(work())


def test_a_device_that_does_not_answer_is_reset(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick = commands.NCQ.read._replace(limit=0.15)
    monkeypatch.setattr(commands, "NCQ", commands.NCQ._replace(read=quick))

    async def work() -> None:
        async with make.start() as s:
            engine = s.model.ports[0].engine
            run_engine, hangs = engine.run, iter([True])
            engine.run = lambda: None if next(hangs, False) else run_engine()  # type: ignore[method-assign]
            late = s.disk().read(3, 1)
            with pytest.raises(
                DeviceTimeout, match=r"read of 1 sectors at 3 took longer than 0.15 s"
            ):
                await late
            assert s.disk().stats.counters["timeouts"] == 1
            assert s.disk().stats.counters["resets"] == 1
            await s.until(lambda: s.controller.ports[0].state is State.RUNNING)
            await good(s, make)

    run(work())


def test_an_interface_error_resets_the_device_and_loses_nothing(make: Maker) -> None:
    async def work() -> None:
        async with make.start() as s:
            model = s.model.ports[0]
            run_engine = model.engine.run
            broken = iter([True])

            def fails_once() -> None:
                if next(broken, False):
                    model.stop_at(0, 1 << 27)  # PxIS.IFS
                else:
                    run_engine()

            model.engine.run = fails_once  # type: ignore[method-assign]  # a cable that is loose once
            reads = [s.disk().read(i, 1).map(bytes) for i in range(12)]
            for i, read in enumerate(reads):
                assert await read == make.bytes()[i * 512 : (i + 1) * 512]
            assert s.disk().stats.counters["resets"] == 1

    run(work())


def test_a_command_that_always_breaks_the_link_is_given_up(make: Maker) -> None:
    async def work() -> None:
        async with make.start() as s:
            model = s.model.ports[0]
            run_engine = model.engine.run

            def fails_for_three() -> None:
                active = s.controller.ports[0].queue.in_flight()
                if any(r.lba == 3 and r.op.name == "read" for r in active):
                    model.stop_at(0, 1 << 27)
                else:
                    run_engine()

            model.engine.run = fails_for_three  # type: ignore[method-assign]  # as above
            reads = [s.disk().read(i, 1).map(bytes) for i in range(6)]
            for i, read in enumerate(reads):
                if i == 3:
                    with pytest.raises(Exception, match="met 3 errors"):
                        await read
                else:
                    assert await read == make.bytes()[i * 512 : (i + 1) * 512]

    run(work())


def test_bus_master_off_in_the_middle_is_an_error_and_no_hang(
    every: Every, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bringup, "READY_LIMIT", 0.1)
    quick = commands.NCQ.read._replace(limit=0.15)  # QEMU's HBA is silent about it
    monkeypatch.setattr(commands, "NCQ", commands.NCQ._replace(read=quick))
    monkeypatch.setattr(commands, "IDENTIFY", commands.IDENTIFY._replace(limit=0.2))

    async def work() -> None:
        async with every.start() as s:
            s.any.master(False)
            with pytest.raises(MediaChanged, match=WITHOUT_MEMORY):
                await s.disk().read(0, 1)
            s.any.master(True)

    run(work())


def test_raw_gives_the_status_of_a_command_that_fails(every: Every) -> None:
    async def work() -> None:
        async with every.start() as s:
            status, data = await s.disk().command(h2d(Command.IDENTIFY_DEVICE), 512)
            assert status & 0x41 == 0x40
            assert len(data) == 512
            assert data[120:124] == (4096).to_bytes(4, "little")
            status, _ = await s.disk().command(h2d(0xFF), 0)
            assert status & 1
            await good(s, every)

    run(work())


def test_raw_writes_too(every: Every) -> None:
    async def work() -> None:
        async with every.start() as s:
            block = h2d(Command.WRITE_DMA_EXT, lba=9, count=1, device=0x40)
            status, _ = await s.disk().command(block, memoryview(b"r" * 512))
            assert not status & 1
            assert every.bytes()[9 * 512 : 10 * 512] == b"r" * 512

    run(work())


def test_smart_and_standby(every: Every) -> None:
    async def work() -> None:
        async with every.start() as s:
            assert await s.disk().smart() == "smart passed"
            await s.disk().standby(600)
            await good(s, every)

    run(work())


# A person's hand


def test_a_disk_that_is_pulled_fails_what_was_in_flight_and_goes(make: Maker) -> None:
    async def work() -> None:
        async with make.start() as s:
            disk = s.disk()
            s.rig.faults[Fault.LATE] = 3600.0
            reads = [disk.read(i, 1) for i in range(40)]
            s.controller.issue()
            s.model.ports[0].eject()
            for read in reads:
                with pytest.raises(MediaChanged, match="removed or replaced"):
                    await read
            await s.until(lambda: "sdE0" not in s.disks.units)
            with pytest.raises(MediaChanged) as caught:
                disk.read(0, 1)
            assert caught.value.message.startswith("media or partition has changed")
            assert s.disks.sdctl().endswith("0 units\n")

    run(work())


def test_a_disk_that_is_plugged_in_comes(make: Maker) -> None:
    async def work() -> None:
        async with make.start() as s:
            s.model.ports[3].insert(make.image(3))
            await s.until(lambda: "sdE3" in s.disks.units)
            assert await s.disk(3).read(1, 1).map(bytes) == make.bytes(3)[512:1024]
            await good(s, make)

    run(work())


def test_another_disk_in_the_same_port_is_another_disk(make: Maker) -> None:
    async def work() -> None:
        async with make.start() as s:
            old = s.disk()
            s.model.ports[0].eject().close()
            await s.until(lambda: "sdE0" not in s.disks.units)
            s.model.ports[0].insert(make.image(9))
            await s.until(lambda: "sdE0" in s.disks.units)
            assert s.disk() is not old
            assert await s.disk().read(0, 1).map(bytes) == make.bytes(9)[:512]
            with pytest.raises(MediaChanged):
                old.read(0, 1)

    run(work())


def test_plugging_and_pulling_fast_ends_well(make: Maker) -> None:
    async def work() -> None:
        async with make.start() as s:
            old = s.disk()
            for _ in range(5):
                image = s.model.ports[0].eject()
                await asyncio.sleep(0)
                s.model.ports[0].insert(image)
            await s.until(lambda: "sdE0" in s.disks.units and s.disk() is not old)
            await good(s, make)

    run(work())


def test_the_whole_function_gone_is_recognised(every: Every) -> None:
    from lux9.errors import DeviceGone

    async def work() -> None:
        async with every.start() as s:
            s.any.removed = True
            s.controller.ports[0].spinner.longest = 0.0
            read = s.disk().read(0, 1)
            with pytest.raises(DeviceGone, match="all ones"):
                await read
            with pytest.raises(DeviceGone):
                await s.controller.gone
            assert not s.disks.units
            s.any.removed = False  # so that the rig's own checks of the end can be made

    run(work())


def test_a_log_that_cannot_be_read_is_done_without(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "error_log", lambda: commands.read_log(0x99))

    async def work() -> None:
        async with make.start() as s:
            s.model.disks[0].fail(range(20, 21))
            reads = [s.disk().read(i, 4).map(bytes) for i in range(0, 48, 4)]
            for i, read in zip(range(0, 48, 4), reads, strict=True):
                if i == 20:
                    with pytest.raises(AtaError, match="4 sectors at 20 failed"):
                        await read
                else:
                    assert await read == make.bytes()[i * 512 : (i + 4) * 512]

    run(work())


def test_a_disk_whose_table_cannot_be_read_is_served_all_the_same(every: Every) -> None:
    async def work() -> None:
        async with every.start(bad=[0]) as s:
            assert (
                "error the partition table cannot be read: sdE0: read of 1 sectors at 0 failed"
                in (s.disks.units["sdE0"].ctl())
            )
            await good(s, every)

    run(work())


def test_registers_that_cannot_be_reached_end_everything_at_once(every: Every) -> None:
    async def work() -> None:
        async with every.start() as s:
            s.controller.ports[0].spinner.longest = 0.0
            disk = s.disk()
            s.any.revoked = True
            with pytest.raises(MediaChanged, match="revoked"):
                await disk.read(0, 1)
            with pytest.raises(Stale):
                await s.controller.gone
            s.any.revoked = False  # the rig's own checks of the end want to see it let go

    run(work())


def test_a_mistake_of_whoever_waits_does_not_harm_the_others(
    every: Every, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with every.start() as s:

            def broken(_: object) -> None:
                raise ZeroDivisionError

            first, second = s.disk().read(0, 1), s.disk().read(1, 1).map(bytes)
            first.then(broken)
            assert await second == every.bytes()[512:1024]

    run(work())
    assert "ZeroDivisionError" in caplog.text


def old_qemu(model: Ahci) -> None:
    """As QEMU before 8.1: PxCI is cleared though a command failed, and neither it nor PxSACT with PxCMD.ST."""
    port = model.ports[0]
    stop_at, clear = port.stop_at, ~PxCMD(st=True, cr=True, ccs=31).raw

    def stopped_at(slot: int, events: int) -> None:
        port.ci.raw &= ~(1 << slot)
        stop_at(slot, events)
        port.cmd.raw &= ~PxCMD(ccs=31).raw

    def stop() -> None:
        port.cmd.raw &= clear
        port.halted = False

    port.stop_at = stopped_at  # type: ignore[method-assign]  # another adapter
    port._stop = stop  # type: ignore[method-assign]  # likewise


@pytest.mark.parametrize("spin", [0.0, 1e-3], ids=["interrupt", "polling"])
@pytest.mark.parametrize("moves", [commands.NCQ, commands.DMA_EXT], ids=["ncq", "dma"])
def test_an_adapter_that_clears_what_failed_is_not_believed(
    make: Maker, monkeypatch: pytest.MonkeyPatch, moves: commands.Moves, spin: float
) -> None:
    monkeypatch.setattr(commands, "moves_of", use(moves))
    monkeypatch.setattr(commands, "error_log", lambda: commands.read_log(0x99))

    async def work() -> None:
        async with make.start(prepare=old_qemu, quirks=Quirks(quiet_queue_errors=True)) as s:
            s.controller.ports[0].spinner.longest = spin
            s.model.disks[0].fail(range(20, 21))
            reads = [s.disk().read(i, 4).map(bytes) for i in range(0, 80, 4)]
            for i, read in zip(range(0, 80, 4), reads, strict=True):
                if i == 20:
                    with pytest.raises(AtaError, match="4 sectors at 20 failed"):
                        await read
                else:
                    assert await read == make.bytes()[i * 512 : (i + 4) * 512]
            await good(s, make)

    run(work())


def test_a_search_that_takes_too_long_tells_what_it_knows(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is long about its bad sectors: nobody else waits for more than the limit."""
    monkeypatch.setattr(search, "LIMIT", 0.3)

    async def work() -> None:
        async with make.start(quirks=Quirks(nameless=True, runs_on=True)) as s:
            engine, port = s.model.ports[0].engine, s.controller.ports[0]
            run_engine = engine.run

            def hangs() -> None:
                in_flight = [r.lba for r in port.queue.in_flight()]
                if not port.own or 21 not in in_flight:
                    run_engine()

            engine.run = hangs  # type: ignore[method-assign]  # a disk that tries again and again
            s.model.disks[0].fail(range(21, 22))
            read, other = s.disk().read(16, 8), s.disk().read(100, 1).map(bytes)
            words = "read of 8 sectors at 16 failed between sectors 21 and 23: "
            with pytest.raises(AtaError, match=words) as caught:
                await read
            assert caught.value.sector is None
            assert await other == make.bytes()[100 * 512 : 101 * 512]
            engine.run = run_engine  # type: ignore[method-assign]  # as it was
            await good(s, make)

    run(work())


def test_an_error_that_comes_and_goes_ends_the_search(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "PIECES", 5)

    async def work() -> None:
        async with make.start(quirks=Quirks(nameless=True, runs_on=True)) as s:
            disk, left = s.model.disks[0], iter([True] * 3)
            readv = disk.readv

            def shaky(lba: int, count: int, views: list[memoryview]) -> None:
                if count > 3 and next(left, False):
                    raise MediaError("shaky", lba)
                readv(lba, count, views)

            disk.readv = shaky  # type: ignore[method-assign]  # a head that is not always on the track
            with pytest.raises(AtaError, match="failed between sectors"):
                await s.disk().read(0, 64)
            await good(s, make)

    run(work())


@pytest.mark.parametrize("wrong", ["checksum", "nq"])
def test_a_log_that_makes_no_sense_is_done_without(
    make: Maker, monkeypatch: pytest.MonkeyPatch, wrong: str
) -> None:
    page = bytearray(512)
    page[0] = 0x80 if wrong == "nq" else 0x03
    page[511] = -page[0] & 0xFF if wrong == "nq" else 0
    monkeypatch.setattr("lux9.models.ata.identify.ncq_error", lambda *_: bytes(page))  # pyright: ignore

    async def work() -> None:
        async with make.start() as s:
            s.model.disks[0].fail(range(20, 21))
            reads = [s.disk().read(i, 1).map(bytes) for i in range(16, 24)]
            for i, read in zip(range(16, 24), reads, strict=True):
                if i == 20:
                    with pytest.raises(AtaError, match="1 sectors at 20 failed"):
                        await read
                else:
                    assert await read == make.bytes()[i * 512 : (i + 1) * 512]

    run(work())
