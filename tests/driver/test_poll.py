from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

import pytest

from lux9.driver.poll import REST, SPIN, TRY, Spinner, settle
from lux9.errors import DeviceGone, DeviceTimeout
from lux9.regs import U32, Block, Register, bit, ro


class Status(Register, width=32):
    ready: bool = bit(0)


class Regs(Block):
    status = ro(0, Status)
    plain = ro(4, U32)


class Values:
    """A register that reads one value after the other, and stays at the last."""

    def __init__(self, *values: int) -> None:
        self.values = list(values)

    def read(self, offset: int, width: int) -> int:
        return self.values.pop(0) if len(self.values) > 1 else self.values[0]

    def write(self, offset: int, width: int, value: int) -> None: ...


def test_settle_gives_the_value_that_will_do() -> None:
    regs = Regs(Values(0, 0, 0, 3))
    assert asyncio.run(settle(regs.status, lambda s: s.ready, 5)).raw == 3


def test_settle_ends_with_the_last_value_decoded() -> None:
    regs = Regs(Values(0, 2), name="hba")
    with pytest.raises(DeviceTimeout, match=r"hba.status is still Status\(0x2\) after 0.01 s"):
        asyncio.run(settle(regs.status, lambda s: s.ready, 0.01))


def test_settle_knows_a_device_that_is_gone() -> None:
    regs = Regs(Values(0, 0xFFFFFFFF))
    with pytest.raises(DeviceGone, match="status reads all ones"):
        asyncio.run(settle(regs.status, lambda s: not s.ready and s.raw, 5))


class Part:
    """A device part whose commands are done after so many looks, and a clock that each look moves."""

    def __init__(self, took: float) -> None:
        self.now, self.took = 0.0, took
        self.flight = 0
        self.due: float | None = None
        self.log: list[str] = []
        self.spinner = Spinner(self, lambda: self.now, SPIN)  # whatever cores this machine has

    def issue(self) -> None:
        self.spinner.before(True)
        self.flight, self.due = 1, self.now + self.took
        self.spinner.after()

    def busy(self) -> bool:
        return self.flight > 0

    def look(self) -> int:
        self.now += 1e-6
        return self._done("look")

    def _done(self, how: str) -> int:
        if self.due is None or self.now < self.due:
            return 0
        self.log.append(how)
        self.flight, self.due = 0, None
        self.spinner.progress()
        return 1

    def arm(self) -> None:
        self.log.append("arm")
        self._done("truth")

    def disarm(self) -> None:
        self.log.append("disarm")

    def failed(self, error: Exception) -> None:
        self.log.append(f"failed {error}")

    def interrupt(self) -> None:
        self.now = self.due or self.now
        self._done("interrupt")


def turns(work: Callable[[], Iterator[None]]) -> None:
    async def run() -> None:
        for _ in work():
            await asyncio.sleep(0)

    asyncio.run(run())


def until_idle(part: Part) -> Iterator[None]:
    for _ in range(2000):
        if not part.busy() or part.spinner.armed:
            return
        yield
    raise AssertionError("it spins for ever")


def test_a_short_command_is_seen_by_looking_with_its_interrupt_masked() -> None:
    part = Part(30e-6)

    def work() -> Iterator[None]:
        part.issue()
        yield from until_idle(part)

    turns(work)
    assert part.log == ["disarm", "look"]


def test_the_interrupt_is_masked_once_for_many_commands() -> None:
    part = Part(30e-6)

    def work() -> Iterator[None]:
        for _ in range(5):
            part.issue()
            yield from until_idle(part)

    turns(work)
    assert part.log == ["disarm", *["look"] * 5]


def test_a_long_command_is_slept_for_and_the_interrupt_let_through() -> None:
    part = Part(5e-3)

    def work() -> Iterator[None]:
        part.issue()
        yield from until_idle(part)
        assert part.now < 3 * SPIN
        part.interrupt()

    turns(work)
    assert part.log == ["disarm", "arm", "interrupt"]


def test_when_looking_never_pays_it_is_tried_seldom() -> None:
    part = Part(50e-3)

    def work() -> Iterator[None]:
        for _ in range(TRY * 4):
            part.issue()
            yield from until_idle(part)
            part.interrupt()

    turns(work)
    assert part.log.count("interrupt") == TRY * 4
    assert part.log.count("disarm") <= 6


def test_it_never_looks_when_that_is_ruled_out() -> None:
    part = Part(10e-6)
    part.spinner.longest = 0.0

    def work() -> Iterator[None]:
        part.issue()
        yield
        assert part.log == []
        part.interrupt()

    turns(work)
    assert part.log == ["interrupt"]


def test_with_nothing_in_flight_it_rests_and_lets_interrupts_through() -> None:
    part = Part(10e-6)

    async def work() -> None:
        part.issue()
        while part.busy():
            await asyncio.sleep(0)
        looks = part.log.count("look")
        part.now += 2 * REST
        async with asyncio.timeout(5):
            while not part.spinner.armed:
                await asyncio.sleep(REST / 4)
        assert part.log.count("look") == looks
        assert part.log[-1] == "arm"

    asyncio.run(work())


def test_stopped_it_does_nothing_more() -> None:
    part = Part(10.0)

    async def work() -> None:
        part.issue()
        part.spinner.stop()
        before = list(part.log)
        for _ in range(20):
            await asyncio.sleep(0)
        assert part.log == before

    asyncio.run(work())


def test_a_look_that_fails_is_told_and_ends_the_spinning(monkeypatch: pytest.MonkeyPatch) -> None:
    part = Part(30e-6)

    def broken() -> int:
        raise DeviceGone("all ones")

    monkeypatch.setattr(part, "look", broken)

    def work() -> Iterator[None]:
        part.issue()
        yield from until_idle(part)

    turns(work)
    assert part.log == ["disarm", "failed all ones"]
