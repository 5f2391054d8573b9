"""AHCI host bus adapters. Ref: Serial ATA Advanced Host Controller Interface, revision 1.3.1 (AHCI).

`HBA` is BAR 5 (ABAR, §2.1.11): generic host control, then a `Port` each 0x80 bytes. What lies in memory, the
command list, the command tables and the received FISes, are blocks too: `CommandList`, `CommandTable`, `ReceivedFis`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum

from ..regs import (
    U32,
    Block,
    Register,
    banks,
    bit,
    bits,
    octets,
    part,
    ro,
    rw,
    w1c,
    w1s,
)
from .ata import D2H, DmaSetup, PioSetup, SetDeviceBits, Signature

CLASS = 0x010601  # mass storage, SATA, AHCI 1.0 programming interface. §2.1.5
ABAR = 5  # the BAR that the registers are in. §2.1.11

# Limits
MAX_PORTS = 32  # §3.1.1 CAP.NP
MAX_SLOTS = 32  # §3.1.1 CAP.NCS
PRD_BYTES = 4 << 20  # most bytes of one PRD; a count is even. §4.2.3.3
PRD_MAX = 65535  # most PRDs of a command. §4.2.2 PRDTL
COMMAND_LIST_ALIGN = 1024  # §3.3.1
RECEIVED_FIS_ALIGN = 256  # §3.3.3; 4096 with FIS-based switching
COMMAND_TABLE_ALIGN = 128  # §4.2.2 CTBA
PRD_ALIGN = 2  # §4.2.3.3 DBA

# Time limits, seconds
RESET_LIMIT = 1.0  # GHC.HR reads zero again. §10.4.3
STOP_LIMIT = 0.5  # PxCMD.CR reads zero after ST was cleared. §10.1.2
FIS_STOP_LIMIT = 0.5  # PxCMD.FR reads zero after FRE was cleared. §10.1.2
COMRESET_HOLD = 0.001  # PxSCTL.DET stays 1 at least so long. §10.4.2
HANDOFF_BUSY = 0.025  # firmware sets BOHC.BB within it, if it needs more time. §10.6.3
HANDOFF_LIMIT = 2.0  # then it has this long to finish. §10.6.3
LINK_LIMIT = 1.0  # PxSSTS.DET reads 3 after COMRESET. Serial ATA 3.x §8.4: the device answers within 10 ms; margin
READY_LIMIT = 30.0  # PxTFD has BSY and DRQ clear after power-on. ATA8-ACS: a spin-up may take 30 s


class Iss(IntEnum):
    """Interface speed: the highest supported (CAP.ISS). §3.1.1"""

    GEN1 = 1
    GEN2 = 2
    GEN3 = 3


class Det(IntEnum):
    """Device detection, as PxSSTS tells it. §3.3.10"""

    NONE = 0  # no device, no Phy communication
    PRESENT = 1  # a device, no Phy communication yet
    ESTABLISHED = 3  # a device and Phy communication
    OFFLINE = 4  # Phy disabled, or in BIST


class DetControl(IntEnum):
    """Device detection initialization, as PxSCTL asks for it. §3.3.11"""

    NONE = 0
    RESET = 1  # COMRESET, for as long as it stands here
    DISABLE = 4  # Phy offline


class Spd(IntEnum):
    """Speed that was negotiated. §3.3.10"""

    NONE = 0
    GEN1 = 1  # 1.5 Gb/s
    GEN2 = 2  # 3 Gb/s
    GEN3 = 3  # 6 Gb/s


class SpdLimit(IntEnum):
    """Highest speed allowed. §3.3.11"""

    ANY = 0
    GEN1 = 1
    GEN2 = 2
    GEN3 = 3


class Ipm(IntEnum):
    """Interface power state. §3.3.10"""

    NONE = 0  # no device, or no communication
    ACTIVE = 1
    PARTIAL = 2
    SLUMBER = 6
    DEVSLEP = 8


class IpmLimit(IntEnum):
    """Interface power states that are forbidden, a bit a state. §3.3.11"""

    ANY = 0
    NO_PARTIAL = 1
    NO_SLUMBER = 2
    NO_PARTIAL_SLUMBER = 3
    NO_DEVSLEP = 4
    NO_PARTIAL_DEVSLEP = 5
    NO_SLUMBER_DEVSLEP = 6
    NONE = 7


class Icc(IntEnum):
    """Interface communication control. §3.3.7"""

    IDLE = 0  # nothing is asked; also: ready for a new request
    ACTIVE = 1
    PARTIAL = 2
    SLUMBER = 6
    DEVSLEP = 8


def set_bits(mask: int) -> Iterator[int]:
    """The numbers of the bits that are set, low first: ports of PI or IS, slots of PxCI or PxSACT."""
    while mask:
        low = mask & -mask
        yield low.bit_length() - 1
        mask ^= low


# Generic host control, §3.1

class CAP(Register, width=32):
    """HBA capabilities. AHCI 1.3.1 §3.1.1"""

    s64a:  bool = bit(31)           # 64-bit addresses
    sncq:  bool = bit(30)           # native command queuing
    ssntf: bool = bit(29)           # PxSNTF is there
    smps:  bool = bit(28)           # mechanical presence switches
    sss:   bool = bit(27)           # staggered spin-up
    salp:  bool = bit(26)           # aggressive link power management
    sal:   bool = bit(25)           # activity LED
    sclo:  bool = bit(24)           # command list override
    iss:   Iss  = bits(23, 20, Iss) # highest speed
    sam:   bool = bit(18)           # AHCI mode only
    spm:   bool = bit(17)           # port multipliers
    fbss:  bool = bit(16)           # FIS-based switching
    pmd:   bool = bit(15)           # DRQ block of several sectors in PIO
    ssc:   bool = bit(14)           # slumber state
    psc:   bool = bit(13)           # partial state
    ncs:   int  = bits(12, 8)       # command slots, less one
    cccs:  bool = bit(7)            # command completion coalescing
    ems:   bool = bit(6)            # enclosure management
    sxs:   bool = bit(5)            # external SATA
    np:    int  = bits(4, 0)        # ports, less one


class GHC(Register, width=32):
    """Global HBA control. AHCI 1.3.1 §3.1.2"""

    ae:   bool = bit(31)  # AHCI enable
    mrsm: bool = bit(2)   # one MSI for all: fewer vectors were given than asked for
    ie:   bool = bit(1)   # interrupts on
    hr:   bool = bit(0)   # reset; reads 1 until done


class IS(Register, width=32):
    """Interrupt status, a bit a port. AHCI 1.3.1 §3.1.3"""

    ips: int = bits(31, 0)  # ports with an interrupt pending


class PI(Register, width=32):
    """Ports implemented, a bit a port. AHCI 1.3.1 §3.1.4"""

    pi: int = bits(31, 0)  # ports that may be used


class VS(Register, width=32):
    """Version of the specification, binary coded. AHCI 1.3.1 §3.1.5"""

    mjr: int = bits(31, 16)  # major: 0x0001
    mnr: int = bits(15, 0)   # minor: 0x0301


class CCC_CTL(Register, width=32):
    """Command completion coalescing control. AHCI 1.3.1 §3.1.6"""

    tv:  int  = bits(31, 16)  # time-out, ms
    cc:  int  = bits(15, 8)   # completions
    int_: int = bits(7, 3)    # the port whose IS bit tells it
    en:  bool = bit(0)        # on


class CCC_PORTS(Register, width=32):
    """Ports that coalesce, a bit a port. AHCI 1.3.1 §3.1.7"""

    prt: int = bits(31, 0)  # ports


class EM_LOC(Register, width=32):
    """Where the enclosure management buffer is. AHCI 1.3.1 §3.1.8"""

    ofst: int = bits(31, 16)  # offset from ABAR, dwords
    sz:   int = bits(15, 0)   # size, dwords


class EM_CTL(Register, width=32):
    """Enclosure management control. AHCI 1.3.1 §3.1.9"""

    pm:    bool = bit(27)           # port multiplier messages
    alhd:  bool = bit(26)           # the hardware drives the activity LED
    xmt:   bool = bit(25)           # transmit only
    smb:   bool = bit(24)           # one buffer for both directions
    sgpio: bool = bit(19)           # SGPIO messages
    ses2:  bool = bit(18)           # SES-2 messages
    safte: bool = bit(17)           # SAF-TE messages
    led:   bool = bit(16)           # LED messages
    rst:   bool = bit(9)            # reset
    tm:    bool = bit(8)            # transmit the message
    mr:    bool = bit(0, w1c=True)  # a message was received


class CAP2(Register, width=32):
    """HBA capabilities, extended. AHCI 1.3.1 §3.1.10"""

    deso: bool = bit(5)  # DevSleep from slumber only
    sadm: bool = bit(4)  # aggressive device sleep
    sds:  bool = bit(3)  # device sleep
    apst: bool = bit(2)  # partial to slumber by itself
    nvmp: bool = bit(1)  # NVMHCI present
    boh:  bool = bit(0)  # BOHC is there


class BOHC(Register, width=32):
    """BIOS/OS handoff control and status. AHCI 1.3.1 §3.1.11"""

    bb:   bool = bit(4)            # firmware is busy cleaning up
    ooc:  bool = bit(3, w1c=True)  # ownership changed
    sooe: bool = bit(2)            # SMI on ownership change
    oos:  bool = bit(1)            # the system wants it, or has it
    bos:  bool = bit(0)            # firmware has it


# Port registers, §3.3

class PxCLB(Register, width=32):
    """Command list base address. AHCI 1.3.1 §3.3.1"""

    clb: int = bits(31, 10)  # address bits 31:10


class PxFB(Register, width=32):
    """FIS base address. AHCI 1.3.1 §3.3.3"""

    fb: int = bits(31, 8)  # address bits 31:8; 31:12 with FIS-based switching


class PxIS(Register, width=32):
    """Port interrupt status. AHCI 1.3.1 §3.3.5"""

    cpds: bool = bit(31, w1c=True)  # cold presence changed
    tfes: bool = bit(30, w1c=True)  # task file error: status has ERR
    hbfs: bool = bit(29, w1c=True)  # host bus fatal error
    hbds: bool = bit(28, w1c=True)  # host bus data error
    ifs:  bool = bit(27, w1c=True)  # interface fatal error
    infs: bool = bit(26, w1c=True)  # interface non-fatal error
    ofs:  bool = bit(24, w1c=True)  # more data than the PRDT has room for
    ipms: bool = bit(23, w1c=True)  # FIS from a wrong port multiplier port
    prcs: bool = bit(22)            # PhyRdy changed: PxSERR.DIAG.N
    dmps: bool = bit(7, w1c=True)   # presence switch moved
    pcs:  bool = bit(6)             # connection changed: PxSERR.DIAG.X
    dps:  bool = bit(5, w1c=True)   # a PRD with I was done
    ufs:  bool = bit(4)             # unknown FIS: PxSERR.DIAG.F
    sdbs: bool = bit(3, w1c=True)   # Set Device Bits FIS
    dss:  bool = bit(2, w1c=True)   # DMA Setup FIS
    pss:  bool = bit(1, w1c=True)   # PIO Setup FIS
    dhrs: bool = bit(0, w1c=True)   # D2H Register FIS


class PxIE(Register, width=32):
    """Port interrupt enable, the bits of PxIS. AHCI 1.3.1 §3.3.6"""

    cpde: bool = bit(31)  # cold presence changed
    tfee: bool = bit(30)  # task file error
    hbfe: bool = bit(29)  # host bus fatal error
    hbde: bool = bit(28)  # host bus data error
    ife:  bool = bit(27)  # interface fatal error
    infe: bool = bit(26)  # interface non-fatal error
    ofe:  bool = bit(24)  # overflow
    ipme: bool = bit(23)  # wrong port multiplier port
    prce: bool = bit(22)  # PhyRdy changed
    dmpe: bool = bit(7)   # presence switch moved
    pce:  bool = bit(6)   # connection changed
    dpe:  bool = bit(5)   # PRD done
    ufe:  bool = bit(4)   # unknown FIS
    sdbe: bool = bit(3)   # Set Device Bits FIS
    dse:  bool = bit(2)   # DMA Setup FIS
    pse:  bool = bit(1)   # PIO Setup FIS
    dhre: bool = bit(0)   # D2H Register FIS


class PxCMD(Register, width=32):
    """Port command and status. AHCI 1.3.1 §3.3.7"""

    icc:   Icc  = bits(31, 28, Icc)  # power state asked for
    asp:   bool = bit(27)            # aggressive: slumber, not partial
    alpe:  bool = bit(26)            # aggressive link power management on
    dlae:  bool = bit(25)            # activity LED for ATAPI too
    atapi: bool = bit(24)            # the device is ATAPI
    apste: bool = bit(23)            # partial to slumber by itself
    fbscp: bool = bit(22)            # the port can do FIS-based switching
    esp:   bool = bit(21)            # external SATA port
    cpd:   bool = bit(20)            # the port has cold presence detection
    mpsp:  bool = bit(19)            # the port has a presence switch
    hpcp:  bool = bit(18)            # the port can be hot plugged
    pma:   bool = bit(17)            # a port multiplier is attached
    cps:   bool = bit(16)            # cold presence: a device is there
    cr:    bool = bit(15)            # the list is running
    fr:    bool = bit(14)            # FIS receive is running
    mpss:  bool = bit(13)            # presence switch is open
    ccs:   int  = bits(12, 8)        # slot in hand
    fre:   bool = bit(4)             # receive FISes
    clo:   bool = bit(3)             # command list override: clear BSY and DRQ
    pod:   bool = bit(2)             # power on
    sud:   bool = bit(1)             # spin up
    st:    bool = bit(0)             # start the list


class PxTFD(Register, width=32):
    """Task file data: the device's status and error registers. AHCI 1.3.1 §3.3.8"""

    err:    int  = bits(15, 8)  # error register
    bsy:    bool = bit(7)       # busy
    cs2:    int  = bits(6, 4)   # command specific
    drq:    bool = bit(3)       # wants to transfer data
    cs1:    int  = bits(2, 1)   # command specific
    sts_err: bool = bit(0)      # the command failed


