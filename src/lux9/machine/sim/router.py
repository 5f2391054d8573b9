"""From the functions' INTx pins to the 24 lines: bridges turn the pins, the LPC routes the PIRQs.

As on a q35: PIRQA to PIRQH are lines 16 to 23 always, and an ISA line besides where the LPC says so. Several
functions share a PIRQ, and several PIRQs an ISA line: a line is up while any of them is.
"""

from __future__ import annotations

from ...arch import ich9
from ...models.pci import PciFunction
from ...models.q35 import Lpc
from .lines import Lines

FIRST = 16  # the line of PIRQA


class Router:
    """Who asserts, and the lines that follow from it."""

    def __init__(self, lines: Lines) -> None:
        self.lines = lines
        self.lpc: Lpc | None = None
        self._up: set[PciFunction] = set()

    def attach(self, lpc: Lpc | None) -> None:
        """Route by this bridge's registers; by nothing but the wiring at reset without one."""
        self.lpc = lpc
        if lpc is not None:
            lpc.rerouted = self.settle
        self.settle()

    def drive(self, fn: PciFunction, asserted: bool) -> None:
        """A function's pin, as it is from now on."""
        if asserted:
            self._up.add(fn)
        else:
            self._up.discard(fn)
        self.settle()

    def settle(self) -> None:
        """Bring every line in line with the pins and the routes."""
        levels = 0
        for fn in self._up:
            pirq = self._pirq(fn)
            levels |= 1 << FIRST + pirq
            if self.lpc is not None and (line := self.lpc.route(pirq)) is not None:
                levels |= 1 << line
        self.lines.settle(levels)

    def _pirq(self, fn: PciFunction) -> int:
        """The PIRQ (0 to 7) of a function's pin."""
        pin = int(fn.identity.pin) or 1
        while fn.bus is not None and fn.bus.parent is not None:
            pin, fn = ich9.swizzle(fn.devfn >> 3, pin), fn.bus.parent
        wiring = self.lpc.pirq if self.lpc is not None else ich9.pirq
        return wiring(fn.devfn >> 3, pin)
