"""Disks and adapters that are not as they should be."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from lux9.arch.ahci import PxCMD
from lux9.arch.ata import Identify
from lux9.drivers.ahci import bringup, commands, controller
from lux9.drivers.ahci.state import State
from lux9.errors import MediaChanged, NotSupported
from lux9.models.ahci import Ahci
from lux9.models.pci import Fault
from tests.drivers.ahci.test_recovery import good
from tests.drivers.conftest import Every, Maker, run

IFS = 1 << 27
ST, CR = PxCMD(st=True).raw, PxCMD(cr=True).raw


def atapi(model: Ahci) -> None:
    """The first device is an ATAPI one by its signature. ACS-3 §9.12"""
    drive = model.ports[0].drive
    assert drive is not None
    restart = drive.restart

    def restarted() -> None:
        restart()
        drive.result = replace(drive.result, lba=0xEB1401, count=1)

    drive.restart = restarted  # type: ignore[method-assign]  # another kind of device


def first(model: Ahci, times: int, what: Callable[[], None]) -> None:
    """Do `what` in place of the first `times` runs of the command list."""
    engine, left = model.ports[0].engine, [what] * times
    run_engine = engine.run

    def once() -> None:
        act = left.pop() if left else run_engine
        act()

    engine.run = once  # type: ignore[method-assign]  # the model does not know that it is broken


def nothing() -> None:
    """A command that is lost."""


def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commands, "IDENTIFY", commands.IDENTIFY._replace(limit=0.05))


def test_what_is_not_an_ata_disk_is_left_alone(
    make: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")

    async def work() -> None:
        async with make.start(2, prepare=atapi) as s:
            assert set(s.disks.units) == {"sdE1"}
            assert s.controller.ports[0].state is State.EMPTY

    run(work())
    assert "port 0: a device of kind ATAPI is attached" in caplog.text


def test_a_disk_that_loses_its_first_command_is_asked_again(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(monkeypatch)

    async def work() -> None:
        async with make.start(prepare=lambda m: first(m, 1, nothing)) as s:
            await good(s, make)
            assert s.disk().stats.counters["resets"] == 1

    run(work())


def test_a_disk_that_never_answers_delays_nobody_and_may_be_replugged(
    make: Maker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    quick(monkeypatch)

    async def work() -> None:
        async with make.start(2, prepare=lambda m: first(m, 2, nothing)) as s:
            assert set(s.disks.units) == {"sdE1"}
            assert s.controller.ports[0].state is State.DEAD
            s.model.ports[0].insert(s.model.ports[0].eject())
            await s.until(lambda: "sdE0" in s.disks.units)
            await good(s, make)

    run(work())
    assert "port 0: identify took longer than 0.05 s, PxTFD(" in caplog.text


def test_a_list_that_does_not_stop_is_reset(make: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bringup, "STOP_LIMIT", 0.05)

    async def work() -> None:
        async with make.start() as s:
            model = s.model.ports[0]
            comreset = model.comreset

            def keeps_running() -> None:
                model.cmd.raw &= ~ST

            def reset() -> None:
                monkeypatch.undo()
                model.cmd.raw &= ~CR
                model.ci.raw = model.sact.raw = 0
                model.halted = False
                comreset()

            monkeypatch.setattr(model, "_stop", keeps_running)
            monkeypatch.setattr(model, "comreset", reset)
            s.model.disks[0].fail(range(9, 10))
            with pytest.raises(Exception, match="1 sectors at 9 failed"):
                await s.disk().read(9, 1)
            assert s.disk().stats.counters["resets"] == 1
            await good(s, make)

    run(work())


def test_a_disk_that_does_not_come_back_from_a_reset_is_gone(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_link(port: object) -> bool:
        return False

    async def work() -> None:
        async with make.start() as s:
            monkeypatch.setattr(bringup, "link", no_link)
            first(s.model, 1, lambda: s.model.ports[0].stop_at(0, IFS))
            with pytest.raises(MediaChanged, match="did not come back from a reset"):
                await s.disk().read(0, 1)
            assert not s.disks.units
            assert s.controller.ports[0].state is State.DEAD

    run(work())


def test_another_disk_after_a_reset_is_not_taken_for_the_old(make: Maker) -> None:
    async def work() -> None:
        async with make.start() as s:
            disk, model = s.disk(), s.model.ports[0]
            disk.identity = (b"another", *disk.identity[1:])
            first(s.model, 1, lambda: model.stop_at(0, IFS))
            with pytest.raises(MediaChanged, match="another disk answers after a reset"):
                await disk.read(0, 1)

    run(work())


def test_a_disk_without_a_flush_has_nothing_to_flush(
    every: Every, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(found: Identify) -> None:
        return None

    monkeypatch.setattr(commands, "flush_of", none)

    async def work() -> None:
        async with every.start() as s:
            await s.disk().flush()
            assert s.disk().stats.flush.count == 0
            s.disk().has_smart = False
            with pytest.raises(NotSupported, match="no SMART"):
                s.disk().smart()

    run(work())


def test_a_small_arena_gives_smaller_buffers_or_no_disk(
    make: Maker, caplog: pytest.LogCaptureFixture
) -> None:
    async def work() -> None:
        async with make.start(memory=3 << 20) as s:
            assert s.disk().pool.size == 2 << 20
            await good(s, make)
        async with make.start(memory=1 << 20) as s:
            assert not s.disks.units

    run(work())
    assert "port 0: 2097152 bytes" in caplog.text


def test_a_disk_that_takes_long_comes_when_it_is_ready(
    make: Maker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controller, "START_LIMIT", 0.05)

    async def work() -> None:
        async with make.start(faults={Fault.SLOW: 0.3}) as s:
            assert not s.disks.units
            s.rig.faults.clear()
            await s.until(lambda: "sdE0" in s.disks.units)
            await good(s, make)

    run(work())


def test_a_start_that_is_given_up_in_the_middle_undoes_itself(make: Maker) -> None:
    async def work() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), make.start(faults={Fault.SLOW: 0.3}):
                pass

    run(work())
