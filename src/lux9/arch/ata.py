"""ATA devices on Serial ATA. Ref: ATA/ATAPI Command Set (ACS-3), Serial ATA revision 3.2 (SATA).

Commands, the status and error they leave, the FISes that carry them, and what IDENTIFY DEVICE answers. FISes are
declared by dword, as SATA §10.5 draws them.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from ..regs import U8, U16, U32, U64, Block, Register, bit, bits, octets, ro, rw

SECTOR = 512  # bytes of a logical sector where word 106 says no other. ACS-3 §3.1


class Command(IntEnum):
    """The command register. ACS-3 §7; names as there. Those marked obsolete are of ATA/ATAPI-7 or earlier."""

    NOP = 0x00
    CFA_REQUEST_EXTENDED_ERROR = 0x03
    DATA_SET_MANAGEMENT = 0x06
    DEVICE_RESET = 0x08
    REQUEST_SENSE_DATA_EXT = 0x0B
    RECALIBRATE = 0x10  # obsolete
    READ_SECTORS = 0x20
    READ_SECTORS_EXT = 0x24
    READ_DMA_EXT = 0x25
    READ_DMA_QUEUED_EXT = 0x26  # obsolete
    READ_NATIVE_MAX_ADDRESS_EXT = 0x27  # ACS-2
    READ_MULTIPLE_EXT = 0x29
    READ_STREAM_DMA_EXT = 0x2A
    READ_STREAM_EXT = 0x2B
    READ_LOG_EXT = 0x2F
    WRITE_SECTORS = 0x30
    WRITE_SECTORS_EXT = 0x34
    WRITE_DMA_EXT = 0x35
    WRITE_DMA_QUEUED_EXT = 0x36  # obsolete
    SET_MAX_ADDRESS_EXT = 0x37  # ACS-2
    WRITE_MULTIPLE_EXT = 0x39
    WRITE_STREAM_DMA_EXT = 0x3A
    WRITE_STREAM_EXT = 0x3B
    WRITE_DMA_FUA_EXT = 0x3D
    WRITE_LOG_EXT = 0x3F
    READ_VERIFY_SECTORS = 0x40
    READ_VERIFY_SECTORS_EXT = 0x42
    WRITE_UNCORRECTABLE_EXT = 0x45
    READ_LOG_DMA_EXT = 0x47
    CONFIGURE_STREAM = 0x51
    WRITE_LOG_DMA_EXT = 0x57
    TRUSTED_NON_DATA = 0x5B
    TRUSTED_RECEIVE = 0x5C
    TRUSTED_RECEIVE_DMA = 0x5D
    TRUSTED_SEND = 0x5E
    TRUSTED_SEND_DMA = 0x5F
    READ_FPDMA_QUEUED = 0x60
    WRITE_FPDMA_QUEUED = 0x61
    NCQ_QUEUE_MANAGEMENT = 0x63  # NCQ NON-DATA from ACS-4
    SEND_FPDMA_QUEUED = 0x64
    RECEIVE_FPDMA_QUEUED = 0x65
    SEEK = 0x70  # obsolete
    SET_DATE_AND_TIME_EXT = 0x77
    ACCESSIBLE_MAX_ADDRESS_CONFIGURATION = 0x78
    EXECUTE_DEVICE_DIAGNOSTIC = 0x90
    INITIALIZE_DEVICE_PARAMETERS = 0x91  # obsolete
    DOWNLOAD_MICROCODE = 0x92
    DOWNLOAD_MICROCODE_DMA = 0x93
    PACKET = 0xA0
    IDENTIFY_PACKET_DEVICE = 0xA1
    SMART = 0xB0
    DEVICE_CONFIGURATION = 0xB1  # ACS-2
    SANITIZE_DEVICE = 0xB4
    READ_MULTIPLE = 0xC4
    WRITE_MULTIPLE = 0xC5
    SET_MULTIPLE_MODE = 0xC6
    READ_DMA_QUEUED = 0xC7  # obsolete
    READ_DMA = 0xC8
    WRITE_DMA = 0xCA
    WRITE_DMA_QUEUED = 0xCC  # obsolete
    WRITE_MULTIPLE_FUA_EXT = 0xCE
    STANDBY_IMMEDIATE = 0xE0
    IDLE_IMMEDIATE = 0xE1
    STANDBY = 0xE2
    IDLE = 0xE3
    READ_BUFFER = 0xE4
    CHECK_POWER_MODE = 0xE5
    SLEEP = 0xE6
    FLUSH_CACHE = 0xE7
    WRITE_BUFFER = 0xE8
    READ_BUFFER_DMA = 0xE9
    FLUSH_CACHE_EXT = 0xEA
    WRITE_BUFFER_DMA = 0xEB
    IDENTIFY_DEVICE = 0xEC
    SET_FEATURES = 0xEF
    SECURITY_SET_PASSWORD = 0xF1
    SECURITY_UNLOCK = 0xF2
    SECURITY_ERASE_PREPARE = 0xF3
    SECURITY_ERASE_UNIT = 0xF4
    SECURITY_FREEZE_LOCK = 0xF5
    SECURITY_DISABLE_PASSWORD = 0xF6
    READ_NATIVE_MAX_ADDRESS = 0xF8  # ACS-2
    SET_MAX_ADDRESS = 0xF9  # ACS-2


class Feature(IntEnum):
    """Subcommands of SET FEATURES, in the features register. ACS-3 §7.45"""

    ENABLE_WRITE_CACHE = 0x02
    SET_TRANSFER_MODE = 0x03
    ENABLE_APM = 0x05
    ENABLE_POWER_UP_IN_STANDBY = 0x06
    POWER_UP_IN_STANDBY_SPIN_UP = 0x07
    ENABLE_SATA = 0x10
    DISABLE_READ_LOOK_AHEAD = 0x55
    DISABLE_REVERT_TO_DEFAULTS = 0x66
    DISABLE_WRITE_CACHE = 0x82
    DISABLE_APM = 0x85
    DISABLE_POWER_UP_IN_STANDBY = 0x86
    DISABLE_SATA = 0x90
    ENABLE_READ_LOOK_AHEAD = 0xAA
    ENABLE_REVERT_TO_DEFAULTS = 0xCC


class SataFeature(IntEnum):
    """The count register of ENABLE_SATA and DISABLE_SATA. ACS-3 §7.45"""

    NON_ZERO_OFFSETS = 0x01
    DMA_SETUP_AUTO_ACTIVATE = 0x02
    DEVICE_INITIATED_POWER = 0x03
    IN_ORDER_DELIVERY = 0x04
    ASYNCHRONOUS_NOTIFICATION = 0x05
    SETTINGS_PRESERVATION = 0x06
    AUTO_PARTIAL_TO_SLUMBER = 0x07
    HARDWARE_FEATURE_CONTROL = 0x08
    DEVICE_SLEEP = 0x09


class Smart(IntEnum):
    """Subcommands of SMART, in the features register; LBA mid is 0x4f, LBA high 0xc2. ACS-3 §7.48"""

    READ_DATA = 0xD0
    READ_THRESHOLDS = 0xD1  # obsolete
    ATTRIBUTE_AUTOSAVE = 0xD2
    SAVE_ATTRIBUTES = 0xD3  # obsolete
    EXECUTE_OFF_LINE = 0xD4
    READ_LOG = 0xD5
    WRITE_LOG = 0xD6
    ENABLE = 0xD8
    DISABLE = 0xD9
    RETURN_STATUS = 0xDA


SMART_LBA = 0xC24F00  # what every SMART command has in its LBA; a failing disk answers SMART_FAILING. §7.48
SMART_FAILING = 0x2CF400  # §7.48


class Log(IntEnum):
    """Pages of the general purpose log, for READ LOG EXT. ACS-3 §A"""

    DIRECTORY = 0x00
    SMART_SUMMARY_ERRORS = 0x01
    COMPREHENSIVE_SMART_ERRORS = 0x02
    EXTENDED_COMPREHENSIVE_ERRORS = 0x03
    DEVICE_STATISTICS = 0x04
    SMART_SELF_TEST = 0x06
    EXTENDED_SELF_TEST = 0x07
    NCQ_COMMAND_ERROR = 0x10
    SATA_PHY_EVENTS = 0x11
    NCQ_QUEUE_MANAGEMENT = 0x12
    NCQ_SEND_RECEIVE = 0x13
    IDENTIFY_DEVICE_DATA = 0x30


DSM_TRIM = 1  # DATA SET MANAGEMENT, features bit 0. §7.5
DSM_RANGE = struct.Struct("<Q")  # LBA 47:0, sectors 63:48; 64 a sector of data. §7.5.3
DIAGNOSTIC_PASSED = 0x01  # the error register after reset. §9.2


class Signature(IntEnum):
    """What kind of device answered: LBA high, mid, low and count after reset. ACS-3 §9, SATA §11"""

    ATA = 0x00000101
    PORT_MULTIPLIER = 0x96690101
    ZAC = 0xABCD0101  # host managed zones
    SEMB = 0xC33C0101  # enclosure management bridge
    ATAPI = 0xEB140101
    NONE = 0xFFFFFFFF  # no FIS came since reset


class Status(Register, width=8):
    """Status register. ACS-3 §6.2"""

    bsy:  bool = bit(7)  # busy: the other bits say nothing
    drdy: bool = bit(6)  # ready
    df:   bool = bit(5)  # device fault, or stream error
    dwe:  bool = bit(4)  # deferred write error; seek complete on old devices
    drq:  bool = bit(3)  # data request
    align: bool = bit(2)  # alignment error
    sense: bool = bit(1)  # sense data available
    err:  bool = bit(0)  # error, or check condition


class Error(Register, width=8):
    """Error register, when status has ERR. ACS-3 §6.3"""

    icrc: bool = bit(7)  # CRC error on the interface
    unc:  bool = bit(6)  # data cannot be corrected
    mc:   bool = bit(5)  # medium changed; obsolete
    idnf: bool = bit(4)  # address not found, or out of range
    mcr:  bool = bit(3)  # medium change requested; obsolete
    abrt: bool = bit(2)  # aborted: not supported, or not now
    eom:  bool = bit(1)  # end of medium
    ili:  bool = bit(0)  # illegal length, command time-out, or address mark not found


class Device(Register, width=8):
    """Device register: the DEVICE field of commands. ACS-3 §7.1"""

    fua:  bool = bit(7)      # forced unit access, of the FPDMA commands; one on old devices
    lba:  bool = bit(6)      # the address is an LBA
    obs:  bool = bit(5)      # one on old devices
    dev:  bool = bit(4)      # device 1 of a parallel cable
    high: int  = bits(3, 0)  # LBA 27:24 of the 28-bit commands


class Control(Register, width=8):
    """Device control register. ATA8-AST, SATA §13"""

    hob:  bool = bit(7)  # the next reads give the previous content
    srst: bool = bit(2)  # software reset
    nien: bool = bit(1)  # no interrupts


# FISes, SATA §10.5

class Fis(IntEnum):
    """FIS types. SATA §10.5.1"""

    REGISTER_H2D = 0x27
    REGISTER_D2H = 0x34
    DMA_ACTIVATE = 0x39
    DMA_SETUP = 0x41
    DATA = 0x46
    BIST_ACTIVATE = 0x58
    PIO_SETUP = 0x5F
    SET_DEVICE_BITS = 0xA1


class H2DHead(Register, width=32):
    """Register H2D, dword 0. SATA §10.5.5"""

    features: int     = bits(31, 24)          # features 7:0
    command:  Command = bits(23, 16, Command) # command register
    c:        bool    = bit(15)               # a command, not device control
    pm:       int     = bits(11, 8)           # port multiplier port
    type:     Fis     = bits(7, 0, Fis)       # 0x27


class LbaLow(Register, width=32):
    """Register FISes, dword 1. SATA §10.5.5"""

    device: int = bits(31, 24)  # device register
    lba:    int = bits(23, 0)   # LBA 23:0


class H2DHigh(Register, width=32):
    """Register H2D, dword 2. SATA §10.5.5"""

    features: int = bits(31, 24)  # features 15:8
    lba:      int = bits(23, 0)   # LBA 47:24


class H2DCount(Register, width=32):
    """Register H2D, dword 3. SATA §10.5.5"""

    control: int = bits(31, 24)  # device control register
    icc:     int = bits(23, 16)  # isochronous command completion
    count:   int = bits(15, 0)   # count


class H2D(Block, size=20):
    """Register FIS, host to device. SATA §10.5.5"""

    head  = rw(0x00, H2DHead)
    low   = rw(0x04, LbaLow)
    high  = rw(0x08, H2DHigh)
    count = rw(0x0C, H2DCount)
    aux   = rw(0x10, U32)  # auxiliary

    def lba(self) -> int:
        """LBA 47:0; a 28-bit command has bits 27:24 in `low.device`."""
        return self.low.read().lba | self.high.read().lba << 24

    def features(self) -> int:
        """Features 15:0: the count of the FPDMA commands."""
        return self.head.read().features | self.high.read().features << 8


class D2HHead(Register, width=32):
    """Register D2H and PIO Setup, dword 0. SATA §10.5.6, §10.5.11"""

    error:  int  = bits(31, 24)     # error register
    status: int  = bits(23, 16)     # status register
    i:      bool = bit(14)          # interrupt
    d:      bool = bit(13)          # PIO Setup: to the host
    pm:     int  = bits(11, 8)      # port multiplier port
    type:   Fis  = bits(7, 0, Fis)  # 0x34 or 0x5f


class LbaHigh(Register, width=32):
    """Register D2H and PIO Setup, dword 2. SATA §10.5.6"""

    lba: int = bits(23, 0)  # LBA 47:24


class D2HCount(Register, width=32):
    """Register D2H, dword 3. SATA §10.5.6"""

    count: int = bits(15, 0)  # count


class D2H(Block, size=20):
    """Register FIS, device to host. SATA §10.5.6"""

    head  = rw(0x00, D2HHead)
    low   = rw(0x04, LbaLow)
    high  = rw(0x08, LbaHigh)
    count = rw(0x0C, D2HCount)

    def lba(self) -> int:
        """LBA 47:0."""
        return self.low.read().lba | self.high.read().lba << 24


class PioCount(Register, width=32):
    """PIO Setup, dword 3. SATA §10.5.11"""

    e_status: int = bits(31, 24)  # status after the data
    count:    int = bits(15, 0)   # count


class PioTransfer(Register, width=32):
    """PIO Setup, dword 4. SATA §10.5.11"""

    count: int = bits(15, 0)  # bytes of this DRQ block


class PioSetup(Block, size=20):
    """PIO Setup FIS, device to host. SATA §10.5.11"""

    head     = rw(0x00, D2HHead)
    low      = rw(0x04, LbaLow)
    high     = rw(0x08, LbaHigh)
    count    = rw(0x0C, PioCount)
    transfer = rw(0x10, PioTransfer)

    def lba(self) -> int:
        """LBA 47:0."""
        return self.low.read().lba | self.high.read().lba << 24


class DmaHead(Register, width=32):
    """DMA Setup, DMA Activate, Data and BIST Activate, dword 0. SATA §10.5.8 to §10.5.12"""

    pattern: int  = bits(23, 16)     # BIST Activate: what to do
    a:       bool = bit(15)          # DMA Setup: the device needs no DMA Activate
    i:       bool = bit(14)          # DMA Setup: interrupt at the end
    d:       bool = bit(13)          # DMA Setup: to the host
    pm:      int  = bits(11, 8)      # port multiplier port
    type:    Fis  = bits(7, 0, Fis)  # 0x41, 0x39, 0x46 or 0x58


class DmaSetup(Block, size=28):
    """DMA Setup FIS. SATA §10.5.9"""

    head   = rw(0x00, DmaHead)
    buffer = rw(0x04, U64)  # buffer identifier: the tag in bits 4:0
    offset = rw(0x10, U32)  # bytes from the start of the buffer, a multiple of 4
    count  = rw(0x14, U32)  # bytes to transfer, even


class DmaActivate(Block, size=4):
    """DMA Activate FIS, device to host. SATA §10.5.8"""

    head = rw(0x00, DmaHead)


class Data(Block, size=4):
    """Data FIS; 1 to 2048 dwords of payload follow. SATA §10.5.12"""

    head = rw(0x00, DmaHead)


class BistActivate(Block, size=12):
    """BIST Activate FIS. SATA §10.5.10"""

    head  = rw(0x00, DmaHead)
    data1 = rw(0x04, U32)
    data2 = rw(0x08, U32)


class SdbHead(Register, width=32):
    """Set Device Bits, dword 0. SATA §10.5.7"""

    error:     int  = bits(31, 24)     # error register
    status_hi: int  = bits(22, 20)     # status bits 6:4
    status_lo: int  = bits(18, 16)     # status bits 2:0
    n:         bool = bit(15)          # asynchronous notification
    i:         bool = bit(14)          # interrupt
    pm:        int  = bits(11, 8)      # port multiplier port
    type:      Fis  = bits(7, 0, Fis)  # 0xa1


class SetDeviceBits(Block, size=8):
    """Set Device Bits FIS, device to host. SATA §10.5.7"""

    head = rw(0x00, SdbHead)
    act  = rw(0x04, U32)  # SActive: queued commands that are done, a bit a tag


_H2D = struct.Struct("<IIIII")


def h2d(
    command: int, lba: int = 0, count: int = 0, features: int = 0, device: int = 0, control: int = 0, pm: int = 0
) -> bytes:
    """A Register H2D FIS with a command: 20 bytes, by one `struct` call, as drivers make one for every request.

    `lba` 48 bits, `count` and `features` 16 bits, `device` as the command wants it (0x40 for an LBA). SATA §10.5.5
    Raises ValueError when one is too large.
    """
    if lba >> 48 | (count | features) >> 16:
        raise ValueError(f"no FIS holds LBA {lba:#x}, count {count:#x}, features {features:#x}")
    return _H2D.pack(
        0x8027 | pm << 8 | command << 16 | (features & 0xFF) << 24,
        lba & 0xFFFFFF | device << 24,
        lba >> 24 | features >> 8 << 24,
        count | control << 24,
        0,
    )


def h2d_control(control: int, pm: int = 0) -> bytes:
    """A Register H2D FIS that sets device control (C = 0), as software reset needs twice. SATA §10.5.5"""
    return _H2D.pack(0x27 | pm << 8, 0, 0, control << 24, 0)


# IDENTIFY DEVICE, ACS-3 §7.12.7. Word n is at byte 2n.

class General(Register, width=16):
    """Word 0. ACS-3 §7.12.7"""

    packet:     bool = bit(15)  # an ATAPI device
    removable:  bool = bit(7)   # removable medium; obsolete for ATA
    incomplete: bool = bit(2)   # the data is not whole: spin up first


class Multiple(Register, width=16):
    """Word 47. ACS-3 §7.12.7"""

    max: int = bits(7, 0)  # most sectors of a DRQ block


class Capabilities(Register, width=16):
    """Word 49. ACS-3 §7.12.7"""

    standby:  bool = bit(13)  # standby timer values of the standard
    iordy:    bool = bit(11)  # IORDY
    no_iordy: bool = bit(10)  # IORDY may be turned off
    lba:      bool = bit(9)   # LBA; ATAPI and Serial ATA have it
    dma:      bool = bit(8)   # DMA


class Valid(Register, width=16):
    """Word 53. ACS-3 §7.12.7"""

    udma:   bool = bit(2)  # word 88 says something
    cycles: bool = bit(1)  # words 64 to 70 say something
    chs:    bool = bit(0)  # words 54 to 58 say something; obsolete


class MultipleSet(Register, width=16):
    """Word 59. ACS-3 §7.12.7"""

    sanitize: bool = bit(12)     # sanitize feature set
    valid:    bool = bit(8)      # `count` says something
    count:    int  = bits(7, 0)  # sectors of a DRQ block, as set


class MultiwordDma(Register, width=16):
    """Word 63. ACS-3 §7.12.7"""

    selected:  int = bits(10, 8)  # a bit a mode
    supported: int = bits(2, 0)   # a bit a mode


class Pio(Register, width=16):
    """Word 64. ACS-3 §7.12.7"""

    modes: int = bits(1, 0)  # modes 3 and 4


class Additional(Register, width=16):
    """Word 69. ACS-3 §7.12.7"""

    trim_deterministic: bool = bit(14)  # reads after TRIM always give the same
    trim_zero:          bool = bit(5)   # reads after TRIM give zeros
    encrypts:           bool = bit(4)   # all user data is encrypted
    extended_sectors:   bool = bit(3)   # words 230 to 233 say something


class QueueDepth(Register, width=16):
    """Word 75. ACS-3 §7.12.7"""

    depth: int = bits(4, 0)  # commands in flight, less one


class SataCapabilities(Register, width=16):
    """Word 76. ACS-3 §7.12.7"""

    log_dma:      bool = bit(15)  # READ LOG DMA EXT is the same as READ LOG EXT
    auto_slumber: bool = bit(14)  # partial to slumber by the device
    auto_partial: bool = bit(13)  # partial to slumber by the host
    priority:     bool = bit(12)  # NCQ priority
    unload:       bool = bit(11)  # unload while queued
    phy_events:   bool = bit(10)  # Phy event counters
    power:        bool = bit(9)   # host initiated power management
    ncq:          bool = bit(8)   # native command queuing
    gen3:         bool = bit(3)   # 6 Gb/s
    gen2:         bool = bit(2)   # 3 Gb/s
    gen1:         bool = bit(1)   # 1.5 Gb/s


class SataMore(Register, width=16):
    """Word 77. ACS-3 §7.12.7"""

    send_receive: bool = bit(6)      # RECEIVE and SEND FPDMA QUEUED
    management:   bool = bit(5)      # NCQ QUEUE MANAGEMENT
    streaming:    bool = bit(4)      # NCQ streaming
    speed:        int  = bits(3, 1)  # speed in force, a generation


class SataFeatures(Register, width=16):
    """Words 78 (supported) and 79 (enabled). ACS-3 §7.12.7"""

    devslp:          bool = bit(8)  # device sleep
    preservation:    bool = bit(6)  # settings survive a COMRESET
    hardware:        bool = bit(5)  # hardware feature control
    in_order:        bool = bit(4)  # in-order data
    device_power:    bool = bit(3)  # device initiated power management
    auto_activate:   bool = bit(2)  # DMA Setup auto-activate
    nonzero_offsets: bool = bit(1)  # offsets in DMA Setup


class Major(Register, width=16):
    """Word 80: standards that the device follows. ACS-3 §7.12.7"""

    acs3: bool = bit(10)
    acs2: bool = bit(9)
    acs:  bool = bit(8)   # ATA8-ACS
    ata7: bool = bit(7)
    ata6: bool = bit(6)
    ata5: bool = bit(5)


class Commands1(Register, width=16):
    """Words 82 (supported) and 85 (enabled). ACS-3 §7.12.7"""

    nop:          bool = bit(14)  # NOP
    read_buffer:  bool = bit(13)  # READ BUFFER
    write_buffer: bool = bit(12)  # WRITE BUFFER
    hpa:          bool = bit(10)  # host protected area
    device_reset: bool = bit(9)   # DEVICE RESET
    look_ahead:   bool = bit(6)   # read look-ahead
    write_cache:  bool = bit(5)   # volatile write cache
    packet:       bool = bit(4)   # PACKET
    power:        bool = bit(3)   # power management
    security:     bool = bit(1)   # security
    smart:        bool = bit(0)   # SMART


class Commands2(Register, width=16):
    """Words 83 (supported; bits 15:14 are 01) and 86 (enabled). ACS-3 §7.12.7"""

    more:      bool = bit(15)  # word 86: words 119 and 120 say something
    one:       bool = bit(14)  # word 83: the words say something
    flush_ext: bool = bit(13)  # FLUSH CACHE EXT
    flush:     bool = bit(12)  # FLUSH CACHE
    dco:       bool = bit(11)  # device configuration overlay
    lba48:     bool = bit(10)  # 48-bit addresses
    aam:       bool = bit(9)   # acoustic management; obsolete
    puis_spin: bool = bit(6)   # SET FEATURES is needed to spin up
    puis:      bool = bit(5)   # power-up in standby
    apm:       bool = bit(3)   # advanced power management
    cfa:       bool = bit(2)   # CompactFlash
    queued:    bool = bit(1)   # READ/WRITE DMA QUEUED; obsolete
    download:  bool = bit(0)   # DOWNLOAD MICROCODE


class Commands3(Register, width=16):
    """Words 84 (supported; bits 15:14 are 01) and 87 (enabled). ACS-3 §7.12.7"""

    one:         bool = bit(14)  # the words say something
    idle_unload: bool = bit(13)  # IDLE IMMEDIATE with UNLOAD
    wwn:       bool = bit(8)   # world wide name
    fua:       bool = bit(6)   # WRITE DMA FUA EXT
    gpl:       bool = bit(5)   # general purpose log: READ LOG EXT
    streaming: bool = bit(4)   # streaming
    self_test: bool = bit(1)   # SMART self-test
    error_log: bool = bit(0)   # SMART error log


class UltraDma(Register, width=16):
    """Word 88. ACS-3 §7.12.7"""

    selected:  int = bits(14, 8)  # a bit a mode
    supported: int = bits(6, 0)   # a bit a mode


class SectorSize(Register, width=16):
    """Word 106: bits 15:14 are 01 where it says something. ACS-3 §7.12.7"""

    one:      bool = bit(14)      # the word says something
    multiple: bool = bit(13)      # several logical sectors in a physical one
    long:     bool = bit(12)      # a logical sector is longer than 512 bytes: words 117 and 118
    exponent: int  = bits(3, 0)   # logical sectors in a physical one, as a power of two


class Security(Register, width=16):
    """Word 128. ACS-3 §7.12.7"""

    maximum:   bool = bit(8)  # master password capability: maximum
    enhanced:  bool = bit(5)  # enhanced erase
    expired:   bool = bit(4)  # too many tries
    frozen:    bool = bit(3)  # frozen
    locked:    bool = bit(2)  # locked
    enabled:   bool = bit(1)  # a password is set
    supported: bool = bit(0)  # security is supported


class DataSet(Register, width=16):
    """Word 169. ACS-3 §7.12.7"""

    trim: bool = bit(0)  # DATA SET MANAGEMENT with TRIM


class Alignment(Register, width=16):
    """Word 209. ACS-3 §7.12.7"""

    one:    bool = bit(14)       # the word says something
    offset: int  = bits(13, 0)   # of logical sector 0 in its physical sector, logical sectors


class Integrity(Register, width=16):
    """Word 255. ACS-3 §7.12.7"""

    checksum:  int = bits(15, 8)  # all 512 bytes add up to 0
    signature: int = bits(7, 0)   # 0xa5 where there is a checksum


class Identify(Block, size=512):
    """IDENTIFY DEVICE data: word n is at byte 2n. ACS-3 §7.12.7

    Where the device is ATAPI, IDENTIFY PACKET DEVICE (§7.13) answers, and words 60 to 103 mean less.
    """

    general      = ro(0, General)                # word 0
    cylinders    = ro(2, U16)                    # word 1; obsolete
    heads        = ro(6, U16)                    # word 3; obsolete
    track        = ro(12, U16)                   # word 6: sectors of a track; obsolete
    serial       = octets(20, 20)                # words 10 to 19, swapped text
    firmware     = octets(46, 8)                 # words 23 to 26, swapped text
    model        = octets(54, 40)                # words 27 to 46, swapped text
    multiple     = ro(94, Multiple)              # word 47
    caps         = ro(98, Capabilities)          # word 49
    caps2        = ro(100, U16)                  # word 50
    valid        = ro(106, Valid)                # word 53
    multiple_set = ro(118, MultipleSet)          # word 59
    sectors28    = ro(120, U32)                  # words 60 and 61: sectors for 28-bit commands
    mwdma        = ro(126, MultiwordDma)         # word 63
    pio          = ro(128, Pio)                  # word 64
    mwdma_min    = ro(130, U16)                  # word 65: least cycle time, ns
    mwdma_rec    = ro(132, U16)                  # word 66: cycle time to use, ns
    pio_min      = ro(134, U16)                  # word 67: least without IORDY, ns
    pio_iordy    = ro(136, U16)                  # word 68: least with IORDY, ns
    additional   = ro(138, Additional)           # word 69
    queue        = ro(150, QueueDepth)           # word 75
    sata         = ro(152, SataCapabilities)     # word 76
    sata2        = ro(154, SataMore)             # word 77
    sata_has     = ro(156, SataFeatures)         # word 78
    sata_on      = ro(158, SataFeatures)         # word 79
    major        = ro(160, Major)                # word 80
    minor        = ro(162, U16)                  # word 81
    has1         = ro(164, Commands1)            # word 82
    has2         = ro(166, Commands2)            # word 83
    has3         = ro(168, Commands3)            # word 84
    on1          = ro(170, Commands1)            # word 85
    on2          = ro(172, Commands2)            # word 86
    on3          = ro(174, Commands3)            # word 87
    udma         = ro(176, UltraDma)             # word 88
    erase_time   = ro(178, U16)                  # word 89
    erase_time2  = ro(180, U16)                  # word 90
    apm          = ro(182, U16)                  # word 91: power management level
    reset_result = ro(186, U16)                  # word 93: hardware reset; 0 on Serial ATA
    sectors48    = ro(200, U64)                  # words 100 to 103: sectors for 48-bit commands
    dsm_blocks   = ro(210, U16)                  # word 105: most 512-byte blocks of a DATA SET MANAGEMENT
    sector_size  = ro(212, SectorSize)           # word 106
    wwn          = octets(216, 8)                # words 108 to 111, most significant word first
    sector_words = ro(234, U32)                  # words 117 and 118: words of a logical sector
    has4         = ro(238, U16)                  # word 119
    on4          = ro(240, U16)                  # word 120
    security     = ro(256, Security)             # word 128
    form_factor  = ro(336, U16)                  # word 168
    dsm          = ro(338, DataSet)              # word 169
    media_serial = octets(352, 60)               # words 176 to 205, swapped text
    sct          = ro(412, U16)                  # word 206
    alignment    = ro(418, Alignment)            # word 209
    rotation     = ro(434, U16)                  # word 217: rpm; 1 is solid state, 0 not told
    transport    = ro(444, U16)                  # word 222: bits 15:12 are 1 for Serial ATA
    extended     = ro(460, U64)                  # words 230 to 233: sectors, where word 69 bit 3
    integrity    = ro(510, Integrity)            # word 255

    def sectors(self) -> int:
        """Logical sectors: of words 230, 100 or 60, the first that says something. ACS-3 §7.12.7"""
        if self.additional.read().extended_sectors and (n := self.extended.read().raw):
            return n
        has = self.has2.read()
        if _says(has.raw) and has.lba48 and (n := self.sectors48.read().raw):
            return n
        return self.sectors28.read().raw

    def sector_bytes(self) -> int:
        """Bytes of a logical sector. ACS-3 §7.12.7"""
        size = self.sector_size.read()
        return 2 * self.sector_words.read().raw if _says(size.raw) and size.long else SECTOR

    def physical_bytes(self) -> int:
        """Bytes of a physical sector. ACS-3 §7.12.7"""
        size = self.sector_size.read()
        shift = size.exponent if _says(size.raw) and size.multiple else 0
        return self.sector_bytes() << shift

    def depth(self) -> int:
        """Commands in flight at most: 1 where the device has no NCQ. ACS-3 §7.12.7"""
        sata = self.sata.read()
        return self.queue.read().depth + 1 if sata.ncq and not sata.all_ones else 1


def _says(word: int) -> bool:
    return word >> 14 == 1  # bits 15:14 are 01 in the words that have such a check


def ata_text(raw: bytes) -> str:
    """Text of IDENTIFY data: two characters a word, the first in the high byte; blanks stripped. ACS-3 §3.4"""
    return _swapped(raw).decode("ascii", "replace").strip(" \0")


def ata_bytes(text: str, length: int) -> bytes:
    """The text as IDENTIFY data has it: padded with blanks to `length` (even) and swapped. ACS-3 §3.4

    Raises ValueError when it is too long or not ASCII.
    """
    raw = text.encode("ascii").ljust(length)
    if len(raw) > length or length % 2:
        raise ValueError(f"{text!r} does not fit {length} bytes")
    return _swapped(raw)


def _swapped(raw: bytes) -> bytes:
    out = bytearray(raw)
    out[0::2], out[1::2] = raw[1::2], raw[0::2]
    return bytes(out)


def identify_checksum(data: bytes) -> int:
    """The byte that makes the sum of all 512 zero: of the first 511, negated. ACS-3 §7.12.7"""
    return -sum(data[:511]) & 0xFF


# NCQ Command Error log, ACS-3 §A, log 10h

class NcqErrorHead(Register, width=32):
    """Bytes 0 to 3. ACS-3 §A, log 10h"""

    error:  int  = bits(31, 24)  # error register
    status: int  = bits(23, 16)  # status register
    nq:     bool = bit(7)        # the command was not queued: `tag` says nothing
    unl:    bool = bit(6)        # unload
    tag:    int  = bits(4, 0)    # of the command that failed


class NcqErrorCount(Register, width=32):
    """Bytes 12 to 15. ACS-3 §A, log 10h"""

    asc:   int = bits(31, 24)  # additional sense code
    key:   int = bits(23, 16)  # sense key
    count: int = bits(15, 0)   # count register


class NcqError(Block, size=512):
    """Page 0x10 of the general purpose log; reading it lets the device take queued commands again. ACS-3 §A, log 10h"""

    head     = ro(0x000, NcqErrorHead)
    low      = ro(0x004, LbaLow)         # LBA 23:0 and device
    high     = ro(0x008, LbaHigh)        # LBA 47:24
    count    = ro(0x00C, NcqErrorCount)
    ascq     = ro(0x010, U8)             # additional sense code qualifier
    final    = octets(0x011, 6)          # LBA where the error was, 47:0
    checksum = ro(0x1FF, U8)             # all 512 bytes add up to 0

    def lba(self) -> int:
        """LBA 47:0 of the command that failed."""
        return self.low.read().lba | self.high.read().lba << 24
