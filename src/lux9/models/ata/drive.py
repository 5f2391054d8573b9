"""The state of a disk's electronics, and what commands and their carriers exchange. Ref: ACS-3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from ...arch import ata
from ...arch.ata import DIAGNOSTIC_PASSED, Command
from ...errors import ReadOnly
from ..disk import Disk, MediaError
from . import identify

SECTOR = ata.SECTOR
GOOD = ata.Status(drdy=True, dwe=True).raw  # ready, seek complete: 0x50
READY = ata.Status(drdy=True).raw  # 0x40
FAILED = ata.Status(drdy=True, err=True).raw  # 0x41
ABRT = ata.Error(abrt=True).raw
UNC = ata.Error(unc=True).raw
LBA_BIT = ata.Device(lba=True).raw
FUA_BIT = ata.Device(fua=True).raw
DEVICE = ata.Device(fua=True, obs=True).raw  # after reset; two bits that were once always set


@dataclass(slots=True)
class Registers:
    """A command as software gives it, or what the device leaves: whole registers, 48-bit wide. A value."""

    command: int  # or status
    features: int  # or error
    lba: int
    count: int
    device: int


class AtaError(Exception):
    """The command failed: bits of the error register, and the sector where, if there is one."""

    def __init__(self, error: int, why: str, lba: int | None = None) -> None:
        super().__init__(why)
        self.error, self.lba = error, lba


Views = list[memoryview]


class Transfer(NamedTuple):
    """Data that a command wants moved: `size` bytes, `out` to the device; `block` bytes a DRQ in PIO, 0 for DMA."""

    size: int
    out: bool
    block: int
    move: Callable[[Views], None]


Outcome = Transfer | None


class Drive:
    """A disk's electronics: power-on state, features, power mode, the log of the queued command that failed."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.probe: Callable[[range], int | None] | None = None  # the first with a planned fault
        self.result = Registers(0, 0, 0, 0, 0)
        self.power_on()

    def power_on(self) -> None:
        """Everything as at power-on."""
        self.cache = True
        self.smart = True
        self.udma = 0x20  # mode 5
        self.restart()

    def restart(self) -> None:
        """A reset by COMRESET or SRST: the signature is left in the registers. ACS-3 §9.12, SATA §11"""
        self.multiple = identify.MULTIPLE
        self.standby = False
        self.ncq_log: bytes | None = None
        signature = ata.Signature.ATA
        self.result = Registers(0x30, DIAGNOSTIC_PASSED, signature >> 8, signature & 0xFF, DEVICE)

    def done(self, lba: int, count: int, device: int) -> None:
        """Leave what a good end leaves."""
        self.result = Registers(GOOD, 0, lba, count, device)

    def failed(self, error: AtaError) -> None:
        """Leave what a failed command leaves."""
        was = self.result
        lba = was.lba if error.lba is None else error.lba
        self.result = Registers(FAILED, error.error, lba, was.count, was.device)

    # Sectors

    def span(self, lba: int, count: int) -> None:
        """Refuse sectors that are not there, or that a fault was planned for."""
        if lba + count > self.disk.sectors:
            end = self.disk.sectors
            raise AtaError(ABRT, f"sectors {lba} to {lba + count - 1} of a disk with {end}")
        bad = self.probe(range(lba, lba + count)) if self.probe is not None else None
        if bad is not None:
            raise AtaError(UNC, f"sector {bad}: a planned media error", bad)

    def accept_queued(self, command: Registers, count: int) -> None:
        """Whether a queued command can be done now. Raises AtaError."""
        if self.ncq_log is not None:
            raise AtaError(ABRT, "a queued command failed: read log 10h first, or reset")
        if command.command not in (Command.READ_FPDMA_QUEUED, Command.WRITE_FPDMA_QUEUED):
            raise AtaError(ABRT, f"queued command {command.command:#04x} is not supported")
        self.span(command.lba, count)

    def read(self, lba: int, count: int, views: Views) -> None:
        """Sectors into memory. Raises AtaError."""
        self.standby = False
        try:
            self.disk.readv(lba, count, views)
        except MediaError as error:
            raise AtaError(UNC, str(error), error.lba) from None
        except OSError as error:
            raise AtaError(UNC, f"{self.disk.path}: {error.strerror}", lba) from None

    def write(self, lba: int, count: int, views: Views, *, fua: bool = False) -> None:
        """Memory into sectors. Raises AtaError."""
        self.standby = False
        try:
            self.disk.writev(lba, count, views)
            if fua or not self.cache:
                self.disk.flush()
        except MediaError as error:
            raise AtaError(UNC, str(error), error.lba) from None
        except OSError as error:
            raise AtaError(ABRT, f"{self.disk.path}: {error.strerror}", lba) from None
        except ReadOnly as error:
            raise AtaError(ABRT, str(error), lba) from None

    def failed_queued(
        self, tag: int, command: Registers, error: AtaError, *, keep: bool = True
    ) -> None:
        """A queued command failed: `keep` it for READ LOG EXT page 10h, and take no other till then. ACS-3 §A.14"""
        self.result = replace(self.result, features=error.error)
        if keep and self.ncq_log is None:
            lba = command.lba if error.lba is None else error.lba
            self.ncq_log = identify.ncq_error(
                tag, FAILED, error.error, lba, command.count, command.device
            )
