"""Which sector is bad, when nobody tells: the request is made again in pieces, until one sector alone fails.

A device that keeps no log, or whose error says nothing but "aborted", leaves the driver with a request of up to some
thousand sectors that failed. The pieces are not queued: what a device leaves in its registers then may name the
sector, and that ends the search. Their data goes where the request's goes, so nothing is done that the request did
not ask for: sectors that are read are read again, sectors that are written are written again.

The first piece is the first sector, since whoever was given the sectors before a bad one asks next for the rest. Then
what is suspected is halved: a thousand sectors take eleven pieces. Other requests wait meanwhile, as in every
recovery; an error that comes and goes, or a device that takes long over it, ends the search with what is known.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ...errors import DeviceTimeout, Lux9Error
from . import bringup, commands, recovery
from .commands import AtaError, Request, ignored

if TYPE_CHECKING:
    from .port import Port

LIMIT = 10.0  # seconds that others wait for it
PIECES = 64


async def named(port: Port, request: Request, error: Lux9Error) -> Lux9Error | None:
    """The same error with its sector, or None when the request is done after all. Raises what ends the port."""
    if not isinstance(error, AtaError) or error.sector is not None or not request.count:
        return error
    return await Search(port, request, error).run()


class Search:
    """A request that failed: `good` sectors are known to be, one of the `suspect` behind them seems bad."""

    def __init__(self, port: Port, request: Request, error: AtaError) -> None:
        self.port, self.request, self.error = port, request, error
        self.good, self.suspect = 0, request.count
        self.end = asyncio.get_running_loop().time() + LIMIT

    async def run(self) -> AtaError | None:
        """What to say of the request, or None when all its sectors were good in the end."""
        size = 1
        for _ in range(PIECES):
            left = self.end - asyncio.get_running_loop().time()
            if left <= 0:
                break
            try:
                error = await self._piece(size, left)
            except DeviceTimeout:
                await self._reset(True)
                break
            if error is None:
                self._passed(size)
                if not self.suspect:
                    return None
            else:
                self.error, self.suspect = error, size
                if error.sector is not None:
                    return self._told(error.sector)
            size = -(-self.suspect // 2)
        return self._told(None)

    def _passed(self, size: int) -> None:
        """So many more are good; where all that were suspected are, the rest of the request is."""
        self.good += size
        self.suspect = self.suspect - size or self.request.count - self.good

    async def _piece(self, count: int, limit: float) -> AtaError | None:
        """Make a piece of the request again; its error. Raises DeviceTimeout."""
        disk, request = self.port.disk, self.request
        assert disk is not None, "only a disk's requests have sectors"
        moves, skip = commands.plain(disk.moves), self.good * disk.sector_size
        op = moves.write if request.op.write else moves.read
        piece = Request(
            op._replace(limit=min(op.limit, limit)),
            ignored,
            lba=request.lba + self.good,
            count=count,
            bus=request.bus + skip,
            size=count * disk.sector_size,
        )
        try:
            await self.port.own_command(piece)
        except AtaError as error:
            await self._reset(False)
            return error
        return None

    async def _reset(self, hard: bool) -> None:
        if await bringup.restart(self.port, hard):
            await recovery.same(self.port)

    def _told(self, sector: int | None) -> AtaError:
        first = self.request.lba + self.good
        where = f" between sectors {first} and {first + self.suspect - 1}"
        status, error = self.error.status, self.error.error
        return recovery.failure(self.port, self.request, status, error, sector, where)
