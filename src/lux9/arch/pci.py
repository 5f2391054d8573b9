"""PCI configuration space. Ref: PCI Local Bus 3.0 (PCI), PCI Express Base 4.0 (PCIe), PCI-to-PCI Bridge 1.2 (PPB),
PCI Power Management 1.2 (PM), PCI Code and ID Assignment 1.11 (IDs), AHCI 1.3.1 §2.4 for the SATA capability.

`Header0` and `Header1` are blocks over a function's configuration space; a capability's block takes the offset that
`capabilities()` found as its base. Names of classes are those that lspci prints.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from ..regs import (
    U8,
    U16,
    U32,
    Block,
    Register,
    Window,
    banks,
    bit,
    bits,
    ro,
    rw,
    w1c,
)

CONFIG_SIZE = 0x100  # bytes of configuration space. PCI §6.1
EXTENDED_SIZE = 0x1000  # with the extended part of PCI Express. PCIe §7.2
NO_FUNCTION = 0xFFFF  # the vendor that nobody is: no function there. PCI §6.2.1
NO_LINE = 0xFF  # interrupt line: none, or not known. PCI §6.2.4
BARS = (6, 2)  # BARs of header types 0 and 1

# Time limits, seconds
FLR_LIMIT = 0.1  # a function level reset is done. PCIe §6.6.2
RESET_READY_LIMIT = 1.0  # configuration requests are answered after a reset. PCIe §6.6.1
D3_LIMIT = 0.01  # between a change of power state and the next access. PM §5.6.1, table 5-6
TRANSACTIONS_LIMIT = 0.1  # transactions pending reads zero after bus master was cleared. PCIe §6.6.2


class CapId(IntEnum):
    """Capabilities. IDs §2"""

    NULL = 0x00
    PM = 0x01
    AGP = 0x02
    VPD = 0x03
    SLOT_ID = 0x04
    MSI = 0x05
    HOT_SWAP = 0x06
    PCI_X = 0x07
    HYPERTRANSPORT = 0x08
    VENDOR = 0x09
    DEBUG_PORT = 0x0A
    RESOURCE_CONTROL = 0x0B
    HOT_PLUG = 0x0C
    SUBSYSTEM = 0x0D
    AGP_8X = 0x0E
    SECURE = 0x0F
    PCIE = 0x10
    MSI_X = 0x11
    SATA = 0x12
    ADVANCED_FEATURES = 0x13
    ENHANCED_ALLOCATION = 0x14
    FLATTENING = 0x15


class ExtCapId(IntEnum):
    """Extended capabilities. IDs §3"""

    NULL = 0x0000
    AER = 0x0001
    VC = 0x0002
    SERIAL = 0x0003
    POWER_BUDGET = 0x0004
    ROOT_LINK = 0x0005
    ROOT_INTERNAL_LINK = 0x0006
    ROOT_EVENT_COLLECTOR = 0x0007
    MFVC = 0x0008
    VC9 = 0x0009
    RCRB = 0x000A
    VENDOR = 0x000B
    CAC = 0x000C
    ACS = 0x000D
    ARI = 0x000E
    ATS = 0x000F
    SR_IOV = 0x0010
    MR_IOV = 0x0011
    MULTICAST = 0x0012
    PAGE_REQUEST = 0x0013
    RESIZABLE_BAR = 0x0015
    DPA = 0x0016
    TPH = 0x0017
    LTR = 0x0018
    SECONDARY_PCIE = 0x0019
    PMUX = 0x001A
    PASID = 0x001B
    LN = 0x001C
    DPC = 0x001D
    L1_PM = 0x001E
    PTM = 0x001F
    M_PCIE = 0x0020
    FRS = 0x0021
    READINESS = 0x0022
    DVSEC = 0x0023
    VF_RESIZABLE_BAR = 0x0024
    DATA_LINK = 0x0025
    PHY_16GT = 0x0026
    MARGINING = 0x0027


class Layout(IntEnum):
    """What follows the first 16 bytes. PCI §6.1, PPB §3.1"""

    GENERAL = 0
    BRIDGE = 1
    CARDBUS = 2


class Devsel(IntEnum):
    """Slowest DEVSEL# time. PCI §6.2.3"""

    FAST = 0
    MEDIUM = 1
    SLOW = 2


class BarType(IntEnum):
    """How wide a memory BAR's address is. PCI §6.2.5.1"""

    MEM32 = 0
    BELOW_1M = 1  # PCI 2.1 and before
    MEM64 = 2


class Pin(IntEnum):
    """Interrupt pin. PCI §6.2.4"""

    NONE = 0
    INTA = 1
    INTB = 2
    INTC = 3
    INTD = 4


# Header, PCI §6.1 and §6.2

class Command(Register, width=16):
    """Command. PCI 3.0 §6.2.2"""

    intx_disable: bool = bit(10)  # keep INTx# down
    fast_b2b:     bool = bit(9)   # fast back-to-back to different agents
    serr:         bool = bit(8)   # SERR# may be driven
    stepping:     bool = bit(7)   # address stepping; reserved since 3.0
    parity:       bool = bit(6)   # react to parity errors
    vga_snoop:    bool = bit(5)   # VGA palette snoop
    mwi:          bool = bit(4)   # memory write and invalidate
    special:      bool = bit(3)   # special cycles
    master:       bool = bit(2)   # bus master: it may read and write memory
    mem:          bool = bit(1)   # memory space answers
    io:           bool = bit(0)   # port space answers


