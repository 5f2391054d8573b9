"""An answer that is not there yet: the one form of waiting below the event loop.

A `Pending` is settled once, by `resolve` or `fail`, and its callback runs at once, in the stack of whoever
settled it: no task, no turn of the loop. `cancel` is the other way: whoever asked no longer wants it.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, cast

from typing_extensions import TypeIs

from .errors import Interrupted

if TYPE_CHECKING:
    import asyncio  # at run time only where a loop runs: a plain command starts without it

T = TypeVar("T")
U = TypeVar("U")


class Pending(Generic[T]):
    """A value to come.

    `on_cancel` is called when nobody wants the value any more; after it the pending stays silent.
    """

    __slots__ = ("_error", "_on_cancel", "_rescue", "_state", "_then", "_value")

    def __init__(self, on_cancel: Callable[[], None] | None = None) -> None:
        self._state = "waiting"
        self._value: T | None = None
        self._error: BaseException | None = None
        self._then: Callable[[Pending[T]], None] | None = None
        self._rescue: Callable[[Exception], Maybe[T]] | None = None
        self._on_cancel = on_cancel

    @property
    def done(self) -> bool:
        """Settled or cancelled."""
        return self._state != "waiting"

    @property
    def cancelled(self) -> bool:
        """Nobody wants it any more."""
        return self._state == "cancelled"

    @property
    def ok(self) -> bool:
        """Settled with a value."""
        return self._state == "resolved"

    def resolve(self, value: T) -> None:
        """Settle it with a value; ignored when it was cancelled or settled before."""
        if self._state == "waiting":
            self._value = value
            self._settle("resolved")

    def fail(self, error: BaseException) -> None:
        """Settle it with an error; ignored when it was cancelled or settled before."""
        if self._state != "waiting":
            return
        if self._rescue is not None and isinstance(error, Exception):
            rescue, self._rescue = self._rescue, None
            try:
                value = rescue(error)
            except Exception as last:
                self.fail(last)
            else:
                self.follow(value)
            return
        self._error = error
        self._settle("failed")

    def otherwise(self, rescue: Callable[[Exception], Maybe[T]]) -> Pending[T]:
        """Itself; should it fail, it settles as `rescue` has it. Costs nothing where all goes well."""
        first = self._rescue
        self._rescue = (
            rescue if first is None else lambda error: rescued(lambda: first(error), rescue)
        )
        if self._state == "failed":
            assert self._error is not None
            self._state = "waiting"
            self.fail(self._error)
        return self

    def _settle(self, state: str) -> None:
        self._state = state
        self._on_cancel = None
        if self._then is not None:
            then, self._then = self._then, None
            then(self)

    def cancel(self) -> None:
        """Give it up: the callback never runs."""
        if self._state == "waiting":
            self._state = "cancelled"
            self._then = None
            if self._on_cancel is not None:
                on_cancel, self._on_cancel = self._on_cancel, None
                on_cancel()

    def then(self, done: Callable[[Pending[T]], None]) -> None:
        """Call `done` when it is settled, or now if it is. One callback only: whoever asked."""
        assert self._then is None, "a pending has one taker"
        if self._state in ("resolved", "failed"):
            done(self)
        else:
            self._then = done

    def result(self) -> T:
        """The value, or the error raised. Only when it is settled."""
        if self._state == "failed":
            assert self._error is not None
            raise self._error
        assert self._state == "resolved", f"result() of a pending that is {self._state}"
        return self._value  # type: ignore[return-value]

    def map(self, fn: Callable[[T], Maybe[U]]) -> Pending[U]:
        """A pending for `fn` of the value; cancelling it cancels this one."""
        out: Pending[U] = Pending(self.cancel)

        def done(p: Pending[T]) -> None:
            try:
                value = fn(p.result())
            except Exception as error:
                out.fail(error)
            else:
                out.follow(value)

        self.then(done)
        return out

    def ended(self, act: Callable[[Pending[T]], None]) -> Pending[T]:
        """The same value or error; `act` is called first, once, and also when it is given up."""

        def cancel() -> None:
            if not self.done:
                self.cancel()
                act(self)

        def done(p: Pending[T]) -> None:
            act(p)
            out.take(p)

        out: Pending[T] = Pending(cancel)
        self.then(done)
        return out

    def follow(self, value: Maybe[T]) -> None:
        """Settle with a value, or as another pending will; giving this one up gives up that one."""
        if not waits(value):
            self.resolve(value)
        elif self.done:  # given up while `value` was being made
            value.cancel()
        else:
            self._on_cancel = value.cancel
            value.then(self.take)

    def take(self, p: Pending[T]) -> None:
        """Settle as `p` did."""
        try:
            value = p.result()
        except Exception as error:
            self.fail(error)
        else:
            self.resolve(value)

    def __await__(self) -> Generator[Any, None, T]:
        if self.cancelled:
            raise Interrupted("the answer was given up before it was awaited")
        import asyncio

        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def done(_: Pending[T]) -> None:
            if not future.done():
                future.set_result(None)

        self.then(done)
        try:
            yield from future
        except asyncio.CancelledError:
            self.cancel()
            raise
        return self.result()


Maybe: TypeAlias = T | Pending[T]  # the value now, or later


def resolved(value: T) -> Pending[T]:
    """One that has its value already."""
    made: Pending[T] = Pending()
    made.resolve(value)
    return made


def waits(value: object) -> TypeIs[Pending[Any]]:
    """Whether it is still to come, for the type checkers too."""
    return isinstance(value, Pending)


def after(value: Maybe[T], fn: Callable[[T], Maybe[U]]) -> Maybe[U]:
    """`fn` of the value: now if it is there, else when it comes."""
    return value.map(fn) if waits(value) else fn(value)


def rescued(act: Callable[[], Maybe[T]], other: Callable[[Exception], Maybe[T]]) -> Maybe[T]:
    """What `act` gives, now or later; when that fails, what `other` makes of the error."""
    try:
        made = act()
    except Exception as error:
        return other(error)
    return made.otherwise(other) if waits(made) else made


def within(value: Maybe[T], seconds: float, late: T) -> Maybe[T]:
    """The value; where it takes longer than that it is given up, and `late` stands for it."""
    if not waits(value):
        return value
    import asyncio

    asked: Pending[T] = value
    out: Pending[T] = Pending(asked.cancel)

    def too_late() -> None:
        asked.cancel()
        out.resolve(late)

    timer = asyncio.get_running_loop().call_later(seconds, too_late)
    out.follow(asked.ended(lambda _: timer.cancel()))
    return out


def gather(items: Sequence[U], ask: Callable[[U], Maybe[T]], window: int = 64) -> Maybe[list[T]]:
    """`ask` of each item, in their order, at most `window` of them on their way; the first error is all's."""
    work = _Gathering(items, ask, window)
    work.go()
    if work.left or work.out.done:
        return work.out
    return work.values


