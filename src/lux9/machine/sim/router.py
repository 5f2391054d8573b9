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
        self._up: dict[PciFunction, int] = {}  # who asserts, and the lines that this raises

    def attach(self, lpc: Lpc | None) -> None:
        """Route by this bridge's registers; by nothing but the wiring at reset without one."""
        self.lpc = lpc
        if lpc is not None:
            lpc.rerouted = self.rewire
        self.rewire()

    def drive(self, fn: PciFunction, asserted: bool) -> None:
        """A function's pin, as it is from now on."""
        if asserted:
            self._up[fn] = self._lines(fn)
        else:
            self._up.pop(fn, None)
        self._settle()

    def rewire(self) -> None:
        """A route changed: it holds at once for what is asserted."""
        for fn in self._up:
            self._up[fn] = self._lines(fn)
        self._settle()

    def _settle(self) -> None:
        levels = 0
        for lines in self._up.values():
            levels |= lines
        self.lines.settle(levels)

    def _lines(self, fn: PciFunction) -> int:
        """The lines that a function raises, a bit each."""
        pirq = self._pirq(fn)
        line = self.lpc.route(pirq) if self.lpc is not None else None
        return 1 << FIRST + pirq | (0 if line is None else 1 << line)

    def _pirq(self, fn: PciFunction) -> int:
        """The PIRQ (0 to 7) of a function's pin."""
        pin = int(fn.identity.pin) or 1
        while fn.bus is not None and fn.bus.parent is not None:
            pin, fn = ich9.swizzle(fn.devfn >> 3, pin), fn.bus.parent
        wiring = self.lpc.pirq if self.lpc is not None else ich9.pirq
        return wiring(fn.devfn >> 3, pin)