class Status(Register, width=16):
    """Status. PCI 3.0 §6.2.3"""

    detected_parity: bool   = bit(15, w1c=True)    # parity error seen
    signaled_serr:   bool   = bit(14, w1c=True)    # SERR# driven
    master_abort:    bool   = bit(13, w1c=True)    # as master, nobody answered
    target_abort:    bool   = bit(12, w1c=True)    # as master, the target gave up
    signaled_abort:  bool   = bit(11, w1c=True)    # as target, it gave up
    devsel:          Devsel = bits(10, 9, Devsel)  # DEVSEL# time
    master_parity:   bool   = bit(8, w1c=True)     # as master, parity error
    fast_b2b:        bool   = bit(7)               # takes fast back-to-back
    mhz66:           bool   = bit(5)               # 66 MHz
    cap_list:        bool   = bit(4)               # there is a capability list
    intx:            bool   = bit(3)               # INTx is pending
    ready:           bool   = bit(0)               # immediate readiness. PCIe §7.5.1.1.4


class ClassCode(Register, width=32):
    """Revision and class code. PCI 3.0 §6.2.1"""

    base:     int = bits(31, 24)  # base class
    sub:      int = bits(23, 16)  # sub-class
    prog:     int = bits(15, 8)   # programming interface
    revision: int = bits(7, 0)    # revision

    @property
    def code(self) -> int:
        """The 24 bits of the class code: 0x010601 is AHCI."""
        return self.raw >> 8


class HeaderType(Register, width=8):
    """Header type. PCI 3.0 §6.2.1"""

    multi:  bool   = bit(7)             # the device has several functions
    layout: Layout = bits(6, 0, Layout)  # what follows


class Bist(Register, width=8):
    """Built-in self test. PCI 3.0 §6.2.4"""

    capable: bool = bit(7)      # there is one
    start:   bool = bit(6)      # start; reads 1 until done, 2 s at most
    code:    int  = bits(3, 0)  # 0 passed


class BarMem(Register, width=32):
    """Base address, memory space (bit 0 is zero); the upper half of a 64-bit one is the next. PCI 3.0 §6.2.5.1"""

    addr:     int     = bits(31, 4)          # address bits 31:4
    prefetch: bool    = bit(3)               # reads have no side effects
    type:     BarType = bits(2, 1, BarType)  # width of the address
    io:       bool    = bit(0)               # it is a BarIo


class BarIo(Register, width=32):
    """Base address, port space (bit 0 is one). PCI 3.0 §6.2.5.1"""

    addr: int  = bits(31, 2)  # address bits 31:2
    io:   bool = bit(0)       # one


class RomBar(Register, width=32):
    """Expansion ROM base address. PCI 3.0 §6.2.5.2"""

    addr:   int  = bits(31, 11)  # address bits 31:11
    enable: bool = bit(0)        # the ROM answers


class Bar(Block):
    """One base address register. PCI 3.0 §6.2.5"""

    word = rw(0x00, BarMem)  # BarIo.of(raw) where `io` is set


class PinReg(Register, width=8):
    """Interrupt pin. PCI 3.0 §6.2.4"""

    pin: Pin = bits(7, 0, Pin)


class Header(Block):
    """What all header types have. PCI 3.0 §6.2.1"""

    vendor      = ro(0x00, U16)         # who made it
    device      = ro(0x02, U16)         # which one
    command     = rw(0x04, Command)
    status      = w1c(0x06, Status)
    cls         = ro(0x08, ClassCode)   # revision and class
    cache_line  = rw(0x0C, U8)          # dwords
    latency     = rw(0x0D, U8)          # bus clocks
    header_type = ro(0x0E, HeaderType)
    bist        = rw(0x0F, Bist)


class Header0(Header, size=64):
    """Type 0: a device. PCI 3.0 §6.1, figure 6-1"""

    bar       = banks(0x10, 4, 6, Bar)
    cardbus   = ro(0x28, U32)          # CIS pointer
    subvendor = ro(0x2C, U16)          # subsystem vendor
    subdevice = ro(0x2E, U16)          # subsystem
    rom       = rw(0x30, RomBar)       # expansion ROM
    cap       = ro(0x34, U8)           # first capability
    line      = rw(0x3C, U8)           # interrupt line, as firmware routed it
    pin       = ro(0x3D, PinReg)       # interrupt pin
    min_gnt   = ro(0x3E, U8)           # burst length, 250 ns
    max_lat   = ro(0x3F, U8)           # how often the bus is needed, 250 ns


class IoWindow(Register, width=8):
    """Bridge: port base or limit. PPB 1.2 §3.2.5.6"""

    addr:   int = bits(7, 4)  # address bits 15:12
    width_: int = bits(3, 0)  # 1: 32-bit addresses, with the upper 16 registers


