"""The end of a process: everything undone, in an order that leaves no DMA after death."""

from __future__ import annotations

import pytest

from lux9.arch.pci import Command
from lux9.errors import Stale
from lux9.kernel.hardware import Quiesced
from lux9.kernel.process import Process
from lux9.models.pci import DmaFault
from tests.kernel.hardware.board import A, B, Board


def busy(board: Board) -> Process:
    """A process that holds something of everything."""
    one = board.process("one")
    board.hw.bus.claim(one, A)
    board.hw.bus.claim(one, B)
    board.hw.irq.register(one, 16, "one")
    board.hw.dma.alloc(one, 4096)
    board.hw.bus.master(one, A, True)
    return one


def actions(done: Quiesced) -> list[tuple[str, str]]:
    return [(s.action, s.target) for s in done.steps]


def test_the_order_is_the_rule(board: Board) -> None:
    done = board.hw.end(busy(board))
    assert actions(done) == [
        ("mask", A),
        ("mask", B),
        ("master off", A),
        ("master off", B),
        ("reset", A),
        ("reset", B),
        ("quarantine", "dma"),
        ("free", "dma"),
        ("release", A),
        ("release", B),
    ]
    assert not [s for s in done.steps if s.failed]
    assert board.hw.last_quiesce is done
    assert "reset 0000:00:1a.0: function level reset" in done.lines


def test_nothing_is_left(board: Board) -> None:
    one = busy(board)
    arena = one.arena
    assert arena is not None
    board.hw.end(one)
    assert board.hw.bus.held() == []
    assert board.hw.irq.numbers == {}
    assert board.hw.dma.buffers == {}
    assert one.arena is None
    assert Command.of(int(board.a.command)) == Command()
    assert (board.a.resets, board.b.resets) == (1, 1)
    assert board.sim.asked_masked == set(range(24))
    with pytest.raises(DmaFault):
        board.a.send(arena.bus, b"after death")


def test_every_step_is_in_the_audit(board: Board) -> None:
    done = board.hw.end(busy(board))
    recorded = [w for w in board.verdicts("done") if w[0].startswith("quiesce ")]
    assert recorded == [(f"quiesce {s.action}", s.target) for s in done.steps]


def test_a_step_that_fails_stops_none_of_the_others(board: Board) -> None:
    one = busy(board)
    board.a.broken = True
    done = board.hw.end(one)
    assert [s.target for s in done.steps if s.failed] == [A]
    assert (
        next(s for s in done.steps if s.failed).outcome
        == "failed: i/o error: the reset line is cut"
    )
    assert len(done.steps) == 10
    assert board.hw.bus.held() == []
    assert board.hw.dma.buffers == {}  # bus master went off, so nothing writes it
    assert "reset 0000:00:1a.0" in board.logged[-1]


@pytest.mark.parametrize("protects", [False, True])
def test_memory_that_may_still_be_written_stays_in_quarantine(
    board: Board, monkeypatch: pytest.MonkeyPatch, protects: bool
) -> None:
    one = busy(board)
    arena = one.arena
    file = board.hw.dma.open(one, 1)
    board.a.broken = True
    write = board.sim.config_write

    def stuck(bdf: int, offset: int, width: int, value: int) -> None:
        """A function whose bus master bit does not go off."""
        write(bdf, offset, width, value | 4 if (bdf, offset) == (0x1A << 3, 4) else value)

    monkeypatch.setattr(board.sim, "config_write", stuck)
    board.sim.asked_walled = protects
    done = board.hw.end(one)
    assert [s.action for s in done.steps if s.failed and s.target == A] == ["master off", "reset"]
    with pytest.raises(Stale):
        file.pread(1, 0)
    free = next(s for s in done.steps if s.action == "free")
    if protects:  # the arena was detached all the same
        assert not free.failed
        return
    assert free.outcome == f"failed: kept in quarantine, {A} may still write it"
    assert one.arena is arena
    assert list(board.hw.dma.buffers) == [1]


def test_after_its_end_a_process_gets_nothing(board: Board) -> None:
    one = busy(board)
    board.hw.end(one)
    for work in (
        lambda: board.hw.bus.claim(one, A),
        lambda: board.hw.dma.alloc(one, 10),
        lambda: board.hw.open_bar(one, A, 0),
        lambda: board.hw.open_config(one, A),
    ):
        with pytest.raises(Stale, match="one has ended"):
            work()


def test_what_it_had_open_is_stale_and_may_be_closed(board: Board) -> None:
    one, two = busy(board), board.process("two")
    file, wait = board.hw.open_bar(one, A, 0), board.hw.irq.read(16, board.hw.irq.check(one, 16))
    board.hw.end(one)
    claim = board.hw.bus.claim(two, A)
    with pytest.raises(Stale):
        file.pread(4, 0)
    with pytest.raises(Stale):
        wait.result()
    file.close()
    assert claim.alive


def test_the_next_one_can_have_it_all(board: Board) -> None:
    board.hw.end(busy(board))
    two = busy(board)
    board.a.set_irq(True)
    assert board.hw.irq.read(16, board.hw.irq.check(two, 16)).done


def test_others_are_left_alone(board: Board) -> None:
    one, two = board.process("one"), board.process("two")
    board.hw.bus.claim(one, A)
    claim = board.hw.bus.claim(two, B)
    board.hw.bus.master(two, B, True)
    buffer = board.hw.dma.alloc(two, 16)
    board.hw.end(one)
    assert claim.alive
    assert buffer.alive
    assert Command.of(int(board.b.command)).master


def test_a_process_that_held_nothing_leaves_no_steps(board: Board) -> None:
    one = board.process("one", arena=0)
    done = board.hw.end(one)
    assert done.steps == []
    assert board.hw.last_quiesce is None


def test_twice_is_once(board: Board) -> None:
    one = busy(board)
    board.hw.end(one)
    assert board.hw.end(one).steps == []


def test_reading_a_register_by_hand_resets_nothing(board: Board) -> None:
    one = board.process("one", arena=0)
    board.hw.open_bar(one, A, 0)
    done = board.hw.end(one)
    assert board.a.resets == 0
    assert next(s.outcome for s in done.steps if s.action == "reset").startswith("not needed")


def test_a_function_that_was_pulled_out(board: Board) -> None:
    one = busy(board)
    board.sim.unplug(board.a)
    done = board.hw.end(one)
    assert [(s.action, s.target) for s in done.steps if s.failed] == [("reset", A)]
    assert board.hw.dma.buffers == {}
    assert board.hw.bus.held() == []
