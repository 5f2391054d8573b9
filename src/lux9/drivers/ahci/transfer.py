"""Requests for data: one stretch of the disk's pool, one command or more, one answer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...errors import BadArgument
from ...pending import Pending
from .commands import FLUSH_LIMIT, AtaError, Mode, Op, Request

if TYPE_CHECKING:
    from .disk import AtaDisk

# Bytes of one request at most: a 9P message of 1 MiB, and the sectors at its ends
LARGEST = (1 << 20) + (64 << 10)
STATUS_OK = 0x50  # DRDY, and bit 4 as devices set it


class Transfer:
    """A request for data: one stretch of the pool, one command or more."""

    __slots__ = ("at", "count", "disk", "error", "failed", "lba", "left", "since", "size")

    def __init__(self, disk: AtaDisk, lba: int, count: int) -> None:
        self.disk, self.lba, self.count = disk, lba, count
        self.size = count * disk.sector_size
        self.at = self.left = 0
        self.error: BaseException | None = None
        self.failed = lba + count  # where the command begins that failed with it

    def issue(self, op: Op, at: int) -> None:
        """Cut it into commands and queue them."""
        self.at = at
        disk, port = self.disk, self.disk.port
        if disk.gone is not None:
            self.error = disk.gone
            self.end(0.0)
            return
        bus, most = disk.buffers.bus + at, disk.chunk
        self.left = -(-self.count // most)
        for first in range(0, self.count, most):
            count = min(most, self.count - first)
            skip = first * disk.sector_size
            size = count * disk.sector_size
            port.submit(
                Request(op, self.done, lba=self.lba + first, count=count, bus=bus + skip, size=size)
            )

    def done(self, request: Request, error: BaseException | None) -> None:
        """One of its commands is done; the last ends it. Of several errors the first on the disk counts."""
        if error is not None and request.lba < self.failed:
            self.error, self.failed = error, request.lba
        self.left -= 1
        if not self.left:
            self.end(request.age())

    def end(self, took: float) -> None:
        """Tell whoever waits, and give the memory back."""
        raise NotImplementedError


class Read(Transfer):
    """A read."""

    __slots__ = ("out",)

    def __init__(self, disk: AtaDisk, lba: int, count: int) -> None:
        super().__init__(disk, lba, count)
        self.out: Pending[memoryview] = Pending()

    def start(self, at: int) -> None:
        """There is room for it."""
        if self.out.cancelled:
            self.disk.release(at, self.size)
        else:
            self.issue(self.disk.moves.read, at)

    def end(self, took: float) -> None:
        """The view is good until the end of the loop's turn."""
        disk, at = self.disk, self.at
        disk.release(at, self.size)
        if self.error is not None:
            self.out.fail(self.error)
            return
        disk.stats.read.add(self.size, took)
        self.out.resolve(disk.view[at : at + self.size])


class Write(Transfer):
    """A write."""

    __slots__ = ("data", "out")

    def __init__(self, disk: AtaDisk, lba: int, count: int) -> None:
        super().__init__(disk, lba, count)
        self.data: memoryview | bytes | None = None
        self.out: Pending[int] = Pending()

    def start(self, at: int) -> None:
        """There is room for it."""
        data, self.data = self.data, None
        assert data is not None, "a write has its data before it has room"
        self.disk.view[at : at + self.size] = data
        self.disk.buffers.for_device(at, self.size)
        self.issue(self.disk.moves.write, at)

    def end(self, took: float) -> None:
        """The device has it; a flush has it on the medium."""
        disk = self.disk
        disk.release(self.at, self.size)
        if self.error is not None:
            self.out.fail(self.error)
            return
        disk.stats.write.add(self.size, took)
        self.out.resolve(self.size)


class RawTransfer:
    """A command of somebody else's making."""

    def __init__(self, disk: AtaDisk, block: bytes, data: memoryview | int) -> None:
        self.disk, self.block = disk, block
        self.wanted = data if isinstance(data, int) else 0
        self.data: memoryview | bytes | None = None if isinstance(data, int) else data
        length = self.wanted or (len(self.data) if self.data is not None else 0)
        self.size = length + length % 2  # a PRD's count is even
        if self.size > LARGEST:
            raise BadArgument(f"{disk.name}: {length} bytes in one command; {LARGEST} at most")
        self.write = self.data is not None
        self.at = 0
        self.out: Pending[tuple[int, bytes]] = Pending()

    def start(self, at: int) -> None:
        """There is room for it."""
        self.at = at
        data, self.data = self.data, None
        if self.disk.gone is not None:
            self._ended(self.disk.gone)
            return
        if data is not None:
            self.disk.view[at : at + len(data)] = data
            self.disk.buffers.for_device(at, len(data))
        op = Op(f"command {self.block[2]:#04x}", self.block[2], Mode.ALONE, self.write, FLUSH_LIMIT)
        bus = self.disk.buffers.bus + at
        self.disk.port.submit(Request(op, self._done, fis=self.block, bus=bus, size=self.size))

    def _done(self, request: Request, error: BaseException | None) -> None:
        self._ended(error)

    def _ended(self, error: BaseException | None) -> None:
        disk, at = self.disk, self.at
        disk.release(at, max(self.size, 1))
        if isinstance(error, AtaError):
            self.out.resolve((error.status, b""))  # for whoever issued it, the status is the answer
        elif error is not None:
            self.out.fail(error)
        else:
            self.out.resolve((STATUS_OK, bytes(disk.view[at : at + self.wanted])))
