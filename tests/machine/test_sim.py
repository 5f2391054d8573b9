"""The board: decoding and its gates, DMA and its bounds, interrupts to the sink, removal, reset."""

from __future__ import annotations

import asyncio

import pytest

from lux9.arch import ich9, pci as arch, q35
from lux9.errors import DeviceGone, LimitReached, NoMemory
from lux9.machine import firmware
from lux9.machine.abstract import Machine
from lux9.machine.sim.sim import Sim
from lux9.models.bridge import Bridge
from lux9.models.capabilities import Express, Msi, Power
from lux9.models.pci import Capability, DmaFault, PciFunction
from lux9.models.q35 import HostBridge, Lpc
from lux9.models.shape import Bar, Identity
from tests.models.cards import Card

ONES = 0xFFFF_FFFF
PLACE = 0x10  # 00:02.0
EXPRESS = Identity(0x1234, 0x5678, 0x020000, express=True)


class Board:
    """A machine with a card in it, and what its sink and report got."""

    def __init__(self, *capabilities: Capability, sim: Sim | None = None) -> None:
        self.lines: list[tuple[int, bool]] = []
        self.reports: list[str] = []
        self.sim = sim or Sim([(0, HostBridge()), (0xF8, Lpc())], virtual=True)
        self.card = Card({0: Bar(0x1000), 4: Bar(32, kind="io")}, capabilities)
        self.sim.plug(self.card, PLACE)
        asyncio.run(self.sim.start(self._sink, self._report))
        self.bar = self.card.bar_address(0)
        self.port = self.card.bar_address(4)

    def _sink(self, line: int, asserted: bool) -> None:
        self.lines.append((line, asserted))

    def _report(self, about: str, text: str) -> None:
        self.reports.append(f"{about} {text}")

    def command(self, **bits: bool) -> None:
        self.sim.config_write(self.card.bdf, 4, 2, arch.Command(**bits).raw)


@pytest.fixture
def board() -> Board:
    return Board()


def test_it_is_a_machine() -> None:
    sim: Machine = Sim()
    assert isinstance(sim, Machine)
    assert sim.why_not() == []


# Configuration space


def test_no_function_answers_all_ones() -> None:
    sim = Sim()
    assert sim.config_read(0x18, 0, 4) == ONES
    assert sim.config_read(0x18, 0, 2) == 0xFFFF
    sim.config_write(0x18, 4, 2, 7)
    assert sim.config_size(0x18) == 256


def test_extended_space_is_expresss_only() -> None:
    sim = Sim([(0x10, Card()), (0x18, Card({}, [Express(0x40)], EXPRESS))])
    assert (sim.config_size(0x10), sim.config_size(0x18)) == (256, 4096)
    assert sim.config_read(0x10, 0x100, 4) == ONES
    assert sim.config_read(0x18, 0x100, 4) == 0


def test_the_ports_of_configuration_reach_the_first_256_bytes(board: Board) -> None:
    sim = board.sim
    address = ich9.ConfigAddress(enable=True, bdf=PLACE)
    sim.io_write(ich9.CONFIG_ADDRESS, 4, address.raw)
    assert sim.io_read(ich9.CONFIG_ADDRESS, 4) == address.raw
    assert sim.io_read(ich9.CONFIG_DATA, 4) == 0x11E8_1234
    assert sim.io_read(ich9.CONFIG_DATA + 2, 2) == 0x11E8
    sim.io_write(ich9.CONFIG_ADDRESS, 4, address.replace(reg=1).raw)
    sim.io_write(ich9.CONFIG_DATA, 2, 2)
    assert board.card.command == 2
    sim.io_write(ich9.CONFIG_ADDRESS, 4, 0)
    assert sim.io_read(ich9.CONFIG_DATA, 4) == ONES, "not enabled"


def test_pciexbar_puts_configuration_space_into_memory() -> None:
    sim = Sim([(0, HostBridge()), (0x18, Card({}, [Express(0x40)], EXPRESS))])
    ecam = q35.PciexLow(addr=0xB000_0000 >> 26, enable=True)
    sim.config_write(0, q35.HostBridge.pciex_low.offset, 4, ecam.raw)
    assert sim.mem_read(0xB000_0000 + (0x18 << 12), 4) == 0x5678_1234
    assert sim.mem_read(0xB000_0000 + (0x18 << 12) + 0x100, 4) == 0
    assert sim.mem_read(0xB000_0000 + (0x20 << 12), 2) == 0xFFFF
    sim.mem_write(0xB000_0000 + (0x18 << 12) + 4, 2, 6)
    assert sim.config_read(0x18, 4, 2) == 6
    sim.config_write(0, q35.HostBridge.pciex_low.offset, 4, 0)
    assert sim.mem_read(0xB000_0000 + (0x18 << 12), 4) == ONES


