"""One connection for several threads, with limits to its waits.

Whoever has the turn may touch the client. A thread that waits for an answer lets go of the turn; one of those that
wait, the leader, watches the socket and takes in whatever comes, for all of them. There is no thread of our own, so
a short read costs what it costs the plain client, and a connection that nobody uses costs nothing.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from typing import Self, TypeVar

from typing_extensions import override

from ..errors import Disconnected, Lux9Error, number_of, text_of
from ..ninep.caller import Caller
from ..ninep.client import Client
from ..pending import Pending
from ..wire.dialects import named
from .interrupts import Interrupts
from .watched import Watched

T = TypeVar("T")


class Turn:
    """What holds for the operation that a thread is in: until when it may wait, and Ctrl-C."""

    def __init__(self, timeout: float | None) -> None:
        self.timeout, self.interrupts = timeout, Interrupts()
        self.end = None if timeout is None else time.monotonic() + timeout

    def left(self) -> float | None:
        """Seconds; None without a limit. Raises TimeoutError when there are none."""
        if self.end is None:
            return None
        if (left := self.end - time.monotonic()) <= 0:
            raise TimeoutError(f"no answer within {self.timeout:g} s")
        return left


class Shared(Client):
    """A client that threads share. `timeout`: seconds that an operation may wait, None for ever."""

    wire: Watched

    def __init__(self, caller: Caller) -> None:
        super().__init__(caller)
        self.timeout: float | None = None
        self.turns = (
            threading.Condition()
        )  # over an RLock: a file may be closed by the garbage collector
        self.leading = False  # a thread watches the socket
        self.here = threading.local()

    @classmethod
    def to(cls, sock: socket.socket, aname: str, version: str, timeout: float | None) -> Self:
        """Attached, over a connected socket; the limit is that of the first exchange, too."""
        caller = Caller(dialect=named(version))
        self = cls(caller)
        self.wire, self.timeout = Watched(caller, sock), timeout
        try:
            with self.turn():
                self.attach(aname)
        except BaseException:
            self.close()
            raise
        return self

    @contextmanager
    def turn(self, timeout: float | None = None, path: str = "") -> Generator[None, None, None]:
        """Touch the client. What it refuses is raised as an OSError that names the path."""
        outer = getattr(self.here, "turn", None)
        with self.turns:
            limit = getattr(self.here, "limit", self.timeout)
            self.here.turn = turn = Turn(limit if timeout is None else timeout)
            try:
                if outer is None:
                    with turn.interrupts:
                        yield
                        self.caller.flush()
                else:  # the garbage collector, in the middle of an operation: that one will send it
                    yield
            except Lux9Error as error:
                raise translated(error, path) from error
            finally:
                self.here.turn = outer
                self._leave(turn)

    @contextmanager
    def limit(self, seconds: float) -> Generator[None, None, None]:
        """Another limit to this thread's operations, for a while."""
        self.here.limit = seconds
        try:
            yield
        finally:
            del self.here.limit

    def _leave(self, turn: Turn) -> None:
        if turn.interrupts.forced:  # nobody knows what was half done
            self.caller.lost(Disconnected("interrupted twice, in the middle of an exchange"))
        if self.wire.news:
            self.wire.news = False
            if self.leading:
                self.wire.ring()
            self.turns.notify_all()

    @override
    def wait(self, pending: Pending[T]) -> T:
        """Until it is settled, others having their turns meanwhile; given up, it is flushed."""
        try:
            return self.watch(pending)
        except BaseException:
            pending.cancel()
            self.caller.flush()
            raise

    def watch(self, pending: Pending[T]) -> T:
        """The same; given up, it stays on its way, to be watched again."""
        turn: Turn = self.here.turn
        self.caller.flush()
        while not pending.done:
            self._until_something(turn)
            self.caller.flush()
        return pending.result()

    def _until_something(self, turn: Turn) -> None:
        left = turn.left()
        if self.leading:
            try:
                turn.interrupts.let()
                self.turns.wait(left)
            finally:
                turn.interrupts.keep()
        else:
            self._lead(turn, left)
            self.wire.take()

    def _lead(self, turn: Turn, left: float | None) -> None:
        """Watch the socket while others have their turns."""
        self.leading = True
        self.turns.release()
        try:
            turn.interrupts.let()
            self.wire.arrives(left)
        finally:
            turn.interrupts.keep()
            self.turns.acquire()
            self.leading = False
            self.turns.notify_all()

    @override
    def close(self) -> None:
        """Hang up; threads that wait are told."""
        with self.turns:
            if self.wire.bell < 0:
                return
            self.caller.lost(Disconnected("closed here"))
            while self.leading:  # it leaves the socket before its number may become another file's
                self.wire.ring()
                self.turns.wait()
            super().close()
            self.turns.notify_all()


def translated(error: Lux9Error, path: str = "") -> OSError:
    """The OSError of Python's own kind: FileNotFoundError and so on, with the server's words."""
    text = text_of(error)
    made = OSError(number_of(error), text)
    if path and path not in text:
        made.filename = path
    return made
