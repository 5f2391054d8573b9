"""An ATA disk behind a port: what block.py asks of a disk, as commands with buffers.

Data is read into and written from one pool of device memory a port, so that nothing is copied on the way
out. A request that is longer than a command may be is several commands on one stretch of the pool.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ...arch.ata import SMART_FAILING, SMART_LBA, Command, Fis, Identify, ata_text
from ...driver.pool import Pool
from ...errors import BadArgument, DeviceError, Lux9Error, NotSupported
from ...pending import Pending
from ..stats import Latency, Stats
from . import commands
from .commands import Mode, Op, Request
from .transfer import LARGEST, RawTransfer, Read, Write

if TYPE_CHECKING:
    from .port import Port

CHUNK = 1 << 20  # bytes of one command at most: several short ones are done sooner than a long one
QUEUED_OPS = range(Command.READ_FPDMA_QUEUED, Command.RECEIVE_FPDMA_QUEUED + 1)


class AtaDisk:
    """One disk; gone for good once it is gone, even if the same one comes back."""

    def __init__(self, port: Port, found: Identify) -> None:
        self.port = port
        self.name = f"sd{port.owner.letter}{port.number}"
        self.model = ata_text(found.model.read())
        self.sectors, self.sector_size = found.sectors(), found.sector_bytes()
        if not self.sectors or self.sector_size < 512 or self.sector_size % 512:
            raise DeviceError(
                f"{port}: IDENTIFY tells {self.sectors} sectors of {self.sector_size} bytes"
            )
        cap = port.owner.cap
        self.moves = commands.moves_of(found, cap.sncq)
        self.flushes = commands.flush_of(found)
        self.has_smart = found.on1.read().smart
        queued = self.moves.read.mode is Mode.QUEUED
        self.depth = min(found.depth(), cap.ncs + 1) if queued else cap.ncs + 1
        self.identity = self.identity_of(found)
        self.config = self._config(found)
        self.stats: Stats = port.stats
        self.largest = LARGEST // self.sector_size
        self.chunk = min(CHUNK // self.sector_size, self.moves.most)
        self.gone: Lux9Error | None = None
        self.buffers = port.buffers()
        self.pool: Pool = port.pool
        self.view = self.buffers.view
        self._freed: list[tuple[int, int]] = []

    @staticmethod
    def identity_of(found: Identify) -> tuple[bytes, bytes, int]:
        """What makes a disk the same one after a reset."""
        return found.serial.read(), found.model.read(), found.sectors()

    def _config(self, found: Identify) -> str:
        how = {Mode.QUEUED: f"ncq depth {self.depth}", Mode.LISTED: "dma"}[self.moves.read.mode]
        wide = "lba48" if self.moves.wide else "lba28"
        cache = "write-cache" if found.on1.read().write_cache else "no-write-cache"
        serial, firmware = ata_text(found.serial.read()), ata_text(found.firmware.read())
        return f"serial {serial or '-'} firmware {firmware or '-'} {wide} {how} {cache}"

    def _usable(self, lba: int, count: int) -> None:
        if self.gone is not None:
            raise self.gone
        if not (lba >= 0 and 0 < count <= self.largest and lba + count <= self.sectors):
            raise BadArgument(f"{self.name}: {count} sectors at {lba}; it has {self.sectors}")

    def read(self, lba: int, count: int) -> Pending[memoryview]:
        """`count` sectors from `lba`, in the driver's buffer."""
        self._usable(lba, count)
        transfer = Read(self, lba, count)
        self.pool.when_free(transfer.size, transfer.start)
        return transfer.out

    def write(self, lba: int, data: memoryview) -> Pending[int]:
        """Whole sectors from `lba`."""
        count, rest = divmod(len(data), self.sector_size)
        if rest:
            raise BadArgument(f"{self.name}: {len(data)} bytes are not whole sectors")
        self._usable(lba, count)
        transfer = Write(self, lba, count)
        transfer.data = data
        if not self.pool.when_free(transfer.size, transfer.start):
            transfer.data = bytes(data)  # it waits for room, and the caller's buffer does not
        return transfer.out

    def release(self, at: int, size: int) -> None:
        """Give a buffer back, at the end of the loop's turn: its view has been handed out."""
        if not self._freed:
            asyncio.get_running_loop().call_soon(self._release)
        self._freed.append((at, size))

    def _release(self) -> None:
        freed, self._freed = self._freed, []
        for at, size in freed:
            self.pool.give(at, size)

    def flush(self) -> Pending[None]:
        """FLUSH CACHE EXT: after everything that was issued before it."""
        if self.flushes is None:
            self._usable(0, 1)
            done: Pending[None] = Pending()
            done.resolve(None)
            return done
        return self._plain(self.flushes, commands.flush(self.flushes), self.stats.flush).map(
            lambda _: None
        )

    def standby(self, seconds: int) -> Pending[None]:
        """Set the standby timer."""
        if seconds < 0:
            raise BadArgument(f"standby {seconds}: seconds, or 0 for never")
        return self._plain(commands.STANDBY, commands.standby(seconds)).map(lambda _: None)

    def smart(self) -> Pending[str]:
        """SMART RETURN STATUS in words."""
        if not self.has_smart:
            raise NotSupported(f"{self.name}: the disk has no SMART, or it is off")
        return self._plain(commands.SMART, commands.smart_status()).map(self._health)

    def _health(self, lba: int) -> str:
        seen = lba & 0xFFFF00
        words = {SMART_LBA: "passed", SMART_FAILING: "failing: a threshold is exceeded"}
        return f"smart {words.get(seen, f'unknown, LBA {seen:#x}')}"

    def _plain(self, op: Op, fis: bytes, latency: Latency | None = None) -> Pending[int]:
        """A command without data; the LBA that it leaves in the registers."""
        self._usable(0, 1)
        out: Pending[int] = Pending()

        def done(request: Request, error: BaseException | None) -> None:
            if error is not None:
                out.fail(error)
                return
            if latency is not None:
                latency.add(0, request.age())
            out.resolve(self.port.memory.fises.rfis.lba())

        self.port.submit(Request(op, done, fis=fis))
        return out

    def command(self, block: bytes, data: memoryview | int) -> Pending[tuple[int, bytes]]:
        """A Register FIS of 20 bytes as it is; status register and data."""
        self._usable(0, 1)
        if len(block) != 20 or block[0] != Fis.REGISTER_H2D or not block[1] & 0x80:
            raise BadArgument(
                f"{self.name}: a command block is a Register H2D FIS, 20 bytes, with C set"
            )
        if block[2] in QUEUED_OPS:
            raise BadArgument(
                f"{self.name}: queued command {block[2]:#x} has no place in raw; use data"
            )
        raw = RawTransfer(self, bytes(block), data)
        if not self.pool.when_free(max(raw.size, 1), raw.start) and raw.data is not None:
            raw.data = bytes(raw.data)
        return raw.out
