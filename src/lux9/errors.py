"""Every refusal and failure, each with an errno and a Plan 9 string.

`PLAN9` is the one table between the two worlds: 9P2000 sends the string, 9P2000.L the number, 9P2000.u both.
A message names the thing, the value and the remedy; the table's string leads it, so that a client that
only gets text can find the number again.
"""

from __future__ import annotations

import errno as e
import signal
from typing import ClassVar

STEERING = {c: f"\\x{c:02x}" for c in (*range(9), *range(10, 32), *range(127, 160))}
SIGNALS = {s.value: s.name for s in signal.Signals}
PLAN9: dict[int, str] = {
    e.EPERM: "permission denied",
    e.ENOENT: "file does not exist",
    e.EINTR: "interrupted",
    e.EIO: "i/o error",
    e.EBADF: "bad file descriptor",
    e.EAGAIN: "try again",
    e.ENOMEM: "no memory left",
    e.EACCES: "access denied",
    e.EBUSY: "device or object already in use",
    e.EEXIST: "file already exists",
    e.ENODEV: "no such device",
    e.ENOTDIR: "not a directory",
    e.EISDIR: "file is a directory",
    e.EINVAL: "bad argument",
    e.EMFILE: "too many open files",
    e.EFBIG: "file too large",
    e.ENOSPC: "no space left",
    e.EXDEV: "not within one directory",
    e.ENODATA: "no such attribute",
    e.EROFS: "file system is read only",
    e.EPIPE: "connection closed",
    e.ENAMETOOLONG: "name too long",
    e.ENOTEMPTY: "directory is not empty",
    e.ELOOP: "too many symbolic links",
    e.EPROTO: "protocol error",
    e.EMSGSIZE: "message too large",
    e.EOPNOTSUPP: "not supported",
    e.ETIMEDOUT: "timed out",
    e.ESTALE: "stale handle",
    e.EDQUOT: "limit reached",
    e.ENOMEDIUM: "media or partition has changed",
    e.EHOSTDOWN: "service is down",
}
NUMBERS: dict[str, int] = {text: number for number, text in PLAN9.items()}


class Lux9Error(Exception):
    """The root of the tree; `errno` is the number that .L and FUSE clients see."""

    errno: ClassVar[int] = e.EIO
    audited = False  # whether somebody has recorded this refusal already

    @property
    def message(self) -> str:
        """What goes into Rerror: the table's string, then what was refused, why, and what to do."""
        base, detail = PLAN9[self.errno], str(self)
        if not detail or detail == base:
            return base
        return detail if detail.startswith(base) else f"{base}: {detail}"


class PermissionDenied(Lux9Error):
    """The caller lacks a capability, or the file's mode forbids it."""

    errno = e.EPERM


class NotFound(Lux9Error):
    """No file of that name."""

    errno = e.ENOENT


class Exists(Lux9Error):
    """There is a file of that name already."""

    errno = e.EEXIST


class NotADirectory(Lux9Error):
    """A walk or a create through something that is not a directory."""

    errno = e.ENOTDIR


class IsADirectory(Lux9Error):
    """A write to a directory, or a removal of one as a file."""

    errno = e.EISDIR


class Interrupted(Lux9Error):
    """The wait was flushed."""

    errno = e.EINTR


class Busy(Lux9Error):
    """Somebody else has it; the message says who."""

    errno = e.EBUSY


class BadArgument(Lux9Error):
    """A value that the file does not take: misaligned, too wide, out of range."""

    errno = e.EINVAL


class ControlError(BadArgument):
    """A ctl command that is unknown, or has the wrong arguments."""


class BadFid(Lux9Error):
    """A fid that is unknown, in use, not open, or open already."""

    errno = e.EBADF


class ProtocolError(Lux9Error):
    """The bytes are not the protocol."""

    errno = e.EPROTO


class NotSupported(Lux9Error):
    """The file or the protocol has no such operation."""

    errno = e.EOPNOTSUPP


class CrossDevice(Lux9Error):
    """A file cannot be moved there by giving it another name; copy it."""

    errno = e.EXDEV


class NoAttribute(Lux9Error):
    """The file has no extended attribute of that name."""

    errno = e.ENODATA


class TooManyLinks(Lux9Error):
    """A symbolic link leads to itself, or the chain is too long."""

    errno = e.ELOOP


class ReadOnly(Lux9Error):
    """A write to a file system that is mounted read-only."""

    errno = e.EROFS


class LimitReached(Lux9Error):
    """A limit of the process; the message names it, its value and where to raise it."""

    errno = e.EDQUOT


class NoMemory(Lux9Error):
    """The arena has no room for the buffer."""

    errno = e.ENOMEM


class DeviceError(Lux9Error):
    """The hardware said no; the message has the register that it was read from, decoded."""


class SectorError(DeviceError):
    """A disk cannot read or write a sector: `sector` is its address, None where nobody can tell."""

    def __init__(self, text: str, sector: int | None = None) -> None:
        super().__init__(text)
        self.sector = sector


class DeviceTimeout(DeviceError):
    """A wait went past its specification's limit; the message has the last value seen."""

    errno = e.ETIMEDOUT


class DeviceGone(DeviceError):
    """The function was removed: its registers read all ones."""

    errno = e.ENODEV


class MediaChanged(DeviceError):
    """The medium went away, or is another one."""

    errno = e.ENOMEDIUM


class Stale(Lux9Error):
    """A handle from before a restart, a release or a revocation."""

    errno = e.ESTALE


class ServiceDown(Lux9Error):
    """The process that served the file has ended."""

    errno = e.EHOSTDOWN


class Disconnected(Lux9Error):
    """The 9P connection closed."""

    errno = e.EPIPE


class UserError(Lux9Error):
    """A mistake on the command line or in a manifest; shown without a traceback."""

    errno = e.EINVAL


class RemoteError(Lux9Error):
    """What the other side of a 9P connection answered."""

    def __init__(self, text: str, number: int | None = None) -> None:
        super().__init__(text)
        head = text.partition(":")[0]
        self.number = NUMBERS.get(head, e.EIO) if number is None else number

    @property
    def message(self) -> str:
        """Passed on as it came."""
        return str(self)


def number_of(error: BaseException) -> int:
    """The errno of any exception, for .u, .L and FUSE."""
    if isinstance(error, RemoteError):
        return error.number
    if isinstance(error, Lux9Error):
        return error.errno
    if isinstance(error, OSError) and error.errno in PLAN9:
        return error.errno
    return e.EIO


def signal_name(number: int) -> str:
    """`SIGKILL`; a real-time one has no name: `signal 37` (signal(7))."""
    return SIGNALS.get(number, f"signal {number}")


def plain(text: str) -> str:
    """A line that others wrote, for a terminal: what would steer one is written out as its number."""
    return text.translate(STEERING)


def text_of(error: BaseException) -> str:
    """The Plan 9 string of any exception."""
    if isinstance(error, Lux9Error):
        return error.message
    if isinstance(error, OSError) and error.errno is not None:
        base = PLAN9.get(error.errno, PLAN9[e.EIO])
        return f"{base}: {error.strerror}" if error.strerror else base
    return f"{PLAN9[e.EIO]}: {type(error).__name__}: {error}"
