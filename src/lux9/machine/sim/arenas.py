"""Arenas: memory that functions reach, each a sealed memfd, one after another in bus address space.

The layout is that of QEMU's q35: from low addresses up to 2 GiB, then on from 4 GiB. The first 16 MiB stay
free, so that no buffer has address 0 and nothing meets the holes of a PC's low memory.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
from bisect import insort
from collections.abc import Callable

from ...errors import NoMemory

FIRST, LOW_END, HIGH = 16 << 20, 2 << 30, 4 << 30
ALIGN = 16 << 20  # the largest buffer, so that any buffer can be aligned to its size
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL


class SimArena:
    """One arena. Its file cannot change its size, so whoever has it can make no other process fault."""

    def __init__(self, bus: int, size: int, closed: Callable[[SimArena], None]) -> None:
        self.bus, self.size, self.end = bus, size, bus + size
        self.fd = os.memfd_create(f"arena-{bus:x}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.fd, size)
        fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, SEALS)
        self._map = mmap.mmap(self.fd, size)
        self.memory = memoryview(self._map)
        self._closed = closed

    def view(self) -> memoryview:
        """All of it, writable."""
        return self.memory

    def close(self) -> None:
        """Give it back. Views that are still held keep their memory, which nothing reaches any more."""
        if self.fd < 0:
            return
        self._closed(self)
        os.close(self.fd)
        self.fd = -1
        with contextlib.suppress(BufferError):
            self.memory.release()
            self._map.close()


class Arenas:
    """All the arenas of a machine, at most `limit` bytes in all."""

    def __init__(self, limit: int) -> None:
        self.limit, self.used = limit, 0
        self._taken: list[tuple[int, int]] = []  # (start, end) in order
        self._open: dict[int, SimArena] = {}

    def make(self, size: int, closed: Callable[[SimArena], None]) -> SimArena:
        """A new one, zeroed; `size` is rounded up to pages. Raises NoMemory."""
        size = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        if size <= 0 or self.used + size > self.limit:
            raise NoMemory(f"an arena of {size} bytes: {self.limit - self.used} are left")
        bus = self._room(size)

        def done(arena: SimArena) -> None:
            self._close(arena)
            closed(arena)

        arena = SimArena(bus, size, done)
        insort(self._taken, (bus, bus + size))
        self._open[bus] = arena
        self.used += size
        return arena

    def _close(self, arena: SimArena) -> None:
        self._taken.remove((arena.bus, arena.end))
        del self._open[arena.bus]
        self.used -= arena.size

    def _room(self, size: int) -> int:
        """The lowest free address with room."""
        at = FIRST
        for start, end in [*self._taken, (1 << 52, 1 << 52)]:
            if at < LOW_END < at + size:
                at = HIGH
            if at + size <= start:
                return at
            at = max(at, -(-end // ALIGN) * ALIGN)
        raise NoMemory(f"an arena of {size} bytes: no addresses are left")

    def at(self, address: int) -> SimArena | None:
        """The arena that holds an address."""
        for arena in self._open.values():
            if arena.bus <= address < arena.end:
                return arena
        return None

    def all(self) -> list[SimArena]:
        """Those that are open."""
        return list(self._open.values())
