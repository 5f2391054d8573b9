"""From an interrupt to whoever reads it: when a line is masked, and what happens in a storm.

Theory. A level line stays asserted until a driver has made its device quiet, so it is masked when it is
delivered, and unmasked when every registrant that it was delivered to has asked for the next one: asking is
the acknowledgement. Messages (32 and up) are edges: they are never masked, and pile up to QUEUE a registrant.

    idle --asserted--> masked, each registrant `owes` --each reads again--> unmasked --still asserted--> masked ...

A registrant on a shared line that does not ask would keep the others waiting. After GRACE seconds its
functions' INTx pins are disabled, and it owes nothing until it asks; then they are enabled again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import repeat
from time import monotonic

from ...errors import DeviceError, Stale
from ...pending import Pending
from ..process import Process
from .bus import Bus
from .context import Context
from .function import Claim, Function
from .msi import Messages
from .routes import LINES

QUEUE = 64  # interrupts that may be pending for a registrant
GRACE = 1.0  # seconds that a sharer may leave a line masked

Later = Callable[[float, Callable[[], None]], asyncio.TimerHandle]


@dataclass(frozen=True)
class Storm:
    """When a number is shut: so many interrupts that nobody took care of, in so many seconds.

    Of a line, those that came with no access to any function on it since the one before; of a message,
    those that were dropped. Linux shuts a line after 99,900 of 100,000; ours go through a process each.
    """

    lines: int = 10_000
    messages: int = 100_000
    seconds: float = 10.0


@dataclass(eq=False)
class Registrant:
    """A process that is told of a number, and what it has been told."""

    process: Process
    name: str
    function: Function | None = None  # whose messages these are; None for a line
    pending: int = 0
    delivered: int = 0
    dropped: int = 0
    owes: bool = False  # an acknowledgement
    late: bool = False  # its functions' pins were disabled
    waiting: deque[Pending[str]] = field(default_factory=deque[Pending[str]])

    def give_up(self, wait: Pending[str]) -> None:
        """A read that nobody wants any more; it may be on its way already."""
        if wait in self.waiting:
            self.waiting.remove(wait)


@dataclass(eq=False)
class Number:
    """A line or a vector that somebody registered."""

    n: int
    shared: bool
    registrants: list[Registrant] = field(default_factory=list[Registrant])
    masked: bool = True
    shut: str = ""  # why it is shut; empty while it is not
    wild: int = 0  # interrupts in a row that nobody took care of
    since: float = 0.0  # when the first of them came
    fired: int = 0  # interrupts that are being delivered, one in another
    timer: asyncio.TimerHandle | None = None

    @property
    def level(self) -> bool:
        """A line, which is masked and acknowledged; else a message."""
        return self.n < LINES

    @property
    def text(self) -> str:
        """What a read gives."""
        return f"irq {self.n}\n"

    def of(self, process: Process) -> Registrant | None:
        """The process's own registration."""
        return next((r for r in self.registrants if r.process is process), None)


