"""Claims: who has a function, what that turns on, and how it ends."""

from __future__ import annotations

import pytest

from lux9.arch.pci import Command
from lux9.errors import (
    BadArgument,
    Busy,
    DeviceGone,
    NotFound,
    NotSupported,
    PermissionDenied,
    Stale,
)
from lux9.kernel.process import ALL, Cap
from lux9.models.pci import DmaFault, PciFunction
from lux9.models.shape import Identity
from tests.kernel.hardware.board import A, B, Board, C, Gadget

LPC, PORT = "0000:00:1f.0", "0000:00:1c.0"


def command(gadget: Gadget) -> Command:
    return Command.of(int(gadget.command))


def test_functions_are_found_once_somebody_looks(board: Board) -> None:
    assert list(board.hw.functions) == ["0000:00:00.0", C, A, B, PORT, LPC]


def test_lines_are_what_firmware_wrote_and_the_io_apics(board: Board) -> None:
    a, b, c = (board.hw.functions[name] for name in (A, B, C))
    assert a.lines == b.lines == {a.info.irq, 16}
    assert c.lines == {c.info.irq, 22}


def test_behind_a_bridge_pins_turn_and_interrupts_arrive(board: Board) -> None:
    gadget = Gadget()
    board.sim.plug(gadget, 3 << 3, board.bridge.below)
    name = f"0000:{board.bridge.below.number:02x}:03.0"
    f, one = board.hw.functions[name], board.process("one")
    assert len(f.lines) == 2
    board.hw.bus.claim(one, name)
    for line in sorted(f.lines):
        board.hw.irq.register(one, line, "one")
    gadget.set_irq(True)
    for line in sorted(f.lines):
        assert board.hw.irq.read(line, board.hw.irq.check(one, line)).done


def test_a_function_that_has_nothing(board: Board) -> None:
    board.sim.plug(PciFunction(Identity(0x1AF4, 0x1111, 0xFF0000)), 6 << 3)
    one, name = board.process("one"), "0000:00:06.0"
    board.hw.bus.claim(one, name)
    assert board.hw.functions[name].lines == frozenset()
    for kind in ("msi", "msix"):
        with pytest.raises(NotSupported, match=f"has no {kind.upper()[:3]}"):
            board.hw.irq.messages(one, name, 1, "x", kind)
    board.hw.end(one)


def test_a_claim_lets_the_function_answer(board: Board) -> None:
    claim = board.hw.bus.claim(board.process("one"), A)
    assert claim.owner.name == "one"
    assert command(board.a) == Command(io=True, mem=True)
    assert command(board.b) == Command()


def test_a_second_claimant_is_told_who_has_it_and_nothing_is_touched(board: Board) -> None:
    one, two = board.process("one"), board.process("two")
    claim = board.hw.bus.claim(one, A)
    board.hw.release(one, A)
    claim = board.hw.bus.claim(one, A)
    with pytest.raises(
        Busy, match=r"0000:00:1a.0 is claimed by one \(process 1, '/bin/one'\) since 1970-01-01T"
    ):
        board.hw.bus.claim(two, A)
    assert claim.alive
    assert board.hw.bus.claims_of(two) == []
    assert board.verdicts("denied") == [("pci claim", A)]


def test_claiming_ones_own_again_changes_nothing(board: Board) -> None:
    one = board.process("one")
    assert board.hw.bus.claim(one, A) is board.hw.bus.claim(one, A)


def test_a_claim_needs_the_capability(board: Board) -> None:
    with pytest.raises(PermissionDenied, match="lacks capability pci"):
        board.hw.bus.claim(board.process("one", ALL & ~Cap.PCI), A)
    assert command(board.a) == Command()
    assert board.verdicts("denied") == [("pci claim", A)]


@pytest.mark.parametrize("name", [LPC, PORT, "0000:00:00.0"])
def test_bridges_stay_with_the_kernel(board: Board, name: str) -> None:
    with pytest.raises(PermissionDenied, match="is a bridge"):
        board.hw.bus.claim(board.process("one"), name)


def test_there_is_no_such_function(board: Board) -> None:
    with pytest.raises(NotFound, match=r"no function 0000:09:00\.0"):
        board.hw.bus.claim(board.process("one"), "0000:09:00.0")