class PxSIG(Register, width=32):
    """Signature: the first D2H Register FIS after reset. AHCI 1.3.1 §3.3.9"""

    sig: Signature = bits(31, 0, Signature)  # LBA high, LBA mid, LBA low, count


class PxSSTS(Register, width=32):
    """SStatus: the link. AHCI 1.3.1 §3.3.10"""

    ipm: Ipm = bits(11, 8, Ipm)  # power state
    spd: Spd = bits(7, 4, Spd)   # speed
    det: Det = bits(3, 0, Det)   # device and Phy


class PxSCTL(Register, width=32):
    """SControl: what the link may do. AHCI 1.3.1 §3.3.11"""

    pmp: int        = bits(19, 16)            # not used by AHCI
    spm: int        = bits(15, 12)            # not used by AHCI
    ipm: IpmLimit   = bits(11, 8, IpmLimit)   # power states forbidden
    spd: SpdLimit   = bits(7, 4, SpdLimit)    # highest speed
    det: DetControl = bits(3, 0, DetControl)  # COMRESET or offline


class PxSERR(Register, width=32):
    """SError: events of the link; writing one clears. AHCI 1.3.1 §3.3.12"""

    diag_x: bool = bit(26, w1c=True)  # exchanged: COMINIT came
    diag_f: bool = bit(25, w1c=True)  # unknown FIS type
    diag_t: bool = bit(24, w1c=True)  # transport state transition error
    diag_s: bool = bit(23, w1c=True)  # link sequence error
    diag_h: bool = bit(22, w1c=True)  # handshake error: R_ERR
    diag_c: bool = bit(21, w1c=True)  # CRC error
    diag_d: bool = bit(20, w1c=True)  # disparity error
    diag_b: bool = bit(19, w1c=True)  # 10B to 8B decode error
    diag_w: bool = bit(18, w1c=True)  # COMWAKE came
    diag_i: bool = bit(17, w1c=True)  # Phy internal error
    diag_n: bool = bit(16, w1c=True)  # PhyRdy changed
    err_e:  bool = bit(11, w1c=True)  # internal error
    err_p:  bool = bit(10, w1c=True)  # protocol error
    err_c:  bool = bit(9, w1c=True)   # persistent communication or data integrity error
    err_t:  bool = bit(8, w1c=True)   # transient data integrity error
    err_m:  bool = bit(1, w1c=True)   # recovered communications error
    err_i:  bool = bit(0, w1c=True)   # recovered data integrity error


