"""DMA buffers: pieces of a process's arena.

An arena lies in one piece on the bus, so a buffer is an offset in it, and an address is a sum. A buffer lives
from `alloc` to `free`, or to the end of its process; then it is quarantined, which means that nobody can open
it and nobody is given its bytes, until the functions that could still write it have been quiesced.
"""

from __future__ import annotations

from bisect import insort
from dataclasses import dataclass

from ...errors import BadArgument, LimitReached, Lux9Error, NoMemory, PermissionDenied, Stale
from ...machine.abstract import Arena
from ..process import Cap, Process
from .context import Context

PAGE = 4096  # the alignment of a buffer that asks for none


class Space:
    """Which bytes of an arena are free: first fit, in ranges that are sorted and never touch."""

    def __init__(self, size: int, base: int) -> None:
        self.base = base  # bus address of byte 0: what alignment is counted from
        self.free: list[tuple[int, int]] = [(0, size)]

    def take(self, size: int, align: int) -> int | None:
        """The offset of `size` bytes, aligned on the bus; None when no range is large enough."""
        for i, (start, end) in enumerate(self.free):
            at = start + -(start + self.base) % align
            if at + size <= end:
                rest = [(start, at), (at + size, end)]
                self.free[i : i + 1] = [r for r in rest if r[0] < r[1]]
                return at
        return None

    def give(self, start: int, size: int) -> None:
        """Put a range back, joined with its neighbours."""
        insort(self.free, (start, start + size))
        joined: list[tuple[int, int]] = []
        for a, b in self.free:
            if joined and joined[-1][1] == a:
                joined[-1] = (joined[-1][0], b)
            else:
                joined.append((a, b))
        self.free = joined


@dataclass(eq=False)
class Buffer:
    """A piece of an arena, and whose it is. `alive` falls at once and for good when it is freed."""

    handle: int
    owner: Process
    arena: Arena
    offset: int
    size: int
    alive: bool = True

    def __post_init__(self) -> None:
        self.view = self.arena.view()[self.offset : self.offset + self.size]
        self.view[:] = bytes(self.size)

    @property
    def bus(self) -> int:
        """The address that a device uses."""
        return self.arena.bus + self.offset

    @property
    def line(self) -> str:
        """What /dev/dma/alloc answers."""
        vaddr = self.owner.vaddr + self.offset
        return f"vaddr:{vaddr:#x} paddr:{self.bus:#x} size:{self.size} handle:{self.handle}\n"


class BufferFile:
    """The bytes of a buffer, for whoever cannot map it: an open file that dies with the buffer."""

    __slots__ = ("buffer", "context", "length")

    def __init__(self, context: Context, buffer: Buffer) -> None:
        self.context, self.buffer, self.length = context, buffer, buffer.size

    def pread(self, count: int, offset: int) -> memoryview:
        """Up to `count` bytes at `offset`: the buffer itself, to be sent or copied at once."""
        self._check("dma read")
        return self.buffer.view[offset : offset + count]

    def pwrite(self, data: memoryview | bytes, offset: int) -> int:
        """As many bytes as there is room for. Raises BadArgument when that is none."""
        self._check("dma write")
        room = max(self.length - offset, 0)
        if data and not room:
            why = f"offset {offset} is past the {self.length} bytes of buffer {self.buffer.handle}"
            raise self._no("dma write", BadArgument(f"dma: {why}"))
        taken = memoryview(data)[:room]
        self.buffer.view[offset : offset + len(taken)] = taken
        return len(taken)

    def _check(self, action: str) -> None:
        if not self.buffer.alive:
            why = f"buffer {self.buffer.handle} was freed; allocate another"
            raise self._no(action, Stale(f"dma: {why}"))

    def _no(self, action: str, error: Lux9Error) -> Lux9Error:
        return self.context.refuse(self.buffer.owner, action, f"dma {self.buffer.handle}", error)


