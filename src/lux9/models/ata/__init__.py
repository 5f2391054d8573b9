"""ATA disks: what a device does with a command, whatever brings it (AHCI ports, IDE channels). Ref: ACS-3.

`execute(drive, registers)` gives the transfer that the command wants, or None when it is done without data; whoever
carries the data calls `Transfer.move` with memory of that size, once. A command that fails raises `AtaError`, and its
carrier calls `Drive.failed`. After either, `Drive.result` has the registers that the device leaves.
"""

from .commands import execute
from .drive import (
    ABRT,
    FAILED,
    FUA_BIT,
    GOOD,
    SECTOR,
    UNC,
    AtaError,
    Drive,
    Outcome,
    Registers,
    Transfer,
    Views,
)

__all__ = [
    "ABRT",
    "FAILED",
    "FUA_BIT",
    "GOOD",
    "SECTOR",
    "UNC",
    "AtaError",
    "Drive",
    "Outcome",
    "Registers",
    "Transfer",
    "Views",
    "execute",
]