class PxSACT(Register, width=32):
    """SActive: queued commands outstanding, a bit a slot. AHCI 1.3.1 §3.3.13"""

    ds: int = bits(31, 0)  # tags


class PxCI(Register, width=32):
    """Command issue, a bit a slot. AHCI 1.3.1 §3.3.14"""

    ci: int = bits(31, 0)  # slots


class PxSNTF(Register, width=32):
    """SNotification, a bit a port multiplier port. AHCI 1.3.1 §3.3.15"""

    pmn: int = bits(15, 0)  # ports


class PxFBS(Register, width=32):
    """FIS-based switching control. AHCI 1.3.1 §3.3.16"""

    dwe: int  = bits(19, 16)       # device with the error
    ado: int  = bits(15, 12)       # devices that it is optimized for
    dev: int  = bits(11, 8)        # device to issue to
    sde: bool = bit(2)             # single device error
    dec: bool = bit(1, w1c=True)   # clear the device's error
    en:  bool = bit(0)             # on


class PxDEVSLP(Register, width=32):
    """Device sleep. AHCI 1.3.1 §3.3.17"""

    dm:   int  = bits(28, 25)  # multiplier of DITO, less one
    dito: int  = bits(24, 15)  # idle time before DevSleep, ms
    mdat: int  = bits(14, 10)  # least assertion time, ms
    deto: int  = bits(9, 2)    # longest exit time, ms
    dsp:  bool = bit(1)        # the port has device sleep
    adse: bool = bit(0)        # aggressive device sleep on


