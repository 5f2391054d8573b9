"""What specifications say, as data: registers, structures, commands, limits. A file a specification.

`BLOCKS` finds the registers of a PCI function by its class code.
"""

from __future__ import annotations

from typing import NamedTuple

from ..regs import Block
from . import ahci


class Registers(NamedTuple):
    """Where a function's registers are, and what they are."""

    bar: int
    block: type[Block]


BLOCKS: dict[int, Registers] = {ahci.CLASS: Registers(ahci.ABAR, ahci.HBA)}


def registers_of(code: int) -> Registers | None:
    """The registers of a function with this 24-bit class code, or None where none are declared."""
    return BLOCKS.get(code)