class MemWindow(Register, width=16):
    """Bridge: memory base or limit. PPB 1.2 §3.2.5.8"""

    addr: int = bits(15, 4)  # address bits 31:20


class PrefetchWindow(Register, width=16):
    """Bridge: prefetchable memory base or limit. PPB 1.2 §3.2.5.9"""

    addr:   int = bits(15, 4)  # address bits 31:20
    width_: int = bits(3, 0)   # 1: 64-bit addresses, with the upper 32 registers


class SecondaryStatus(Register, width=16):
    """Bridge: status of the secondary bus. PPB 1.2 §3.2.5.7"""

    detected_parity: bool   = bit(15, w1c=True)
    received_serr:   bool   = bit(14, w1c=True)
    master_abort:    bool   = bit(13, w1c=True)
    target_abort:    bool   = bit(12, w1c=True)
    signaled_abort:  bool   = bit(11, w1c=True)
    devsel:          Devsel = bits(10, 9, Devsel)
    master_parity:   bool   = bit(8, w1c=True)
    fast_b2b:        bool   = bit(7)
    mhz66:           bool   = bit(5)


class BridgeControl(Register, width=16):
    """Bridge control. PPB 1.2 §3.2.5.18"""

    discard_serr:      bool = bit(11)            # SERR# when a delayed answer was discarded
    discard_status:    bool = bit(10, w1c=True)  # one was
    secondary_discard: bool = bit(9)             # 2^10 clocks, not 2^15
    primary_discard:   bool = bit(8)             # 2^10 clocks, not 2^15
    fast_b2b:          bool = bit(7)
    reset:             bool = bit(6)             # secondary bus reset, for as long as it is set
    abort:             bool = bit(5)             # report master aborts
    vga16:             bool = bit(4)             # VGA ports decoded to 16 bits
    vga:               bool = bit(3)             # VGA goes to the secondary bus
    isa:               bool = bit(2)             # not the upper 768 bytes of each KiB of ports
    serr:              bool = bit(1)             # pass SERR# on
    parity:            bool = bit(0)             # react to parity errors


class Header1(Header, size=64):
    """Type 1: a bridge. PPB 1.2 §3.2"""

    bar              = banks(0x10, 4, 2, Bar)
    primary          = rw(0x18, U8)                # bus above
    secondary        = rw(0x19, U8)                # bus below
    subordinate      = rw(0x1A, U8)                # last bus below
    secondary_timer  = rw(0x1B, U8)                # latency
    io_base          = rw(0x1C, IoWindow)
    io_limit         = rw(0x1D, IoWindow)
    secondary_status = w1c(0x1E, SecondaryStatus)
    mem_base         = rw(0x20, MemWindow)
    mem_limit        = rw(0x22, MemWindow)
    prefetch_base    = rw(0x24, PrefetchWindow)
    prefetch_limit   = rw(0x26, PrefetchWindow)
    prefetch_base32  = rw(0x28, U32)               # address bits 63:32
    prefetch_limit32 = rw(0x2C, U32)               # address bits 63:32
    io_base16        = rw(0x30, U16)               # address bits 31:16
    io_limit16       = rw(0x32, U16)               # address bits 31:16
    cap              = ro(0x34, U8)                # first capability
    rom              = rw(0x38, RomBar)            # expansion ROM
    line             = rw(0x3C, U8)                # interrupt line
    pin              = ro(0x3D, PinReg)            # interrupt pin
    control          = rw(0x3E, BridgeControl)


# Capabilities

class CapHeader(Register, width=16):
    """The first two bytes of a capability. PCI 3.0 §6.7"""

    next: int   = bits(15, 8)       # offset of the next, 0 ends
    id:   CapId = bits(7, 0, CapId)  # which


class Capability(Block):
    """What all capabilities have. PCI 3.0 §6.7"""

    head = ro(0x00, CapHeader)


class PowerState(IntEnum):
    """Device power states. PM §3.2.4"""

    D0 = 0
    D1 = 1
    D2 = 2
    D3 = 3


class PmCaps(Register, width=16):
    """Power management capabilities. PM 1.2 §3.2.3"""

    pme:     int  = bits(15, 11)  # PME# from D3cold, D3hot, D2, D1, D0
    d2:      bool = bit(10)       # has D2
    d1:      bool = bit(9)        # has D1
    aux:     int  = bits(8, 6)    # auxiliary current in D3cold
    dsi:     bool = bit(5)        # needs its driver to initialise it
    clock:   bool = bit(3)        # PME# needs the clock
    version: int  = bits(2, 0)    # 3: PM 1.2


class PmControl(Register, width=16):
    """Power management control and status. PM 1.2 §3.2.4"""

    pme_status: bool       = bit(15, w1c=True)        # PME was raised
    scale:      int        = bits(14, 13)             # of the data register
    select:     int        = bits(12, 9)              # what the data register shows
    pme_enable: bool       = bit(8)                   # PME# may be raised
    no_soft:    bool       = bit(3)                   # D3hot to D0 keeps the configuration
    state:      PowerState = bits(1, 0, PowerState)   # power state


