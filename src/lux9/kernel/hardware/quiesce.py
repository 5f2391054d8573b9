"""Quiesce: what is undone when a claim or a process ends, in an order that leaves no DMA after death.

    mask its interrupts · bus master off · reset · quarantine its DMA memory · free it · release its claims

Each step is recorded with its outcome, and one that fails stops none of the others; but memory that a
function might still write stays in quarantine.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

from ..process import Process
from .bus import Bus
from .context import ENDED, Context
from .dma import Dma
from .function import Claim
from .irq import Interrupts


class Step(NamedTuple):
    """One step, on what, and how it went: `failed: …` or what was done, in words."""

    action: str
    target: str
    outcome: str

    def __str__(self) -> str:
        return f"{self.action} {self.target}: {self.outcome}"

    @property
    def failed(self) -> bool:
        """Whether it did not do what it should."""
        return self.outcome.startswith("failed")


@dataclass
class Quiesced:
    """What was done for a process that ended."""

    process: Process
    at: float
    steps: list[Step] = field(default_factory=list[Step])

    @property
    def lines(self) -> str:
        """`%s %s: %s` a step."""
        return "".join(f"{step}\n" for step in self.steps)


class Quiescer:
    """Ends claims and processes."""

    def __init__(self, context: Context, bus: Bus, irq: Interrupts, dma: Dma) -> None:
        self.context, self.bus, self.irq, self.dma = context, bus, irq, dma
        self.last: Quiesced | None = None
        bus.end = self.release

    def release(self, claim: Claim) -> list[Step]:
        """End one claim. The function is reset if it was ever bus master: it may know addresses."""
        steps: list[Step] = []
        do = self._doer(claim.owner, "release", steps)
        name = claim.function.name
        do("mask", name, lambda: self.irq.leave(claim.owner, claim.function))
        if claim.mastered:
            do("master off", name, lambda: self.bus.master_off(claim))
            do("reset", name, lambda: self.bus.machine.reset(claim.function.bdf))
        do("decode", name, lambda: self.bus.drop(claim))
        claim.owner.released.extend(map(str, steps))
        return steps

    def end(self, process: Process) -> Quiesced:
        """End a process: all that it holds, in the order above."""
        process.state = ENDED
        done = Quiesced(process, self.context.clock())
        do = self._doer(process, "quiesce", done.steps)
        claims = self.bus.claims_of(process)
        all_of_them = [c.function for c in claims]
        for c in claims:
            do("mask", c.function.name, partial(self.irq.leave, process, c.function, all_of_them))
        for c in claims:
            do("master off", c.function.name, partial(self.bus.master_off, c))
        for c in claims:
            do("reset", c.function.name, partial(self._reset, c))
        self._free(process, claims, do, done.steps)
        for c in claims:
            do("release", c.function.name, partial(self.bus.drop, c))
        if done.steps:
            self.last = done
        return done

    def _doer(self, process: Process, why: str, steps: list[Step]) -> Do:
        def do(action: str, target: str, work: Callable[[], object]) -> None:
            outcome = self.context.step(process, f"{why} {action}", target, work)
            steps.append(Step(action, target, outcome))

        return do

    def _reset(self, claim: Claim) -> str:
        if not claim.explicit and not claim.mastered:
            return "not needed: only its registers were opened"
        return self.bus.machine.reset(claim.function.bdf)

    def _free(self, process: Process, claims: list[Claim], do: Do, steps: list[Step]) -> None:
        if process.arena is None and not self.dma.of(process):
            return
        do("quarantine", "dma", lambda: self.dma.quarantine(process))
        loose = [c.function.name for c in claims if self._loose(c.function.name, steps)]
        if loose:
            names = " ".join(loose)
            do("free", "dma", lambda: f"failed: kept in quarantine, {names} may still write it")
        else:
            do("free", "dma", lambda: self.dma.release(process))

    def _loose(self, name: str, steps: list[Step]) -> bool:
        """Whether a function may still write: neither of the two steps that stop it worked, nor does an IOMMU."""
        stops = [s for s in steps if s.target == name and s.action in {"master off", "reset"}]
        return all(s.failed for s in stops) and not self.bus.machine.protects


Do = Callable[[str, str, Callable[[], object]], None]
