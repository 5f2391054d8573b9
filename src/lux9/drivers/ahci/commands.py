"""ATA commands as the driver issues them: what they are, how long they may take, what goes into the FIS.

Nothing here touches hardware.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from ...arch.ata import (
    SMART_LBA,
    Command as Ata,
    Device,
    Identify,
    Log,
    Smart,
    h2d,
)
from ...errors import SectorError

log = logging.getLogger(__name__)

LBA = Device(lba=True).raw
MOST_28 = 256  # sectors of a 28-bit command; its count is a byte, 0 for all of them. ACS-3 §7.24
MOST_48 = 65536  # sectors of a 48-bit command, 0 for all of them. ACS-3 §7.25
SPIN_UP = (
    30.0  # a disk that has to spin up first may take this long; the same limit as after power-on
)
FLUSH_LIMIT = 60.0  # ACS-3 §7.13: a flush may take longer than 30 s
SHORT = 5.0  # seconds for commands that move no head: IDENTIFY, a log, SMART's status


class AtaError(SectorError):
    """The device refused a command; `status` and `error` are its registers."""

    def __init__(self, text: str, status: int, error: int, sector: int | None = None) -> None:
        super().__init__(text, sector)
        self.status, self.error = status, error


class Mode(Enum):
    """Which commands may be in flight together: only those of one mode, and none beside one that is alone."""

    QUEUED = "queued"  # NCQ: the device has several
    LISTED = "listed"  # the HBA has several, the device one
    ALONE = "alone"


class Op(NamedTuple):
    """A command that this driver issues."""

    name: str  # for messages: `read`
    code: int
    mode: Mode
    write: bool
    limit: float  # seconds


class Moves(NamedTuple):
    """How a disk's sectors are read and written, and what is possible at once."""

    read: Op
    write: Op
    wide: bool  # 48-bit addresses
    most: int  # sectors of one command


def _moves(read: int, write: int, mode: Mode, wide: bool) -> Moves:
    ops = Op("read", read, mode, False, SPIN_UP), Op("write", write, mode, True, SPIN_UP)
    return Moves(*ops, wide, MOST_48 if wide else MOST_28)


NCQ = _moves(Ata.READ_FPDMA_QUEUED, Ata.WRITE_FPDMA_QUEUED, Mode.QUEUED, True)
DMA_EXT = _moves(Ata.READ_DMA_EXT, Ata.WRITE_DMA_EXT, Mode.LISTED, True)
DMA = _moves(Ata.READ_DMA, Ata.WRITE_DMA, Mode.LISTED, False)

IDENTIFY = Op("identify", Ata.IDENTIFY_DEVICE, Mode.ALONE, False, SHORT)
READ_LOG = Op("read log", Ata.READ_LOG_EXT, Mode.ALONE, False, SHORT)
FLUSH_EXT = Op("flush", Ata.FLUSH_CACHE_EXT, Mode.ALONE, False, FLUSH_LIMIT)
FLUSH = Op("flush", Ata.FLUSH_CACHE, Mode.ALONE, False, FLUSH_LIMIT)
STANDBY = Op("standby", Ata.STANDBY, Mode.ALONE, False, SPIN_UP)
SMART = Op("smart", Ata.SMART, Mode.ALONE, False, SHORT)


class Request:
    """One command on its way: where its data is, who waits for it, and what became of it so far."""

    __slots__ = ("bus", "count", "done", "fis", "issued", "lba", "op", "size", "slot", "tries")

    def __init__(
        self,
        op: Op,
        done: Callable[[Request, BaseException | None], None],
        *,
        lba: int = 0,
        count: int = 0,
        bus: int = 0,
        size: int = 0,
        fis: bytes = b"",
    ) -> None:
        self.op, self.done, self.lba, self.count = op, done, lba, count
        self.bus, self.size, self.fis = bus, size, fis
        self.slot = -1
        self.issued = 0.0
        self.tries = 0

    def __str__(self) -> str:
        if self.count:
            return f"{self.op.name} of {self.count} sectors at {self.lba}"
        return self.op.name

    def age(self) -> float:
        """Seconds since it was issued last."""
        return time.perf_counter() - self.issued

    def frame(self) -> bytes:
        """The Register FIS, for the slot that it has now."""
        return self.fis or move(self.op, self.lba, self.count, self.slot)


def ignored(request: Request, error: BaseException | None) -> None:
    """For a command that somebody waits for in another way."""


def tell(requests: list[Request], error: BaseException | None) -> None:
    """Let those who wait know. One who makes a mistake then does not harm the others."""
    for request in requests:
        try:
            request.done(request, error)
        except Exception:
            log.exception("after %s", request)


def move(op: Op, lba: int, count: int, slot: int) -> bytes:
    """The FIS of a read or a write. Queued: the tag is in count 7:3, the count in features (ACS-3 §7.22)."""
    if op.mode is Mode.QUEUED:
        return h2d(op.code, lba, slot << 3, count & 0xFFFF, LBA)
    if op.code in (Ata.READ_DMA, Ata.WRITE_DMA):
        return h2d(op.code, lba & 0xFFFFFF, count & 0xFF, 0, LBA | lba >> 24)
    return h2d(op.code, lba, count & 0xFFFF, 0, LBA)


def identify() -> bytes:
    """IDENTIFY DEVICE. ACS-3 §7.12"""
    return h2d(Ata.IDENTIFY_DEVICE)


def read_log(page: int) -> bytes:
    """READ LOG EXT of one 512-byte page 0. ACS-3 §7.24"""
    return h2d(Ata.READ_LOG_EXT, lba=page, count=1)


def error_log() -> bytes:
    """The log that tells which queued command failed. ACS-3 §A.14"""
    return read_log(Log.NCQ_COMMAND_ERROR)


def flush(op: Op) -> bytes:
    """FLUSH CACHE and FLUSH CACHE EXT. ACS-3 §7.10"""
    return h2d(op.code)


def standby(seconds: int) -> bytes:
    """STANDBY with its timer, rounded up to what the count can say; 0 is never. ACS-3 §7.53, table 53"""
    count = -(-seconds // 5) if seconds <= 240 * 5 else 240 + min(-(-seconds // 1800), 11)
    return h2d(Ata.STANDBY, count=count)


def smart_status() -> bytes:
    """SMART RETURN STATUS: the answer is in the LBA. ACS-3 §7.48.9"""
    return h2d(Ata.SMART, lba=SMART_LBA, features=Smart.RETURN_STATUS)


def plain(moves: Moves) -> Moves:
    """The same without queueing: a command that fails leaves the sector in the registers, not in a log."""
    return DMA_EXT if moves.wide else DMA


def moves_of(device: Identify, hba_queues: bool) -> Moves:
    """The best way that device and HBA have in common."""
    if hba_queues and device.sata.read().ncq:
        return NCQ
    return DMA_EXT if device.has2.read().lba48 else DMA


def flush_of(device: Identify) -> Op | None:
    """How the device's write cache is emptied; None where it says it cannot."""
    has = device.has2.read()
    return FLUSH_EXT if has.flush_ext else FLUSH if has.flush else None
