"""Buffers of /dev/dma: in the arena that is mapped here, or far away, by their own files.

/dev/dma/alloc     write `size N align N`, read where it is
/dev/dma/HANDLE    the bytes, for whoever cannot map them
/dev/dma/ctl       `free HANDLE`
"""

from __future__ import annotations

import re
from functools import partial

from ..errors import ProtocolError
from ..ninep.client import Client
from ..pending import Maybe, Pending, gather
from ..wire.messages import ORDWR
from ..wire.node import Bytes
from .arena import Arena

PAGE = 4096
LARGE = 1 << 16  # bytes given away from which they are sent at once: the device may begin meanwhile
_ANSWER = re.compile(r"vaddr:0x([0-9a-f]+) paddr:0x([0-9a-f]+) size:(\d+) handle:(\d+)")


class Buffer:
    """What both kinds are: a place on the bus, and a handle that is freed once."""

    view: memoryview

    def __init__(self, client: Client, answer: str) -> None:
        if (found := _ANSWER.search(answer)) is None:
            raise ProtocolError(f"/dev/dma/alloc answered {answer!r}")
        vaddr, bus, size, handle = found.groups()
        self.client, self.handle = client, int(handle)
        self.vaddr, self.bus, self.size = int(vaddr, 16), int(bus, 16), int(size)

    def free(self) -> None:
        """Give it back; once."""
        if self.handle >= 0:
            handle, self.handle = self.handle, -1
            self.client.write("/dev/dma/ctl", f"free {handle}".encode())


class MappedDma(Buffer):
    """In the arena: the device sees what is written as it is written."""

    def __init__(self, client: Client, answer: str, arena: Arena) -> None:
        super().__init__(client, answer)
        self.view = arena.at(self.vaddr, self.size)

    def for_device(self, offset: int, size: int) -> None:
        """It is there already."""

    def for_cpu(self, offset: int, size: int) -> None:
        """It is here already."""


class FarDma(Buffer):
    """By its file: `view` is a copy, zeroed as the buffer is."""

    def __init__(self, client: Client, answer: str) -> None:
        super().__init__(client, answer)
        self.view = memoryview(bytearray(self.size))
        self.file = client.open(f"/dev/dma/{self.handle}", ORDWR)

    def _pieces(self, offset: int, size: int) -> list[tuple[int, int]]:
        """Offset and bytes of what one message carries each."""
        most = self.file.iounit
        return [(at, min(most, offset + size - at)) for at in range(offset, offset + size, most)]

    def for_device(self, offset: int, size: int) -> None:
        """Posted, in order with the registers' writes."""
        for at, n in self._pieces(offset, size):
            self.file.post(at, self.view[at : at + n])
        if size >= LARGE:
            self.file.caller.flush()

    def for_cpu(self, offset: int, size: int) -> Maybe[None]:
        """Read, in order with the registers' reads."""
        return _nothing(gather(self._pieces(offset, size), self._fetch))

    def _fetch(self, piece: tuple[int, int]) -> Pending[None]:
        return self.file.submit(*piece).map(partial(self._put, piece[0]))

    def _put(self, at: int, data: Bytes) -> None:
        self.view[at : at + len(data)] = data

    def free(self) -> None:
        """Give it back; once."""
        self.file.close()
        super().free()


def _nothing(done: Maybe[list[None]]) -> Maybe[None]:
    return done.map(lambda _: None) if isinstance(done, Pending) else None


def allocate(client: Client, arena: Arena | None, size: int, align: int) -> MappedDma | FarDma:
    """A buffer of `size` bytes at a multiple of `align`; far, where there is no arena to share."""
    with client.open("/dev/dma/alloc", ORDWR) as f:
        f.pwrite(0, f"size {size} align {align}".encode())
        answer = f.pread(0, 256).decode()
    return FarDma(client, answer) if arena is None else MappedDma(client, answer, arena)
