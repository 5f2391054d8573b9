"""Interrupt routes of a board with an ICH9 (q35) or a PIIX3 (pc), as firmware programs them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ..arch import ich9, pci as arch, piix
from ..regs import U8
from .abstract import Machine
from .functions import Config, FunctionInfo

ROUTES = (11, 10, 11, 10, 11, 10, 11, 10)  # ISA lines of PIRQA to PIRQH


Wiring = Callable[[int, int], int]  # the PIRQ of a device and pin on bus 0


def route(machine: Machine, found: Sequence[FunctionInfo]) -> None:
    """Program the router, make its lines level triggered, and tell each function its line.

    Nothing happens where the router is neither an ICH9's nor a PIIX3's.
    """
    if (router := _router(machine, found)) is None:
        return
    registers, wiring = router
    routes = ROUTES[: len(registers)]
    for pirq, line in zip(registers, routes, strict=True):
        pirq.route.write(ich9.PirqRoute(line=line))
    level = sum(1 << line for line in set(routes))
    machine.io_write(ich9.ELCR1, 1, level & 0xFF)
    machine.io_write(ich9.ELCR2, 1, level >> 8)
    behind = {f.secondary: f for f in found if f.is_bridge and f.secondary}
    for info in found:
        if info.pin:
            line = routes[_pirq(info, behind, wiring)]
            arch.Header0(Config(machine, info.bdf)).line.write(U8.of(line))


def _router(
    machine: Machine, found: Sequence[FunctionInfo]
) -> tuple[list[ich9.Pirq], Wiring] | None:
    """The route registers, and how pins on bus 0 are wired to them."""
    chips = {f.bdf: (f.vendor, f.device) for f in found}
    if chips.get(ich9.LPC_BDF) == ich9.LPC:
        lpc = ich9.Lpc(Config(machine, ich9.LPC_BDF))
        return [*lpc.a_to_d, *lpc.e_to_h], ich9.pirq
    if chips.get(piix.ISA_BDF) == piix.ISA_BRIDGE:
        return [*piix.IsaBridge(Config(machine, piix.ISA_BDF)).a_to_d], piix.pirq
    return None


def _pirq(info: FunctionInfo, behind: dict[int, FunctionInfo], wiring: Wiring) -> int:
    pin, bdf = info.pin, info.bdf
    while above := behind.get(bdf >> 8):
        pin, bdf = ich9.swizzle(bdf >> 3 & 31, pin), above.bdf
    return wiring(bdf >> 3 & 31, pin)
