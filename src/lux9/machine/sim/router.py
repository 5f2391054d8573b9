"""From the functions' INTx pins to the 24 lines: bridges turn the pins, the LPC routes the PIRQs.

As on a q35: PIRQA to PIRQH are lines 16 to 23 always, and an ISA line besides where the LPC says so. Several
functions share a PIRQ, and several PIRQs an ISA line: a line is up while any of them is.
"""

from __future__ import annotations

from ...arch import ich9
from ...models.pci import PciFunction
from ...models.q35 import Lpc
from .lines import Lines

PIRQS = 8
FIRST = 16  # the line of PIRQA


class Router:
    """Levels of the PIRQs, and the lines that follow from them."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.lpc: Lpc | None = None
        self._up: dict[PciFunction, int] = {}  # who asserts, and which PIRQ

    def attach(self, lpc: Lpc) -> None:
        """Route by this bridge's registers."""
        self.lpc = lpc
        lpc.rerouted = self.settle

    def drive(self, fn: PciFunction, asserted: bool) -> None:
        """A function's pin, as it is from now on."""
        if asserted:
            self._up[fn] = pirq_of(fn)
        elif self._up.pop(fn, None) is None:
            return
        self.settle()

    def settle(self) -> None:
        """Bring every line in line with the pins and the routes."""
        up = set(self._up.values())
        for pirq in range(PIRQS):
            self.lines.drive(FIRST + pirq, pirq in up)
        routed = {self.lpc.route(pirq) for pirq in up} if self.lpc else set[int | None]()
        for line in range(16):
            self.lines.drive(line, line in routed)


def pirq_of(fn: PciFunction) -> int:
    """The PIRQ (0 to 7) of a function's pin."""
    pin = int(fn.identity.pin) or 1
    while fn.bus is not None and fn.bus.parent is not None:
        pin, fn = ich9.swizzle(fn.devfn >> 3, pin), fn.bus.parent
    return ich9.pirq(fn.devfn >> 3, pin)
