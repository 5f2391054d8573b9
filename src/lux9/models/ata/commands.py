"""What a disk does with each command. Ref: ACS-3 §7.

`execute` takes the registers of a command and gives the transfer that it wants, or None when it is done without
data. A handler is made for each code from its form: `_transfer(out=False, wide=True, dma=True)`. Where the standard
leaves a choice it is QEMU's: addresses past the end are aborted (ABRT, not IDNF).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ...arch import ata
from ...arch.ata import DSM_RANGE, DSM_TRIM, Command, Feature, Log, Smart
from ...errors import ReadOnly
from . import identify
from .drive import (
    ABRT,
    GOOD,
    LBA_BIT,
    READY,
    SECTOR,
    UNC,
    AtaError,
    Drive,
    Outcome,
    Registers,
    Transfer,
    Views,
)

Handler = Callable[[Drive, Registers], Outcome]
POWER_ACTIVE, POWER_STANDBY = 0xFF, 0x00  # CHECK POWER MODE. ACS-3 §7.3


def execute(drive: Drive, command: Registers) -> Outcome:
    """Start a command that is not queued. Raises AtaError."""
    if drive.ncq_log is not None and command.command != Command.READ_LOG_EXT:
        raise AtaError(ABRT, "a queued command failed: read log 10h first, or reset")
    drive.done(command.lba, command.count, command.device)
    handler = HANDLERS.get(command.command)
    if handler is None:
        raise AtaError(ABRT, f"command {command.command:#04x} is not supported")
    return handler(drive, command)


def put(views: Views, data: bytes) -> None:
    """Data from the device, into memory; as much as there is room for."""
    at = 0
    for view in views:
        part = data[at : at + len(view)]
        view[: len(part)] = part
        at += len(part)


def _fetch(data: Callable[[Drive], bytes]) -> Handler:
    """A command that gives one sector that the device makes up."""

    def handler(drive: Drive, command: Registers) -> Outcome:
        return Transfer(SECTOR, False, SECTOR, partial(put, data=data(drive)))

    return handler


def _count(command: Registers, wide: bool) -> int:
    return (command.count or 65536) if wide else (command.count & 0xFF or 256)


def _address(command: Registers, wide: bool) -> int:
    if not command.device & LBA_BIT:
        raise AtaError(ABRT, "cylinder, head and sector are not supported: set LBA")
    return command.lba if wide else command.lba & 0xFFFFFF | (command.device & 0xF) << 24


def _finish(drive: Drive, command: Registers, wide: bool, end: int) -> None:
    """What a transfer leaves: the sector after the last, and a count of zero, as QEMU does."""
    device = command.device if wide else command.device & 0xF0 | end >> 24 & 0xF
    drive.done(end if wide else end & 0xFFFFFF, 0, device)


def _transfer(
    *, out: bool, wide: bool, dma: bool = False, multiple: bool = False, fua: bool = False
) -> Handler:
    """READ and WRITE in all their forms. ACS-3 §7.22 to §7.25, §7.58 to §7.66"""

    def handler(drive: Drive, command: Registers) -> Outcome:
        lba, count = _address(command, wide), _count(command, wide)
        if multiple and not drive.multiple:
            raise AtaError(ABRT, "SET MULTIPLE MODE was not given")
        drive.span(lba, count)

        def move(views: Views) -> None:
            if out:
                drive.write(lba, count, views, fua=fua)
            else:
                drive.read(lba, count, views)
            _finish(drive, command, wide, lba + count)

        block = 0 if dma else SECTOR * (drive.multiple if multiple else 1)
        return Transfer(count * SECTOR, out, block, move)

    return handler


def _verify(wide: bool) -> Handler:
    """READ VERIFY SECTORS: the medium is looked at, nothing is transferred. ACS-3 §7.33"""

    def handler(drive: Drive, command: Registers) -> Outcome:
        lba, count = _address(command, wide), _count(command, wide)
        drive.span(lba, count)
        if (at := drive.disk.bad(lba, count)) is not None:
            raise AtaError(UNC, f"sector {at} has a media error", at)
        return None

    return handler


def _native_max(wide: bool) -> Handler:
    def handler(drive: Drive, command: Registers) -> Outcome:
        last = drive.disk.sectors - 1
        last = last if wide else min(last, identify.LBA28_MAX - 1)
        _finish(drive, replace(command, device=command.device | LBA_BIT), wide, last)
        return None

    return handler


def _nothing(drive: Drive, command: Registers) -> Outcome:
    """Accepted, with nothing to do."""
    return None


def _flush(drive: Drive, command: Registers) -> Outcome:
    try:
        drive.disk.flush()
    except OSError as error:
        raise AtaError(ABRT, f"{drive.disk.path}: {error.strerror}") from None
    return None


def _power(standby: bool) -> Handler:
    """STANDBY and IDLE in their forms; as QEMU they leave only DRDY. ACS-3 §7.15, §7.53"""

    def handler(drive: Drive, command: Registers) -> Outcome:
        drive.standby = standby
        drive.result = replace(drive.result, command=READY)
        return _flush(drive, command) if standby else None

    return handler


def _power_mode(drive: Drive, command: Registers) -> Outcome:
    mode = POWER_STANDBY if drive.standby else POWER_ACTIVE
    drive.done(command.lba, mode, command.device)
    return None


def _diagnostic(drive: Drive, command: Registers) -> Outcome:
    drive.restart()
    drive.result = replace(drive.result, command=GOOD)
    return None


def _set_multiple(drive: Drive, command: Registers) -> Outcome:
    count = command.count & 0xFF
    if count > identify.MULTIPLE or count & (count - 1):
        raise AtaError(
            ABRT, f"{count} sectors a DRQ block: a power of two up to {identify.MULTIPLE}"
        )
    drive.multiple = count
    return None


def _set_features(drive: Drive, command: Registers) -> Outcome:
    """SET FEATURES. ACS-3 §7.45"""
    match command.features & 0xFF:
        case Feature.ENABLE_WRITE_CACHE:
            drive.cache = True
        case Feature.DISABLE_WRITE_CACHE:
            drive.cache = False
            return _flush(drive, command)
        case Feature.SET_TRANSFER_MODE:
            _transfer_mode(drive, command.count & 0xFF)
        case feature if feature not in ACCEPTED:
            raise AtaError(ABRT, f"SET FEATURES {feature:#04x} is not supported")
        case _:
            pass
    return None


def _transfer_mode(drive: Drive, mode: int) -> None:
    kind = mode >> 3
    if kind not in (0, 1, 2, 4, 8):  # PIO, PIO with flow control, single word, multiword, Ultra DMA
        raise AtaError(ABRT, f"transfer mode {mode:#04x} is not supported")
    drive.udma = 1 << (mode & 7) if kind == 8 else 0


ACCEPTED = {
    Feature.ENABLE_APM, Feature.DISABLE_APM, Feature.ENABLE_READ_LOOK_AHEAD, Feature.DISABLE_READ_LOOK_AHEAD,
    Feature.ENABLE_REVERT_TO_DEFAULTS, Feature.DISABLE_REVERT_TO_DEFAULTS,
    0x42, 0xC2, 0x67, 0x69, 0x96, 0x9A,  # acoustic management, and what QEMU takes as nothing
}  # fmt: skip


def _smart(drive: Drive, command: Registers) -> Outcome:
    """SMART. ACS-3 §7.48"""
    what = command.features & 0xFF
    if command.lba & 0xFFFF00 != ata.SMART_LBA:
        raise AtaError(ABRT, "SMART without its signature in LBA mid and high")
    if not drive.smart and what != Smart.ENABLE:
        raise AtaError(ABRT, "SMART is off")
    match what:
        case Smart.ENABLE | Smart.DISABLE:
            drive.smart = what == Smart.ENABLE
        case Smart.READ_DATA:
            return Transfer(SECTOR, False, SECTOR, partial(put, data=identify.smart_data()))
        case Smart.READ_THRESHOLDS:
            return Transfer(SECTOR, False, SECTOR, partial(put, data=identify.smart_thresholds()))
        case Smart.RETURN_STATUS:  # good: the signature stays as it is
            drive.done(ata.SMART_LBA | command.lba & 0xFF, command.count, command.device)
        case Smart.ATTRIBUTE_AUTOSAVE | Smart.SAVE_ATTRIBUTES | Smart.EXECUTE_OFF_LINE:
            pass
        case _:
            raise AtaError(ABRT, f"SMART {what:#04x} is not supported")
    return None


def _read_log(drive: Drive, command: Registers) -> Outcome:
    """READ LOG EXT: the directory and the NCQ command error log. ACS-3 §7.26, §A"""
    page = command.lba >> 8 & 0xFF | (command.lba >> 32 & 0xFF) << 8
    log = command.lba & 0xFF
    if page or command.count != 1:
        raise AtaError(
            ABRT, f"log {log:#04x} has one page; {command.count} from {page} were asked for"
        )
    if log == Log.DIRECTORY:
        data = identify.directory()
    elif log == Log.NCQ_COMMAND_ERROR:
        data, drive.ncq_log = drive.ncq_log or identify.ncq_nothing(), None
    else:
        raise AtaError(ABRT, f"log {log:#04x} is not supported")
    return Transfer(SECTOR, False, SECTOR, partial(put, data=data))


def _data_set(drive: Drive, command: Registers) -> Outcome:
    """DATA SET MANAGEMENT with TRIM. ACS-3 §7.5"""
    if command.features & 0xFF != DSM_TRIM:
        raise AtaError(ABRT, "DATA SET MANAGEMENT does TRIM only")
    if (blocks := _count(command, True)) > identify.TRIM_BLOCKS:
        raise AtaError(ABRT, f"TRIM with {blocks} blocks of ranges; {identify.TRIM_BLOCKS} at most")

    def move(views: Views) -> None:
        data = b"".join(views)
        for (entry,) in DSM_RANGE.iter_unpack(data):
            lba, count = entry & (1 << 48) - 1, entry >> 48
            if count:
                drive.span(lba, count)
                _trim(drive, lba, count)

    return Transfer(blocks * SECTOR, True, 0, move)


def _trim(drive: Drive, lba: int, count: int) -> None:
    try:
        drive.disk.trim(lba, count)
    except (OSError, ReadOnly) as error:
        raise AtaError(ABRT, str(error), lba) from None


def _identify(drive: Drive) -> bytes:
    return identify.identify(
        drive.disk, multiple=drive.multiple, cache=drive.cache, smart=drive.smart, udma=drive.udma
    )


HANDLERS: dict[int, Handler] = {
    Command.DATA_SET_MANAGEMENT: _data_set,
    Command.RECALIBRATE: _nothing,
    Command.READ_SECTORS: _transfer(out=False, wide=False),
    Command.READ_SECTORS_EXT: _transfer(out=False, wide=True),
    Command.READ_DMA_EXT: _transfer(out=False, wide=True, dma=True),
    Command.READ_NATIVE_MAX_ADDRESS_EXT: _native_max(True),
    Command.READ_MULTIPLE_EXT: _transfer(out=False, wide=True, multiple=True),
    Command.READ_LOG_EXT: _read_log,
    Command.WRITE_SECTORS: _transfer(out=True, wide=False),
    Command.WRITE_SECTORS_EXT: _transfer(out=True, wide=True),
    Command.WRITE_DMA_EXT: _transfer(out=True, wide=True, dma=True),
    Command.WRITE_MULTIPLE_EXT: _transfer(out=True, wide=True, multiple=True),
    Command.WRITE_DMA_FUA_EXT: _transfer(out=True, wide=True, dma=True, fua=True),
    Command.READ_VERIFY_SECTORS: _verify(False),
    Command.READ_VERIFY_SECTORS_EXT: _verify(True),
    Command.SEEK: _nothing,
    Command.EXECUTE_DEVICE_DIAGNOSTIC: _diagnostic,
    Command.INITIALIZE_DEVICE_PARAMETERS: _nothing,
    Command.SMART: _smart,
    Command.READ_MULTIPLE: _transfer(out=False, wide=False, multiple=True),
    Command.WRITE_MULTIPLE: _transfer(out=True, wide=False, multiple=True),
    Command.SET_MULTIPLE_MODE: _set_multiple,
    Command.READ_DMA: _transfer(out=False, wide=False, dma=True),
    Command.WRITE_DMA: _transfer(out=True, wide=False, dma=True),
    Command.WRITE_MULTIPLE_FUA_EXT: _transfer(out=True, wide=True, multiple=True, fua=True),
    Command.STANDBY_IMMEDIATE: _power(True),
    Command.IDLE_IMMEDIATE: _power(False),
    Command.STANDBY: _power(True),
    Command.IDLE: _power(False),
    Command.CHECK_POWER_MODE: _power_mode,
    Command.SLEEP: _power(True),
    Command.FLUSH_CACHE: _flush,
    Command.FLUSH_CACHE_EXT: _flush,
    Command.IDENTIFY_DEVICE: _fetch(_identify),
    Command.SET_FEATURES: _set_features,
    Command.SECURITY_FREEZE_LOCK: _nothing,
    Command.READ_NATIVE_MAX_ADDRESS: _native_max(False),
}
