"""A port does one thing at a time: what is cut short is over, and has lost nothing, before the next begins."""

from __future__ import annotations

import asyncio

import pytest

from lux9.arch.ahci import PxIS
from lux9.drivers.ahci import bringup, controller, recovery
from lux9.drivers.ahci.port import Port
from lux9.drivers.ahci.state import State
from lux9.errors import DeviceGone, Lux9Error, ServiceDown
from lux9.models.ahci import Quirks
from lux9.models.pci import Fault
from lux9.pending import Pending
from tests.drivers.conftest import Maker, Setup, run

TURNS = 60  # a recovery from a bad sector takes fewer
BAD = 40
IFS = PxIS(ifs=True).raw
ENDS = {
    "the driver ends": {"AtaError", "done"},  # after the recovery and a flush
    "the driver ends in haste": {"AtaError", "done", ServiceDown.__name__},
    "the function is lost": {"AtaError", "done", DeviceGone.__name__},
}


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def reads(s: Setup, first: int = BAD) -> list[Pending[bytes]]:
    """The first of them fails; the others go again when the recovery is over."""
    return [s.disk().read(lba, 8).map(bytes) for lba in range(first, first + 32, 8)]


def outcome(read: Pending[bytes]) -> str:
    """How it ended."""
    assert read.done, "nobody has told it"
    if read.ok:
        return "done"
    with pytest.raises(Lux9Error) as caught:
        read.result()
    return type(caught.value).__name__


def spoil(s: Setup) -> None:
    s.controller.ports[0].spinner.longest = 0.0
    s.model.disks[0].fail(range(BAD, BAD + 1))


@pytest.mark.parametrize("quiet", [False, True], ids=["tfes", "sdbs alone"])
def test_a_disk_pulled_at_any_turn_of_a_recovery_leaves_no_command_unanswered(
    make: Maker, quiet: bool
) -> None:
    async def work() -> None:
        async with make.start(quirks=Quirks(quiet_queue_errors=quiet)) as s:
            port, seen = s.controller.ports[0], set[str]()
            port.spinner.longest = 0.0
            for count in range(TURNS):
                first = BAD + 32 * count  # nothing of it is in the buffer from before
                s.model.disks[0].mend()
                s.model.disks[0].fail(range(first, first + 1))
                asked = reads(s, first)
                await turns(count)
                s.model.insert(0, s.model.eject(0))
                await s.until(lambda asked=asked: all(read.done for read in asked))  # type: ignore[misc]  # bound now
                seen |= {outcome(read) for read in asked}
                for i, read in enumerate(asked):
                    if read.ok:
                        assert i, "the first has failed"
                        assert read.result() == make.bytes()[(first + 8 * i) * 512 :][: 8 * 512]
                await s.until(lambda: not s.disks.units)
                await s.until(lambda: s.disks.units)
                await s.until(lambda: port.pool.free_bytes == port.pool.size)
            assert seen == {"MediaChanged", "AtaError", "done"}

    run(work())


def test_a_disk_pulled_at_any_turn_of_a_recovery_is_missed_at_once(
    make: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with make.start() as s:
            spoil(s)
            for count in range(TURNS):
                asked = reads(s)
                await turns(count)
                disk = s.model.eject(0)
                await s.until(lambda: not s.disks.units)
                assert all(outcome(read) for read in asked)
                s.model.insert(0, disk)
                await s.until(lambda: s.disks.units)

    run(work())
    assert "took longer" not in caplog.text, "a command of the driver's own was waited for"


@pytest.mark.parametrize("end", ENDS)
def test_an_end_at_any_turn_of_a_recovery_tells_every_command_once(
    make: Maker, end: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if end == "the driver ends in haste":
        monkeypatch.setattr(controller, "QUIET_AFTER", 0.0)

    async def work() -> None:
        seen = set[str]()
        for count in range(TURNS):
            async with make.start() as s:
                spoil(s)
                asked = reads(s)
                await turns(count)
                if end == "the function is lost":
                    s.controller.lost(DeviceGone("it was removed"))
                    seen |= {outcome(read) for read in asked}
                    free = s.controller.ports[0].pool
                    await s.until(lambda free=free: free.free_bytes == free.size)  # type: ignore[misc]  # bound now
            seen |= {outcome(read) for read in asked}
        assert seen == ENDS[end]

    run(work())


def test_a_function_that_is_lost_during_a_reset_does_not_run_again(make: Maker) -> None:
    async def work() -> None:
        async with make.start() as s:
            port, model = s.controller.ports[0], s.model.ports[0]
            model.engine.run = lambda: model.stop_at(0, IFS)  # type: ignore[method-assign]  # a loose cable
            asked = reads(s)
            await s.until(lambda: port.stats.counters["resets"])
            s.controller.lost(DeviceGone("it was removed"))
            assert {outcome(read) for read in asked} == {"DeviceGone"}
            await port.settled()
            assert port.state is State.DEAD

    run(work())


def test_a_disk_pulled_while_it_spins_up_is_missed_at_once(make: Maker) -> None:
    async def work() -> None:
        async with make.start() as s:
            model = s.model.ports[0]
            disk = model.eject()
            await s.until(lambda: not s.disks.units)
            s.rig.faults[Fault.SLOW] = 3600.0
            model.insert(disk)
            epoch = model.epoch
            await s.until(lambda: model.epoch > epoch)  # a COMRESET: it is waited for
            disk = model.eject()
            await s.controller.ports[0].settled()
            s.rig.faults.clear()
            model.insert(disk)
            await s.until(lambda: s.disks.units)
            assert await s.disk().read(BAD, 1).map(bytes) == make.bytes()[BAD * 512 :][:512]

    run(work())


def test_what_is_cut_short_is_over_before_the_next_begins(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    bring_up = bringup.bring_up

    async def slow_to_end(*_: object) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await turns(5)
            seen.append("the recovery is over")

    async def next_one(port: Port) -> None:
        seen.append("the port is brought up")
        await bring_up(port)

    async def work() -> None:
        async with make.start() as s:
            monkeypatch.setattr(recovery, "recover", slow_to_end)
            monkeypatch.setattr(bringup, "bring_up", next_one)
            port = s.controller.ports[0]
            port.recover(PxIS.of(0), [])
            await turns(1)
            port.bring_up()
            await port.settled()
            assert seen == ["the recovery is over", "the port is brought up"]

    run(work())
