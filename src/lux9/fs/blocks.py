"""The block file under a file system: anything that can be read at an offset, now or later."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol, Self

from ..errors import DeviceError, Lux9Error
from ..pending import Pending
from ..wire.node import Bytes


class BlockFile(Protocol):
    """A disk, a partition or an image. Offsets and counts are bytes; reads at the end are short."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        ...

    @property
    def limit(self) -> int:
        """The most that one `submit` may ask for, in bytes."""
        ...

    def pread(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes, waited for."""
        ...

    def submit(self, offset: int, count: int) -> Pending[Bytes]:
        """The same without waiting; a view is good only during the callback."""
        ...


class ImageFile:
    """A plain file of the host, or a block device, as a block file. A context manager."""

    limit = 1 << 20

    def __init__(self, path: str | Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.lseek(self._fd, 0, os.SEEK_END)

    def pread(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes; short only at the end."""
        return os.pread(self._fd, count, offset)

    def submit(self, offset: int, count: int) -> Pending[Bytes]:
        """Answered at once."""
        out: Pending[Bytes] = Pending()
        try:
            out.resolve(memoryview(self.pread(offset, count)))
        except (OSError, Lux9Error) as error:
            out.fail(error)
        return out

    def close(self) -> None:
        """Let the file go."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def pread_whole(file: BlockFile, offset: int, count: int) -> bytes:
    """Exactly `count` bytes. Raises DeviceError, which says how many there were."""
    data = file.pread(offset, count)
    if len(data) != count:
        raise short(offset, count, len(data))
    return data


def short(offset: int, count: int, got: int) -> DeviceError:
    """The error of a block file that gave less than was asked for inside its size."""
    return DeviceError(f"the block file gave {got} of {count} bytes at {offset:#x}")
