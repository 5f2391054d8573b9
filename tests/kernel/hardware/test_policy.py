"""The policy's table: what it names exists, and it is made concrete for what a function has."""

from __future__ import annotations

import pytest

from lux9.arch.pci import ExtCapId, Found
from lux9.errors import PermissionDenied
from lux9.kernel.hardware.policy import cap_name, rules, table
from tests.kernel.hardware.board import A, Board, C


def test_every_row_says_what_and_why() -> None:
    rows = list(table())
    assert len({row[:2] for row in rows}) == len(rows)
    assert all(all(row) for row in rows)
    assert {"MSI", "MSI_X", "PM", "PCIE", "SR_IOV", "header", "bridges"} <= {row[0] for row in rows}


def test_concrete_for_a_function(board: Board) -> None:
    kept = {rule.name: (rule.offset, rule.size) for rule in rules(board.hw.functions[A])}
    assert kept == {
        "line": (0x3C, 1),
        "bist.start": (0x0F, 1),
        "PM control.state": (0x44, 2),
        "MSI": (0x52, 22),  # 64-bit and maskable: 24 bytes with the head
        "MSI_X": (0x72, 10),
        "ADVANCED_FEATURES control.flr": (0x84, 1),
    }
    names = [rule.name for rule in rules(board.hw.functions[C])]
    assert "PCIE devctl.flr" in names
    assert "ADVANCED_FEATURES control.flr" not in names


def test_extended_capabilities_that_reach_beyond_the_function(board: Board) -> None:
    one = board.process("one")
    f = board.hw.functions[C]
    f.extended = (Found(0x100, ExtCapId.SR_IOV), Found(0x140, 0x7777))
    board.hw.bus.claim(one, C)
    file = board.hw.open_config(one, C)
    with pytest.raises(PermissionDenied, match="SR_IOV stays as it is: it makes functions"):
        file.pwrite(b"\1\0", 0x108)
    file.pwrite(b"\1\0", 0x144)


def test_a_capability_without_a_name_is_its_number() -> None:
    assert cap_name(Found(0x40, 0x7F)) == "0x7f"
    assert cap_name(Found(0x140, 0x7777), extended=True) == "0x7777"
