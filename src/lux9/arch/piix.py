"""The PIIX3, ISA bridge and interrupt router of boards older than PCI Express.

Ref: Intel 82371FB (PIIX) and 82371SB (PIIX3) PCI ISA IDE Xcelerator, 290550. What a board may wire as it likes is
wired as QEMU's `pc` does.
"""

from __future__ import annotations

from ..regs import banks
from .ich9 import Pirq
from .pci import Header0

ISA_BRIDGE = (0x8086, 0x7000)  # vendor and device of 00:01.0
ISA_BDF = 1 << 3


class IsaBridge(Header0):
    """Configuration space of function 0. PIIX3 §2.2"""

    a_to_d = banks(0x60, 1, 4, Pirq)  # PIRQRC: as ICH9's routes. PIIX3 §2.2.6


def pirq(device: int, pin: int) -> int:
    """The PIRQ (0 to 3 for A to D) of a pin (1 to 4) of a device on bus 0."""
    return (device - 1 + pin - 1) % 4