class Pm(Capability, size=8):
    """Power management. PM 1.2 §3.2"""

    caps    = ro(0x02, PmCaps)
    control = rw(0x04, PmControl)
    bridge  = ro(0x06, U8)         # bridge support
    data    = ro(0x07, U8)


class MsiControl(Register, width=16):
    """MSI message control. PCI 3.0 §6.8.1.3"""

    extended_on: bool = bit(10)     # 32-bit data on. PCIe §7.7.1.2
    extended:    bool = bit(9)      # 32-bit data possible
    maskable:    bool = bit(8)      # a mask bit a vector
    wide:        bool = bit(7)      # 64-bit address: Msi64
    given:       int  = bits(6, 4)  # vectors given, as a power of two
    wanted:      int  = bits(3, 1)  # vectors wanted, as a power of two
    enable:      bool = bit(0)      # messages, not INTx


class MsiAddress(Register, width=32):
    """MSI message address. PCI 3.0 §6.8.1.4"""

    addr: int = bits(31, 2)  # address bits 31:2


class Msi(Capability):
    """Message signalled interrupts, what both forms have. PCI 3.0 §6.8.1"""

    control = rw(0x02, MsiControl)
    address = rw(0x04, MsiAddress)


class Msi32(Msi, size=24):
    """MSI with a 32-bit address. PCI 3.0 §6.8.1; without `control.maskable` it ends at 10"""

    data     = rw(0x08, U16)
    extended = rw(0x0A, U16, when=lambda msi: msi.control.read().extended)  # data bits 31:16
    mask     = rw(0x0C, U32, when=lambda msi: msi.control.read().maskable)  # a bit a vector
    pending  = ro(0x10, U32, when=lambda msi: msi.control.read().maskable)  # a bit a vector


class Msi64(Msi, size=24):
    """MSI with a 64-bit address. PCI 3.0 §6.8.1; without `control.maskable` it ends at 14"""

    upper    = rw(0x08, U32)  # address bits 63:32
    data     = rw(0x0C, U16)
    extended = rw(0x0E, U16, when=lambda msi: msi.control.read().extended)  # data bits 31:16
    mask     = rw(0x10, U32, when=lambda msi: msi.control.read().maskable)  # a bit a vector
    pending  = ro(0x14, U32, when=lambda msi: msi.control.read().maskable)  # a bit a vector


class MsixControl(Register, width=16):
    """MSI-X message control. PCI 3.0 §6.8.2.3"""

    enable: bool = bit(15)       # messages, not INTx
    mask:   bool = bit(14)       # all vectors masked
    last:   int  = bits(10, 0)   # entries of the table, less one


class BarOffset(Register, width=32):
    """A place in a BAR. PCI 3.0 §6.8.2.4"""

    offset: int = bits(31, 3)  # bits 31:3 of the offset
    bir:    int = bits(2, 0)   # which BAR

    @property
    def at(self) -> int:
        """The offset in bytes."""
        return self.raw & ~7


class Msix(Capability, size=12):
    """MSI-X. PCI 3.0 §6.8.2"""

    control = rw(0x02, MsixControl)
    table   = ro(0x04, BarOffset)  # where the MsixEntry are
    pba     = ro(0x08, BarOffset)  # where the pending bits are, 64 a qword


class MsixVector(Register, width=32):
    """MSI-X vector control. PCI 3.0 §6.8.2.9"""

    mask: bool = bit(0)


class MsixEntry(Block, size=16):
    """A vector of the MSI-X table. PCI 3.0 §6.8.2.6"""

    address = rw(0x00, MsiAddress)
    upper   = rw(0x04, U32)         # address bits 63:32
    data    = rw(0x08, U32)
    control = rw(0x0C, MsixVector)


class MsixTable(Block):
    """The MSI-X table, in the BAR that `Msix.table` names. PCI 3.0 §6.8.2.6"""

    entry = banks(0x00, 16, 2048, MsixEntry)


class PortType(IntEnum):
    """What a PCI Express function is. PCIe §7.5.3.2"""

    ENDPOINT = 0
    LEGACY_ENDPOINT = 1
    ROOT_PORT = 4
    UPSTREAM = 5
    DOWNSTREAM = 6
    TO_PCI = 7
    FROM_PCI = 8
    ROOT_ENDPOINT = 9
    ROOT_EVENT_COLLECTOR = 10


class PcieCaps(Register, width=16):
    """PCI Express capabilities. PCIe 4.0 §7.5.3.2"""

    message: int      = bits(13, 9)            # vector of hot-plug and PME interrupts
    slot:    bool     = bit(8)                 # the port has a slot
    type:    PortType = bits(7, 4, PortType)
    version: int      = bits(3, 0)             # 2


class DevCap(Register, width=32):
    """Device capabilities. PCIe 4.0 §7.5.3.3"""

    flr:         bool = bit(28)       # function level reset
    power_scale: int  = bits(27, 26)  # of the slot power limit
    power:       int  = bits(25, 18)  # slot power limit
    role_error:  bool = bit(15)       # role-based error reporting
    l1:          int  = bits(11, 9)   # L1 latency that it bears
    l0s:         int  = bits(8, 6)    # L0s latency that it bears
    tag8:        bool = bit(5)        # 8-bit tags
    phantom:     int  = bits(4, 3)    # phantom functions
    payload:     int  = bits(2, 0)    # largest payload: 128 << n bytes


