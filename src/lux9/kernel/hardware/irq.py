"""Who may be told of which interrupt: registering lines and messages, and what ends with a claim."""

from __future__ import annotations

from collections.abc import Iterable

from ...errors import BadArgument, Busy, Lux9Error, NotFound, PermissionDenied, Stale
from ..process import Cap, Process
from .delivery import QUEUE, Delivery, Number, Registrant, Storm
from .function import Function
from .routes import LINES

__all__ = ["NUMBERS", "QUEUE", "Interrupts", "Registrant", "Storm"]
NUMBERS = 256  # 0 to 23 are lines, 32 and up messages


class Interrupts(Delivery):
    """All registered numbers: given out here, delivered by `Delivery`."""

    def check(self, process: Process, n: int) -> Registrant:
        """The process's registration of a number. Raises NotFound or PermissionDenied."""
        self.context.need(process, Cap.IRQ, "irq open", f"irq {n}")
        number = self.numbers.get(n)
        registrant = number.of(process) if number else None
        if registrant is not None:
            return registrant
        owners = ", ".join(r.process.name for r in number.registrants) if number else ""
        error: Lux9Error = (
            PermissionDenied(f"irq {n} is registered to {owners}, not to {process.name}")
            if owners
            else NotFound(f"irq {n} is not registered; write `register {n} NAME` to ctl first")
        )
        raise self.context.refuse(process, "irq open", f"irq {n}", error)

    # Registering

    def register(self, process: Process, n: int, name: str, shared: bool = False) -> None:
        """Be told of a line. It must be that of a function which the process has claimed.

        Raises PermissionDenied, Busy or BadArgument, each recorded.
        """
        target = f"irq {n}"
        self.context.need(process, Cap.IRQ, "irq register", target)
        try:
            self._may(process, n)
            number = self._free(process, n, shared)
        except Lux9Error as error:
            raise self.context.refuse(process, "irq register", target, error) from None
        self.context.allow(process, "irq register", target, name=name, shared=shared)
        number.registrants.append(Registrant(process, name))
        if number.shut:
            self._reopen(number)
        self._acknowledged(number)

    def _reopen(self, number: Number) -> None:
        number.shut, number.wild, number.fired = "", 0, 0
        for r in number.registrants:
            r.owes, r.pending = False, 0

    def _may(self, process: Process, n: int) -> None:
        if not 0 <= n < LINES:
            raise BadArgument(
                f"irq {n} is not a line; lines are 0 to {LINES - 1}, and `msi` or `msix` gives vectors"
            )
        if not any(n in claim.function.lines for claim in self.bus.claims_of(process)):
            raise PermissionDenied(
                f"irq {n} is not the line of a function that {process.name} has claimed; "
                "`irq:` in the function's ctl says which is"
            )

    def _free(self, process: Process, n: int, shared: bool) -> Number:
        number = self.numbers.setdefault(n, Number(n, shared))
        if number.of(process):
            raise Busy(f"irq {n} is registered to {process.name} already")
        if number.registrants and not (shared and number.shared):
            owner = number.registrants[0]
            who = f"{owner.process.name} ({owner.process.number}) as {owner.name}"
            raise Busy(
                f"irq {n} is registered to {who}; both must write `register {n} NAME shared`"
            )
        return number

    def messages(self, process: Process, bdf: str, count: int, name: str, kind: str) -> list[int]:
        """Be told of `count` messages of a claimed function, by `msi` or `msix`: their numbers.

        Raises PermissionDenied, Busy or BadArgument, each recorded.
        """
        self.context.need(process, Cap.IRQ, kind, bdf)
        claim = self.bus.own(process, kind, bdf)
        try:
            if claim.messages:
                raise Busy(f"{bdf} has messages {claim.messages} already; unregister them first")
            numbers = self.programs.on(claim.function, kind, count)
        except Lux9Error as error:
            raise self.context.refuse(process, kind, bdf, error) from None
        claim.messages = numbers
        for i, n in enumerate(numbers):
            number = self.numbers[n] = Number(n, shared=False, masked=False)
            label = name if count == 1 else f"{name}.{i}"
            number.registrants.append(Registrant(process, label, claim.function))
        self.context.allow(process, kind, bdf, numbers=numbers, name=name)
        return numbers

    def unregister(self, process: Process, n: int) -> None:
        """Be told no more. A function's messages go together. Raises NotFound or PermissionDenied."""
        registrant = self.check(process, n)
        if registrant.function is not None:
            self._drop_messages(registrant.function)
        else:
            self._drop(n, registrant, f"irq {n} was unregistered")
        self.context.allow(process, "irq unregister", f"irq {n}")

    def _drop(self, n: int, registrant: Registrant, why: str) -> None:
        number = self.numbers[n]
        number.registrants.remove(registrant)
        registrant.process.unregistered.append(_line(n, registrant))
        while registrant.waiting:
            registrant.waiting.popleft().fail(Stale(why))
        if number.registrants:
            self._acknowledged(number)  # it may have been the one that owed
            return
        self._unwatch(number)
        del self.numbers[n]
        if number.level:
            self.context.machine.mask(n)

    def _drop_messages(self, function: Function) -> list[int]:
        gone = [n for n, x in self.numbers.items() if x.registrants[0].function is function]
        self.programs.off(function)
        for n in gone:
            self._drop(n, self.numbers[n].registrants[0], f"irq {n} was unregistered")
        self.programs.free(function)
        if function.claim is not None:
            function.claim.messages = []
        return gone

    # The end of a claim, or of a process

    def leave(self, process: Process, function: Function, ending: Iterable[Function] = ()) -> str:
        """Take away what a process was told because of one function, whose claim is ending.

        `ending` are functions whose claims end with it: a line of theirs is no reason to stay.
        """
        gone = self._drop_messages(function) if self._has_messages(function) else []
        leaving = {function, *ending}
        others = [c.function for c in self.bus.claims_of(process) if c.function not in leaving]
        for n in sorted(function.lines):
            number = self.numbers.get(n)
            registrant = number.of(process) if number else None
            if registrant and not any(n in f.lines for f in others):
                self._drop(n, registrant, f"irq {n}: {function.name} was released")
                gone.append(n)
        return f"masked {' '.join(map(str, gone))}" if gone else "none registered"

    def restore(self, function: Function) -> None:
        """A reset made a function forget its messages: program them again."""
        if any(n.shut for n in self.numbers.values() if n.registrants[0].function is function):
            return
        self.programs.program(function)

    def _has_messages(self, function: Function) -> bool:
        return any(r.function is function for x in self.numbers.values() for r in x.registrants)

    def of(self, process: Process) -> list[int]:
        """The numbers that a process is told of."""
        return sorted(n for n, x in self.numbers.items() if x.of(process))

    def lines(self, process: Process | None = None) -> str:
        """`irq %d: %s pending=%d delivered=%d dropped=%d` for each registration, or each of a process."""
        return "".join(
            f"{_line(n, r)}\n"
            for n, number in sorted(self.numbers.items())
            for r in number.registrants
            if process is None or r.process is process
        )


def _line(n: int, r: Registrant) -> str:
    return f"irq {n}: {r.name} pending={r.pending} delivered={r.delivered} dropped={r.dropped}"
