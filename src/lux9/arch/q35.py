"""The q35 chipset: host bridge and LPC bridge. Ref: Intel 3 Series Express Chipset (MCH), Intel I/O Controller
Hub 9 (ICH9), both as QEMU has them: MCH 8086:29c0 at 00:00.0, LPC 8086:2918 at 00:1f.0, SATA 8086:2922 at 00:1f.2.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from ..regs import U8, U16, U32, Block, Register, banks, bit, bits, ro, rw

INTEL = 0x8086
MCH = 0x29C0
LPC = 0x2918
SATA = 0x2922
MCH_BDF = 0x0000  # 00:00.0
LPC_BDF = 0x00F8  # 00:1f.0
SATA_BDF = 0x00FA  # 00:1f.2

PIRQS = 8  # PIRQA to PIRQH
IOAPIC_PIRQ = 16  # the I/O APIC's input of PIRQA; B to H follow. ICH9 §5.8.3
ISA_LINES = frozenset({3, 4, 5, 6, 7, 9, 10, 11, 12, 14, 15})  # where a PIRQ may be routed. ICH9 §13.1.18
PCIEXBAR_SIZE = {0: 256 << 20, 1: 128 << 20, 2: 64 << 20}  # bytes, by `PciexLow.length`. MCH §5.1.16


class PciexLength(IntEnum):
    """How much configuration space is mapped. MCH §5.1.16"""

    BUSES_256 = 0
    BUSES_128 = 1
    BUSES_64 = 2


class PciexLow(Register, width=32):
    """PCIEXBAR, low half: extended configuration space in memory. MCH §5.1.16"""

    addr:   int         = bits(31, 26)             # address bits 31:26; those below the length are zero
    length: PciexLength = bits(2, 1, PciexLength)
    enable: bool        = bit(0)


class PciexHigh(Register, width=32):
    """PCIEXBAR, high half. MCH §5.1.16"""

    addr: int = bits(3, 0)  # address bits 35:32


class Pam(Register, width=8):
    """Programmable attribute map: who answers a stretch below 1 MiB. MCH §5.1.20 and on"""

    high: int = bits(5, 4)  # bit 0 reads, bit 1 writes go to RAM
    low:  int = bits(1, 0)  # bit 0 reads, bit 1 writes go to RAM


class PamReg(Block):
    """One of PAM0 to PAM6. MCH §5.1.20"""

    pam = rw(0, Pam)


class Smram(Register, width=8):
    """System management RAM control. MCH §5.1.28"""

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


class PirqRoute(Register, width=8):
    """PIRQ[n]_ROUT: which ISA line a PIRQ drives. ICH9 §13.1.18"""

    off:  bool = bit(7)      # not routed to the 8259; the I/O APIC has it all the same
    line: int  = bits(3, 0)  # ISA line


class PirqReg(Block):
    """One PIRQ. ICH9 §13.1.18"""

    rout = rw(0, PirqRoute)


class PmBase(Register, width=32):
    """ACPI base address. ICH9 §13.1.13"""

    addr: int  = bits(15, 7)  # port bits 15:7
    io:   bool = bit(0)       # one


class AcpiControl(Register, width=8):
    """ACPI control. ICH9 §13.1.14"""

    enable: bool = bit(7)
    sci:    int  = bits(2, 0)  # line of the SCI: 0 to 2 are 9 to 11, 4 to 7 are 20 to 23


class SerialIrq(Register, width=8):
    """Serial interrupts. ICH9 §13.1.19"""

    enable:     bool = bit(7)
    continuous: bool = bit(6)
    frames:     int  = bits(5, 2)
    width_:     int  = bits(1, 0)  # of the start frame


class RcBase(Register, width=32):
    """Root complex base address. ICH9 §13.1.37"""

    addr:   int  = bits(31, 14)  # address bits 31:14
    enable: bool = bit(0)


class Lpc(Block, size=0x100):
    """The LPC bridge's own registers in configuration space. ICH9 §13.1"""

    pmbase   = rw(0x40, PmBase)
    acpi     = rw(0x44, AcpiControl)
    gpiobase = rw(0x48, U32)
    gpio     = rw(0x4C, U8)
    pirq_ad  = banks(0x60, 1, 4, PirqReg)  # PIRQA to PIRQD
    sirq     = rw(0x64, SerialIrq)
    pirq_eh  = banks(0x68, 1, 4, PirqReg)  # PIRQE to PIRQH
    lpc_ibdf = rw(0x6C, U16)               # the I/O APIC as a requester
    decode   = rw(0x80, U16)               # which legacy ports go to the LPC bus
    enables  = rw(0x82, U16)
    gen1     = rw(0x84, U32)               # generic port ranges
    gen2     = rw(0x88, U32)
    gen3     = rw(0x8C, U32)
    gen4     = rw(0x90, U32)
    rcba     = rw(0xF0, RcBase)


class SataMode(IntEnum):
    """How the SATA function behaves. ICH9 §15.1.30"""

    IDE = 0
    AHCI = 1
    RAID = 2


class SataMap(Register, width=8):
    """MAP: address map. ICH9 §15.1.30"""

    mode: SataMode = bits(7, 6, SataMode)
    ports: int     = bits(1, 0)  # 0: all on this function


class SataPorts(Register, width=16):
    """PCS: port control and status. ICH9 §15.1.31"""

    oob_retry: bool = bit(15)
    present:   int  = bits(13, 8)  # a bit a port: a device is there
    enabled:   int  = bits(5, 0)   # a bit a port


class SataConfig(Block, size=0x100):
    """The SATA function's own registers in configuration space. ICH9 §15.1"""

    map = rw(0x90, SataMap)
    pcs = rw(0x92, SataPorts)


class InterruptPins(Register, width=32):
    """D31IP: the interrupt pins of device 31's functions, 1 INTA to 4 INTD. ICH9 §10.1.33"""

    thermal: int = bits(27, 24)
    sata2:   int = bits(23, 20)
    smbus:   int = bits(15, 12)
    sata:    int = bits(11, 8)


class InterruptRoute(Register, width=16):
    """DnIR: the PIRQ of each pin of a device, 0 PIRQA to 7 PIRQH. ICH9 §10.1.41"""

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


def pirq_registers() -> Iterator[tuple[int, int]]:
    """(PIRQ number, offset of its route register) in the LPC bridge, PIRQA first. ICH9 §13.1.18, §13.1.20"""
    for first, bank in ((0, Lpc.pirq_ad), (4, Lpc.pirq_eh)):
        for i in range(bank.count):
            yield first + i, bank.offset + i * bank.stride


def swizzle(device: int, pin: int, pirqs: int = 4) -> int:
    """The input that a pin (1 INTA to 4 INTD) of a device reaches, by the usual rotation. PCI bridges: PPB 1.2 §9.1"""
    return (device + pin - 1) % pirqs
