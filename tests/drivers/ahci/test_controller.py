from __future__ import annotations

import asyncio

import pytest

from lux9.arch.ahci import CAP, GHC, HBA
from lux9.arch.ata import Fis
from lux9.drivers.ahci import controller
from lux9.drivers.ahci.completion import ERR
from lux9.drivers.ahci.memory import SDB
from lux9.drivers.ahci.state import State
from lux9.errors import BadArgument, DeviceError, DeviceTimeout, ServiceDown
from lux9.models.ahci import Ahci, Quirks
from lux9.models.pci import Fault
from tests.drivers.conftest import Every, Maker, run


def test_it_comes_up_and_tells_what_it_found(make: Maker) -> None:
    async def work() -> None:
        async with make.start(2) as s:
            assert s.disks.sdctl() == "sdE ahci rig 2 units\n"
            assert set(s.disks.units) == {"sdE0", "sdE1"}
            lines = s.disks.units["sdE0"].ctl().splitlines()
            assert lines[0] == "inquiry LUX9 DISK"
            assert lines[1].startswith("config serial ")
            assert "lba48 ncq depth 32" in lines[1]
            assert lines[2] == "geometry 4096 512"
            assert [p.state for p in s.controller.ports.values()].count(State.EMPTY) == 4
            assert not s.rig.reports

    run(work())


def test_a_batch_costs_one_doorbell(every: Every) -> None:
    async def work() -> None:
        async with every.start() as s:
            s.controller.ports[0].spinner.gap = 0.0
            reads = [s.disk().read(i, 1) for i in range(16)]
            s.any.sent = 0
            s.controller.issue()
            assert s.any.sent <= 3  # the mask, PxSACT, PxCI
            for read in reads:
                await read

    run(work())


def test_a_read_that_nobody_wants_any_more_gives_its_memory_back(every: Every) -> None:
    async def work() -> None:
        async with every.start() as s:
            disk = s.disk()
            before = disk.pool.free_bytes
            for read in [disk.read(0, 2048) for _ in range(20)]:
                read.cancel()
            await s.until(lambda: disk.pool.free_bytes == before)

    run(work())


def test_out_of_range_is_refused_before_anything_is_issued(every: Every) -> None:
    async def work() -> None:
        async with every.start() as s:
            for lba, count in [(4096, 1), (4095, 2), (-1, 1), (0, 0), (0, 1 << 20)]:
                with pytest.raises(BadArgument, match="it has 4096"):
                    s.disk().read(lba, count)
            with pytest.raises(BadArgument, match="whole sectors"):
                s.disk().write(0, memoryview(bytes(100)))

    run(work())


def narrow(model: Ahci) -> None:
    """An HBA of 32-bit addresses."""
    cell = model.regs.cells[HBA.cap.offset]
    cell.raw = cell.initial = CAP.of(cell.raw).replace(s64a=False).raw


def test_memory_above_4_gib_needs_an_hba_that_reaches_it(make: Maker) -> None:
    async def work() -> None:
        with pytest.raises(DeviceError, match="S64A"):
            async with make.start(prepare=narrow):
                pass
        async with make.start(base=0x1000_0000, prepare=narrow) as s:
            assert await s.disk().read(0, 1).map(bytes) == make.bytes()[:512]

    run(work())


@pytest.mark.parametrize("seconds", [0.0, 0.1])
def test_firmware_hands_the_hba_over(make: Maker, seconds: float) -> None:
    async def work() -> None:
        quirks = Quirks(firmware_owns=True, firmware_time=seconds)
        async with make.start(quirks=quirks) as s:
            assert not s.controller.regs.bohc.read().bos
            assert await s.disk().read(0, 1).map(bytes) == make.bytes()[:512]

    run(work())


def test_an_hba_with_sticky_interrupt_status(make: Maker) -> None:
    async def work() -> None:
        async with make.start(quirks=Quirks(sticky_is=True)) as s:
            for i in range(20):
                s.controller.ports[0].spinner.longest = i % 2 * 1e-3
                assert await s.disk().read(i, 1).map(bytes) == make.bytes()[i * 512 : (i + 1) * 512]

    run(work())


def test_a_slow_disk_is_waited_for(make: Maker) -> None:
    async def work() -> None:
        async with make.start(faults={Fault.SLOW: 0.1}) as s:
            assert await s.disk().read(0, 1).map(bytes) == make.bytes()[:512]

    run(work())


def test_a_register_that_never_changes_is_told(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(model: Ahci) -> GHC:
        return model.regs.ghc.value.replace(hr=True)

    monkeypatch.setattr(controller, "RESET_LIMIT", 0.05)
    monkeypatch.setattr(Ahci, "begin_reset", never)

    async def work() -> None:
        with pytest.raises(DeviceTimeout, match=r"hba.ghc is still GHC\(.*hr.* after 0.05 s"):
            async with make.start():
                pass

    run(work())


def test_it_can_be_started_again(every: Every) -> None:
    async def work() -> None:
        for _ in range(2):
            async with every.start(2) as s:
                assert await s.disk(1).read(3, 1).map(bytes) == every.bytes(1)[3 * 512 : 4 * 512]

    run(work())


def test_what_comes_while_it_ends_is_refused_and_not_lost(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller, "QUIET_AFTER", 0.05)

    async def work() -> None:
        async with make.start() as s:
            disk = s.disk()
            s.rig.faults[Fault.LATE] = 3600.0
            flight = [disk.read(i, 1) for i in range(40)]
            s.controller.issue()
            ending = asyncio.ensure_future(s.controller.undo.aclose())
            for read in flight:
                with pytest.raises(ServiceDown, match="is ending"):
                    await read
            await ending
            with pytest.raises(ServiceDown):
                disk.read(0, 1)

    run(work())


def test_a_disk_in_a_recovery_is_flushed_when_that_is_over(
    make: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with make.start() as s:
            s.model.disks[0].fail(range(40, 41))
            bad, written = s.disk().read(40, 1), s.disk().write(50, memoryview(b"x" * 512))
            flushes = s.disk().stats.flush
            await s.until(lambda: s.controller.ports[0].state is State.RECOVERING)
            await s.controller.undo.aclose()
            assert bad.done
            assert written.ok
            assert flushes.count == 1

    run(work())
    assert "flush" not in caplog.text


def test_a_flush_that_takes_too_long_is_told(
    make: Maker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(controller, "QUIET_AFTER", 0.05)

    async def work() -> None:
        async with make.start() as s:
            s.rig.faults[Fault.LATE] = 3600.0

    run(work())
    assert caplog.messages == ["sdE0: not flushed: the driver ends before the disk is done"]


def test_a_fis_that_comes_while_the_truth_is_read_is_not_taken_for_the_next_command(
    shared: Every, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tags are in the truth already, and their slots may be used again before anybody looks."""

    async def work() -> None:
        async with shared.start() as s:
            port = s.controller.ports[0]
            told = Fis.SET_DEVICE_BITS | 1 << 32  # tag 0
            whole = port.bar.read_bytes

            def meanwhile(offset: int, count: int) -> bytes:
                port.memory.sdb[SDB] = told
                return whole(offset, count)

            monkeypatch.setattr(port.bar, "read_bytes", meanwhile)
            port.completion.truth()
            assert port.memory.sdb[SDB] == 0
            port.completion.interrupt()
            assert port.memory.sdb[SDB] == 0
            told |= ERR
            port.completion.truth()
            assert port.memory.sdb[SDB] == told, "what tells of an error stays"
            port.memory.wipe()

    run(work())
