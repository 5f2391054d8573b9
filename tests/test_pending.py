"""Waiting without a loop: settled once, cancelled silently, one callback."""

from __future__ import annotations

import asyncio

import pytest

from lux9.errors import DeviceError, Interrupted
from lux9.pending import Maybe, Pending, after, run, waits, within


def told(pending: Pending[int]) -> list[int | BaseException]:
    """Whatever its callback is given."""
    got: list[int | BaseException] = []

    def done(p: Pending[int]) -> None:
        try:
            got.append(p.result())
        except DeviceError as error:
            got.append(error)

    pending.then(done)
    return got


def test_the_callback_runs_in_the_stack_of_whoever_resolves() -> None:
    pending: Pending[int] = Pending()
    got = told(pending)
    assert (pending.done, pending.ok) == (False, False)
    pending.resolve(3)
    assert got == [3]
    assert (pending.done, pending.ok) == (True, True)


def test_a_late_taker_is_told_at_once() -> None:
    pending: Pending[int] = Pending()
    pending.resolve(3)
    assert told(pending) == [3]


def test_it_is_settled_once() -> None:
    pending: Pending[int] = Pending()
    got = told(pending)
    error = DeviceError("x")
    pending.fail(error)
    pending.resolve(4)
    pending.fail(DeviceError("y"))
    assert got == [error]
    assert not pending.ok


def test_cancelled_it_stays_silent_and_tells_its_maker_once() -> None:
    said: list[str] = []
    pending: Pending[int] = Pending(lambda: said.append("cancelled"))
    got = told(pending)
    pending.cancel()
    pending.cancel()
    pending.resolve(1)
    assert said == ["cancelled"]
    assert got == []
    assert pending.cancelled


def test_cancelling_what_is_settled_does_nothing() -> None:
    said: list[str] = []
    pending: Pending[int] = Pending(lambda: said.append("cancelled"))
    pending.resolve(1)
    pending.cancel()
    assert said == []
    assert pending.result() == 1


def test_it_has_one_taker() -> None:
    pending: Pending[int] = Pending()
    pending.then(lambda _: None)
    with pytest.raises(AssertionError, match="one taker"):
        pending.then(lambda _: None)


class TestMap:
    def test_a_value(self) -> None:
        pending: Pending[int] = Pending()
        got = told(pending.map(lambda v: v + 1))
        pending.resolve(1)
        assert got == [2]

    def test_an_error_of_the_function_and_one_of_the_source(self) -> None:
        def fails(value: int) -> int:
            raise DeviceError(str(value))

        first: Pending[int] = Pending()
        got = told(first.map(fails))
        first.resolve(7)
        assert [str(e) for e in got] == ["7"]
        second: Pending[int] = Pending()
        got = told(second.map(lambda v: v))
        second.fail(DeviceError("source"))
        assert [str(e) for e in got] == ["source"]

    def test_a_pending_is_waited_for(self) -> None:
        first: Pending[int] = Pending()
        then: Pending[int] = Pending()
        mapped: Pending[int] = first.map(lambda _: then)
        got = told(mapped)
        first.resolve(0)
        assert got == []
        then.resolve(5)
        assert got == [5]

    def test_cancel_reaches_whichever_is_waited_for(self) -> None:
        said: list[str] = []
        first: Pending[int] = Pending(lambda: said.append("first"))
        then: Pending[int] = Pending(lambda: said.append("then"))
        out: Pending[int] = first.map(lambda _: then)
        first.resolve(0)
        out.cancel()
        assert said == ["then"]
        third: Pending[int] = Pending(lambda: said.append("third"))
        third.map(lambda v: v).cancel()
        assert said == ["then", "third"]

    def test_given_up_by_the_function_itself(self) -> None:
        said: list[str] = []
        first: Pending[int] = Pending()
        outs: list[Pending[int]] = []

        def fn(_: int) -> Maybe[int]:
            outs[0].cancel()
            return Pending(lambda: said.append("inner"))

        mapped: Pending[int] = first.map(fn)
        outs.append(mapped)
        first.resolve(1)
        assert said == ["inner"]


class TestEnded:
    @pytest.mark.parametrize("how", ["resolve", "fail", "cancel"])
    def test_is_told_once_before_the_taker(self, how: str) -> None:
        said: list[str] = []
        pending: Pending[int] = Pending(lambda: said.append("on_cancel"))
        out = pending.ended(lambda p: said.append(f"{p.ok} {p.cancelled}"))
        out.then(lambda _: said.append("taker"))
        {
            "resolve": lambda: pending.resolve(1),
            "fail": lambda: pending.fail(DeviceError("x")),
            "cancel": out.cancel,
        }[how]()
        out.cancel()
        assert (
            said
            == {
                "resolve": ["True False", "taker"],
                "fail": ["False False", "taker"],
                "cancel": ["on_cancel", "False True"],
            }[how]
        )


def test_after_and_waits() -> None:
    def plus(value: int) -> int:
        return value + 1

    now: Maybe[int] = 1
    later: Pending[int] = Pending()
    assert after(now, plus) == 2
    out = after(later, plus)
    assert waits(out)
    later.resolve(1)
    assert out.result() == 2