class DevCtl(Register, width=16):
    """Device control. PCIe 4.0 §7.5.3.4"""

    flr:      bool = bit(15)       # function level reset; reads 0. A bridge to PCI: configuration retry
    read:     int  = bits(14, 12)  # largest read request: 128 << n bytes
    no_snoop: bool = bit(11)
    aux:      bool = bit(10)       # auxiliary power
    phantom:  bool = bit(9)
    tag8:     bool = bit(8)
    payload:  int  = bits(7, 5)    # largest payload: 128 << n bytes
    relaxed:  bool = bit(4)        # relaxed ordering
    unsupported: bool = bit(3)     # report unsupported requests
    fatal:    bool = bit(2)        # report fatal errors
    nonfatal: bool = bit(1)        # report non-fatal errors
    correctable: bool = bit(0)     # report correctable errors


class DevSta(Register, width=16):
    """Device status. PCIe 4.0 §7.5.3.5"""

    pending:     bool = bit(5)            # transactions pending
    aux:         bool = bit(4)            # auxiliary power detected
    unsupported: bool = bit(3, w1c=True)  # unsupported request seen
    fatal:       bool = bit(2, w1c=True)
    nonfatal:    bool = bit(1, w1c=True)
    correctable: bool = bit(0, w1c=True)


class LinkCap(Register, width=32):
    """Link capabilities. PCIe 4.0 §7.5.3.6"""

    port:      int  = bits(31, 24)  # port number
    aspm_opt:  bool = bit(22)       # ASPM optionality compliance
    bandwidth: bool = bit(21)       # bandwidth notification
    active:    bool = bit(20)       # reports link active
    surprise:  bool = bit(19)       # reports surprise down
    clock_pm:  bool = bit(18)       # clock power management
    l1:        int  = bits(17, 15)  # L1 exit latency
    l0s:       int  = bits(14, 12)  # L0s exit latency
    aspm:      int  = bits(11, 10)  # L1, L0s
    lanes:     int  = bits(9, 4)    # widest
    speed:     int  = bits(3, 0)    # fastest: 1 is 2.5 GT/s, 2 is 5, 3 is 8, 4 is 16


class LinkCtl(Register, width=16):
    """Link control. PCIe 4.0 §7.5.3.7"""

    auto_irq:  bool = bit(11)      # interrupt on autonomous bandwidth change
    width_irq: bool = bit(10)      # interrupt on bandwidth management
    no_auto:   bool = bit(9)       # no autonomous width change
    clock_pm:  bool = bit(8)
    sync:      bool = bit(7)       # extended synch
    common:    bool = bit(6)       # common clock
    retrain:   bool = bit(5)       # reads 0
    disable:   bool = bit(4)
    rcb:       bool = bit(3)       # read completion boundary 128, not 64
    aspm:      int  = bits(1, 0)   # L1, L0s


class LinkSta(Register, width=16):
    """Link status. PCIe 4.0 §7.5.3.8"""

    auto:     bool = bit(15, w1c=True)  # autonomous bandwidth change
    width_:   bool = bit(14, w1c=True)  # bandwidth management
    active:   bool = bit(13)            # data link layer active
    clock:    bool = bit(12)            # uses the slot's clock
    training: bool = bit(11)
    lanes:    int  = bits(9, 4)
    speed:    int  = bits(3, 0)


class SlotCap(Register, width=32):
    """Slot capabilities. PCIe 4.0 §7.5.3.9"""

    number:      int  = bits(31, 19)  # physical slot
    no_complete: bool = bit(18)       # commands need no completion
    lock:        bool = bit(17)       # interlock
    power_scale: int  = bits(16, 15)
    power:       int  = bits(14, 7)   # power limit
    hot_plug:    bool = bit(6)        # hot-plug capable
    surprise:    bool = bit(5)        # may be pulled without notice
    power_led:   bool = bit(4)
    attention_led: bool = bit(3)
    mrl:         bool = bit(2)        # manual retention latch sensor
    power_ctl:   bool = bit(1)        # power controller
    attention:   bool = bit(0)        # attention button


class SlotCtl(Register, width=16):
    """Slot control. PCIe 4.0 §7.5.3.10"""

    link_irq:      bool = bit(12)      # data link layer state changed
    lock:          bool = bit(11)
    power_off:     bool = bit(10)
    power_led:     int  = bits(9, 8)   # 1 on, 2 blink, 3 off
    attention_led: int  = bits(7, 6)   # 1 on, 2 blink, 3 off
    irq:           bool = bit(5)       # hot-plug interrupts
    complete_irq:  bool = bit(4)
    presence_irq:  bool = bit(3)
    mrl_irq:       bool = bit(2)
    fault_irq:     bool = bit(1)
    attention_irq: bool = bit(0)