class Port(Block, size=0x80):
    """One port. AHCI 1.3.1 §3.3"""

    clb    = rw(0x00, PxCLB)     # command list
    clbu   = rw(0x04, U32)       # its address bits 63:32. §3.3.2
    fb     = rw(0x08, PxFB)      # received FISes
    fbu    = rw(0x0C, U32)       # its address bits 63:32. §3.3.4
    is_    = w1c(0x10, PxIS)     # interrupt status
    ie     = rw(0x14, PxIE)      # interrupt enable
    cmd    = rw(0x18, PxCMD)     # command and status
    tfd    = ro(0x20, PxTFD)     # task file
    sig    = ro(0x24, PxSIG)     # signature
    ssts   = ro(0x28, PxSSTS)    # SStatus
    sctl   = rw(0x2C, PxSCTL)    # SControl
    serr   = w1c(0x30, PxSERR)   # SError
    sact   = w1s(0x34, PxSACT)   # SActive
    ci     = w1s(0x38, PxCI)     # command issue
    sntf   = w1c(0x3C, PxSNTF)   # SNotification
    fbs    = rw(0x40, PxFBS)     # FIS-based switching
    devslp = rw(0x44, PxDEVSLP)  # device sleep
    vs     = octets(0x70, 16)    # vendor specific. §3.3.19


