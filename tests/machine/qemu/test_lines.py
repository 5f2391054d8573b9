"""Lines and their masks, arenas and their sizes: what needs no QEMU."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from lux9.errors import NoMemory, UserError
from lux9.machine.qemu.arenas import HIGH, LOW, PIECE, Arenas, options, sizes
from lux9.machine.qemu.lines import Lines

MIB = 1 << 20
EDGES, LEVELS = 14, 11


class Board:
    """Lines, with what was told; writes are under way while `busy`."""

    def __init__(self) -> None:
        self.told: list[tuple[int, bool]] = []
        self.asked = 0
        self.busy = False
        self.lines = Lines(self._sink, self._soon, lambda: not self.busy)
        self.lines.elcr(1 << LEVELS)

    def _sink(self, line: int, asserted: bool) -> None:
        self.told.append((line, asserted))

    def _soon(self) -> None:
        self.asked += 1

    def turn(self) -> list[tuple[int, bool]]:
        self.lines.deliver()
        told, self.told = self.told, []
        return told


@pytest.fixture
def board() -> Board:
    return Board()


def test_nothing_is_told_in_the_stack_of_an_access(board: Board) -> None:
    board.lines.drive(LEVELS, True)
    assert (board.told, board.asked) == ([], 1)
    assert board.turn() == [(LEVELS, True)]
    board.lines.drive(LEVELS, True)
    assert board.turn() == []
    board.lines.drive(LEVELS, False)
    assert board.turn() == [(LEVELS, False)]


@pytest.mark.parametrize("line", [LEVELS, 16, 23])
def test_a_level_that_stays_is_told_at_each_unmask(board: Board, line: int) -> None:
    board.lines.mask(line)
    board.lines.drive(line, True)
    assert board.turn() == []
    for _ in range(2):
        board.lines.unmask(line)
        assert board.turn() == [(line, True)]
        board.lines.mask(line)
    board.lines.drive(line, False)
    board.lines.unmask(line)
    assert board.turn() == []


def test_a_level_that_went_under_the_mask_is_not_told(board: Board) -> None:
    board.lines.mask(LEVELS)
    board.lines.drive(LEVELS, True)
    board.lines.drive(LEVELS, False)
    board.lines.unmask(LEVELS)
    assert board.turn() == []


def test_an_edge_under_the_mask_is_kept_once(board: Board) -> None:
    board.lines.mask(EDGES)
    for _ in range(2):
        board.lines.drive(EDGES, True)
        board.lines.drive(EDGES, False)
    board.lines.unmask(EDGES)
    assert board.turn() == [(EDGES, True)]
    board.lines.mask(EDGES)
    board.lines.unmask(EDGES)
    assert board.turn() == []


def test_a_mask_that_comes_before_the_telling_holds(board: Board) -> None:
    board.lines.drive(LEVELS, True)
    board.lines.mask(LEVELS)
    assert board.turn() == []
    board.lines.unmask(LEVELS)
    assert board.turn() == [(LEVELS, True)]


def test_while_writes_are_under_way_an_unmasked_line_is_not_looked_at(board: Board) -> None:
    board.lines.mask(LEVELS)
    board.lines.drive(LEVELS, True)
    board.busy = True
    board.lines.unmask(LEVELS)
    assert board.turn() == []
    board.lines.drive(LEVELS, False)  # by one of these writes
    board.busy = False
    assert (LEVELS, True) not in board.turn()


def test_a_line_that_there_is_not(board: Board) -> None:
    board.lines.drive(24, True)
    assert board.turn() == []


def test_waking_tells_all_that_listen(board: Board) -> None:
    board.lines.mask(3)
    board.lines.wake()
    assert {line for line, _ in board.told} == set(range(24)) - {3}


@given(st.integers(4, 400))
def test_nodes_fill_the_memory_and_none_spans_2_gib(pieces: int) -> None:
    found = sizes(pieces * PIECE)
    assert sum(found) == pieces * PIECE
    assert len(found) <= 100, "QEMU has 128 nodes"
    at = 0
    for size in found:
        assert size & (size - 1) == 0
        assert not at < LOW < at + size
        at += size


@pytest.mark.parametrize("memory", [0, PIECE, 100 * MIB, 65 << 30])
def test_memory_that_cannot_be(memory: int) -> None:
    with pytest.raises(UserError, match="a multiple of 32 MiB"):
        sizes(memory)


def test_large_arenas_and_where_they_are() -> None:
    stock = Arenas(6 << 30)
    try:
        large = stock.make(300 * MIB)
        assert large.node.size == 2 << 30
        assert all(node.bus < LOW or node.bus >= HIGH for node in stock.nodes)
        assert f"{6 << 10}M" in options(stock.nodes)
        with pytest.raises(NoMemory, match="the largest that is free has"):
            stock.make(4 << 30)
        with pytest.raises(NoMemory):
            stock.make(0)
        large.close()
        assert stock.make(300 * MIB).node.size == 2 << 30
    finally:
        stock.close()