# Memory and ports


def test_an_access_reaches_the_model_once_with_its_width(board: Board) -> None:
    board.command(mem=True, io=True)
    for width in (1, 2, 4, 8):
        board.sim.mem_write(board.bar + 8, width, 0x5A)
        assert board.sim.mem_read(board.bar + 8, width) == 0x5A
    board.sim.io_write(board.port + 4, 2, 0xBEEF)
    assert board.sim.io_read(board.port + 4, 2) == 0xBEEF
    assert [a[3] for a in board.card.accesses] == [1, 1, 2, 2, 4, 4, 8, 8, 2, 2]


def test_the_gates_of_the_command_register(board: Board) -> None:
    sim = board.sim
    board.command(mem=True)
    sim.mem_write(board.bar, 4, 1)
    assert sim.mem_read(board.bar, 4) == 1
    assert sim.io_read(board.port, 4) == ONES
    board.command(io=True)
    assert sim.mem_read(board.bar, 4) == ONES
    sim.mem_write(board.bar, 4, 2)
    assert sim.io_read(board.port, 4) == 0
    board.command(mem=True)
    assert sim.mem_read(board.bar, 4) == 1, "a write that nothing answers was not lost"


def test_where_nothing_is(board: Board) -> None:
    board.command(mem=True)
    sim = board.sim
    for width in (1, 2, 4, 8):
        assert sim.mem_read(0xE000_0000, width) == (1 << 8 * width) - 1
    assert sim.mem_read(board.bar + 0xFFE, 4) == ONES, "half inside is not inside"
    assert sim.io_read(0x5000, 1) == 0xFF
    assert board.card.accesses == []


def test_a_bar_that_moves_is_found_at_its_new_place(board: Board) -> None:
    board.command(mem=True)
    board.sim.mem_write(board.bar, 4, 7)
    board.sim.config_write(board.card.bdf, 0x10, 4, 0xD000_0000)
    assert board.sim.mem_read(board.bar, 4) == ONES
    assert board.sim.mem_read(0xD000_0000, 4) == 7


def test_of_two_at_one_address_the_first_answers_and_the_other_keeps_the_rest() -> None:
    one, two = Card({0: Bar(0x1000)}), Card({0: Bar(0x4000)})
    sim = Sim([(0x10, one), (0x18, two)])
    for bdf, base in ((0x10, 0xC000_1000), (0x18, 0xC000_0000)):
        sim.config_write(bdf, 0x10, 4, base)
        sim.config_write(bdf, 4, 2, 2)
    for base in (0xC000_0000, 0xC000_1000, 0xC000_2000):
        sim.mem_write(base, 4, 1)
    assert one.accesses == [("w", 0, 0, 4)]
    assert two.accesses == [("w", 0, 0, 4), ("w", 0, 0x2000, 4)]


# Arenas


def test_an_arena_is_memory_for_all_three(board: Board) -> None:
    sim, card = board.sim, board.card
    arena = sim.arena(1 << 20)
    sim.attach(card.bdf, arena)
    board.command(master=True)
    (view,) = sim.dma(card, arena.bus + 0x1000, 16)
    view[:] = b"written by a DMA"
    assert bytes(arena.view()[0x1000:0x1010]) == b"written by a DMA"
    assert sim.mem_read(arena.bus + 0x1000, 4) == int.from_bytes(b"writ", "little")


def test_without_bus_master_nothing_moves_and_it_is_reported(board: Board) -> None:
    arena = board.sim.arena(4096)
    board.sim.attach(board.card.bdf, arena)
    board.command(mem=True)
    with pytest.raises(DmaFault, match="bus master"):
        board.sim.dma(board.card, arena.bus, 4)
    assert board.reports == [
        f"0000:00:02.0 DMA of 4 bytes at {arena.bus:#x} refused: bus master of 0000:00:02.0 is off"
    ]