def test_release_puts_decoding_back(board: Board) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    board.hw.bus.master(one, A, True)
    board.hw.release(one, A)
    assert command(board.a) == Command()
    assert board.hw.functions[A].claim is None
    assert board.a.resets == 1  # it was bus master, so it may know addresses


def test_release_without_bus_master_resets_nothing(board: Board) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    board.hw.release(one, A)
    assert board.a.resets == 0


def test_decoding_that_was_on_before_stays_on(board: Board) -> None:
    one = board.process("one")
    board.a.config_write(4, 2, Command(mem=True, intx_disable=True).raw)
    board.hw.bus.claim(one, A)
    board.hw.release(one, A)
    assert command(board.a) == Command(mem=True, intx_disable=True)


def test_only_the_owner_may_release(board: Board) -> None:
    one, two = board.process("one"), board.process("two")
    board.hw.bus.claim(one, A)
    with pytest.raises(PermissionDenied, match="claimed by one, not by two"):
        board.hw.release(two, A)
    with pytest.raises(PermissionDenied, match="claimed by nobody"):
        board.hw.release(two, B)


# Bus master


def test_master_attaches_the_arena_and_off_takes_it_away(board: Board) -> None:
    one = board.process("one")
    assert one.arena is not None
    board.hw.bus.claim(one, A)
    with pytest.raises(DmaFault, match="bus master"):
        board.a.send(one.arena.bus, b"early")
    board.hw.bus.master(one, A, True)
    board.a.send(one.arena.bus, b"hello")
    assert bytes(one.arena.view()[:5]) == b"hello"
    board.hw.bus.master(one, A, False)
    assert board.sim.asked_reach == {}
    with pytest.raises(DmaFault):
        board.a.send(one.arena.bus, b"later")


def test_a_function_does_not_reach_the_arena_of_another_process(board: Board) -> None:
    one, two = board.process("one"), board.process("two")
    assert two.arena is not None
    board.hw.bus.claim(one, A)
    board.hw.bus.master(one, A, True)
    with pytest.raises(DmaFault):
        board.a.send(two.arena.bus, b"hello")


@pytest.mark.parametrize(
    ("caps", "arena", "words"),
    [(ALL & ~Cap.DMA, 4096, "lacks capability dma"), (ALL, 0, "has no arena")],
)
def test_master_needs_dma_and_an_arena(board: Board, caps: Cap, arena: int, words: str) -> None:
    one = board.process("one", caps, arena=arena)
    board.hw.bus.claim(one, A)
    with pytest.raises(PermissionDenied, match=words):
        board.hw.bus.master(one, A, True)
    assert not command(board.a).master
    assert board.verdicts("denied") == [("pci master", A)]


def test_master_is_for_the_owner(board: Board) -> None:
    with pytest.raises(PermissionDenied, match="claimed by nobody"):
        board.hw.bus.master(board.process("one"), A, True)


# enable, disable, reset


def test_enable_and_disable(board: Board) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    board.hw.bus.enable(one, A, False)
    assert command(board.a) == Command()
    board.hw.bus.enable(one, A, True)
    assert command(board.a) == Command(io=True, mem=True)


def test_reset_tells_how(board: Board) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    assert board.hw.bus.reset(one, A) == "function level reset (advanced features)"
    assert board.a.resets == 1
    assert command(board.a) == Command(io=True, mem=True)


def test_a_reset_that_fails_says_so(board: Board) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    board.a.broken = True
    with pytest.raises(DmaFault, match="the reset line is cut"):
        board.hw.bus.reset(one, A)


# An open is a claim


def test_opening_a_bar_claims_for_as_long_as_it_is_open(board: Board) -> None:
    one, two = board.process("one"), board.process("two")
    first, second = board.hw.open_bar(one, A, 0), board.hw.open_bar(one, A, 1)
    with pytest.raises(Busy, match="claimed by one"):
        board.hw.open_bar(two, A, 0)
    first.close()
    assert board.hw.functions[A].claim is not None
    second.close()
    assert board.hw.functions[A].claim is None
    assert command(board.a) == Command()
    board.hw.open_bar(two, A, 0).close()


