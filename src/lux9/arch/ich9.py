"""The board around a q35: ICH9's LPC bridge as interrupt router, and how pins are wired to it.

Ref: Intel I/O Controller Hub 9 Family Datasheet (ICH9). What a board may wire as it likes is wired as QEMU's q35 does.
"""

from __future__ import annotations

from ..regs import Block, Register, banks, bit, bits, rw
from .pci import Header0

HOST_BRIDGE = (0x8086, 0x29C0)  # vendor and device of 00:00.0
LPC = (0x8086, 0x2918)          # of 00:1f.0
SMBUS = (0x8086, 0x2930)        # of 00:1f.3

LPC_BDF = 0x1F << 3
ELCR1 = 0x4D0                   # edge or level, lines 0 to 7: a bit set is level. ICH9 §13.4
ELCR2 = 0x4D1                   # lines 8 to 15. ICH9 §13.4
CONFIG_ADDRESS = 0xCF8          # PCI 3.0 §3.2.2.3.2
CONFIG_DATA = 0xCFC


class ConfigAddress(Register, width=32):
    """What the next access of CONFIG_DATA reaches. PCI 3.0 §3.2.2.3.2"""

    enable: bool = bit(31)
    bdf:    int  = bits(23, 8)
    reg:    int  = bits(7, 2)   # dword


class PmBase(Register, width=32):
    """PMBASE: ports of power management. ICH9 §13.1"""

    addr: int  = bits(15, 7)  # address bits 15:7
    io:   bool = bit(0)       # one: it is port space


class AcpiControl(Register, width=8):
    """ACPI_CNTL. ICH9 §13.1"""

    enable: bool = bit(7)      # the ports at PMBASE answer
    sci:    int  = bits(2, 0)  # line of the system control interrupt: 0 is 9


class PirqRoute(Register, width=8):
    """PIRQn_ROUT: where a PIRQ goes. ICH9 §13.1"""

    off:  bool = bit(7)      # to no ISA line
    line: int  = bits(3, 0)  # ISA line


class SerialIrq(Register, width=8):
    """SIRQ_CNTL: serial interrupts. ICH9 §13.1"""

    enable:     bool = bit(7)
    continuous: bool = bit(6)
    frame:      int  = bits(5, 2)
    pulse:      int  = bits(1, 0)


class Rcba(Register, width=32):
    """RCBA: base of the chipset registers, `arch.q35.RootComplex`. ICH9 §13.1"""

    addr:   int  = bits(31, 14)  # address bits 31:14
    enable: bool = bit(0)        # they answer


class Pirq(Block):
    """One route. ICH9 §13.1"""

    route = rw(0x00, PirqRoute)


class Lpc(Header0):
    """Configuration space of the LPC bridge. ICH9 §13.1"""

    pmbase = rw(0x40, PmBase)
    acpi   = rw(0x44, AcpiControl)
    a_to_d = banks(0x60, 1, 4, Pirq)   # PIRQA to PIRQD
    serial = rw(0x64, SerialIrq)
    e_to_h = banks(0x68, 1, 4, Pirq)   # PIRQE to PIRQH
    rcba   = rw(0xF0, Rcba)


def pirq(device: int, pin: int) -> int:
    """The PIRQ (0 to 7 for A to H) of a pin (1 to 4) of a device on bus 0, as wired after reset.

    25 to 31 as D25IR to D31IR (ICH9 §10.1) stand then: INTA is PIRQA. 30 is the bridge to PCI, E to H. The slots below
    are the board's to wire.
    """
    if device == 30:
        return 3 + pin
    return pin - 1 if device >= 25 else (device + pin - 1) % 4 + 4


def swizzle(device: int, pin: int) -> int:
    """The pin of a bridge that a pin of a device behind it comes out at. PCI-to-PCI Bridge 1.2 §9.1"""
    return (pin - 1 + device) % 4 + 1
