"""What every part of the hardware half leans on: the machine, the audit, the clock, and how to refuse."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

from ...errors import Lux9Error, PermissionDenied, Stale
from ...machine.abstract import Machine
from ..process import Cap, Process

ENDED = "ended"  # the state of a process that was quiesced: it holds nothing, and gets nothing more


class Auditor(Protocol):
    """Where it is written down who did what. `verdict` is allowed, denied or done."""

    def record(
        self, who: Process | None, action: str, target: str, verdict: str, **detail: object
    ) -> None:
        """One entry."""
        ...


class Context:
    """The machine and its witnesses."""

    def __init__(
        self,
        machine: Machine,
        audit: Auditor,
        log: Callable[[str], None],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.machine, self.audit, self.log, self.clock = machine, audit, log, clock

    def refuse(self, who: Process, action: str, target: str, error: Lux9Error) -> Lux9Error:
        """Record a refusal and give the error back, to be raised: the one way to say no."""
        self.audit.record(who, action, target, "denied", error=error.message)
        error.audited = True
        return error

    def need(self, who: Process, cap: Cap, action: str, target: str) -> None:
        """Refuse whoever lacks a capability. Raises PermissionDenied, or Stale for one that has ended."""
        if who.state == ENDED:
            raise self.refuse(who, action, target, Stale(f"{target}: {who.name} has ended"))
        try:
            who.need(cap, target)
            who.used |= cap
        except PermissionDenied as error:
            raise self.refuse(who, action, target, error) from None

    def allow(self, who: Process, action: str, target: str, **detail: object) -> None:
        """Record what was done for a process."""
        self.audit.record(who, action, target, "allowed", **detail)

    def step(self, who: Process, action: str, target: str, work: Callable[[], object]) -> str:
        """Do one step that must not stop the next one, record it, and give its outcome in words."""
        try:
            outcome = str(work() or "done")
        except Exception as error:  # whatever it was, the steps after it are owed all the same
            outcome = f"failed: {error.message if isinstance(error, Lux9Error) else repr(error)}"
            self.log(f"{action} {target}: {outcome}")
        self.audit.record(who, action, target, "done", outcome=outcome)
        return outcome