def test_a_claim_by_word_outlives_the_open_files(board: Board) -> None:
    one = board.process("one")
    file = board.hw.open_bar(one, A, 0)
    board.hw.bus.claim(one, A)
    file.close()
    file.close()  # and closing twice is closing once
    claim = board.hw.functions[A].claim
    assert claim is not None
    assert claim.opens == 0


def test_what_was_opened_under_an_old_claim_is_stale(board: Board) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    file = board.hw.open_bar(one, A, 0)
    board.hw.release(one, A)
    new = board.hw.bus.claim(one, A)
    board.a.seen.clear()
    with pytest.raises(Stale, match="has ended; open it again"):
        file.pread(4, 0)
    with pytest.raises(Stale):
        file.pwrite(bytes(4), 0)
    assert board.a.seen == []
    file.close()
    assert new.alive
    assert new.generation == 2


@pytest.mark.parametrize(
    ("bar", "caps"), [(0, Cap.PCI | Cap.IO), (1, Cap.PCI | Cap.MEM), (0, Cap.MEM)]
)
def test_a_bar_needs_the_capabilities(board: Board, bar: int, caps: Cap) -> None:
    with pytest.raises(PermissionDenied, match="lacks capability"):
        board.hw.open_bar(board.process("one", caps), A, bar)
    assert board.hw.functions[A].claim is None


def test_there_is_no_such_bar(board: Board) -> None:
    with pytest.raises(NotFound, match="has no bar5"):
        board.hw.open_bar(board.process("one"), A, 5)
    with pytest.raises(NotFound, match="has no bar3"):  # the upper half of bar2
        board.hw.open_bar(board.process("one"), A, 3)


def test_a_bar_that_has_no_place(board: Board) -> None:
    one = board.process("one")
    board.a.config_write(0x10, 4, 0)
    board.hw.bus.rescan(one)
    with pytest.raises(BadArgument, match="bar0 was given no address"):
        board.hw.open_bar(one, A, 0)
    assert board.hw.functions[A].claim is None


# Coming and going


def test_rescan_keeps_what_is_claimed_and_finds_what_is_new(board: Board) -> None:
    one = board.process("one")
    before = dict(board.hw.functions)
    claim = board.hw.bus.claim(one, A)
    board.sim.plug(Gadget(), 0x05 << 3)
    assert board.hw.bus.rescan(one) == "7 functions, 1 new"
    assert board.hw.functions["0000:00:05.0"].bars[0].address
    assert all(board.hw.functions[name] is f for name, f in before.items())
    assert claim.alive


def test_a_function_that_was_pulled_out_reads_all_ones_until_its_claim_ends(board: Board) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    file = board.hw.open_bar(one, A, 0)
    board.sim.unplug(board.a)
    board.hw.bus.rescan(one)
    assert file.pread(4, 0) == b"\xff\xff\xff\xff"
    assert A in board.hw.functions
    board.hw.release(one, A)
    board.hw.bus.rescan(one)
    assert A not in board.hw.functions


def test_a_claim_ends_when_another_function_is_in_its_place(board: Board) -> None:
    one = board.process("one")
    claim = board.hw.bus.claim(one, A)
    board.hw.irq.register(one, 16, "one")
    file = board.hw.open_bar(one, A, 0)
    board.sim.unplug(board.a)
    board.sim.plug(Gadget(express=True), 0x1A << 3)
    board.hw.bus.rescan(one)
    assert not claim.alive
    assert board.hw.functions[A].claim is None
    assert board.hw.irq.numbers == {}
    with pytest.raises(Stale):
        file.pread(4, 0)


def test_a_function_that_is_gone_cannot_be_claimed(board: Board) -> None:
    assert A in board.hw.functions
    board.sim.unplug(board.a)
    with pytest.raises(DeviceGone, match="does not answer; write `rescan`"):
        board.hw.bus.claim(board.process("one"), A)


def test_rescan_needs_the_capability(board: Board) -> None:
    with pytest.raises(PermissionDenied):
        board.hw.bus.rescan(board.process("one", Cap(0)))


def test_what_the_machine_reports_is_in_the_audit_under_the_owners_name(board: Board) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    with pytest.raises(DmaFault):
        board.a.send(0x1000, b"x")
    assert ("machine report", A) in board.verdicts("done")
    assert any("bus master" in line for line in board.logged)
    assert b'"who": "one/1"' in board.audit.journal.lines[-1]
