"""What firmware does before an operating system: numbers the buses, places the BARs, routes the interrupts.

For machines that start with nothing assigned (sim, QEMU without a guest). It may be run again at any time: what
has its place keeps it, and what was plugged in since gets one. Command registers of functions stay as they are
(off, at the start), those of bridges are switched on. What finds no room stays at 0 and harms nobody else.

The tree of buses is walked thrice: down to number them, up to know what each bridge needs, down to give it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..arch import pci as arch
from ..regs import U32
from .abstract import Bdf, Machine
from .buses import number_buses
from .functions import BarInfo, Config, FunctionInfo, scan
from .routes import route

Pool = Literal["io", "mem", "prefetch"]
POOLS: tuple[Pool, ...] = ("io", "mem", "prefetch")
GRAIN: dict[Pool, int] = {"io": 0x1000, "mem": 1 << 20, "prefetch": 1 << 20}
SPARE: dict[Pool, int] = {
    "io": 0,
    "mem": 2 << 20,
    "prefetch": 2 << 20,
}  # for what is plugged in later


class Space:
    """Free and taken addresses between `first` and `last`, both included."""

    def __init__(self, first: int, last: int) -> None:
        self.first, self.last = first, last
        self.taken: list[tuple[int, int]] = []  # (start, end), in order

    def keep(self, start: int, size: int) -> bool:
        """Take what is there already; False when it lies outside, or meets something."""
        end = start + size
        if start < self.first or end - 1 > self.last:
            return False
        if any(start < e and s < end for s, e in self.taken):
            return False
        self.taken = sorted([*self.taken, (start, end)])
        return True

    def take(self, size: int, align: int) -> int | None:
        """The lowest free place, or None."""
        at = -(-self.first // align) * align
        for start, end in self.taken:
            if at + size <= start:
                break
            at = max(at, -(-end // align) * align)
        return at if self.keep(at, size) else None


Spaces = dict[Pool, Space]


def q35_spaces() -> Spaces:
    """Where a q35 board has room: clear of RAM, ECAM (0xb0000000) and the interrupt controllers."""
    return {
        "io": Space(0x1000, 0xFFFF),
        "mem": Space(0xC000_0000, 0xFEBF_FFFF),
        "prefetch": Space(0x80_0000_0000, 0xFF_FFFF_FFFF),
    }


def pc_spaces() -> Spaces:
    """Where a board with an i440FX has room: as q35, but for ACPI's ports from 0xae00 and the PIIX4's from 0xb000."""
    spaces = q35_spaces()
    spaces["io"].keep(0xA000, 0x2000)
    return spaces


@dataclass
class Wish:
    """Room that is wanted: of a BAR, or of all that is behind a bridge."""

    pool: Pool
    size: int
    align: int
    owner: Node
    bar: BarInfo | None = None


@dataclass
class Node:
    """A function in the tree; a bridge has what is behind it, and its windows."""

    info: FunctionInfo
    parent: Node | None = None
    below: list[Node] = field(default_factory=list["Node"])
    pools: frozenset[Pool] = frozenset(POOLS)  # of a bridge: those that reach the bus behind it
    spaces: Spaces = field(default_factory=dict[Pool, Space])


def assign(
    machine: Machine, known: Iterable[FunctionInfo] = (), spaces: Spaces | None = None
) -> list[FunctionInfo]:
    """Do all of it, and give what `scan` then finds."""
    number_buses(machine)
    found = scan(machine, known)
    roots = _tree(machine, found)
    _give(machine, roots, spaces or q35_spaces())
    route(machine, found)
    for info in found:
        if info.is_bridge:
            arch.Header1(Config(machine, info.bdf)).command.update(io=True, mem=True, master=True)
    return scan(machine, (*known, *found))


# Addresses


def _tree(machine: Machine, found: Sequence[FunctionInfo]) -> list[Node]:
    nodes = {f.bdf: Node(f) for f in found}
    behind = {f.secondary: nodes[f.bdf] for f in found if f.is_bridge and f.secondary}
    roots: list[Node] = []
    for node in nodes.values():  # in order of address: a bridge comes before what is behind it
        node.parent = behind.get(node.info.bdf >> 8)
        (node.parent.below if node.parent else roots).append(node)
        if node.info.is_bridge:
            node.pools = _windows_of(machine, node)
    return roots


def _windows_of(machine: Machine, node: Node) -> frozenset[Pool]:
    """Which kinds of window a bridge has: the registers of the others read zero and take no ones."""
    config = Config(machine, node.info.bdf)
    header = arch.Header1(config)
    pools: set[Pool] = {"mem"}
    above = node.parent.pools if node.parent else frozenset(POOLS)
    if "io" in above and _takes_ones(config, arch.Header1.io_base.offset, 1):
        pools.add("io")
    wide = header.prefetch_base.read().width_ == 1
    if "prefetch" in above and wide:
        pools.add("prefetch")
    return frozenset(pools)


def _takes_ones(config: Config, offset: int, width: int) -> bool:
    before = config.read(offset, width)
    if before & 0xF0:
        return True
    config.write(offset, width, 0xF0)
    took = config.read(offset, width) & 0xF0
    config.write(offset, width, before)
    return bool(took)


def _pool(bar: BarInfo, parent: Node | None) -> Pool:
    if bar.kind == "io":
        return "io"
    high = bar.wide and bar.prefetch and (parent is None or "prefetch" in parent.pools)
    return "prefetch" if high else "mem"


def _wishes(nodes: Iterable[Node]) -> list[Wish]:
    """What the functions of one bus want, the largest alignment first: so there are no holes."""
    wishes: list[Wish] = []
    for node in nodes:
        wishes.extend(
            Wish(_pool(bar, node.parent), bar.size, bar.size, node, bar) for bar in node.info.bars
        )
        if node.info.is_bridge and node.info.secondary:
            wishes.extend(_window_wishes(node))
    return sorted(wishes, key=lambda w: (w.align, w.size), reverse=True)


def _window_wishes(node: Node) -> Iterator[Wish]:
    inner = _wishes(node.below)
    for pool in POOLS:
        if pool not in node.pools:
            continue
        end, align = 0, GRAIN[pool]
        for wish in inner:
            if wish.pool == pool:
                end = -(-end // wish.align) * wish.align + wish.size
                align = max(align, wish.align)
        size = max(-(-end // GRAIN[pool]) * GRAIN[pool], SPARE[pool])
        if size:
            yield Wish(pool, size, align, node)


def _give(machine: Machine, nodes: list[Node], spaces: Spaces) -> None:
    """Places for the functions of one bus, then for those behind its bridges."""
    fresh = [w for w in _wishes(nodes) if not _kept(machine, w, spaces)]
    for wish in fresh:
        at = spaces[wish.pool].take(wish.size, wish.align) if wish.pool in spaces else None
        if at is None and wish.bar and wish.bar.wide and wish.owner.parent is None:
            at = spaces["prefetch"].take(wish.size, wish.align)
        if at is not None and wish.bar is None:
            wish.owner.spaces[wish.pool] = Space(at, at + wish.size - 1)
        if wish.bar is not None:
            _place_bar(machine, wish.owner.info.bdf, wish.bar, at or 0)
    for node in nodes:
        if node.info.is_bridge:
            _write_windows(machine, node)
            _give(machine, node.below, node.spaces)


def _kept(machine: Machine, wish: Wish, spaces: Spaces) -> bool:
    """Whether it has a place already that will do."""
    if wish.bar is not None:
        return bool(wish.bar.address) and any(
            space.keep(wish.bar.address, wish.size)
            for pool, space in spaces.items()
            if (pool == "io") == (wish.pool == "io")
        )
    if wish.pool not in spaces:
        return False
    window = _window(machine, wish.owner, wish.pool)
    if window is None or not spaces[wish.pool].keep(window[0], window[1] - window[0] + 1):
        return False
    wish.owner.spaces[wish.pool] = Space(*window)
    return True


def _place_bar(machine: Machine, bdf: Bdf, bar: BarInfo, address: int) -> None:
    at = arch.Header0.bar.offset + 4 * bar.index
    config = Config(machine, bdf)
    config.write(at, 4, address & 0xFFFF_FFFF)
    if bar.wide:
        config.write(at + 4, 4, address >> 32)


# Bridge windows


def _window(machine: Machine, node: Node, pool: Pool) -> tuple[int, int] | None:
    """First and last address of a window that was given before; None when it is shut, or still at reset."""
    bridge = arch.Header1(Config(machine, node.info.bdf))
    if pool == "io":
        first, last = bridge.io_base.read().addr << 12, bridge.io_limit.read().addr << 12 | 0xFFF
    elif pool == "mem":
        first, last = (
            bridge.mem_base.read().addr << 20,
            bridge.mem_limit.read().addr << 20 | 0xF_FFFF,
        )
    else:
        base, limit = bridge.prefetch_base.read().addr, bridge.prefetch_limit.read().addr
        first = bridge.prefetch_base32.read().raw << 32 | base << 20
        last = bridge.prefetch_limit32.read().raw << 32 | limit << 20 | 0xF_FFFF
    return (first, last) if 0 < first <= last else None


def _write_windows(machine: Machine, node: Node) -> None:
    """Each window as given; shut (base above limit) where nothing was."""
    bridge = arch.Header1(Config(machine, node.info.bdf))
    io, mem, high = (node.spaces.get(pool) for pool in POOLS)
    bridge.io_base.write(arch.IoWindow(addr=io.first >> 12 if io else 0xF))
    bridge.io_limit.write(arch.IoWindow(addr=io.last >> 12 if io else 0))
    bridge.mem_base.write(arch.MemWindow(addr=mem.first >> 20 if mem else 0xFFF))
    bridge.mem_limit.write(arch.MemWindow(addr=mem.last >> 20 if mem else 0))
    first, last = (high.first, high.last) if high else (0xFFF0_0000, 0)
    bridge.prefetch_base.write(arch.PrefetchWindow(addr=first >> 20 & 0xFFF))
    bridge.prefetch_limit.write(arch.PrefetchWindow(addr=last >> 20 & 0xFFF))
    bridge.prefetch_base32.write(U32.of(first >> 32))
    bridge.prefetch_limit32.write(U32.of(last >> 32))
