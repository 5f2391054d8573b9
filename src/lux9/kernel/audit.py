"""Who, what, when, allowed or denied: the record of everything that a driver was let do, or was not.

Kept in memory, the newest `KEEP` entries, for `/dev/audit`. A follower that falls behind is told how many it
missed; recording never waits for anybody.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import Callable, Mapping

from ..pending import Maybe, Pending
from ..wire.node import Bytes
from .auditlog import AuditLog
from .process import Process
from .repeats import EVERY

KEEP = 10_000
DENIED = "denied"
DONE = "done"  # what was done to a process, not by it: always recorded


class Journal:
    """Lines that can be followed: the newest are kept, each has a number that only rises."""

    def __init__(self, keep: int = KEEP) -> None:
        self.lines: deque[bytes] = deque(maxlen=keep)
        self.next = 0
        self.followers: list[Pending[None]] = []

    def add(self, line: str) -> None:
        """One more line; whoever waits for it is told."""
        self.lines.append(line.encode() + b"\n")
        self.next += 1
        followers, self.followers = self.followers, []
        for follower in followers:
            follower.resolve(None)

    def since(self, number: int) -> tuple[bytes, int]:
        """The lines from `number` on, with a word on those that are gone, and the number of the next."""
        first = self.next - len(self.lines)
        lost = max(0, first - number)
        lines = list(self.lines)[max(0, number - first) :]
        if lost and number:
            lines.insert(0, b'{"missed": %d}\n' % lost)
        return b"".join(lines), self.next

    def wait(self) -> Pending[None]:
        """Settled when there is another line."""
        pending: Pending[None] = Pending()
        self.followers = [f for f in self.followers if not f.done]
        self.followers.append(pending)
        return pending

    def follow(self) -> Follower:
        """An open file of it."""
        return Follower(self)


class Follower:
    """An open journal: what is there, then one end of file, then each read waits for more.

    So `cat` ends, and whoever reads on follows.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.left, self.next = journal.since(0)
        self.given, self.ended = 0, False

    def read(self, offset: int, count: int) -> Maybe[Bytes]:
        """The next bytes; the offset only tells who reads ahead: to him it is the end, and it stays to be told."""
        if not self.left:
            self.left, self.next = self.journal.since(self.next)
        if self.left:
            return self._cut(count)
        if offset > self.given:
            return b""
        if not self.ended:
            self.ended = True
            return b""
        return self.journal.wait().map(lambda _: self.read(offset, count))

    def _cut(self, count: int) -> bytes:
        data, self.left = self.left[:count], self.left[count:]
        self.given += len(data)
        return data

    def write(self, offset: int, data: memoryview) -> int:
        """The mode forbids it."""
        raise AssertionError("a journal is opened for reading")

    def close(self) -> None:
        """Nothing is held."""


Later = Callable[[float, Callable[[], None]], asyncio.TimerHandle]


class Audit:
    """The journal of verdicts, a JSON object a line; `log`: where it is kept on disk, too."""

    def __init__(self, clock: Callable[[], float] = time.time, log: AuditLog | None = None) -> None:
        self.journal, self.clock, self.log = Journal(), clock, log
        self.repeating: dict[int, Process] = {}
        self.later: Later | None = None  # an event loop's call_later, once there is one
        self.timer: asyncio.TimerHandle | None = None

    def record(
        self, who: Process | None, action: str, target: str, verdict: str, **detail: object
    ) -> None:
        """One entry. `verdict` is allowed, denied or done; `detail` what else there is to know.

        What is denied again within a second is counted, and told by its number of `times`. Who causes more entries
        than anybody could want to read is told of by a number, too: nobody drives the record of what he did out of
        the journal, or the disk full, by doing it again and again.
        """
        if who is not None and verdict == DENIED:
            self._wait(who)
            if who.repeats.again((action, target, detail.get("error")), detail):
                return
        self._record(who, action, target, verdict, detail)

    def _record(
        self,
        who: Process | None,
        action: str,
        target: str,
        verdict: str,
        detail: Mapping[str, object],
    ) -> None:
        if who is not None:
            if verdict != DONE and not who.audited.take():
                return
            if missed := who.audited.tell():
                self._add(who, "audit", "-", DONE, {"missed": missed})
        self._add(who, action, target, verdict, detail)

    # -- what is repeated

    def _wait(self, who: Process) -> None:
        """See that what this process repeats is told."""
        self.repeating[who.number] = who
        if self.timer is None and self.later is not None:
            self.timer = self.later(EVERY, self._due)

    def _due(self) -> None:
        self.timer = None
        for who in list(self.repeating.values()):
            self._tell(who)
            if not who.repeats.counts:
                del self.repeating[who.number]
        if self.repeating and self.later is not None:
            self.timer = self.later(EVERY, self._due)

    def _tell(self, who: Process, all_: bool = False) -> None:
        for (action, target, _), times, detail in who.repeats.due(all_):
            self._record(who, action, target, DENIED, {**detail, "times": times})

    def end(self, who: Process) -> None:
        """A process is over: tell what it repeated last."""
        if self.repeating.pop(who.number, None) is not None:
            self._tell(who, all_=True)

    def _add(
        self,
        who: Process | None,
        action: str,
        target: str,
        verdict: str,
        detail: Mapping[str, object],
    ) -> None:
        entry: dict[str, object] = {
            "seq": self.journal.next,
            "time": round(self.clock(), 6),
            "who": f"{who.name}/{who.number}" if who else "kernel",
            "user": who.user if who else "",
            "what": action,
            "target": target,
            "verdict": verdict,
        }
        line = json.dumps({**entry, **detail}, default=str)
        self.journal.add(line)
        if self.log is not None:
            self.log.add(line)

    def close(self) -> None:
        """Write what is left."""
        for who in list(self.repeating.values()):
            self.end(who)
        if self.timer is not None:
            self.timer.cancel()
        if self.log is not None:
            self.log.close()
