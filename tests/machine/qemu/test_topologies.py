"""Resource assignment on boards of QEMU's devices, in any arrangement: what QEMU itself then says of them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from hypothesis import HealthCheck, given, settings, strategies as st

from lux9.machine.functions import FunctionInfo
from lux9.machine.qemu import Board, Qemu
from lux9.machine.qemu.board import Kind
from tests.machine.qemu.system import needs_qemu

pytestmark = needs_qemu
CONVENTIONAL = ("edu", "e1000", "ahci", "ich9-intel-hda", "pci-serial", "bochs-display", "lsi")
EXPRESS = ("e1000e", "nvme,serial=x", "qemu-xhci", "virtio-rng-pci", "bochs-display")
SHARED = ["-object", "memory-backend-memfd,id=shared,size=64M,share=on"]


@dataclass(frozen=True)
class Slot:
    """A place on bus 0 with a card in it, or with a bridge and what is behind it."""

    cards: tuple[str, ...]
    express: bool = False
    bridge: bool = False

    def options(self, n: int) -> list[str]:
        """QEMU's devices."""
        if self.express:
            port = f"pcie-root-port,id=rp{n},slot={n + 1},chassis={n + 1}"
            return [port, *(f"{card},bus=rp{n}" for card in self.cards[:1])]
        if self.bridge:
            bridge = f"pci-bridge,id=br{n},chassis_nr={n + 1}"
            inner = enumerate(self.cards, start=1)
            return [bridge, *(f"{card},bus=br{n},addr={at:x}" for at, card in inner)]
        return list(self.cards[:1])


def bridged(cards: list[str]) -> Slot:
    """A bridge with cards behind it."""
    return Slot(tuple(cards), bridge=True)


slots = st.one_of(
    st.builds(Slot, st.tuples(st.sampled_from(CONVENTIONAL + EXPRESS))),
    st.builds(Slot, st.tuples(st.sampled_from(EXPRESS)), express=st.just(True)),
    st.builds(bridged, st.lists(st.sampled_from(CONVENTIONAL), max_size=4)),
)


def board(kind: Kind, found: list[Slot]) -> Board:
    """The slots, numbered, and one large prefetchable BAR."""
    devices = ["ivshmem-plain,memdev=shared"]
    for n, slot in enumerate(found):
        if kind == "q35" or not slot.express:
            devices += slot.options(n)
    return Board(kind, devices=devices, extra=SHARED)


kinds: list[Kind] = ["q35", "pc"]
boards = st.builds(board, st.sampled_from(kinds), st.lists(slots, max_size=8))


def ranges(known: list[FunctionInfo]) -> dict[str, list[tuple[int, int]]]:
    out: dict[str, list[tuple[int, int]]] = {"mem": [], "io": []}
    for f in known:
        for bar in f.bars:
            out[bar.kind].append((bar.address, bar.end))
    return out


def regions(bus: dict[str, Any]) -> dict[tuple[int, int, int, int], int]:
    """What QEMU says: bus, slot, function and BAR, and the address that it has there."""
    out: dict[tuple[int, int, int, int], int] = {}
    for device in bus["devices"]:
        place = device["bus"], device["slot"], device["function"]
        for region in device["regions"]:
            if region["bar"] < 6:
                out[(*place, region["bar"])] = region["address"]
        out.update(regions({"devices": []} | device.get("pci_bridge", {})))
    return out


async def shown(board: Board) -> tuple[list[FunctionInfo], list[dict[str, Any]]]:
    machine = Qemu(board)
    await machine.start(lambda n, up: None, lambda about, text: None)
    try:
        for f in machine.known:
            command = machine.config_read(f.bdf, 4, 2)
            machine.config_write(f.bdf, 4, 2, command | 3)
        return machine.known, await machine.monitor.do("query-pci")
    finally:
        await machine.close()


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(boards)
def test_every_bar_has_a_place_of_its_own_and_qemu_has_it_there(board: Board) -> None:
    known, buses = asyncio.run(shown(board))
    bridges = {f.secondary: f for f in known if f.secondary}
    for kind, taken in ranges(known).items():
        taken.sort()
        for (_, end), (start, _) in pairwise(taken):
            assert end <= start, f"{kind} BARs meet at {start:#x}"
    told = regions(buses[0])
    for f in known:
        for bar in f.bars:
            assert bar.address % bar.size == 0
            if bar.kind == "io" and f.bdf >> 8 in bridges and not bar.address:
                continue  # a bridge has room for 16 ranges of 4 KiB: there may be none left
            assert bar.address, f"{f.name} bar{bar.index} has no place"
            assert told[f.bdf >> 8, f.bdf >> 3 & 31, f.bdf & 7, bar.index] == bar.address
        assert bool(f.pin) == (f.irq in (10, 11)), f.name