class SlotSta(Register, width=16):
    """Slot status. PCIe 4.0 §7.5.3.11"""

    link:     bool = bit(8, w1c=True)  # data link layer state changed
    lock:     bool = bit(7)
    present:  bool = bit(6)            # a card is there
    mrl_open: bool = bit(5)
    complete: bool = bit(4, w1c=True)  # command completed
    presence: bool = bit(3, w1c=True)  # presence changed
    mrl:      bool = bit(2, w1c=True)
    fault:    bool = bit(1, w1c=True)  # power fault
    attention: bool = bit(0, w1c=True)


class RootCtl(Register, width=16):
    """Root control. PCIe 4.0 §7.5.3.12"""

    crs:         bool = bit(4)  # configuration retry visible to software
    pme:         bool = bit(3)  # PME interrupt
    fatal:       bool = bit(2)  # system error on a fatal error
    nonfatal:    bool = bit(1)
    correctable: bool = bit(0)


class RootCap(Register, width=16):
    """Root capabilities. PCIe 4.0 §7.5.3.13"""

    crs: bool = bit(0)  # configuration retry visible to software


class RootSta(Register, width=32):
    """Root status. PCIe 4.0 §7.5.3.14"""

    pending:   bool = bit(17)            # another PME waits
    pme:       bool = bit(16, w1c=True)  # PME came
    requester: int  = bits(15, 0)        # from whom


_IN_ROOT = {PortType.ROOT_ENDPOINT, PortType.ROOT_EVENT_COLLECTOR}  # in the root complex: they have no link
_ROOTS = {PortType.ROOT_PORT, PortType.ROOT_EVENT_COLLECTOR}


def _link(pcie: Pcie) -> bool:
    return pcie.caps.read().type not in _IN_ROOT


def _slot(pcie: Pcie) -> bool:
    return pcie.caps.read().slot


def _root(pcie: Pcie) -> bool:
    return pcie.caps.read().type in _ROOTS


def _second(pcie: Pcie) -> bool:
    return pcie.caps.read().version >= 2


def _second_link(pcie: Pcie) -> bool:
    return _second(pcie) and _link(pcie)


def _second_slot(pcie: Pcie) -> bool:
    return _second(pcie) and _slot(pcie)


class Pcie(Capability, size=0x3C):
    """PCI Express. PCIe 4.0 §7.5.3; version 1 ends with what the function has of link, slot and root"""

    caps     = ro(0x02, PcieCaps)
    devcap   = ro(0x04, DevCap)
    devctl   = rw(0x08, DevCtl)
    devsta   = w1c(0x0A, DevSta)
    linkcap  = ro(0x0C, LinkCap, when=_link)
    linkctl  = rw(0x10, LinkCtl, when=_link)
    linksta  = w1c(0x12, LinkSta, when=_link)
    slotcap  = ro(0x14, SlotCap, when=_slot)
    slotctl  = rw(0x18, SlotCtl, when=_slot)
    slotsta  = w1c(0x1A, SlotSta, when=_slot)
    rootctl  = rw(0x1C, RootCtl, when=_root)
    rootcap  = ro(0x1E, RootCap, when=_root)
    rootsta  = w1c(0x20, RootSta, when=_root)
    devcap2  = ro(0x24, U32, when=_second)       # §7.5.3.15
    devctl2  = rw(0x28, U16, when=_second)
    devsta2  = ro(0x2A, U16, when=_second)
    linkcap2 = ro(0x2C, U32, when=_second_link)
    linkctl2 = rw(0x30, U16, when=_second_link)
    linksta2 = ro(0x32, U16, when=_second_link)
    slotcap2 = ro(0x34, U32, when=_second_slot)
    slotctl2 = rw(0x38, U16, when=_second_slot)
    slotsta2 = ro(0x3A, U16, when=_second_slot)


class SataRevision(Register, width=16):
    """SATACR0, upper half. AHCI 1.3.1 §2.4.1"""

    major: int = bits(7, 4)
    minor: int = bits(3, 0)


class SataPlace(Register, width=32):
    """SATACR1: where the index-data pair is. AHCI 1.3.1 §2.4.2"""

    offset: int = bits(23, 4)  # in the BAR, dwords
    bar:    int = bits(3, 0)   # 4 to 9: the BAR at 0x10 to 0x24; 15: right after this, in configuration space


class Sata(Capability, size=8):
    """Serial ATA. AHCI 1.3.1 §2.4"""

    revision = ro(0x02, SataRevision)
    place    = ro(0x04, SataPlace)


class Vendor(Capability):
    """Vendor specific; the vendor's octets follow. PCI 3.0 §6.7"""

    length = ro(0x02, U8)  # bytes in all


class SubsystemId(Capability, size=8):
    """Subsystem of a bridge. PPB 1.2 §3.2.5.13"""

    subvendor = ro(0x04, U16)
    subdevice = ro(0x06, U16)


class AfCaps(Register, width=8):
    """Advanced features capabilities. Advanced Capabilities for Conventional PCI §3.3"""

    flr:     bool = bit(1)  # function level reset
    pending: bool = bit(0)  # transactions pending is told


