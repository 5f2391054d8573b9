"""A function to plug in: registers that remember, and a bench that stands in for its machine."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from lux9.models.bus import Bus
from lux9.models.pci import Capability, Fault, PciFunction
from lux9.models.shape import Bar, Identity

IDENTITY = Identity(0x1234, 0x11E8, 0x00FF00, revision=3, pin=1)


class Card(PciFunction):
    """Its BARs are memory; `resets` counts."""

    def __init__(
        self,
        bars: Mapping[int, Bar] | None = None,
        capabilities: Sequence[Capability] = (),
        identity: Identity = IDENTITY,
    ) -> None:
        super().__init__(identity, bars, capabilities)
        self.memory = {n: bytearray(min(bar.size, 1 << 20)) for n, bar in self.bars.items()}
        self.accesses: list[tuple[str, int, int, int]] = []
        self.written: list[int] = []  # offsets in configuration space
        self.resets = 0

    def bar_read(self, bar: int, offset: int, width: int) -> int:
        self.accesses.append(("r", bar, offset, width))
        return int.from_bytes(self.memory[bar][offset : offset + width], "little")

    def bar_write(self, bar: int, offset: int, width: int, value: int) -> None:
        self.accesses.append(("w", bar, offset, width))
        self.memory[bar][offset : offset + width] = value.to_bytes(width, "little")

    def config_write(self, offset: int, width: int, value: int) -> None:
        super().config_write(offset, width, value)
        self.written.append(offset)

    def reset(self) -> None:
        super().reset()
        self.resets += 1


class Bench:
    """A host that writes down what a function does to it."""

    def __init__(self) -> None:
        self.pins: list[bool] = []
        self.messages: list[tuple[int, int]] = []
        self.reports: list[str] = []
        self.remaps = 0
        self.bus = Bus()

    def plug(self, fn: PciFunction, devfn: int = 0x10) -> None:
        self.bus.plug(fn, devfn, self)

    def dma(self, fn: PciFunction, address: int, size: int) -> list[memoryview]:
        return [memoryview(bytearray(size))]

    def interrupt(self, fn: PciFunction, asserted: bool) -> None:
        self.pins.append(asserted)

    def message(self, fn: PciFunction, address: int, data: int) -> None:
        self.messages.append((address, data))

    def defer(self, work: Callable[[], None], after: float = 0.0) -> None:
        work()

    def remap(self) -> None:
        self.remaps += 1

    def fault(self, fn: PciFunction, kind: Fault, where: range = range(0)) -> float | None:
        return None

    def report(self, fn: PciFunction, text: str) -> None:
        self.reports.append(text)
