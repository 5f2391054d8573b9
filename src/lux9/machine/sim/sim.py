"""The embedded machine: a q35-like board whose chips are models in Python. No root, no VM, nothing to install.

Bring-up is a PC's: `start` runs the firmware, so that whoever uses the machine finds BARs placed and interrupts
routed, command registers off. What a model does for an access it does after the access was answered, in turns of
the event loop, or in `pump` for a caller that does not run it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import partial

from ...arch.pci import CONFIG_SIZE, bdf_text
from ...errors import BadArgument, DeviceGone, NotFound
from ...models.bus import Bus
from ...models.cards import card as make_card
from ...models.pci import MASTER, DmaFault, Fault, PciFunction
from ...models.q35 import HostBridge, Lpc
from ...models.shape import Region
from .. import firmware
from ..abstract import PLUGGED, PULLED, Arena, Bdf, Lack, Message, Report, Sink
from ..functions import FunctionInfo
from ..reset import Kept, by_config
from .arenas import Arenas, SimArena
from .clock import Schedule
from .decode import NOWHERE, Decode, Read, Write
from .faults import Plan, Rule
from .iommu import Iommu
from .lines import Lines
from .messages import ADDRESS, Vectors
from .ports import BoardPorts
from .router import Router

MEMORY = 16 << 30  # arenas in all; pages are there when they are touched
NUMBER = re.compile(r"\b(?:0x[0-9a-f]+|[0-9]+)\b")
CHIPSET = (0x00, 0x1F)  # devices: the host bridge; LPC, SATA, SMBus
WINDOW = 1 << 20  # a message is a write to this much from ADDRESS


def ones(width: int) -> int:
    """What a read of `width` bytes gives when nobody answers."""
    return (1 << 8 * width) - 1


class Sim:
    """A machine of models. `functions` are plugged into bus 0 (bdf below 256); more by `plug`.

    `plan` orders faults; `virtual` gives a clock that jumps to the next work, so that runs are the same;
    `protects` False takes the IOMMU away: then every function reaches every arena.
    """

    name = "sim"

    def __init__(
        self,
        functions: Iterable[tuple[Bdf, PciFunction]] = (),
        *,
        plan: Plan | None = None,
        virtual: bool = False,
        protects: bool = True,
        memory: int = MEMORY,
    ) -> None:
        self.plan = plan or Plan()
        self.schedule = Schedule(virtual=virtual)
        self.bus = Bus()
        self.lines = Lines()
        self.router = Router(self.lines)
        self.vectors = Vectors()
        self.known: list[FunctionInfo] = []  # as firmware left them
        self._decode = Decode(self.bus, self._calls)
        self.iommu = Iommu(Arenas(memory), protects)
        self._ports = BoardPorts(self.lines, self.config_read, self.config_write)
        self._report: Report = lambda about, text: None
        self._reported: dict[tuple[str, str], int] = {}
        self._started = False
        self._mem = self._io = NOWHERE  # the regions that answered last
        for bdf, fn in functions:
            self.plug(fn, bdf)

    # Its life

    def why_not(self) -> list[Lack]:
        """Nothing is needed."""
        return []

    async def start(self, sink: Sink, report: Report) -> None:
        """Run the firmware; from here interrupts go to `sink`."""
        self.lines.sink, self._report = sink, report
        self.schedule.start()
        self._started = True
        self.known = firmware.assign(self)

    async def close(self) -> None:
        """Stop the models and give back their files and the arenas."""
        self.schedule.stop()
        self._started = False
        self.lines.sink = lambda line, asserted: None
        for fn in self.bus.walk():
            fn.close()
        for arena in self.iommu.arenas.all():
            arena.close()

    def pump(self) -> None:
        """Let the models do what is due."""
        self.schedule.pump()

    # What is plugged in

    def plug(self, fn: PciFunction, devfn: int, bus: Bus | None = None) -> None:
        """Plug a function in, on bus 0 or behind a bridge; on a started machine firmware finds it a place."""
        (bus or self.bus).plug(fn, devfn, self)
        for each in fn.behind.walk() if fn.behind else ():
            each.host = self
        if isinstance(fn, Lpc):
            self.router.attach(fn)
        elif isinstance(fn, HostBridge):
            fn.connect(self.config_read, self.config_write)
        self.remap()
        if self._started:
            self.known = firmware.assign(self, self.known)
            self._report(fn.name, PLUGGED)

    def unplug(self, fn: PciFunction) -> None:
        """Pull a function out without a word: its registers read all ones from here, its work is lost."""
        gone = [fn, *(fn.behind.walk() if fn.behind else ())]
        for each in gone:
            self.router.drive(each, False)
            if each is self.router.lpc:
                self.router.attach(None)
        self._report(fn.name, PULLED)
        assert fn.bus is not None, f"{fn.name} is not plugged in"
        fn.bus.unplug(fn)
        self.remap()

    async def insert(self, card: str) -> Bdf:
        """Plug a card of `models.cards` in, where it asks to be or in the first free slot."""
        devfn, fn = make_card(card, list(self.bus.functions))
        self.plug(fn, devfn)
        return devfn

    async def pull(self, bdf: Bdf) -> None:
        """Pull a card out. Raises NotFound, BadArgument for what is soldered to the board."""
        fn = self.function(bdf)
        if fn is None:
            raise NotFound(f"{bdf_text(bdf)} has no card")
        if bdf >> 3 in CHIPSET:
            raise BadArgument(
                f"{fn.name} is part of the board; `lux9 boot --fault` can have it gone"
            )
        self.unplug(fn)

    async def spoil(self, rule: str) -> None:
        """A rule as text, or `none`."""
        if rule.strip() == "none":
            self.plan.forget()
        else:
            self.order(Rule.parse(rule))

    def order(self, rule: Rule) -> None:
        """One more fault, from now on."""
        self.plan.add(rule)
        self.remap()

    def function(self, bdf: Bdf) -> PciFunction | None:
        """The model that configuration cycles to `bdf` reach."""
        if self._decode.stale:
            self._decode.refresh()
        return self._decode.functions.get(bdf)

    # Configuration space

    def config_read(self, bdf: Bdf, offset: int, width: int) -> int:
        """One access; all ones where no function is."""
        fn = self.function(bdf)
        return ones(width) if fn is None else fn.config_read(offset, width)

    def config_write(self, bdf: Bdf, offset: int, width: int, value: int) -> None:
        """One access; lost where no function is."""
        if (fn := self.function(bdf)) is not None:
            fn.config_write(offset, width, value)

    def config_size(self, bdf: Bdf) -> int:
        """4096 for PCI Express functions; 256 for conventional ones, those of the chipset too, as in QEMU."""
        fn = self.function(bdf)
        return CONFIG_SIZE if fn is None else fn.config.size

    # Memory and ports

    def mem_read(self, address: int, width: int) -> int:
        """One access of the function whose BAR holds it all, else of an arena, else all ones."""
        hit = self._mem
        if address < hit[0] or address + width > hit[1]:
            hit = self._find_mem(address, width)
            if hit is NOWHERE:
                part = self._ram(address, width)
                return ones(width) if part is None else int.from_bytes(part, "little")
        return hit[4](hit[3], address - hit[2], width)

    def mem_write(self, address: int, width: int, value: int) -> None:
        """As `mem_read`; lost where nothing answers."""
        hit = self._mem
        if address < hit[0] or address + width > hit[1]:
            hit = self._find_mem(address, width)
            if hit is NOWHERE:
                if (part := self._ram(address, width)) is not None:
                    part[:] = value.to_bytes(width, "little")
                return
        hit[5](hit[3], address - hit[2], width, value)

    def _find_mem(self, address: int, width: int) -> tuple[int, int, int, int, Read, Write]:
        if self._decode.stale:
            self._decode.refresh()
        hit = self._decode.mem.find(address, width)
        if hit is not NOWHERE:
            self._mem = hit
        return hit

    def _ram(self, address: int, width: int) -> memoryview | None:
        arena = self.iommu.arenas.at(address)
        if arena is None or address + width > arena.end:
            return None
        return arena.memory[address - arena.bus : address - arena.bus + width]

    def io_read(self, port: int, width: int) -> int:
        """One access of the function whose BAR holds it all, else of the board, else all ones."""
        hit = self._find_io(port, width)
        if hit is NOWHERE:
            return self._ports.read(port, width)
        return hit[4](hit[3], port - hit[2], width)

    def io_write(self, port: int, width: int, value: int) -> None:
        """As `io_read`; lost where nothing answers."""
        hit = self._find_io(port, width)
        if hit is NOWHERE:
            self._ports.write(port, width, value)
        else:
            hit[5](hit[3], port - hit[2], width, value)

    def _find_io(self, port: int, width: int) -> tuple[int, int, int, int, Read, Write]:
        hit = self._io
        if port < hit[0] or port + width > hit[1]:
            if self._decode.stale:
                self._decode.refresh()
            hit = self._decode.io.find(port, width)
            if hit is not NOWHERE:
                self._io = hit
        return hit

    def _calls(self, fn: PciFunction, region: Region) -> tuple[Read, Write]:
        """How a region is read and written: as the function does, unless the plan may step in."""
        if not self.plan.has(Fault.ONES, Fault.GONE):
            return region.read, region.write
        return partial(self._shaky_read, fn, region), partial(self._shaky_write, fn, region)

    def _shaky_read(self, fn: PciFunction, region: Region, bar: int, at: int, width: int) -> int:
        if self._pulled(fn) or self.fault(fn, Fault.ONES) is not None:
            return ones(width)
        return region.read(bar, at, width)

    def _shaky_write(
        self, fn: PciFunction, region: Region, bar: int, at: int, width: int, value: int
    ) -> None:
        if not self._pulled(fn):
            region.write(bar, at, width, value)

    def _pulled(self, fn: PciFunction) -> bool:
        if self.fault(fn, Fault.GONE) is None:
            return False
        self.unplug(fn)
        return True

    # Arenas

    def arena(self, size: int) -> Arena:
        """A new arena."""
        return self.iommu.make(size)

    def attach(self, bdf: Bdf, arena: Arena) -> None:
        """Let a function reach an arena, besides those that it reaches already."""
        assert isinstance(arena, SimArena), "an arena of another machine"
        self.iommu.attach(bdf, arena)

    def detach(self, bdf: Bdf) -> None:
        """Let a function reach none."""
        self.iommu.detach(bdf)

    @property
    def protects(self) -> bool:
        """Whether the model of an IOMMU is there."""
        return self.iommu.protects

    # Interrupts

    def mask(self, line: int) -> None:
        """Keep a line from the sink."""
        self.lines.mask(line)

    def unmask(self, line: int) -> None:
        """Let it through again."""
        self.lines.unmask(line)

    def messages(self, bdf: Bdf, count: int) -> list[Message]:
        """Vectors for a function."""
        return self.vectors.give(bdf, count)

    def free_messages(self, bdf: Bdf) -> None:
        """Take them back."""
        self.vectors.free(bdf)

    # Reset

    def reset(self, bdf: Bdf) -> str:
        """By the function's own means, or, where it has none, by the model's."""
        fn = self.function(bdf)
        if fn is None:
            raise DeviceGone(f"{bdf_text(bdf)} is not there, so there is nothing to reset")
        if (how := by_config(self, bdf, lambda seconds: None)) is not None:
            return how
        kept = Kept(self, bdf)
        fn.reset()
        kept.restore()
        return "reset of the model"

    # The host of the models (models.pci.Host)

    def dma(self, fn: PciFunction, address: int, size: int) -> list[memoryview]:
        """Views of the arenas that cover the range; DmaFault, reported, where the function may not."""
        try:
            return self.iommu.dma(fn, address, size)
        except DmaFault as fault:
            self.report(fn, str(fault))
            raise

    def interrupt(self, fn: PciFunction, asserted: bool) -> None:
        """A pin rose or fell."""
        if asserted and self.fault(fn, Fault.LOST) is not None:
            return
        self.router.drive(fn, asserted)

    def message(self, fn: PciFunction, address: int, data: int) -> None:
        """A message, when the function is bus master and the vector its own; any other write is DMA."""
        if not ADDRESS <= address < ADDRESS + WINDOW:
            self._message_to_memory(fn, address, data)
        elif not fn.command & MASTER:
            self.report(fn, f"message {data} refused: bus master is off")
        elif self.vectors.owner.get(data) != fn.bdf:
            self.report(fn, f"message {data} refused: the function was not given that vector")
        elif self.fault(fn, Fault.LOST) is None:
            self.lines.sink(data, True)

    def _message_to_memory(self, fn: PciFunction, address: int, data: int) -> None:
        try:
            (part,) = self.dma(fn, address, 4)
        except (DmaFault, ValueError):
            return
        part[:] = data.to_bytes(4, "little")

    def defer(self, work: Callable[[], None], after: float = 0.0) -> None:
        """Work for later."""
        self.schedule.defer(work, after)

    def remap(self) -> None:
        """Look again who answers what, at the next access."""
        self._decode.stale = True
        self._mem = self._io = NOWHERE

    def fault(self, fn: PciFunction, kind: Fault, where: range = range(0)) -> float | None:
        """What the plan says."""
        return self.plan.due(kind, fn.name, where) if self.plan.rules else None

    def report(self, fn: PciFunction, text: str) -> None:
        """To the kernel; what a function repeats, numbers apart, at the 1st, 2nd, 4th, 8th … time only."""
        key = (fn.name, NUMBER.sub("#", text))
        count = self._reported[key] = self._reported.get(key, 0) + 1
        if count & (count - 1) == 0:
            self._report(fn.name, text if count == 1 else f"{text} (the {count}th such report)")
