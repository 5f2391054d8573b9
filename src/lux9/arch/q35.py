"""The q35 chipset, what `ich9` has not: the host bridge, the SATA function's own registers, interrupt routes in memory.

Ref: Intel 3 Series Express Chipset Family Datasheet (MCH), Intel I/O Controller Hub 9 Family Datasheet (ICH9).
"""

from __future__ import annotations

from enum import IntEnum

from ..regs import Block, Register, banks, bit, bits, ro, rw

PCIEXBAR_SIZE = {0: 256 << 20, 1: 128 << 20, 2: 64 << 20}  # bytes, by `PciexLow.length`. MCH §5.1


class PciexLength(IntEnum):
    """How much configuration space is mapped. MCH §5.1"""

    BUSES_256 = 0
    BUSES_128 = 1
    BUSES_64 = 2


class PciexLow(Register, width=32):
    """PCIEXBAR, low half: extended configuration space in memory. MCH §5.1"""

    addr:   int         = bits(31, 26)             # address bits 31:26; those below the length are zero
    length: PciexLength = bits(2, 1, PciexLength)
    enable: bool        = bit(0)


class PciexHigh(Register, width=32):
    """PCIEXBAR, high half. MCH §5.1"""

    addr: int = bits(3, 0)  # address bits 35:32


class Pam(Register, width=8):
    """Programmable attribute map: who answers a stretch below 1 MiB. MCH §5.1"""

    high: int = bits(5, 4)  # bit 0 reads, bit 1 writes go to RAM
    low:  int = bits(1, 0)  # bit 0 reads, bit 1 writes go to RAM


class PamReg(Block):
    """One of PAM0 to PAM6. MCH §5.1"""

    pam = rw(0, Pam)


class Smram(Register, width=8):
    """System management RAM control. MCH §5.1"""

    open_:  bool = bit(6)      # visible outside system management mode
    closed: bool = bit(5)      # not for data
    lock:   bool = bit(4)
    enable: bool = bit(3)
    base:   int  = bits(2, 0)  # 2


class HostBridge(Block, size=0x100):
    """The host bridge's own registers in configuration space. MCH §5.1"""

    pciex_low  = rw(0x60, PciexLow)
    pciex_high = rw(0x64, PciexHigh)
    pam        = banks(0x90, 1, 7, PamReg)
    smram      = rw(0x9D, Smram)


class SataMode(IntEnum):
    """How the SATA function behaves. ICH9 §15.1"""

    IDE = 0
    AHCI = 1
    RAID = 2


class SataMap(Register, width=8):
    """MAP: address map. ICH9 §15.1"""

    mode: SataMode = bits(7, 6, SataMode)
    ports: int     = bits(1, 0)  # 0: all on this function


class SataPorts(Register, width=16):
    """PCS: port control and status. ICH9 §15.1"""

    oob_retry: bool = bit(15)
    present:   int  = bits(13, 8)  # a bit a port: a device is there
    enabled:   int  = bits(5, 0)   # a bit a port


class SataConfig(Block, size=0x100):
    """The SATA function's own registers in configuration space. ICH9 §15.1"""

    map = rw(0x90, SataMap)
    pcs = rw(0x92, SataPorts)


class InterruptPins(Register, width=32):
    """D31IP: the interrupt pins of device 31's functions, 1 INTA to 4 INTD. ICH9 §10.1"""

    thermal: int = bits(27, 24)
    sata2:   int = bits(23, 20)
    smbus:   int = bits(15, 12)
    sata:    int = bits(11, 8)


class InterruptRoute(Register, width=16):
    """DnIR: the PIRQ of each pin of a device, 0 PIRQA to 7 PIRQH. ICH9 §10.1"""

    d: int = bits(14, 12)  # INTD
    c: int = bits(10, 8)   # INTC
    b: int = bits(6, 4)    # INTB
    a: int = bits(2, 0)    # INTA


class RootComplex(Block, size=0x4000):
    """The chipset registers in memory at RCBA, those that route interrupts. ICH9 §10.1"""

    d31ip = ro(0x3100, InterruptPins)
    d31ir = rw(0x3140, InterruptRoute)
    d29ir = rw(0x3144, InterruptRoute)
    d28ir = rw(0x3146, InterruptRoute)
    d27ir = rw(0x3148, InterruptRoute)
    d26ir = rw(0x314C, InterruptRoute)
    d25ir = rw(0x3150, InterruptRoute)
