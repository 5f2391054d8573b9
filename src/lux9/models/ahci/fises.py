"""FISes that a device sends, as bytes. Ref: Serial ATA 3.2 §10.5."""

from __future__ import annotations

import struct

from ...arch.ata import D2HHead, Fis, PioSetup, SdbHead
from ..ata import Registers

_REGISTER = struct.Struct("<IIII4x")
_PIO = struct.Struct("<IIIII")
_BITS = struct.Struct("<II")
INTERRUPT, TO_HOST = D2HHead.fields["i"].span, D2HHead.fields["d"].span
STATUS, ERROR = D2HHead.fields["status"].lo, D2HHead.fields["error"].lo
SEEN = 0x77  # what a Set Device Bits FIS has of the status: neither BSY nor DRQ
assert SdbHead.fields["error"].lo == ERROR, "one layout"
assert SdbHead.fields["status_lo"].lo == STATUS, "one layout"
assert PioSetup.size == _PIO.size, "the declared FIS"


def register(left: Registers) -> bytes:
    """Register, device to host, with I: what a command left. §10.5.6"""
    head = Fis.REGISTER_D2H | INTERRUPT | left.command << STATUS | left.features << ERROR
    return _REGISTER.pack(head, *_address(left), left.count)


def pio_setup(left: Registers, status: int, size: int, *, out: bool, interrupt: bool) -> bytes:
    """PIO Setup for a DRQ block of `size` bytes; `status` before the data, that of `left` after it. §10.5.11"""
    flags = (0 if out else TO_HOST) | (INTERRUPT if interrupt else 0)
    head = Fis.PIO_SETUP | flags | status << STATUS | left.features << ERROR
    return _PIO.pack(head, *_address(left), left.count | left.command << 24, size)


def device_bits(done: int, status: int, error: int) -> bytes:
    """Set Device Bits, with I: the queued commands in `done` are at their end. §10.5.7"""
    return _BITS.pack(
        Fis.SET_DEVICE_BITS | INTERRUPT | (status & SEEN) << STATUS | error << ERROR, done
    )


def _address(left: Registers) -> tuple[int, int]:
    return left.lba & 0xFFFFFF | left.device << 24, left.lba >> 24
