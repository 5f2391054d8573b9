"""Resetting a controller by its own registers, for functions whose configuration space has no method.

What a class's specification gives every controller of that class: nothing here knows a vendor.
"""

from __future__ import annotations

from collections.abc import Callable

from ..arch import ahci, pci as arch
from ..errors import DeviceError
from .abstract import Bdf, Machine
from .functions import Config, Memory

Reset = Callable[["Memory"], str]


def by_class(machine: Machine, bdf: Bdf) -> str | None:
    """Reset by the function's class; the method's name, or None when the class has none here.

    The command register is as before. Raises DeviceError when the controller does not come back.
    """
    config = Config(machine, bdf)
    header = arch.Header0(config)
    if (found := CLASSES.get(header.cls.read().code)) is None:
        return None
    index, reset = found
    address = arch.bar_address(config.read(arch.Header0.bar.offset + 4 * index, 4), 0)
    if not address:
        return None
    command = header.command.read()
    header.command.write(command.replace(mem=True, master=False))
    try:
        return reset(Memory(machine, address))
    finally:
        header.command.write(command)


def _ahci(window: Memory) -> str:
    """GHC.HR. AHCI 1.3.1 §10.4.3"""
    hba = ahci.HBA(window)
    hba.ghc.write(ahci.GHC(ae=True, hr=True))
    if hba.ghc.wait(lambda ghc: not ghc.hr, ahci.RESET_LIMIT).ie:
        raise DeviceError("interrupts are still enabled after an HBA reset")
    return "HBA reset (AHCI)"


CLASSES: dict[int, tuple[int, Reset]] = {0x010601: (5, _ahci)}  # class code: BAR of the registers
