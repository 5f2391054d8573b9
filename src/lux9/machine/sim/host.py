"""What is around the models of a machine: memory that they reach, interrupts, time, and faults to order.

Two sides look at it. The kernel's has arenas and interrupts to give (`machine.abstract.Machine`); the models' use what
they were given (`models.pci.Host`), and are refused the rest.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from ...models.pci import MASTER, DmaFault, Fault, PciFunction
from ..abstract import Arena, Bdf, Message, Report
from .arenas import SimArena
from .clock import Schedule
from .faults import Plan
from .iommu import Iommu
from .lines import Lines
from .messages import ADDRESS, Vectors
from .router import Router

NUMBER = re.compile(r"\b(?:0x[0-9a-f]+|[0-9]+)\b")
WINDOW = 1 << 20  # a message is a write to this much from ADDRESS


class Host:
    """Memory, interrupts, time and faults of one machine. `tell` hears what its functions are refused."""

    def __init__(self, plan: Plan, iommu: Iommu, schedule: Schedule) -> None:
        self.plan, self.iommu, self.schedule = plan, iommu, schedule
        self.lines = Lines()
        self.router = Router(self.lines)
        self.vectors = Vectors()
        self.tell: Report = lambda about, text: None
        self._reported: dict[tuple[str, str], int] = {}

    # Arenas

    def arena(self, size: int) -> Arena:
        """A new arena."""
        return self.iommu.make(size)

    def attach(self, bdf: Bdf, arena: Arena) -> None:
        """Let a function reach an arena, besides those that it reaches already."""
        assert isinstance(arena, SimArena), "an arena of another machine"
        self.iommu.attach(bdf, arena)

    def detach(self, bdf: Bdf) -> None:
        """Let a function reach none."""
        self.iommu.detach(bdf)

    @property
    def protects(self) -> bool:
        """Whether the model of an IOMMU is there."""
        return self.iommu.protects

    # Interrupts

    def mask(self, line: int) -> None:
        """Keep a line from the sink."""
        self.lines.mask(line)

    def unmask(self, line: int) -> None:
        """Let it through again."""
        self.lines.unmask(line)

    def messages(self, bdf: Bdf, count: int) -> list[Message]:
        """Vectors for a function."""
        return self.vectors.give(bdf, count)

    def free_messages(self, bdf: Bdf) -> None:
        """Take them back."""
        self.vectors.free(bdf)

    # The models' side

    def dma(self, fn: PciFunction, address: int, size: int) -> list[memoryview]:
        """Views of the arenas that cover the range; DmaFault, reported, where the function may not."""
        try:
            return self.iommu.dma(fn, address, size)
        except DmaFault as fault:
            self.report(fn, str(fault))
            raise

    def interrupt(self, fn: PciFunction, asserted: bool) -> None:
        """A pin rose or fell."""
        if asserted and self.fault(fn, Fault.LOST) is not None:
            return
        self.router.drive(fn, asserted)

    def message(self, fn: PciFunction, address: int, data: int) -> None:
        """A message, when the function is bus master and the vector its own; any other write is DMA."""
        if not ADDRESS <= address < ADDRESS + WINDOW:
            self._message_to_memory(fn, address, data)
        elif not fn.command & MASTER:
            self.report(fn, f"message {data} refused: bus master is off")
        elif self.vectors.owner.get(data) != fn.bdf:
            self.report(fn, f"message {data} refused: the function was not given that vector")
        elif self.fault(fn, Fault.LOST) is None:
            self.lines.sink(data, True)

    def _message_to_memory(self, fn: PciFunction, address: int, data: int) -> None:
        try:
            (part,) = self.dma(fn, address, 4)
        except (DmaFault, ValueError):
            return
        part[:] = data.to_bytes(4, "little")

    def defer(self, work: Callable[[], None], after: float = 0.0) -> None:
        """Work for later."""
        self.schedule.defer(work, after)

    def fault(self, fn: PciFunction, kind: Fault, where: range = range(0)) -> float | None:
        """What the plan says."""
        return self.plan.due(kind, fn.name, where) if self.plan.rules else None

    def report(self, fn: PciFunction, text: str) -> None:
        """To the kernel; what a function repeats, numbers apart, at the 1st, 2nd, 4th, 8th … time only."""
        key = (fn.name, NUMBER.sub("#", text))
        count = self._reported[key] = self._reported.get(key, 0) + 1
        if count & (count - 1) == 0:
            self.tell(fn.name, text if count == 1 else f"{text} (the {count}th such report)")