def test_an_arena_that_is_not_attached_is_out_of_reach(board: Board) -> None:
    sim, card = board.sim, board.card
    mine, other = sim.arena(4096), sim.arena(4096)
    board.command(master=True)
    sim.attach(card.bdf, mine)
    assert sim.protects
    for address in (other.bus, mine.bus + 4094, 0, 0xFEE0_0000):
        with pytest.raises(DmaFault):
            sim.dma(card, address, 4)
    sim.detach(card.bdf)
    with pytest.raises(DmaFault):
        sim.dma(card, mine.bus, 4)


def test_a_closed_arena_is_out_of_reach_even_while_a_view_is_held(board: Board) -> None:
    arena = board.sim.arena(4096)
    board.sim.attach(board.card.bdf, arena)
    board.command(master=True)
    (held,) = board.sim.dma(board.card, arena.bus, 4)
    arena.close()
    arena.close()
    with pytest.raises(DmaFault):
        board.sim.dma(board.card, arena.bus, 4)
    held[:] = b"\0\0\0\0"


def test_without_an_iommu_every_arena_is_reached() -> None:
    board = Board(sim=Sim(protects=False))
    arena = board.sim.arena(4096)
    board.command(master=True)
    assert len(board.sim.dma(board.card, arena.bus, 4096)) == 1
    assert not board.sim.protects


def test_a_range_over_two_arenas_comes_in_pieces(board: Board) -> None:
    sim, card = board.sim, board.card
    one, two = sim.arena(16 << 20), sim.arena(16 << 20)
    assert one.bus + one.size == two.bus, "they do not lie one after the other"
    sim.attach(card.bdf, one)
    sim.attach(card.bdf, two)
    board.command(master=True)
    assert [len(v) for v in sim.dma(card, two.bus - 8, 24)] == [8, 16]


def test_memory_runs_out_in_words() -> None:
    sim = Sim(memory=1 << 20)
    first = sim.arena(1 << 20)
    with pytest.raises(NoMemory, match="0 are left"):
        sim.arena(1)
    first.close()
    assert sim.arena(4096).bus == first.bus
    with pytest.raises(NoMemory):
        sim.arena(0)


# Lines


def test_a_pin_comes_out_at_its_pirq_and_its_isa_line(board: Board) -> None:
    # 00:02.0 INTA is PIRQG (QEMU's wiring), line 22; firmware routes G to 11
    board.card.set_irq(True)
    assert board.lines == [(11, True), (22, True)]
    assert board.sim.config_read(board.card.bdf, arch.Header0.line.offset, 1) == 11
    board.card.set_irq(False)
    assert board.lines[2:] == [(11, False), (22, False)]


def test_device_31_is_wired_as_its_register_says() -> None:
    board = Board()
    sata = Card()
    board.sim.plug(sata, 0xFA)
    sata.set_irq(True)
    assert board.lines == [(11, True), (16, True)]


def test_a_masked_line_comes_again_when_unmasked_while_it_is_up(board: Board) -> None:
    sim = board.sim
    board.card.set_irq(True)
    sim.mask(11)
    sim.mask(22)
    sim.unmask(11)
    assert board.lines[2:] == [(11, True)]
    board.card.set_irq(False)
    sim.unmask(22)
    assert board.lines[3:] == [(11, False)], "line 22 was told, though nothing was left to tell"


def test_a_line_is_up_while_any_of_its_functions_is(board: Board) -> None:
    other = Card()
    board.sim.plug(other, 0x20)  # 00:04.0: PIRQE, routed to 11 as well
    for fn, asserted in ((board.card, True), (other, True), (board.card, False), (other, False)):
        fn.set_irq(asserted)
    assert [t for t in board.lines if t[0] == 11] == [(11, True), (11, False)]
    assert [t for t in board.lines if t[0] == 20] == [(20, True), (20, False)]


def test_a_route_that_is_switched_off_takes_the_isa_line_only(board: Board) -> None:
    board.card.set_irq(True)
    board.lines.clear()
    board.sim.config_write(0xF8, 0x6A, 1, 0x80)
    assert board.lines == [(11, False)]
    board.sim.config_write(0xF8, 0x6A, 1, 5)
    assert board.lines[1:] == [(5, True)]


def test_pins_are_wired_anew_through_the_chipsets_registers() -> None:
    board = Board()
    sata = Card()
    board.sim.plug(sata, 0xFA)
    rcba = ich9.Rcba(addr=0xFED1_C000 >> 14, enable=True)
    board.sim.config_write(ich9.LPC_BDF, ich9.Lpc.rcba.offset, 4, rcba.raw)
    at = 0xFED1_C000 + q35.RootComplex.d31ir.offset
    assert board.sim.mem_read(at, 2) == 0x3210
    sata.set_irq(True)
    board.sim.mem_write(at, 2, 0x3215)
    assert board.lines == [(11, True), (16, True), (10, True), (11, False), (16, False), (21, True)]