class _Gathering(Generic[U, T]):
    """The state of one `gather`; a loop, not a chain: a thousand answers that come at once are no depth."""

    def __init__(self, items: Sequence[U], ask: Callable[[U], Maybe[T]], window: int) -> None:
        self.items, self.ask, self.window = items, ask, window
        self.values: list[Any] = [None] * len(items)
        self.left, self.at, self.going = len(items), 0, False
        self.asked: dict[int, Pending[T]] = {}
        self.out: Pending[list[T]] = Pending(self._stop)

    def go(self) -> None:
        """Ask for more, as many as the window takes."""
        if self.going:
            return
        self.going = True
        while self.at < len(self.items) and len(self.asked) < self.window and not self.out.done:
            i, self.at = self.at, self.at + 1
            try:
                got = self.ask(self.items[i])
            except Exception as error:
                self._failed(error)
                break
            if waits(got):
                self.asked[i] = got
                got.then(partial(self._settled, i))
            else:
                self.values[i] = got
                self.left -= 1
        self.going = False

    def _settled(self, i: int, p: Pending[T]) -> None:
        self.asked.pop(i, None)
        try:
            self.values[i] = p.result()
        except Exception as error:
            self._failed(error)
            return
        self.left -= 1
        self.go()
        if not self.left and not self.going:
            self.out.resolve(self.values)

    def _failed(self, error: Exception) -> None:
        self._stop()
        self.out.fail(error)

    def _stop(self) -> None:
        asked, self.asked = self.asked, {}
        for pending in asked.values():
            pending.cancel()


def run(coroutine: Coroutine[Any, Any, T]) -> Pending[T]:
    """A coroutine as a pending: its task is cancelled when nobody wants the answer."""
    import asyncio

    task = asyncio.ensure_future(coroutine)
    out: Pending[T] = Pending(lambda: void(task.cancel()))

    def done(t: asyncio.Task[T]) -> None:
        if t.cancelled():
            out.fail(Interrupted("its task was cancelled"))
        elif (error := t.exception()) is not None:
            out.fail(error)
        else:
            out.resolve(t.result())

    task.add_done_callback(done)
    return out


async def arrived(value: Maybe[T]) -> T:
    """The value, awaited if it has to be."""
    if waits(value):
        return cast("T", await value)
    return value


def void(_: object) -> None:
    """Throw a value away."""