class AfControl(Register, width=8):
    """Advanced features control. Advanced Capabilities for Conventional PCI §3.4"""

    flr: bool = bit(0)  # function level reset; reads 0


class AfStatus(Register, width=8):
    """Advanced features status. Advanced Capabilities for Conventional PCI §3.5"""

    pending: bool = bit(0)  # transactions pending


class Af(Capability, size=6):
    """Advanced features: reset of a function that is not PCI Express. Advanced Capabilities for Conventional PCI"""

    length  = ro(0x02, U8)
    caps    = ro(0x03, AfCaps)
    control = rw(0x04, AfControl)
    status  = ro(0x05, AfStatus)


class ExtCapHeader(Register, width=32):
    """The first dword of an extended capability. PCIe 4.0 §7.6.3"""

    next:    int      = bits(31, 20)            # offset of the next, 0 ends
    version: int      = bits(19, 16)
    id:      ExtCapId = bits(15, 0, ExtCapId)   # which


class ExtendedCapability(Block):
    """What all extended capabilities have. PCIe 4.0 §7.6.3"""

    head = ro(0x00, ExtCapHeader)


class SerialNumber(ExtendedCapability):
    """Device serial number, an EUI-64. PCIe 4.0 §7.9.3"""

    low  = ro(0x04, U32)
    high = ro(0x08, U32)


CAPABILITIES: dict[int, type[Capability]] = {
    CapId.PM: Pm,
    CapId.MSI: Msi32,  # see capability_block: Msi64 where the control says so
    CapId.VENDOR: Vendor,
    CapId.SUBSYSTEM: SubsystemId,
    CapId.PCIE: Pcie,
    CapId.MSI_X: Msix,
    CapId.SATA: Sata,
    CapId.ADVANCED_FEATURES: Af,
}


class Found(NamedTuple):
    """A capability in a list; `id` is a plain int where no name is known."""

    offset: int
    id: int


def capabilities(config: Window) -> Iterator[Found]:
    """The capability list of a configuration space, in its order. PCI 3.0 §6.7

    Nothing where Status says that there is none. A list that runs in a circle, into the header or past the
    end is cut there: what was found until then is given once.
    """
    header = Header0(config)
    if not header.status.read().cap_list:
        return
    at = header.cap.read().raw & 0xFC  # the low two bits are reserved
    seen: set[int] = set()
    while at >= 0x40 and at not in seen:
        seen.add(at)
        head = CapHeader.of(config.read(at, 2))
        if head.all_ones:
            return
        yield Found(at, head.id)
        at = head.next & 0xFC


def extended_capabilities(config: Window) -> Iterator[Found]:
    """The extended capabilities of a 4096-byte configuration space. PCIe 4.0 §7.6

    Nothing where offset 0x100 reads all zeros or all ones. A circle is cut, as `capabilities` does.
    """
    at = CONFIG_SIZE
    seen: set[int] = set()
    while CONFIG_SIZE <= at < EXTENDED_SIZE and at not in seen:
        seen.add(at)
        head = ExtCapHeader.of(config.read(at, 4))
        if head.all_ones or not head.raw:
            return
        yield Found(at, head.id)
        at = head.next & 0xFFC


def find_capability(config: Window, id: int) -> int | None:
    """The offset of the first capability of a kind, or None."""
    return next((c.offset for c in capabilities(config) if c.id == id), None)


def capability_block(config: Window, found: Found) -> Capability:
    """The capability as its own block, or as a bare `Capability` where none is declared."""
    kind = CAPABILITIES.get(found.id, Capability)
    if kind is Msi32 and Msi(config, found.offset).control.read().wide:
        kind = Msi64
    return kind(config, found.offset)


# Addresses of functions

_BDF = re.compile(r"(?:([0-9a-f]{4}):)?([0-9a-f]{2}):([01][0-9a-f])\.([0-7])", re.ASCII | re.IGNORECASE)


def bdf(text: str) -> int:
    """`0000:00:1f.2` or `00:1f.2` as domain << 16 | bus << 8 | device << 3 | function.

    Raises ValueError.
    """
    match = _BDF.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no PCI function; one is written 0000:00:1f.2")
    domain, bus, device, function = (int(g or "0", 16) for g in match.groups())
    return domain << 16 | bus << 8 | device << 3 | function


def bdf_text(bdf: int) -> str:
    """The function as lspci and sysfs write it: `0000:00:1f.2`."""
    return f"{bdf >> 16:04x}:{bdf >> 8 & 0xFF:02x}:{bdf >> 3 & 0x1F:02x}.{bdf & 7}"


def bar_address(bar: int, upper: int = 0) -> int:
    """The address in a BAR's value; `upper` is the next BAR's where it is a 64-bit one. PCI 3.0 §6.2.5.1"""
    mem = BarMem.of(bar)
    if mem.io:
        return bar & ~0x3
    return bar & ~0xF | (upper << 32 if mem.type == BarType.MEM64 else 0)