def test_follow_and_take() -> None:
    out: Pending[int] = Pending()
    source: Pending[int] = Pending()
    out.follow(source)
    source.fail(DeviceError("gone"))
    with pytest.raises(DeviceError, match="gone"):
        out.result()
    plain: Pending[int] = Pending()
    plain.follow(3)
    assert plain.result() == 3


class TestOnALoop:
    def test_awaited(self) -> None:
        async def main() -> int:
            pending: Pending[int] = Pending()
            asyncio.get_running_loop().call_soon(pending.resolve, 9)
            return await pending

        assert asyncio.run(main()) == 9

    def test_awaited_when_it_is_there(self) -> None:
        async def main() -> int:
            pending: Pending[int] = Pending()
            pending.resolve(9)
            return await pending

        assert asyncio.run(main()) == 9

    def test_a_cancelled_task_gives_it_up(self) -> None:
        async def main() -> list[str]:
            said: list[str] = []
            pending: Pending[int] = Pending(lambda: said.append("given up"))

            async def waiter() -> int:
                return await pending

            task = asyncio.ensure_future(waiter())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            pending.resolve(1)
            return said

        assert asyncio.run(main()) == ["given up"]

    def test_awaiting_what_was_given_up_is_an_error(self) -> None:
        async def main() -> None:
            pending: Pending[int] = Pending()
            pending.cancel()
            with pytest.raises(Interrupted):
                await pending

        asyncio.run(main())

    def test_run_a_coroutine(self) -> None:
        async def main() -> tuple[int, str, bool]:
            async def gives() -> int:
                await asyncio.sleep(0)
                return 1

            async def fails() -> int:
                raise DeviceError("no")

            began = asyncio.Event()
            ended: list[bool] = []

            async def hangs() -> int:
                began.set()
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    ended.append(True)
                    raise
                return 0

            value = await run(gives())
            with pytest.raises(DeviceError) as caught:
                await run(fails())
            waiting = run(hangs())
            await began.wait()
            waiting.cancel()
            while not ended:
                await asyncio.sleep(0)
            return value, str(caught.value), waiting.cancelled

        assert asyncio.run(main()) == (1, "no", True)

    def test_a_task_that_somebody_else_cancels_is_an_error(self) -> None:
        async def main() -> None:
            async def cancels_itself() -> int:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)
                return 0

            with pytest.raises(Interrupted):
                await run(cancels_itself()).map(lambda v: v)

        asyncio.run(main())


def test_an_answer_that_takes_too_long_is_given_up_and_another_stands_for_it() -> None:
    async def work() -> None:
        slow: Pending[int] = Pending()
        late = within(slow, 0.01, 7)
        assert waits(late)
        assert await late == 7
        assert slow.cancelled

        good: Pending[int] = Pending()
        soon = within(good, 3600.0, 7)
        assert waits(soon)
        got = told(soon)
        good.resolve(1)
        assert got == [1]

        unwanted: Pending[int] = Pending()
        left = within(unwanted, 3600.0, 7)
        assert waits(left)
        left.cancel()
        assert unwanted.cancelled
        assert within(2, 3600.0, 7) == 2

    asyncio.run(work())


def test_an_error_is_made_something_of_and_a_value_is_left_alone() -> None:
    def seven(error: Exception) -> int:
        return 7

    def worse(error: Exception) -> int:
        raise DeviceError(f"after {error}")

    good: Pending[int] = Pending()
    assert good.otherwise(seven) is good
    got = told(good)
    good.resolve(1)
    assert got == [1]

    bad: Pending[int] = Pending()
    got = told(bad.otherwise(seven))
    bad.fail(DeviceError("x"))
    assert got == [7]

    before: Pending[int] = Pending()
    before.fail(DeviceError("x"))
    assert told(before.otherwise(seven)) == [7]

    twice: Pending[int] = Pending()
    got = told(twice.otherwise(worse).otherwise(seven))
    twice.fail(DeviceError("x"))
    assert got == [7]

    hopeless: Pending[int] = Pending()
    got = told(hopeless.otherwise(worse))
    hopeless.fail(DeviceError("x"))
    assert [str(error) for error in got] == [str(DeviceError(f"after {DeviceError('x')}"))]


def test_what_stands_for_an_error_may_take_its_time_and_be_given_up() -> None:
    later: Pending[int] = Pending()
    first: Pending[int] = Pending()
    got = told(first.otherwise(lambda _: later))
    first.fail(DeviceError("x"))
    assert got == []
    later.resolve(3)
    assert got == [3]

    unwanted: Pending[int] = Pending()
    second: Pending[int] = Pending()
    second.otherwise(lambda _: unwanted)
    second.fail(DeviceError("x"))
    second.cancel()
    assert unwanted.cancelled


def test_an_answer_given_up_while_its_error_is_dealt_with_stays_silent() -> None:
    late: Pending[int] = Pending()
    pending: Pending[int] = Pending()

    def rescue(error: Exception) -> Pending[int]:
        pending.cancel()
        return late

    got = told(pending.otherwise(rescue))
    pending.fail(DeviceError("x"))
    assert late.cancelled
    assert got == []
