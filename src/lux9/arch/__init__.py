"""What specifications say, as data: registers, structures, commands, limits. A file a specification.

`BLOCKS` finds the registers of a PCI function by its class code, `CARDS` by its vendor and device.
"""

from __future__ import annotations

from typing import NamedTuple

from ..regs import Block
from . import ahci, edu


class Registers(NamedTuple):
    """Where a function's registers are, and what they are."""

    bar: int
    block: type[Block]
    name: str = ""  # what `lux9 repl` offers the first of them as


BLOCKS: dict[int, Registers] = {ahci.CLASS: Registers(ahci.ABAR, ahci.HBA, "hba")}
CARDS: dict[tuple[int, int], Registers] = {edu.DEVICE: Registers(edu.BAR, edu.Edu, "edu")}


def registers_of(code: int, card: tuple[int, int] = (0, 0)) -> Registers | None:
    """The registers of a function with this 24-bit class code, or of this vendor and device.

    None where none are declared.
    """
    return CARDS.get(card) or BLOCKS.get(code)
