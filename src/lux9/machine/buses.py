"""Buses and the bridges that they are behind; their numbers, as firmware gives them."""

from __future__ import annotations

from collections.abc import Iterator

from ..arch import pci as arch
from ..regs import U8
from .abstract import Bdf, Machine
from .functions import Config, present


def number_buses(machine: Machine) -> None:
    """Give each bridge the buses behind it, depth first: PCI-to-PCI Bridge 1.2 §3.2.5.3; numbers given stay."""
    used = {0, *_given(machine, 0, 255)}
    _number(machine, 0, [], used)


def _bridges(machine: Machine, bus: int) -> Iterator[tuple[Bdf, arch.Header1]]:
    for bdf in present(machine, bus):
        header = arch.Header1(Config(machine, bdf), 0, arch.bdf_text(bdf))
        if header.header_type.read().layout == arch.Layout.BRIDGE:
            yield bdf, header


def bridge_to(machine: Machine, bus: int, start: int = 0) -> arch.Header1 | None:
    """The bridge that a bus is right behind, or None: for the root bus, and for one that nobody numbered."""
    for _, header in _bridges(machine, start):
        first, last = header.secondary.read().raw, header.subordinate.read().raw
        if first == bus != 0:
            return header
        if start < first < bus <= last:
            return bridge_to(machine, bus, first)
    return None


def _given(machine: Machine, bus: int, last: int) -> set[int]:
    """The numbers that the bridges of a bus have, those behind them included; what cannot be is taken away."""
    numbers: set[int] = set()
    for _, header in _bridges(machine, bus):
        first, end = header.secondary.read().raw, header.subordinate.read().raw
        mine = set(range(first, end + 1))
        if bus < first <= end <= last and not mine & numbers:
            numbers |= mine
            _given(machine, first, end)
        elif first or end:
            _unnumber(header)
    return numbers


def _unnumber(header: arch.Header1) -> None:
    """Nothing is behind it that configuration cycles reach."""
    for number in (header.primary, header.secondary, header.subordinate):
        number.write(U8.of(0))


def _number(machine: Machine, bus: int, above: list[arch.Header1], used: set[int]) -> None:
    for _, header in list(_bridges(machine, bus)):
        header.primary.write(U8.of(bus))
        if not header.secondary.read().raw:
            number = max(used) + 1
            # The bridges above must reach the new number, and reach nothing of their neighbours' by it
            if number > 255 or any(h.subordinate.read().raw < number - 1 for h in above):
                continue
            used.add(number)
            for each in (*above, header):
                each.subordinate.write(U8.of(number))
            header.secondary.write(U8.of(number))
        _number(machine, header.secondary.read().raw, [*above, header], used)