def test_firmware_makes_the_routed_lines_level(board: Board) -> None:
    elcr = board.sim.io_read(ich9.ELCR1, 1) | board.sim.io_read(ich9.ELCR2, 1) << 8
    assert elcr == 1 << 10 | 1 << 11


def test_an_edge_line_is_told_once_a_rise() -> None:
    board = Board()
    lines = board.sim.lines
    lines.drive(5, True)
    lines.mask(5)
    lines.unmask(5)
    assert board.lines == [(5, True)]
    lines.mask(5)
    lines.drive(5, False)
    lines.drive(5, True)
    lines.drive(5, False)
    lines.unmask(5)
    assert board.lines == [(5, True), (5, True)], "a rise under the mask was lost"


# Messages


def msi_to(board: Board, at: int, address: int, data: int) -> None:
    write, bdf = board.sim.config_write, board.card.bdf
    write(bdf, at + 4, 4, address)
    write(bdf, at + 12, 2, data)
    write(bdf, at + 2, 2, arch.MsiControl(enable=True).raw)


def test_a_message_reaches_the_sink(board: Board) -> None:
    board = Board(Msi(0x50))
    message = board.sim.messages(board.card.bdf, 1)[0]
    msi_to(board, 0x50, message.address, message.data)
    board.command(master=True)
    board.card.set_irq(True)
    assert board.lines == [(message.number, True)]
    assert message.number >= 32
    board.sim.free_messages(board.card.bdf)
    board.card.set_irq(True)
    assert len(board.lines) == 1


def test_a_message_needs_bus_master_and_a_vector_of_its_own() -> None:
    board = Board(Msi(0x50))
    message = board.sim.messages(0x18, 1)[0]  # another function's
    msi_to(board, 0x50, message.address, message.data)
    board.card.set_irq(True)
    board.command(master=True)
    board.card.set_irq(True)
    assert board.lines == []
    assert ["bus master" in r for r in board.reports] == [True, False]


def test_a_message_to_memory_is_a_write_of_it() -> None:
    board = Board(Msi(0x50))
    arena = board.sim.arena(4096)
    board.sim.attach(board.card.bdf, arena)
    board.command(master=True)
    msi_to(board, 0x50, arena.bus + 8, 0x1234)
    board.card.set_irq(True)
    assert bytes(arena.view()[8:12]) == b"\x34\x12\0\0"


def test_vectors_are_aligned_and_run_out_in_words() -> None:
    sim = Sim()
    sim.messages(0x10, 1)
    assert [m.number for m in sim.messages(0x18, 3)] == [36, 37, 38]
    with pytest.raises(LimitReached, match="256 message vectors"):
        sim.messages(0x20, 256)
    sim.free_messages(0x18)
    assert sim.messages(0x20, 4)[0].number == 36


# Behind a bridge


def behind_a_bridge() -> tuple[Board, Bridge, Card]:
    board, bridge, card = Board(), Bridge(), Card({0: Bar(0x1000), 1: Bar(0x100, kind="io")})
    board.sim.plug(bridge, 0x28)
    board.sim.plug(card, 0x08, bridge.below)
    board.sim.config_write(card.bdf, 4, 2, 7)
    return board, bridge, card


def test_what_is_behind_a_bridge_answers_through_its_windows() -> None:
    board, bridge, card = behind_a_bridge()
    assert card.name == "0000:01:01.0"
    base = card.bar_address(0)
    board.sim.mem_write(base, 4, 9)
    assert board.sim.mem_read(base, 4) == 9
    assert board.sim.io_read(card.bar_address(1), 1) == 0
    board.sim.config_write(bridge.bdf, 4, 2, 0)
    assert board.sim.mem_read(base, 4) == ONES
    assert board.sim.io_read(card.bar_address(1), 1) == 0xFF


def test_a_bridge_without_bus_master_stops_the_dma_behind_it() -> None:
    board, bridge, card = behind_a_bridge()
    arena = board.sim.arena(4096)
    board.sim.attach(card.bdf, arena)
    assert board.sim.dma(card, arena.bus, 4)
    board.sim.config_write(bridge.bdf, 4, 2, 3)
    with pytest.raises(DmaFault, match=r"bus master of 0000:00:05\.0"):
        board.sim.dma(card, arena.bus, 4)