class Dma:
    """All buffers of all processes, by handle. Handles rise and are never used again."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.buffers: dict[int, Buffer] = {}
        self._spaces: dict[int, Space] = {}  # by process number
        self._last = 0

    def arena(self, process: Process) -> Arena:
        """The process's arena, made now if it has none. Raises NoMemory."""
        if process.arena is None:
            process.arena = self.context.machine.arena(process.limits.arena)
        if process.number not in self._spaces:
            self._spaces[process.number] = Space(process.arena.size, process.arena.bus)
        return process.arena

    def of(self, process: Process) -> list[Buffer]:
        """The buffers of one process."""
        return [b for b in self.buffers.values() if b.owner is process]

    def bytes_of(self, process: Process) -> int:
        """Bytes in the buffers of one process."""
        return sum(b.size for b in self.of(process))

    def alloc(self, process: Process, size: int, align: int = PAGE) -> Buffer:
        """A zeroed buffer of `size` bytes whose bus address is a multiple of `align`.

        Raises BadArgument, PermissionDenied, LimitReached or NoMemory, each recorded.
        """
        target = f"dma size {size} align {align}"
        self.context.need(process, Cap.DMA, "dma alloc", target)
        try:
            buffer = self._alloc(process, size, align)
        except Lux9Error as error:
            raise self.context.refuse(process, "dma alloc", target, error) from None
        self.context.allow(process, "dma alloc", target, handle=buffer.handle, paddr=buffer.bus)
        return buffer

    def _alloc(self, process: Process, size: int, align: int) -> Buffer:
        self._within(process, size, align)
        arena = self.arena(process)
        space = self._spaces[process.number]
        offset = space.take(size, align)
        if offset is None:
            largest = max((end - start for start, end in space.free), default=0)
            raise NoMemory(
                f"dma: no {size} bytes aligned to {align} in the arena of {process.name}, "
                f"{arena.size} bytes; the largest piece free has {largest}: free buffers, or "
                "raise `arena` in its manifest"
            )
        self._last += 1
        made = self.buffers[self._last] = Buffer(self._last, process, arena, offset, size)
        process.peak = max(process.peak, self.bytes_of(process))
        return made

    def _within(self, process: Process, size: int, align: int) -> None:
        limits = process.limits
        if size <= 0:
            raise BadArgument(f"dma: size {size} is not a number of bytes; give 1 or more")
        if align <= 0 or align & (align - 1):
            raise BadArgument(f"dma: align {align} is not a power of two")
        mine = self.of(process)
        process.within("size of a DMA buffer", size, limits.dma_buffer)
        process.within("DMA buffers", len(mine) + 1, limits.dma_buffers)
        process.within("DMA bytes", sum(b.size for b in mine) + size, limits.dma_bytes)
        if process.arena is not None and size > process.arena.size:
            raise LimitReached(
                f"dma: {size} bytes are more than the arena of {process.name}, {process.arena.size}"
            )

    def find(self, process: Process, action: str, handle: int) -> Buffer:
        """A buffer of this process. Raises Stale when there is none, PermissionDenied on another's."""
        target = f"dma {handle}"
        self.context.need(process, Cap.DMA, action, target)
        buffer = self.buffers.get(handle)
        if buffer is None:
            error = Stale(f"dma: there is no buffer {handle}; it was freed, or never allocated")
            raise self.context.refuse(process, action, target, error)
        if buffer.owner is not process:
            owner = buffer.owner
            raise self.context.refuse(
                process,
                action,
                target,
                PermissionDenied(f"dma: buffer {handle} belongs to {owner.name} ({owner.number})"),
            )
        return buffer

    def free(self, process: Process, handle: int) -> None:
        """Give a buffer back. Raises Stale or PermissionDenied."""
        self._drop(self.find(process, "dma free", handle))
        self.context.allow(process, "dma free", f"dma {handle}")

    def open(self, process: Process, handle: int) -> BufferFile:
        """The bytes of a buffer. Raises Stale or PermissionDenied."""
        return BufferFile(self.context, self.find(process, "dma open", handle))

    def _drop(self, buffer: Buffer) -> None:
        buffer.alive = False
        buffer.view.release()  # the arena's mapping cannot be closed while a view of it is out
        del self.buffers[buffer.handle]
        self._spaces[buffer.owner.number].give(buffer.offset, buffer.size)

    def take_back(self, process: Process) -> str:
        """Free all buffers of a process that goes on, and keeps its arena."""
        mine = self.of(process)
        for buffer in mine:
            self._drop(buffer)
        return f"{len(mine)} buffers"

    def quarantine(self, process: Process) -> str:
        """From here nobody can open a buffer of this process, and nobody is given its bytes."""
        mine = self.of(process)
        for buffer in mine:
            buffer.alive = False
        return f"{len(mine)} buffers, {sum(b.size for b in mine)} bytes"

    def release(self, process: Process) -> str:
        """Free all buffers of a process and its arena, after its functions were quiesced."""
        mine = self.of(process)
        for buffer in mine:
            self._drop(buffer)
        self._spaces.pop(process.number, None)
        if process.arena is not None:
            arena, process.arena = process.arena, None
            arena.close()
        return f"{len(mine)} buffers"
