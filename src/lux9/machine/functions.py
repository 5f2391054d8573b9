"""What there is on the buses: every function found, sized and described, on any machine.

`scan` only looks; sizing a BAR is the one thing that it does to a function, with its decoding off meanwhile,
so a function that is `known` and has not moved is not sized again: its driver may be at work.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from ..arch import pci as arch
from ..regs import Window
from .abstract import Bdf, Machine

ONES = 0xFFFF_FFFF


class Config:
    """The configuration space of one function as a window, for the blocks of `arch.pci`."""

    __slots__ = ("bdf", "machine")

    def __init__(self, machine: Machine, bdf: Bdf) -> None:
        self.machine, self.bdf = machine, bdf

    def read(self, offset: int, width: int) -> int:
        """One configuration read."""
        return self.machine.config_read(self.bdf, offset, width)

    def write(self, offset: int, width: int, value: int) -> None:
        """One configuration write."""
        self.machine.config_write(self.bdf, offset, width, value)


class Memory:
    """Memory space from an address on, as a `regs.Window`."""

    __slots__ = ("base", "machine")

    def __init__(self, machine: Machine, base: int) -> None:
        self.machine, self.base = machine, base

    def read(self, offset: int, width: int) -> int:
        """One access."""
        return self.machine.mem_read(self.base + offset, width)

    def write(self, offset: int, width: int, value: int) -> None:
        """One access."""
        self.machine.mem_write(self.base + offset, width, value)


@dataclass(frozen=True, slots=True)
class BarInfo:
    """One base address register: where it is (0: not placed), how large, and of which kind."""

    index: int
    address: int
    size: int
    kind: Literal["mem", "io"]
    wide: bool = False  # 64-bit: takes the next register too
    prefetch: bool = False

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.address + self.size

    @property
    def flags(self) -> int:
        """As sysfs' `resource` file gives them (IORESOURCE_*), the register's own low bits included."""
        if self.kind == "io":
            return 0x0004_0101
        prefetch, wide = self.prefetch * 0x2008, self.wide * 0x0010_0004
        return 0x0004_0200 | prefetch | wide


@dataclass(frozen=True, slots=True)
class FunctionInfo:
    """A function as its configuration space tells."""

    bdf: Bdf
    vendor: int
    device: int
    code: int  # class, subclass, interface: 0x010601
    revision: int = 0
    subvendor: int = 0
    subsystem: int = 0
    layout: int = 0  # header type
    bars: tuple[BarInfo, ...] = ()
    pin: int = 0  # 1 to 4 for INTA to INTD, 0 for none
    irq: int = 0  # the interrupt line register
    capabilities: tuple[arch.Found, ...] = field(default=())
    secondary: int = 0  # of a bridge: the bus behind it
    subordinate: int = 0  # and the last one

    @property
    def name(self) -> str:
        """As lspci and sysfs write it: 0000:00:1f.2."""
        return arch.bdf_text(self.bdf)

    @property
    def is_bridge(self) -> bool:
        """Whether there is a bus behind it."""
        return self.layout == arch.Layout.BRIDGE

    def bar(self, index: int) -> BarInfo | None:
        """BAR `index`, or None."""
        return next((b for b in self.bars if b.index == index), None)

    def capability(self, id: int) -> int | None:
        """The offset of the first capability with an id, or None."""
        return next((c.offset for c in self.capabilities if c.id == id), None)


def present(machine: Machine, bus: int) -> Iterator[Bdf]:
    """The functions that answer on a bus: PCI 3.0 §3.2.2.3.4."""
    for device in range(32):
        first = bus << 8 | device << 3
        if Config(machine, first).read(arch.Header.vendor.offset, 2) == arch.NO_FUNCTION:
            continue
        yield first
        if arch.Header(Config(machine, first)).header_type.read().multi:
            for bdf in range(first + 1, first + 8):
                if Config(machine, bdf).read(arch.Header.vendor.offset, 2) != arch.NO_FUNCTION:
                    yield bdf


def scan(machine: Machine, known: Iterable[FunctionInfo] = ()) -> list[FunctionInfo]:
    """Every function on bus 0 and on the numbered buses behind bridges, in order of address."""
    before = {f.bdf: f for f in known}
    found: list[FunctionInfo] = []
    buses, seen = [0], {0}
    while buses:
        for bdf in present(machine, buses.pop()):
            info = describe(machine, bdf, before.get(bdf))
            found.append(info)
            if info.is_bridge and info.secondary not in seen:
                seen.add(info.secondary)
                buses.append(info.secondary)
    return sorted(found, key=lambda f: f.bdf)


def describe(machine: Machine, bdf: Bdf, known: FunctionInfo | None = None) -> FunctionInfo:
    """One function that is there; `known` is what it was before."""
    config = Config(machine, bdf)
    header = arch.Header0(config)
    cls, layout = header.cls.read(), int(header.header_type.read().layout)
    info = _with_layout(
        config,
        layout,
        FunctionInfo(
            bdf,
            vendor=header.vendor.read().raw,
            device=header.device.read().raw,
            code=cls.code,
            revision=cls.revision,
            layout=layout,
            pin=header.pin.read().raw,
            irq=header.line.read().raw,
            capabilities=tuple(arch.capabilities(config)),
        ),
    )
    return replace(info, bars=_bars(config, info, known))


def _with_layout(config: Window, layout: int, info: FunctionInfo) -> FunctionInfo:
    """The fields that only one header type has."""
    if layout == arch.Layout.BRIDGE:
        bridge = arch.Header1(config)
        secondary, subordinate = bridge.secondary.read().raw, bridge.subordinate.read().raw
        return replace(info, secondary=secondary, subordinate=subordinate)
    if layout == arch.Layout.GENERAL:
        header = arch.Header0(config)
        subvendor, subsystem = header.subvendor.read().raw, header.subdevice.read().raw
        return replace(info, subvendor=subvendor, subsystem=subsystem)
    return info


def _bars(config: Window, info: FunctionInfo, known: FunctionInfo | None) -> tuple[BarInfo, ...]:
    count = arch.BARS[info.layout] if info.layout < len(arch.BARS) else 0
    words = [config.read(_place(n), 4) for n in range(count)]
    if (
        known is not None
        and _same(info, known)
        and _addresses(words, known) == [b.address for b in known.bars]
    ):
        return known.bars
    return tuple(_size(config, words))


def _place(index: int) -> int:
    return arch.Header0.bar.offset + 4 * index


def _same(a: FunctionInfo, b: FunctionInfo) -> bool:
    return (a.vendor, a.device, a.code, a.layout) == (b.vendor, b.device, b.code, b.layout)


def _addresses(words: list[int], known: FunctionInfo) -> list[int]:
    return [
        arch.bar_address(words[b.index], words[b.index + 1] if b.wide else 0) for b in known.bars
    ]


def _size(config: Window, words: list[int]) -> Iterator[BarInfo]:
    """Write all ones, look, put back: PCI 3.0 §6.2.5.1; decoding is off meanwhile."""
    command = arch.Header0(config).command
    before = command.read()
    if before.io or before.mem:
        command.write(before.replace(io=False, mem=False))
    index = 0
    while index < len(words):
        wide = index + 1 < len(words) and _is_wide(words[index])
        bar = _probe(config, index, words, wide)
        if bar is not None:
            yield bar
        index += 1 + wide
    if before.io or before.mem:
        command.write(before)


def _is_wide(word: int) -> bool:
    bar = arch.BarMem.of(word)
    return not bar.io and bar.type == arch.BarType.MEM64


def _probe(config: Window, index: int, words: list[int], wide: bool) -> BarInfo | None:
    places = [_place(index + i) for i in range(1 + wide)]
    for at in places:
        config.write(at, 4, ONES)
    answers = [config.read(at, 4) for at in places]
    for i, at in enumerate(places):
        config.write(at, 4, words[index + i])
    size = arch.bar_size(answers[0], answers[1] if wide else ONES)
    if size == 0:
        return None
    word = arch.BarMem.of(words[index])
    address = arch.bar_address(words[index], words[index + 1] if wide else 0)
    if word.io:
        return BarInfo(index, address, size, "io")
    return BarInfo(index, address, size, "mem", wide, word.prefetch)
