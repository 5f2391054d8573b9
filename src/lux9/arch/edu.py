"""QEMU's educational device: a card that exists to be driven for the first time. Ref: QEMU docs/specs/edu.

An inverter, a factorial that takes its time, interrupts by request, and DMA between memory and 4096 bytes of its own.
"""

from __future__ import annotations

from ..regs import U32, U64, Block, Register, bit, bits, ro, rw, wo

DEVICE = (0x1234, 0x11E8)     # vendor and device
CLASS = 0x00FF00              # no class fits
REVISION = 0x10
BAR = 0
BAR_SIZE = 1 << 20
MARK = 0xED                   # at the bottom of the identification
BUFFER = 0x40000              # where a transfer's own end lies: an address of the device's, not of its BAR
BUFFER_SIZE = 4096
DMA_BITS = 28                 # of an address that it can put out, unless `dma_mask` says otherwise
DMA_SECONDS = 0.1             # from the command to the transfer


class Id(Register, width=32):
    """Identification. Ref: edu, 0x00"""

    major: int = bits(31, 24)
    minor: int = bits(23, 16)
    mark:  int = bits(7, 0)   # `MARK`


class Status(Register, width=32):
    """What it does, and whether it says when it is done. Ref: edu, 0x20"""

    irq:       bool = bit(7)  # an interrupt at the end of a factorial
    computing: bool = bit(0)


class Cause(Register, width=32):
    """Why it interrupts; other bits are those that software raised. Ref: edu, 0x24"""

    dma:       bool = bit(8)
    factorial: bool = bit(0)


class DmaCommand(Register, width=64):
    """Starts a transfer; all four registers stand still until it has run. Ref: edu, 0x98"""

    irq:       bool = bit(2)  # an interrupt at its end
    to_memory: bool = bit(1)  # from the buffer; else into it
    run:       bool = bit(0)


class Edu(Block):
    """BAR 0. Accesses of 4 bytes below 0x80, of 4 or 8 from there. Ref: edu, MMIO area"""

    id          = ro(0x00, Id)
    inverter    = rw(0x04, U32)         # reads as the complement of what was written
    factorial   = rw(0x08, U32)         # write n, read n! modulo 2^32 when it no longer computes
    status      = rw(0x20, Status)
    irq_status  = ro(0x24, Cause)
    irq_raise   = wo(0x60, U32)         # sets bits of irq_status, and interrupts
    irq_ack     = wo(0x64, U32)         # clears them
    source      = rw(0x80, U64)
    destination = rw(0x88, U64)
    count       = rw(0x90, U64)         # bytes
    command     = rw(0x98, DmaCommand)