def test_a_bridge_turns_the_pins() -> None:
    board, _, card = behind_a_bridge()
    card.set_irq(True)  # 01:01.0 INTA is the bridge's INTB; 00:05.0 INTB is PIRQG
    assert board.lines == [(11, True), (22, True)]


def test_a_secondary_bus_reset_resets_all_behind() -> None:
    board, bridge, card = behind_a_bridge()
    control = arch.BridgeControl(reset=True)
    board.sim.config_write(bridge.bdf, arch.Header1.control.offset, 2, control.raw)
    assert card.resets == 1
    assert board.card.resets == 0


# Plugging and pulling


def test_what_is_plugged_in_later_gets_its_place(board: Board) -> None:
    late = Card({0: Bar(0x10000)})
    before = board.bar
    board.sim.plug(late, 0x30)
    assert late.bar_address(0) != 0
    assert board.card.bar_address(0) == before
    assert board.reports == ["0000:00:06.0 plugged in"]


def test_what_is_pulled_out_reads_all_ones(board: Board) -> None:
    sim, card = board.sim, board.card
    board.command(mem=True, master=True)
    arena = sim.arena(4096)
    sim.attach(card.bdf, arena)
    card.set_irq(True)
    done: list[int] = []
    card.host.defer(lambda: done.append(len(card.host.dma(card, arena.bus, 4))))
    sim.unplug(card)
    assert sim.mem_read(board.bar, 4) == ONES
    assert sim.config_read(PLACE, 0, 4) == ONES
    sim.mem_write(board.bar, 4, 1)
    assert board.lines[-2:] == [(11, False), (22, False)]
    sim.pump()
    assert done == []
    with pytest.raises(DeviceGone):
        sim.reset(PLACE)


def test_pulling_a_bridge_takes_what_is_behind_it() -> None:
    board, bridge, card = behind_a_bridge()
    base = card.bar_address(0)
    board.sim.unplug(bridge)
    assert board.sim.mem_read(base, 4) == ONES
    assert board.sim.config_read(0x108, 0, 4) == ONES


# Reset


@pytest.mark.parametrize(
    ("capabilities", "how"),
    [
        ([Power(0x40), Express(0x50)], "function level reset (PCI Express)"),
        ([Power(0x40)], "power management (D3hot and back)"),
        ([Power(0x40, keeps_state=True)], "reset of the model"),
        ([], "reset of the model"),
    ],
)
def test_reset_keeps_what_firmware_set_up(capabilities: list[Capability], how: str) -> None:
    board = Board(*capabilities)
    board.command(mem=True)
    board.card.set_irq(True)
    assert board.sim.reset(board.card.bdf) == how
    assert board.card.resets == 1
    assert board.card.bar_address(0) == board.bar
    assert board.card.command == 2
    assert board.lines[-2:] == [(11, False), (22, False)]
    assert board.sim.mem_read(board.bar, 4) == 0


def test_a_function_alone_behind_a_bridge_is_reset_with_its_bus() -> None:
    board, bridge, card = behind_a_bridge()
    base = card.bar_address(0)
    assert board.sim.reset(card.bdf) == "reset of the bus behind its bridge"
    assert (card.resets, card.bar_address(0), card.command) == (1, base, 7)
    assert not bridge.regs.control.read().reset
    other = Card()
    board.sim.plug(other, 0x10, bridge.below)
    assert board.sim.reset(card.bdf) == "reset of the model"
    assert other.resets == 0


# The end


def test_close_closes_arenas_and_models() -> None:
    class Closing(PciFunction):
        closed = False

        def close(self) -> None:
            self.closed = True

    model = Closing(Identity(1, 2, 3))
    sim = Sim([(0x10, model)])
    arena = sim.arena(4096)
    asyncio.run(sim.close())
    assert model.closed
    assert arena.fd == -1


def test_the_same_report_thins_out(board: Board) -> None:
    for n in range(100):
        board.sim.report(board.card, f"again at {n:#x}, {n} bytes")
    assert len(board.reports) == 7
    assert board.reports[-1] == f"{board.card.name} again at 0x3f, 63 bytes (the 64th such report)"


def test_assign_can_be_called_without_start() -> None:
    sim = Sim([(0, HostBridge()), (PLACE, Card({0: Bar(0x1000)}))])
    found = firmware.assign(sim)
    assert [f.name for f in found] == ["0000:00:00.0", "0000:00:02.0"]