class HBA(Block, size=0x1100):
    """The registers in ABAR. AHCI 1.3.1 §3"""

    cap       = ro(0x00, CAP)        # capabilities
    ghc       = rw(0x04, GHC)        # global control
    is_       = w1c(0x08, IS)        # interrupt status
    pi        = ro(0x0C, PI)         # ports implemented
    vs        = ro(0x10, VS)         # version
    ccc_ctl   = rw(0x14, CCC_CTL)    # coalescing control
    ccc_ports = rw(0x18, CCC_PORTS)  # coalescing ports
    em_loc    = ro(0x1C, EM_LOC)     # enclosure management buffer
    em_ctl    = rw(0x20, EM_CTL)     # enclosure management control
    cap2      = ro(0x24, CAP2)       # more capabilities
    bohc      = rw(0x28, BOHC)       # BIOS/OS handoff
    vendor    = octets(0xA0, 0x60)   # vendor specific. §3.2
    port      = banks(0x100, 0x80, MAX_PORTS, Port, lambda hba: set_bits(hba.pi.read().pi))


# Structures in memory, §4.2

class CommandInfo(Register, width=32):
    """Command header, dword 0. AHCI 1.3.1 §4.2.2"""

    prdtl: int  = bits(31, 16)  # PRDs in the table
    pmp:   int  = bits(15, 12)  # port multiplier port
    c:     bool = bit(10)       # clear BSY when R_OK came
    b:     bool = bit(9)        # BIST
    r:     bool = bit(8)        # part of a software reset
    p:     bool = bit(7)        # prefetchable
    w:     bool = bit(6)        # to the device
    a:     bool = bit(5)        # ATAPI: send ACMD
    cfl:   int  = bits(4, 0)    # length of the command FIS, dwords: 2 to 16


