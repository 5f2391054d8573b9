"""A 9P server that is mounted: its connection of the moment.

Swapping. A service may be gone for a while, because its driver crashed or is replaced, and come back on another
connection. `Service.hold` says how long its clients are made to wait for that, and `generation` counts the
connections: what was learnt on an earlier one is learnt again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

from ..errors import Lux9Error, ServiceDown
from ..pending import Maybe, Pending, after, waits
from ..wire.messages import Qid, Stat
from .caller import Attached, Caller

MASK64 = (1 << 64) - 1
T = TypeVar("T")


class Service:
    """One server that is mounted: its connection of the moment, and those who wait for the next one.

    `hold`: seconds that clients wait when it is gone, 0 for none; `repeats`: its writes may be sent twice.
    """

    def __init__(self, name: str, salt: int, hold: float = 0.0, repeats: bool = False) -> None:
        self.name, self.salt, self.hold, self.repeats = name, salt, hold, repeats
        self.caller: Caller
        self.root_fid, self.root_qid = 0, Qid(0, 0, 0)
        self.generation = 0
        self.requests = self.bytes = 0
        self.waiting: list[Pending[None]] = []
        self.timer: asyncio.TimerHandle | None = None
        self.expired = self.late = False  # it does not come back; somebody waited for that

    def up(self, caller: Caller, root: Attached) -> None:
        """It answers, on this connection; whoever waited goes on."""
        self.caller, (self.root_fid, self.root_qid) = caller, root
        self.generation += 1
        self.expired = self.late = False
        self._wake(None)

    def _too_late(self) -> None:
        self.late = True
        self.give_up()

    def give_up(self) -> None:
        """It will not come back: whoever waits is told so."""
        self.expired = True
        self._wake(self._down())

    def _wake(self, error: ServiceDown | None) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        waiting, self.waiting = self.waiting, []
        for pending in waiting:
            if error is None:
                pending.resolve(None)
            else:
                pending.fail(error)

    def _down(self) -> ServiceDown:
        waited = f" and did not come back within {self.hold:g} s" if self.late else ""
        return ServiceDown(f"{self.name} has ended{waited}; its log says why")

    def ready(self) -> Maybe[None]:
        """None when it answers; else a wait for it. Raises ServiceDown when there is nothing to wait for."""
        if self.caller.gone is None:
            return None
        if self.expired or not self.hold:
            raise self._down()
        if self.timer is None:
            self.timer = asyncio.get_running_loop().call_later(self.hold, self._too_late)
        pending: Pending[None] = Pending()
        self.waiting.append(pending)
        return pending

    def ask(self, work: Callable[[], Maybe[T]]) -> Maybe[T]:
        """Do some work that changes nothing, once more when the service was swapped in the middle of it."""
        made: Maybe[T] = after(self.ready(), lambda _: work())
        if not waits(made) or not self.hold:
            return made
        inner: Pending[T] = made
        out: Pending[T] = Pending(inner.cancel)
        before = self.generation

        def settled(p: Pending[T]) -> None:
            lost = self.caller.gone is not None or self.generation != before
            if p.ok or not lost or self.expired:
                out.take(p)
                return
            try:
                out.follow(after(self.ready(), lambda _: work()))
            except Lux9Error as error:
                out.fail(error)

        inner.then(settled)
        return out

    def qid(self, qid: Qid) -> Qid:
        """The service's file number, moved to where no other service's are."""
        return Qid(qid.type, qid.version, (qid.path + self.salt) & MASK64)

    def stat(self, stat: Stat) -> Stat:
        """The same in a stat."""
        return stat.but(qid=self.qid(stat.qid))
