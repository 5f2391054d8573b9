"""Work is done after whoever asked for it has returned, in order of time."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest

from lux9.machine.sim.clock import Schedule
from lux9.models.pci import DmaFault


def test_nothing_is_done_at_once() -> None:
    schedule, done = Schedule(), list[str]()
    schedule.defer(lambda: done.append("a"))
    assert done == []
    schedule.pump()
    assert done == ["a"]
    schedule.pump()
    assert done == ["a"]


def test_what_work_asks_for_waits_for_the_next_turn() -> None:
    schedule, done = Schedule(), list[int]()

    def again() -> None:
        done.append(len(done))
        schedule.defer(again)

    schedule.defer(again)
    for turns in range(1, 4):
        schedule.pump()
        assert done == list(range(turns))


def test_virtual_time_jumps_and_orders() -> None:
    schedule, done = Schedule(virtual=True), list[tuple[str, float]]()

    def tell(name: str) -> None:
        done.append((name, schedule.now()))

    for name, after in (("c", 9.0), ("a", 1.0), ("b", 1.0), ("now", 0.0)):
        schedule.defer(partial(tell, name), after)
    for _ in range(3):
        schedule.pump()
    assert done == [("now", 0.0), ("a", 1.0), ("b", 1.0), ("c", 9.0)]


def test_real_time_is_waited_for() -> None:
    schedule, done = Schedule(), list[str]()
    schedule.defer(lambda: done.append("late"), 3600)
    schedule.pump()
    assert done == []


@pytest.mark.parametrize("virtual", [False, True])
def test_the_loop_does_the_work_soonest_first(virtual: bool) -> None:
    async def run() -> list[str]:
        schedule, done, over = Schedule(virtual=virtual), list[str](), asyncio.Event()
        schedule.defer(lambda: done.append("before start"))
        schedule.start()
        schedule.defer(over.set, 0.02)
        schedule.defer(lambda: done.append("soon"), 0.001)
        schedule.defer(lambda: done.append("now"))
        await asyncio.wait_for(over.wait(), 5)
        schedule.stop()
        return done

    assert asyncio.run(run()) == ["before start", "now", "soon"]


def test_after_stop_nothing_is_done() -> None:
    async def run() -> list[str]:
        schedule, done = Schedule(), list[str]()
        schedule.start()
        schedule.defer(lambda: done.append("never"))
        schedule.stop()
        for _ in range(3):
            await asyncio.sleep(0)
        return done

    assert asyncio.run(run()) == []


def test_a_loop_that_is_gone_leaves_the_work_to_pump() -> None:
    schedule, done = Schedule(), list[str]()

    async def start() -> None:
        schedule.start()

    asyncio.run(start())
    schedule.defer(lambda: done.append("pumped"))
    schedule.pump()
    assert done == ["pumped"]


def test_a_refused_transfer_ends_its_own_work_only() -> None:
    schedule, done = Schedule(virtual=True), list[str]()

    def refused() -> None:
        raise DmaFault("no")

    schedule.defer(refused)
    schedule.defer(lambda: done.append("the next"))
    schedule.pump()
    assert done == ["the next"]