def bar_size(probe: int, upper: int = 0xFFFFFFFF) -> int:
    """The size that a BAR tells when all ones were written to it: 0 where there is none. PCI 3.0 §6.2.5.1

    `upper` is what the next BAR tells, for a 64-bit one.
    """
    mem = BarMem.of(probe)
    if mem.io:
        mask = probe & ~0x3
        return -(mask | 0xFFFF0000) & 0xFFFFFFFF if mask else 0  # the upper 16 bits may be wired to zero
    mask = probe & ~0xF
    if mem.type == BarType.MEM64:
        mask |= upper << 32
        return -mask & 0xFFFFFFFF_FFFFFFFF if mask else 0
    return -mask & 0xFFFFFFFF if mask else 0


# Class codes, as lspci names them

CLASSES: dict[int, str] = {
    0x0000: "Non-VGA unclassified device",
    0x0001: "VGA compatible unclassified device",
    0x0100: "SCSI storage controller",
    0x0101: "IDE interface",
    0x0102: "Floppy disk controller",
    0x0103: "IPI bus controller",
    0x0104: "RAID bus controller",
    0x0105: "ATA controller",
    0x0106: "SATA controller",
    0x0107: "Serial Attached SCSI controller",
    0x0108: "Non-Volatile memory controller",
    0x0109: "Universal Flash Storage controller",
    0x0180: "Mass storage controller",
    0x0200: "Ethernet controller",
    0x0201: "Token ring network controller",
    0x0202: "FDDI network controller",
    0x0203: "ATM network controller",
    0x0204: "ISDN controller",
    0x0207: "Infiniband controller",
    0x0208: "Fabric controller",
    0x0280: "Network controller",
    0x0300: "VGA compatible controller",
    0x0301: "XGA compatible controller",
    0x0302: "3D controller",
    0x0380: "Display controller",
    0x0400: "Multimedia video controller",
    0x0401: "Multimedia audio controller",
    0x0403: "Audio device",
    0x0480: "Multimedia controller",
    0x0500: "RAM memory",
    0x0501: "FLASH memory",
    0x0502: "CXL",
    0x0580: "Memory controller",
    0x0600: "Host bridge",
    0x0601: "ISA bridge",
    0x0602: "EISA bridge",
    0x0603: "MicroChannel bridge",
    0x0604: "PCI bridge",
    0x0605: "PCMCIA bridge",
    0x0607: "CardBus bridge",
    0x0609: "Semi-transparent PCI-to-PCI bridge",
    0x0680: "Bridge",
    0x0700: "Serial controller",
    0x0701: "Parallel controller",
    0x0703: "Modem",
    0x0780: "Communication controller",
    0x0800: "PIC",
    0x0801: "DMA controller",
    0x0802: "Timer",
    0x0803: "RTC",
    0x0804: "PCI Hot-plug controller",
    0x0805: "SD Host controller",
    0x0806: "IOMMU",
    0x0880: "System peripheral",
    0x0900: "Keyboard controller",
    0x0902: "Mouse controller",
    0x0980: "Input device controller",
    0x0B40: "Co-processor",
    0x0C00: "FireWire (IEEE 1394)",
    0x0C03: "USB controller",
    0x0C04: "Fibre Channel",
    0x0C05: "SMBus",
    0x0C06: "InfiniBand",
    0x0C07: "IPMI Interface",
    0x0D80: "Wireless controller",
    0x0F00: "Satellite TV controller",
    0x1000: "Network and computing encryption device",
    0x1080: "Encryption controller",
    0x1100: "DPIO module",
    0x1180: "Signal processing controller",
    0x1200: "Processing accelerators",
    0xFF00: "Unassigned class",
}

PROGS: dict[int, str] = {
    0x010601: "AHCI 1.0",
    0x010600: "Vendor specific",
    0x010802: "NVM Express",
    0x030000: "VGA controller",
    0x060400: "Normal decode",
    0x060401: "Subtractive decode",
    0x070002: "16550",
    0x0C0300: "UHCI",
    0x0C0310: "OHCI",
    0x0C0320: "EHCI",
    0x0C0330: "XHCI",
}

BASES: dict[int, str] = {
    0x00: "Unclassified device",
    0x01: "Mass storage controller",
    0x02: "Network controller",
    0x03: "Display controller",
    0x04: "Multimedia controller",
    0x05: "Memory controller",
    0x06: "Bridge",
    0x07: "Communication controller",
    0x08: "Generic system peripheral",
    0x09: "Input device controller",
    0x0A: "Docking station",
    0x0B: "Processor",
    0x0C: "Serial bus controller",
    0x0D: "Wireless controller",
    0x0E: "Intelligent controller",
    0x0F: "Satellite communications controller",
    0x10: "Encryption controller",
    0x11: "Signal processing controller",
    0x12: "Processing accelerators",
    0x13: "Non-Essential Instrumentation",
    0xFF: "Unassigned class",
}


def class_name(code: int) -> str:
    """What lspci calls a 24-bit class code: the sub-class, else the base class, else the number."""
    name = CLASSES.get(code >> 8) or BASES.get(code >> 16)
    return name or f"Class {code >> 8:04x}"


def prog_name(code: int) -> str:
    """What lspci calls the programming interface of a 24-bit class code; empty where it has no name."""
    return PROGS.get(code, "")
