"""Where functions are plugged in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..arch.pci import Header0, Header1, HeaderType
from .host import Host

if TYPE_CHECKING:
    from .pci import PciFunction


class Bus:
    """Where functions are plugged in: 32 devices of 8 functions. The root bus is number 0."""

    def __init__(self, parent: PciFunction | None = None) -> None:
        self.parent = parent  # the bridge that it is behind
        self.functions: dict[int, PciFunction] = {}  # by device << 3 | function

    @property
    def number(self) -> int:
        """What configuration cycles call it."""
        return 0 if self.parent is None else self.parent.config.get(Header1.secondary)

    def plug(self, fn: PciFunction, devfn: int, host: Host) -> None:
        """Put a function in its place; the multi-function bit of its device is set as it must be."""
        assert devfn not in self.functions, f"{fn.name} is taken"
        self.functions[devfn] = fn
        fn.bus, fn.devfn, fn.host = self, devfn, host
        device = [f for d, f in self.functions.items() if d >> 3 == devfn >> 3]
        for each in device:
            kind = HeaderType(layout=each.layout, multi=len(device) > 1)
            each.config.put(Header0.header_type, kind)

    def unplug(self, fn: PciFunction) -> None:
        """Pull a function out, with all that is behind it."""
        del self.functions[fn.devfn]
        fn.unplugged()
        for each in fn.behind.walk() if fn.behind else ():
            each.unplugged()

    def walk(self) -> Iterator[PciFunction]:
        """Every function on it and behind its bridges, each bridge before what is behind it."""
        for fn in list(self.functions.values()):
            yield fn
            if fn.behind is not None:
                yield from fn.behind.walk()