class CommandTableBase(Register, width=32):
    """Command header, dword 2. AHCI 1.3.1 §4.2.2"""

    ctba: int = bits(31, 7)  # address bits 31:7


class CommandHeader(Block, size=32):
    """One slot of the command list. AHCI 1.3.1 §4.2.2"""

    info  = rw(0x00, CommandInfo)       # dword 0
    prdbc = rw(0x04, U32)               # bytes transferred
    ctba  = rw(0x08, CommandTableBase)  # the command table
    ctbau = rw(0x0C, U32)               # its address bits 63:32


class CommandList(Block, size=1024):
    """32 slots. AHCI 1.3.1 §4.2.2"""

    header = banks(0, 32, MAX_SLOTS, CommandHeader)


class PrdBase(Register, width=32):
    """PRD, dword 0. AHCI 1.3.1 §4.2.3.3"""

    dba: int = bits(31, 1)  # address bits 31:1


class PrdCount(Register, width=32):
    """PRD, dword 3. AHCI 1.3.1 §4.2.3.3"""

    i:   bool = bit(31)      # interrupt when this one is done
    dbc: int  = bits(21, 0)  # bytes, less one; bit 0 is one


class Prd(Block, size=16):
    """A stretch of memory that data goes to or comes from. AHCI 1.3.1 §4.2.3.3"""

    dba  = rw(0x00, PrdBase)   # address bits 31:0
    dbau = rw(0x04, U32)       # address bits 63:32
    dbc  = rw(0x0C, PrdCount)  # length


class CommandTable(Block):
    """What a slot points to. AHCI 1.3.1 §4.2.3"""

    cfis = octets(0x00, 64)  # the command FIS
    acmd = octets(0x40, 16)  # the ATAPI command
    prdt = banks(0x80, 16, PRD_MAX, Prd)


class ReceivedFis(Block, size=256):
    """Where the HBA puts the FISes of a device. AHCI 1.3.1 §4.2.1"""

    dsfis = part(0x00, DmaSetup)
    psfis = part(0x20, PioSetup)
    rfis  = part(0x40, D2H)
    sdbfs = part(0x58, SetDeviceBits)
    ufis  = octets(0x60, 64)  # a FIS of a type that is not known


def table_size(prds: int) -> int:
    """Bytes of a command table with so many PRDs. AHCI 1.3.1 §4.2.3"""
    return CommandTable.prdt.offset + prds * CommandTable.prdt.stride
