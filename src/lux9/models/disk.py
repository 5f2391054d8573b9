"""Raw images as disks: data goes between the file and the caller's memory, with no copy of ours.

A machine that may write has the image to itself, those that only read share it. The locks are those that QEMU takes
(block/file-posix.c, `raw_check_lock_bytes`), so that a machine of its kind and one of ours keep off each other: for
each permission that is used a byte is locked for reading, for each that nobody else may use another one; it is taken
when nobody else has locked the byte opposite.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import DeviceError, ReadOnly, UserError

SECTOR = 512
_IOV_MAX = os.sysconf("SC_IOV_MAX")
_PUNCH_HOLE = 0x01 | 0x02  # FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, fallocate(2)
_NO_HOLES = (errno.EOPNOTSUPP, errno.ENOSYS, errno.ENODEV)  # TRIM is advice: it may go unheard
_READ, _WRITE = 0, 1  # QEMU's permissions, BLK_PERM_…
_USED, _KEPT = 100, 200  # where the bytes for them are
_FLOCK = struct.Struct("hhqqi4x")  # struct flock, fcntl(2): type whence start len pid
_libc = ctypes.CDLL(None, use_errno=True)

Vector = Callable[[int, Sequence[memoryview], int], int]  # os.preadv or os.pwritev


class MediaError(DeviceError):
    """The medium has an error at sector `lba`; nothing from there on was transferred."""

    def __init__(self, text: str, lba: int) -> None:
        super().__init__(text)
        self.lba = lba


class Disk:
    """A raw image. `sectors` of 512 bytes; `model` and `serial` are what IDENTIFY tells.

    Raises UserError when the file cannot be a disk, with its path, its size and the remedy.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        read_only: bool = False,
        model: str = "LUX9 DISK",
        serial: str = "",
        firmware: str = "1.0",
    ) -> None:
        self.path = Path(path)
        self.read_only = read_only
        self.model, self.firmware = model, firmware
        # The same image has the same serial number on every run, two images have two
        self.serial = serial or f"LX{zlib.crc32(os.fsencode(self.path.absolute())):08x}"
        self.faults: list[range] = []  # sectors that cannot be read or written
        self.fd = _open(self.path, read_only)
        try:
            self.sectors = _measure(self.path, self.fd) // SECTOR
            _lock(self.path, self.fd, read_only)
        except BaseException:
            os.close(self.fd)
            raise

    def __repr__(self) -> str:
        return f"Disk({str(self.path)!r}, {self.sectors} sectors{', read-only' * self.read_only})"

    def fail(self, where: range) -> None:
        """Give the medium an error at these sectors, until `mend`."""
        self.faults.append(where)

    def mend(self) -> None:
        """Take all errors away."""
        self.faults.clear()

    def bad(self, lba: int, count: int) -> int | None:
        """The first sector with an error among these, or None."""
        hits = [max(lba, f.start) for f in self.faults if f.start < lba + count and lba < f.stop]
        return min(hits, default=None)

    def readv(self, lba: int, count: int, views: list[memoryview]) -> None:
        """Read `count` sectors into `views`, which are so long in all. Raises MediaError."""
        if self.faults:
            self._check(lba, count)
        if len(views) > _IOV_MAX or os.preadv(self.fd, views, lba * SECTOR) != count * SECTOR:
            self._rest(os.preadv, lba, count, views)

    def writev(self, lba: int, count: int, views: list[memoryview]) -> None:
        """Write `count` sectors from `views`. Raises MediaError, ReadOnly."""
        if self.read_only:
            raise ReadOnly(
                f"{self.path} was opened read-only: {count} sectors at {lba} not written"
            )
        if self.faults:
            self._check(lba, count)
        if len(views) > _IOV_MAX or os.pwritev(self.fd, views, lba * SECTOR) != count * SECTOR:
            self._rest(os.pwritev, lba, count, views)

    def _check(self, lba: int, count: int) -> None:
        if (at := self.bad(lba, count)) is not None:
            raise MediaError(f"{self.path}: sector {at} has a media error", at)

    def _rest(self, move: Vector, lba: int, count: int, views: list[memoryview]) -> None:
        """The long way: vectors longer than the system's limit, and short transfers."""
        done, size = 0, count * SECTOR
        while done < size:
            moved = move(self.fd, _after(views, done), lba * SECTOR + done)
            if moved == 0:  # the file was cut short under us
                at = lba + done // SECTOR
                raise MediaError(f"{self.path}: sector {at} is not in the file any more", at)
            done += moved

    def flush(self) -> None:
        """What was written is on stable storage when this returns."""
        if not self.read_only:
            os.fdatasync(self.fd)

    def trim(self, lba: int, count: int) -> None:
        """Give the sectors' room back to the file system; they read as zeros where it can do that."""
        if self.read_only:
            raise ReadOnly(
                f"{self.path} was opened read-only: {count} sectors at {lba} not trimmed"
            )
        offset, length = ctypes.c_int64(lba * SECTOR), ctypes.c_int64(count * SECTOR)
        if _libc.fallocate(self.fd, _PUNCH_HOLE, offset, length) == 0:
            return
        number = ctypes.get_errno()
        if number not in _NO_HOLES:
            raise OSError(number, os.strerror(number), str(self.path))

    def close(self) -> None:
        """Let go of the file and its lock; further use is a mistake."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _after(views: list[memoryview], skip: int) -> list[memoryview]:
    """The views without their first `skip` bytes, no more of them than the system takes at once."""
    for i, view in enumerate(views):
        if skip < len(view):
            return [view[skip:], *views[i + 1 : i + _IOV_MAX]]
        skip -= len(view)
    return []


def _open(path: Path, read_only: bool) -> int:
    flags = os.O_RDONLY if read_only else os.O_RDWR
    try:
        return os.open(path, flags | os.O_CLOEXEC)
    except FileNotFoundError:
        raise UserError(
            f"disk image {path}: there is no such file; make one with: truncate -s 64M {path}"
        ) from None
    except IsADirectoryError:
        raise UserError(f"disk image {path}: is a directory; name a file in it") from None
    except OSError as error:
        if not read_only and error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            hint = f"chmod u+w {path}, or open it read-only"
        else:
            hint = f"see: ls -l {path}"
        raise UserError(f"disk image {path}: {error.strerror}; {hint}") from None


def _measure(path: Path, fd: int) -> int:
    mode = os.fstat(fd).st_mode
    if not (stat.S_ISREG(mode) or stat.S_ISBLK(mode)):
        raise UserError(
            f"disk image {path}: is neither a file nor a block device; name one of these"
        )
    size = os.lseek(fd, 0, os.SEEK_END)
    if size == 0:
        raise UserError(
            f"disk image {path}: is empty (0 bytes); give it a size: truncate -s 64M {path}"
        )
    if size % SECTOR:
        whole = -(-size // SECTOR) * SECTOR
        raise UserError(
            f"disk image {path}: its size, {size} bytes, is not a multiple of {SECTOR};"
            f" fill it up: truncate -s {whole} {path}"
        )
    return size


def _lock(path: Path, fd: int, read_only: bool) -> None:
    mine = [_USED + _READ, *(() if read_only else (_USED + _WRITE,)), _KEPT + _WRITE]
    for byte in mine:
        _byte(fd, fcntl.F_OFD_SETLK, fcntl.F_RDLCK, byte)
    against = [_USED + _WRITE, *(() if read_only else (_KEPT + _WRITE,)), _KEPT + _READ]
    if any(_byte(fd, fcntl.F_OFD_GETLK, fcntl.F_WRLCK, byte) for byte in against):
        hint = (
            "stop the other machine"
            if read_only
            else "stop it, or open the image read-only in both"
        )
        raise UserError(f"disk image {path}: in use by another machine; {hint} (who: lsof {path})")


def _byte(fd: int, command: int, kind: int, at: int) -> bool:
    """Lock a byte of the open file, or ask; whether somebody else's lock is against it."""
    flock = fcntl.fcntl(fd, command, _FLOCK.pack(kind, os.SEEK_SET, at, 1, 0))
    return command == fcntl.F_OFD_GETLK and bool(_FLOCK.unpack(flock)[0] != fcntl.F_UNLCK)
