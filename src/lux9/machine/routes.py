"""Interrupt routes of a q35 board, as firmware programs them."""

from __future__ import annotations

from collections.abc import Sequence

from ..arch import ich9, pci as arch
from ..regs import U8
from .abstract import Machine
from .functions import Config, FunctionInfo

ROUTES = (11, 10, 11, 10, 11, 10, 11, 10)  # ISA lines of PIRQA to PIRQH


def route(machine: Machine, found: Sequence[FunctionInfo]) -> None:
    """Program the router, make its lines level triggered, and tell each function its line.

    Nothing happens where the router is not an ICH9's.
    """
    if not any(f.bdf == ich9.LPC_BDF and (f.vendor, f.device) == ich9.LPC for f in found):
        return
    lpc = ich9.Lpc(Config(machine, ich9.LPC_BDF))
    for pirq, line in zip([*lpc.a_to_d, *lpc.e_to_h], ROUTES, strict=True):
        pirq.route.write(ich9.PirqRoute(line=line))
    level = sum(1 << line for line in set(ROUTES))
    machine.io_write(ich9.ELCR1, 1, level & 0xFF)
    machine.io_write(ich9.ELCR2, 1, level >> 8)
    behind = {f.secondary: f for f in found if f.is_bridge and f.secondary}
    for info in found:
        if info.pin:
            line = ROUTES[_pirq(info, behind)]
            arch.Header0(Config(machine, info.bdf)).line.write(U8.of(line))


def _pirq(info: FunctionInfo, behind: dict[int, FunctionInfo]) -> int:
    pin, bdf = info.pin, info.bdf
    while above := behind.get(bdf >> 8):
        pin, bdf = ich9.swizzle(bdf >> 3 & 31, pin), above.bdf
    return ich9.pirq(bdf >> 3 & 31, pin)
