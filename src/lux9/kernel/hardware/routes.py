"""Which lines a function's INTx pin arrives at: what firmware wrote down, and the I/O APIC's input.

A board with an ICH9 wires both: a PIRQ goes to an ISA line, as the LPC bridge routes it, and always to an
input of the I/O APIC of its own. Any other board is known by the interrupt line register alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...arch import ich9
from ...machine.abstract import Bdf
from ...machine.functions import FunctionInfo

LINES = 24  # 0 to 15 are the ISA lines, 16 to 23 the I/O APIC's
IOAPIC_PIRQ = 16  # the I/O APIC's input of PIRQA; B to H follow. ICH9 §5.8


def routes(found: Sequence[FunctionInfo]) -> dict[Bdf, frozenset[int]]:
    """The lines of each function that has a pin."""
    ich = any(f.bdf == ich9.LPC_BDF and (f.vendor, f.device) == ich9.LPC for f in found)
    above = {f.secondary: f for f in found if f.is_bridge and f.secondary}
    out: dict[Bdf, frozenset[int]] = {}
    for info in found:
        lines = {info.irq, IOAPIC_PIRQ + _pirq(info, above)} if ich else {info.irq}
        out[info.bdf] = frozenset(n for n in lines if info.pin and n < LINES)
    return out


def _pirq(info: FunctionInfo, above: Mapping[int, FunctionInfo]) -> int:
    """The PIRQ of a pin, bridges passed. PPB 1.2 §9.1"""
    pin, bdf = info.pin or 1, info.bdf
    while bridge := above.get(bdf >> 8):
        pin, bdf = ich9.swizzle(bdf >> 3 & 31, pin), bridge.bdf
    return ich9.pirq(bdf >> 3 & 31, pin)
