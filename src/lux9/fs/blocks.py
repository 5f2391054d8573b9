"""The block file under a file system: anything whose bytes can be asked for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol, Self

from ..errors import DeviceError
from ..pending import Maybe, Pending
from ..wire.node import Bytes


class BlockFile(Protocol):
    """A disk, a partition or an image. Offsets and counts are bytes."""

    @property
    def size(self) -> int:
        """Bytes in all."""
        ...

    @property
    def limit(self) -> int:
        """The most that one `submit` may ask for."""
        ...

    def submit(self, offset: int, count: int) -> Pending[Bytes]:
        """The bytes at `offset`, short at the end; a view is good only during the callback."""
        ...


class ImageFile:
    """A plain file of the host, or a block device, as a block file. A context manager."""

    limit = 1 << 20

    def __init__(self, path: str | Path) -> None:
        self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.size = os.lseek(self._fd, 0, os.SEEK_END)

    def submit(self, offset: int, count: int) -> Pending[Bytes]:
        """Answered at once."""
        out: Pending[Bytes] = Pending()
        try:
            out.resolve(os.pread(self._fd, count, offset))
        except OSError as error:
            out.fail(error)
        return out

    def close(self) -> None:
        """Let the file go."""
        os.close(self._fd)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def whole(file: BlockFile, offset: int, count: int) -> Pending[Bytes]:
    """All the bytes at `offset`: a disk gives less before a bad sector, and tells which when asked for the rest."""

    def rest(data: Bytes) -> Maybe[Bytes]:
        if len(data) == count:
            return data
        if not len(data):
            raise DeviceError(f"the block file ends at {offset:#x}, {count} bytes too soon")
        got = bytes(data)
        return whole(file, offset + len(got), count - len(got)).map(lambda more: got + more)

    return file.submit(offset, count).map(rest)
