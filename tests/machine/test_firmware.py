"""Random boards: whatever is plugged in, everything gets a number and a place, and nothing overlaps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given, settings, strategies as st

from lux9.arch import ich9, pci as arch
from lux9.machine import firmware, functions
from lux9.machine.firmware import Space, q35_spaces
from lux9.machine.functions import BarInfo, FunctionInfo
from lux9.machine.sim.sim import Sim
from lux9.models.bridge import Bridge
from lux9.models.bus import Bus
from lux9.models.capabilities import Msi
from lux9.models.q35 import HostBridge, Lpc
from lux9.models.shape import Bar, Identity
from tests.models.cards import IDENTITY, Card

# A board to order


@dataclass
class Part:
    """A card with its BARs, or a bridge with what is behind it."""

    bars: dict[int, Bar] = field(default_factory=dict[int, Bar])
    pin: int = 0
    below: list[Part] | None = None
    io: bool = True
    prefetch: bool = True


@st.composite
def bar_sets(draw: st.DrawFn) -> dict[int, Bar]:
    bars: dict[int, Bar] = {}
    index = 0
    while index < 6:
        kind = draw(st.sampled_from(["none", "none", "io", "mem", "wide", "wide"]))
        if kind == "io":
            bars[index] = Bar(1 << draw(st.integers(2, 8)), kind="io")
        elif kind == "mem":
            bars[index] = Bar(1 << draw(st.integers(4, 24)), prefetch=draw(st.booleans()))
        elif kind == "wide" and index < 5:
            size = 1 << draw(st.integers(4, 25))
            bars[index] = Bar(size, wide=True, prefetch=draw(st.booleans()))
            index += 1
        index += 1
    return bars


cards = st.builds(Part, bars=bar_sets(), pin=st.integers(0, 4))
parts = st.recursive(
    cards,
    lambda inner: st.builds(
        Part, below=st.lists(inner, max_size=4), io=st.booleans(), prefetch=st.booleans()
    ),
    max_leaves=8,
)
boards = st.lists(parts, max_size=6)


def build(order: list[Part]) -> Sim:
    sim = Sim([(0, HostBridge()), (0xF8, Lpc())])
    fill(sim, sim.bus, order)
    return sim


def fill(sim: Sim, bus: Bus, order: list[Part], first: int = 1) -> None:
    for device, part in enumerate(order, first):
        if part.below is None:
            sim.plug(Card(part.bars, identity=IDENTITY._replace(pin=part.pin)), device << 3, bus)
        else:
            bridge = Bridge(io=part.io, prefetch=part.prefetch)
            sim.plug(bridge, device << 3, bus)
            fill(sim, bridge.below, part.below, 0)


def placed(found: list[FunctionInfo]) -> Iterator[tuple[FunctionInfo, BarInfo]]:
    for info in found:
        for bar in info.bars:
            if bar.address:
                yield info, bar


def apart(spans: list[tuple[int, int]]) -> bool:
    return all(end <= start for (_, end), (start, _) in pairwise(sorted(spans)))


def everything(found: list[FunctionInfo], kind: str) -> list[tuple[int, int]]:
    return [(bar.address, bar.end) for _, bar in placed(found) if bar.kind == kind]


# What must hold of any board


@settings(max_examples=60, deadline=None)
@given(boards)
def test_any_board_comes_up(order: list[Part]) -> None:
    sim = build(order)
    found = firmware.assign(sim)
    assert {f.bdf for f in found} == {fn.bdf for fn in sim.bus.walk()}, "something was not found"
    assert len({f.bdf for f in found}) == len(list(sim.bus.walk()))
    assert apart(everything(found, "mem"))
    assert apart(everything(found, "io"))
    assert apart(
        [(f.secondary, f.subordinate + 1) for f in found if f.bdf >> 8 == 0 and f.secondary]
    )
    for info, bar in placed(found):
        assert bar.address % bar.size == 0, f"{info.name} {bar} is not aligned"
        assert bar.wide or bar.end <= 1 << 32


@settings(max_examples=60, deadline=None)
@given(boards)
def test_whatever_has_a_place_answers_there(order: list[Part]) -> None:
    sim = build(order)
    found = firmware.assign(sim)
    for info in found:
        if not info.is_bridge:
            assert sim.config_read(info.bdf, 4, 2) == 0, "a function was switched on"
            sim.config_write(info.bdf, 4, 2, 3)
    for info, bar in placed(found):
        card = sim.function(info.bdf)
        assert isinstance(card, Card)
        card.accesses.clear()
        if bar.kind == "mem":
            sim.mem_read(bar.address, 4)
        else:
            sim.io_read(bar.address, 4)
        assert card.accesses == [("r", bar.index, 0, 4)]


@settings(max_examples=40, deadline=None)
@given(boards)
def test_the_models_and_the_scan_agree(order: list[Part]) -> None:
    sim = build(order)
    for info in firmware.assign(sim):
        fn = sim.function(info.bdf)
        assert fn is not None
        told = {b.index: (b.size, b.kind, b.wide, b.prefetch) for b in info.bars}
        assert told == {n: (b.size, b.kind, b.wide, b.prefetch) for n, b in fn.bars.items()}


@settings(max_examples=40, deadline=None)
@given(boards, parts)
def test_again_moves_nothing_and_places_what_came(order: list[Part], late: Part) -> None:
    sim = build(order)
    before = {f.bdf: f for f in firmware.assign(sim)}
    fill(sim, sim.bus, [late], 20)
    found = firmware.assign(sim)
    after = {f.bdf: f for f in found}
    assert all(after[bdf].bars == info.bars for bdf, info in before.items())
    assert all(after[bdf].secondary == info.secondary for bdf, info in before.items())
    assert apart(everything(found, "mem"))
    assert apart(everything(found, "io"))


def test_a_board_with_room_places_all() -> None:
    bars = {0: Bar(0x1000), 1: Bar(0x20, kind="io"), 2: Bar(1 << 24, wide=True, prefetch=True)}
    deep = Part(below=[Part(bars), Part(below=[Part(bars), Part(below=[Part(bars)])])])
    sim = build([Part(bars), deep, Part(bars)])
    found = firmware.assign(sim)
    assert len(list(placed(found))) == 5 * 3
    high = [bar.address for _, bar in placed(found) if bar.prefetch]
    assert all(address >= 1 << 32 for address in high)


# Bounds


def test_what_finds_no_room_stays_at_0_and_the_rest_has_its_place() -> None:
    sim = build([Part({0: Bar(1 << 31)}), Part({0: Bar(0x1000)})])
    found = firmware.assign(sim)
    assert [f.bars[0].address != 0 for f in found if f.bars] == [False, True]


def test_a_wide_bar_that_does_not_fit_below_goes_above() -> None:
    sim = build([Part({0: Bar(1 << 33, wide=True)})])
    (bar,) = [bar for _, bar in placed(firmware.assign(sim))]
    assert bar.address >= 1 << 32


def test_ports_behind_a_bridge_without_a_port_window_have_no_place() -> None:
    sim = build([Part(below=[Part({0: Bar(0x20, kind="io"), 1: Bar(0x1000)})], io=False)])
    found = firmware.assign(sim)
    assert [b.address != 0 for f in found for b in f.bars] == [False, True]


def test_windows_of_a_bridge_with_nothing_behind_it_overlap_nothing() -> None:
    sim = build([Part(below=[]), Part(below=[]), Part({0: Bar(1 << 26)})])
    firmware.assign(sim)
    bridges = [fn for fn in sim.bus.walk() if isinstance(fn, Bridge)]
    windows = [(w.first, w.last + 1) for fn in bridges for w in fn.windows() if w.kind == "mem"]
    assert apart(windows)
    assert all(w.kind != "io" for fn in bridges for w in fn.windows())


def test_a_bridge_has_room_for_what_is_plugged_in_behind_it_later() -> None:
    sim = build([Part(below=[])])
    firmware.assign(sim)
    bridge = next(fn for fn in sim.bus.walk() if isinstance(fn, Bridge))
    sim.plug(Card({0: Bar(1 << 20)}), 0, bridge.below)
    found = firmware.assign(sim)
    assert [bar.size for _, bar in placed(found)] == [1 << 20]


def test_more_buses_than_numbers_harm_nobody() -> None:
    sim = build([])
    for devfn in range(0x10, 0xF0):
        sim.plug(Bridge(), devfn)
        if devfn % 8 == 0:
            bridge = sim.bus.functions[devfn]
            assert isinstance(bridge, Bridge)
            sim.plug(Bridge(), 0, bridge.below)
    found = firmware.assign(sim)
    numbers = [f.secondary for f in found if f.secondary]
    assert len(numbers) == len(set(numbers)) == 252 or max(numbers) == 255


@pytest.mark.parametrize(("first", "last"), [(0, 9), (7, 3), (1, 1)])
def test_numbers_that_cannot_be_are_given_anew(first: int, last: int) -> None:
    sim = build([Part(below=[]), Part(below=[Part()])])
    one, two = sim.bus.functions[0x08], sim.bus.functions[0x10]
    for at, value in ((0x18, 0), (0x19, 1), (0x1A, 1)):
        sim.config_write(one.bdf, at, 1, value)
    for at, value in ((0x19, first), (0x1A, last)):
        sim.config_write(two.bdf, at, 1, value)
    found = {f.bdf: (f.secondary, f.subordinate) for f in firmware.assign(sim)}
    assert found[one.bdf] == (1, 1)
    assert found[two.bdf] == (2, 2)
    assert 2 << 8 in found


# Interrupt routes


def test_every_pirq_goes_to_10_or_11() -> None:
    sim = build([])
    firmware.assign(sim)
    lpc = sim.function(ich9.LPC_BDF)
    assert isinstance(lpc, Lpc)
    assert [lpc.route(n) for n in range(8)] == [11, 10] * 4


@pytest.mark.parametrize(("devfn", "pin", "line"), [(0xFA, 1, 11), (0xFB, 2, 10), (0x10, 1, 11)])
def test_the_line_register_tells_the_line(devfn: int, pin: int, line: int) -> None:
    sim = build([])
    card = Card(identity=IDENTITY._replace(pin=pin))
    sim.plug(card, devfn)
    firmware.assign(sim)
    card.set_irq(True)
    assert sim.config_read(devfn, arch.Header0.line.offset, 1) == line
    assert sim.lines.level(line)


@settings(max_examples=30, deadline=None)
@given(boards)
def test_the_line_register_is_true_of_any_board(order: list[Part]) -> None:
    sim = build(order)
    for info in firmware.assign(sim):
        fn = sim.function(info.bdf)
        assert fn is not None
        if info.pin:
            fn.set_irq(True)
            assert [n for n in range(16) if sim.lines.level(n)] == [info.irq]
            fn.set_irq(False)


def test_without_a_router_lines_are_left_alone() -> None:
    sim = Sim([(0x10, Card())])
    firmware.assign(sim)
    assert sim.config_read(0x10, arch.Header0.line.offset, 1) == 0


# Looking


def test_what_a_scan_tells() -> None:
    identity = Identity(0x8086, 0x2922, 0x010601, revision=2, subvendor=7, subsystem=9, pin=1)
    sim = Sim([(0xFA, Card({5: Bar(0x1000)}, [Msi(0x80)], identity)), (0xF8, Lpc())])
    found = firmware.assign(sim)[1]
    assert found.name == "0000:00:1f.2"
    assert (found.vendor, found.device, found.code, found.revision) == (0x8086, 0x2922, 0x010601, 2)
    assert (found.subvendor, found.subsystem, found.pin, found.irq) == (7, 9, 1, 11)
    assert found.capabilities == (arch.Found(0x80, arch.CapId.MSI),)
    assert found.capability(arch.CapId.MSI) == 0x80
    assert found.bar(5) == BarInfo(5, q35_spaces()["mem"].first, 0x1000, "mem")
    assert found.bar(0) is None


def test_the_flags_are_those_of_sysfs() -> None:
    assert BarInfo(0, 0, 16, "mem").flags == 0x40200
    assert BarInfo(0, 0, 16, "mem", wide=True).flags == 0x140204
    assert BarInfo(0, 0, 16, "mem", wide=True, prefetch=True).flags == 0x14220C
    assert BarInfo(0, 0, 16, "io").flags == 0x40101


def test_a_known_function_is_not_disturbed() -> None:
    sim = build([Part({0: Bar(0x1000)})])
    known = firmware.assign(sim)
    card = sim.function(8)
    assert isinstance(card, Card)
    sim.config_write(8, 4, 2, 6)
    card.written.clear()
    scanned = [f.bars for f in functions.scan(sim, known)]
    assert scanned == [f.bars for f in known]
    assert card.written == []


def test_sizing_puts_everything_back() -> None:
    sim = build([Part({0: Bar(0x1000), 2: Bar(1 << 20, wide=True)})])
    firmware.assign(sim)
    sim.config_write(8, 4, 2, 7)
    before = [sim.config_read(8, at, 4) for at in range(0, 256, 4)]
    functions.scan(sim)
    assert [sim.config_read(8, at, 4) for at in range(0, 256, 4)] == before


# Room


@given(st.lists(st.tuples(st.integers(1, 300), st.sampled_from([1, 4, 16, 64])), max_size=40))
def test_room_is_given_once_and_aligned(asked: list[tuple[int, int]]) -> None:
    space, given_out = Space(100, 4000), list[tuple[int, int]]()
    for size, align in asked:
        at = space.take(size, align)
        if at is not None:
            assert at % align == 0
            assert at >= 100
            assert at + size <= 4001
            given_out.append((at, at + size))
    assert apart(given_out)


def test_what_is_kept_must_be_free_and_inside() -> None:
    space = Space(0x100, 0x1FF)
    assert space.keep(0x100, 0x100)
    assert not space.keep(0x1FF, 1)
    assert not space.keep(0x200, 1)
    assert space.take(1, 1) is None
