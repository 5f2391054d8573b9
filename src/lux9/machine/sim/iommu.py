"""Who reaches which arena: an IOMMU as a model, or, with `protects` off, a machine that has none."""

from __future__ import annotations

from collections.abc import Iterable

from ...models.pci import MASTER, DmaFault, PciFunction
from ..abstract import Bdf
from .arenas import Arenas, SimArena


class Iommu:
    """Arenas, and the functions that they are attached to, by requester id."""

    def __init__(self, arenas: Arenas, protects: bool) -> None:
        self.arenas, self.protects = arenas, protects
        self._reach: dict[Bdf, list[SimArena]] = {}

    def make(self, size: int) -> SimArena:
        """A new arena, that nothing reaches yet where there is protection."""
        return self.arenas.make(size, self._closed)

    def _closed(self, arena: SimArena) -> None:
        for reached in self._reach.values():
            if arena in reached:
                reached.remove(arena)

    def attach(self, bdf: Bdf, arena: SimArena) -> None:
        """One more that a function reaches."""
        reached = self._reach.setdefault(bdf, [])
        if arena not in reached:
            reached.append(arena)

    def detach(self, bdf: Bdf) -> None:
        """It reaches none."""
        self._reach.pop(bdf, None)

    def dma(self, fn: PciFunction, address: int, size: int) -> list[memoryview]:
        """Views, in order, of the arenas that cover a range. Raises DmaFault, which nobody has reported yet."""
        above: PciFunction | None = fn
        while above is not None:
            if not above.command & MASTER:
                raise refused(address, size, f"bus master of {above.name} is off")
            above = above.bus.parent if above.bus else None
        reach = self._reach.get(fn.bdf, ()) if self.protects else self.arenas.all()
        end = address + size
        for arena in reach:
            if arena.bus <= address and end <= arena.end:
                return [arena.memory[address - arena.bus : end - arena.bus]]
        return list(_scattered(address, end, reach))


def _scattered(address: int, end: int, reach: Iterable[SimArena]) -> Iterable[memoryview]:
    """A range that several arenas cover, one after another."""
    at = address
    while at < end:
        arena = next((a for a in reach if a.bus <= at < a.end), None)
        if arena is None:
            raise refused(address, end - address, f"no arena of the function is at {at:#x}")
        stop = min(end, arena.end)
        yield arena.memory[at - arena.bus : stop - arena.bus]
        at = stop


def refused(address: int, size: int, why: str) -> DmaFault:
    """The refusal, in words."""
    return DmaFault(f"DMA of {size} bytes at {address:#x} refused: {why}")
