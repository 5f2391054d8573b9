"""The embedded machine: a q35-like board whose chips are models in Python. No root, no VM, nothing to install.

Bring-up is a PC's: `start` runs the firmware, so that whoever uses the machine finds BARs placed and interrupts
routed, command registers off. What a model does for an access it does after the access was answered, in turns of
the event loop, or in `pump` for a caller that does not run it.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from ...arch.pci import CONFIG_SIZE, bdf_text
from ...errors import BadArgument, DeviceGone, NotFound
from ...models.bus import Bus
from ...models.cards import card as make_card
from ...models.pci import Fault, PciFunction
from ...models.q35 import HostBridge, Lpc
from ...models.shape import Region
from .. import firmware
from ..abstract import PLUGGED, PULLED, Bdf, Lack, Report, Sink
from ..functions import FunctionInfo
from ..reset import Kept, by_config
from .arenas import Arenas
from .clock import Schedule
from .decode import NOWHERE, Decode, Read, Write
from .faults import Plan, Rule
from .host import Host
from .iommu import Iommu
from .ports import BoardPorts

MEMORY = 16 << 30  # arenas in all; pages are there when they are touched
CHIPSET = (0x00, 0x1F)  # devices: the host bridge; LPC, SATA, SMBus


def ones(width: int) -> int:
    """What a read of `width` bytes gives when nobody answers."""
    return (1 << 8 * width) - 1


class Sim(Host):
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
        super().__init__(plan or Plan(), Iommu(Arenas(memory), protects), Schedule(virtual=virtual))
        self.bus = Bus()
        self.known: list[FunctionInfo] = []  # as firmware left them
        self._decode = Decode(self.bus, self._calls)
        self._ports = BoardPorts(self.lines, self.config_read, self.config_write)
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
        self.lines.sink, self.tell = sink, report
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
            self.tell(fn.name, PLUGGED)

    def unplug(self, fn: PciFunction) -> None:
        """Pull a function out without a word: its registers read all ones from here, its work is lost."""
        gone = [fn, *(fn.behind.walk() if fn.behind else ())]
        for each in gone:
            self.router.drive(each, False)
            if each is self.router.lpc:
                self.router.attach(None)
        self.tell(fn.name, PULLED)
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

    def remap(self) -> None:
        """Look again who answers what, at the next access."""
        self._decode.stale = True
        self._mem = self._io = NOWHERE