class Delivery:
    """From the machine to whoever reads. `sink` is what the machine calls; `storm` and `grace` can be changed."""

    def __init__(self, context: Context, bus: Bus, storm: Storm | None = None) -> None:
        self.context, self.bus, self.storm = context, bus, storm or Storm()
        self.programs = Messages(context)
        self.numbers: dict[int, Number] = {}
        self.grace = GRACE
        self.later: Later = lambda seconds, work: asyncio.get_running_loop().call_later(
            seconds, work
        )

    # From the machine

    def sink(self, n: int, asserted: bool) -> None:
        """A line changed, or a message came. May be called while an unmask is under way, even by itself."""
        number = self.numbers.get(n)
        if number is None or not asserted or number.shut:
            return
        if number.level:
            number.masked = True
            self.context.machine.mask(n)
        number.fired += 1
        if number.fired > 1:
            return  # the loop below, further up this stack, goes round again
        try:
            while number.fired:
                self._fire(number)
                number.fired = max(number.fired - 1, 0)
        finally:
            number.fired = 0

    def _fire(self, number: Number) -> None:
        told = [p for p in map(self._note, repeat(number), number.registrants) if p is not None]
        if self._wild(number):
            self._shut(number)
        elif number.level and number.shared:
            self._watch(number)
        for wait in told:  # last: each may read again in here, which is an acknowledgement
            wait.resolve(number.text)

    def _note(self, number: Number, to: Registrant) -> Pending[str] | None:
        """Count an interrupt for a registrant; the read that it answers."""
        if to.waiting:
            to.owes = number.level
            to.delivered += 1
            return to.waiting.popleft()
        if to.pending < QUEUE:
            to.pending += 1
        else:
            to.dropped += 1
        return None

    # Storms

    def _wild(self, number: Number) -> bool:
        """Count an interrupt that nobody took care of; whether they are a storm."""
        if self._cared(number):
            number.wild = 0
            return False
        if not number.wild:
            number.since = monotonic()
        number.wild += 1
        limit = self.storm.lines if number.level else self.storm.messages
        if number.wild < limit:
            return False
        number.wild, slow = 0, monotonic() - number.since > self.storm.seconds
        return not slow

    def _cared(self, number: Number) -> bool:
        if not number.level:
            return number.registrants[0].pending < QUEUE if number.registrants else True
        cared = False
        for claim in self._claims(number):
            cared = cared or claim.touched
            claim.touched = False
        return cared

    def _claims(self, number: Number) -> Iterable[Claim]:
        for r in number.registrants:
            yield from (c for c in self.bus.claims_of(r.process) if number.n in c.function.lines)

    def _shut(self, number: Number) -> None:
        count = self.storm.lines if number.level else self.storm.messages
        number.shut = (
            f"irq {number.n} is shut: {count} interrupts in a row that nobody took care of; "
            f"reset the function, then write `unregister {number.n}` and register it again"
        )
        if not number.level:
            self._silence(number)
        self.context.log(number.shut)
        for r in number.registrants:
            self.context.audit.record(
                r.process, "irq storm", f"irq {number.n}", "denied", count=count
            )
            while r.waiting:
                r.waiting.popleft().fail(DeviceError(number.shut))

    def _silence(self, number: Number) -> None:
        for r in number.registrants:
            if r.function is not None:
                self.programs.off(r.function)

    # Sharers that do not ask

    def _watch(self, number: Number) -> None:
        if number.timer is None and len(number.registrants) > 1:
            number.timer = self.later(self.grace, lambda: self.overdue(number))

    def overdue(self, number: Number) -> None:
        """The grace is over: whoever still owes has its pins disabled, so that the others go on."""
        self._unwatch(number)
        slow = [r for r in number.registrants if r.owes or r.pending]
        if not number.masked or len(slow) == len(number.registrants):
            return  # nobody is kept waiting by somebody else
        for r in slow:
            r.owes, r.late = False, True
            self._pins(number, r, False)
            target = f"irq {number.n}"
            self.context.audit.record(r.process, "irq late", target, "done", seconds=self.grace)
        self._acknowledged(number)

    def _unwatch(self, number: Number) -> None:
        if number.timer is not None:
            number.timer.cancel()
            number.timer = None

    def _pins(self, number: Number, r: Registrant, on: bool) -> None:
        for claim in self.bus.claims_of(r.process):
            if number.n in claim.function.lines:
                self.bus.intx(claim.function, on)

    # Reading

    def read(self, n: int, registrant: Registrant) -> Pending[str]:
        """Acknowledge the one before, and wait for the next: a line `irq N`.

        Raises Stale after an unregister, DeviceError while the line is shut.
        """
        number = self.numbers.get(n)
        if number is None or registrant not in number.registrants:
            raise Stale(f"irq {n} was unregistered; register it again")
        if number.shut:
            raise DeviceError(number.shut)
        wait: Pending[str] = Pending(lambda: registrant.give_up(wait))
        if registrant.pending:
            self._ask(number, registrant)
            registrant.pending -= 1
            registrant.delivered += 1
            registrant.owes = number.level
            wait.resolve(number.text)
        else:
            registrant.waiting.append(wait)
            self._ask(number, registrant)
        return wait

    def _ask(self, number: Number, r: Registrant) -> None:
        if r.late:
            r.late = False
            self._pins(number, r, True)
        if r.owes:
            r.owes = False
            self._acknowledged(number)

    def _acknowledged(self, number: Number) -> None:
        """Unmask a line once nobody owes; the machine may call `sink` before this returns."""
        if not number.masked or number.shut or not number.registrants:
            return
        if any(r.owes or (r.pending and not r.late) for r in number.registrants):
            if number.shared:
                self._watch(number)
            return
        self._unwatch(number)
        number.masked = False
        self.context.machine.unmask(number.n)
