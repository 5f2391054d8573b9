"""Who answers which address: made anew from the functions' own registers after they change, then only looked up."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator

from ...models.bridge import Bridge
from ...models.bus import Bus
from ...models.pci import PciFunction
from ...models.shape import Kind, Region

Read = Callable[[int, int, int], int]
Write = Callable[[int, int, int, int], None]
Hit = tuple[
    int, int, int, int, Read, Write
]  # start, end, what to take off for the offset, bar, calls
Wrap = Callable[[PciFunction, Region], tuple[Read, Write]]
NOWHERE: Hit = (0, 0, 0, 0, lambda bar, offset, width: 0, lambda bar, offset, width, value: None)


class Map:
    """Regions of one address space, in order and apart."""

    def __init__(self) -> None:
        self._starts: list[int] = []
        self._hits: list[Hit] = []

    def fill(self, hits: list[Hit]) -> None:
        """Take these; where two meet, the one that comes first in the list answers."""
        placed: list[Hit] = []
        for hit in hits:
            placed.extend(_outside(hit, placed))
        self._hits = sorted(placed, key=lambda h: h[0])
        self._starts = [h[0] for h in self._hits]

    def find(self, address: int, width: int) -> Hit:
        """The region that holds all of an access, or NOWHERE."""
        n = bisect_right(self._starts, address) - 1
        if n >= 0 and address + width <= self._hits[n][1]:
            return self._hits[n]
        return NOWHERE


def _outside(hit: Hit, placed: list[Hit]) -> list[Hit]:
    """The parts of a hit that nobody has."""
    parts = [hit[:2]]
    for start, end, *_ in placed:
        parts = [
            (a, b)
            for first, last in parts
            for a, b in ((first, min(last, start)), (max(first, end), last))
            if a < b
        ]
    return [(a, b, *hit[2:]) for a, b in parts]


class Decode:
    """The maps of memory and ports, and the functions by their addresses, of all that is on a root bus."""

    def __init__(self, root: Bus, wrap: Wrap) -> None:
        self.root, self._wrap = root, wrap
        self.mem, self.io = Map(), Map()
        self.functions: dict[int, PciFunction] = {}
        self.stale = True

    def refresh(self) -> None:
        """Make it all anew from the registers as they are."""
        self.stale = False
        self.functions = dict(_numbered(self.root, 0, 255))
        hits: dict[Kind, list[Hit]] = {"mem": [], "io": []}
        for fn, region in _visible(self.root):
            end = region.base + region.size
            calls = self._wrap(fn, region)
            shift = region.base - region.offset
            hits[region.kind].append((region.base, end, shift, region.bar, *calls))
        self.mem.fill(hits["mem"])
        self.io.fill(hits["io"])


def _numbered(bus: Bus, first: int, last: int) -> Iterator[tuple[int, PciFunction]]:
    """The functions that configuration cycles reach, by bdf: PCI-to-PCI Bridge 1.2 §3.1.2."""
    number = bus.number
    for devfn, fn in bus.functions.items():
        yield number << 8 | devfn, fn
        if isinstance(fn, Bridge):
            low, high = fn.regs.secondary.read().raw, fn.regs.subordinate.read().raw
            if first <= low <= high <= last and low > number:
                yield from _numbered(fn.below, low, high)


def _visible(bus: Bus) -> Iterator[tuple[PciFunction, Region]]:
    """What the functions of a bus answer, and of what is behind bridges as much as these pass on."""
    for fn in bus.functions.values():
        for region in fn.regions():
            yield fn, region
        if isinstance(fn, Bridge) and not fn.asleep and (windows := fn.windows()):
            for inner, region in _visible(fn.below):
                for window in windows:
                    if (part := _clip(region, window.kind, window.first, window.last)) is not None:
                        yield inner, part


def _clip(region: Region, kind: Kind, first: int, last: int) -> Region | None:
    start, end = max(region.base, first), min(region.base + region.size, last + 1)
    if kind != region.kind or start >= end:
        return None
    offset = region.offset + start - region.base
    return region._replace(base=start, size=end - start, offset=offset)
