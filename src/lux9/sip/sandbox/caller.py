"""A process in the midst of a call, as proc(5) shows it: what it says, holds and uses. It may be gone at any moment."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

LONGEST = 4096  # PATH_MAX
AT_FDCWD = -100  # linux/fcntl.h
PAGE = os.sysconf("SC_PAGE_SIZE")
INT = 32  # bits of a file descriptor in its argument


class Caller:
    """The thread that called, by its number here. All methods raise OSError when it cannot be looked at."""

    def __init__(self, tid: int) -> None:
        self.tid = tid
        self.at = Path(f"/proc/{tid}")

    def path(self, directory: int | None, address: int) -> PurePosixPath:
        """The path at an address, made absolute by its working directory or an open one."""
        text = Path(self.text(address))
        if not text.is_absolute():
            fd = signed(AT_FDCWD if directory is None else directory)
            where = "cwd" if fd == AT_FDCWD else f"fd/{fd}"
            text = (self.at / where).readlink() / text
        return PurePosixPath(os.path.normpath(text))

    def text(self, address: int) -> str:
        """The string at an address."""
        memory = os.open(self.at / "mem", os.O_RDONLY | os.O_CLOEXEC)
        try:
            data = os.pread(memory, LONGEST, address)
        except OverflowError:
            raise OSError(f"nothing is at {address:#x}") from None
        finally:
            os.close(memory)
        return data.partition(b"\0")[0].decode(errors="replace")

    def sees(self, path: str) -> bool:
        """Whether something is at an absolute path, as it sees them."""
        return os.path.lexists(f"{self.at}/root{path}")

    def files(self) -> int:
        """Open ones."""
        return _count(self.at / "fd")

    def threads(self) -> int:
        """Of its process."""
        return _count(self.at / "task")

    def memory(self) -> int:
        """Bytes of address space."""
        return int((self.at / "statm").read_text().split()[0]) * PAGE

    def peak(self) -> int:
        """The most that there was of it. 0 when the process has ended."""
        for line in (self.at / "status").read_text().splitlines():
            if line.startswith("VmPeak:"):
                return int(line.split()[1]) << 10
        return 0

    def room(self, folder: str) -> int:
        """Bytes that its file system at a folder can still take."""
        status = os.statvfs(self.at / "root" / folder.lstrip("/"))
        return status.f_bavail * status.f_bsize


def _count(folder: Path) -> int:
    return sum(1 for _ in folder.iterdir())


def signed(value: int) -> int:
    """An argument that is an int of C."""
    low = value & ((1 << INT) - 1)
    return low - (1 << INT) if low >> (INT - 1) else low
