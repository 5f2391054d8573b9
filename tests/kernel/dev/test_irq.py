"""/dev/irq: numbers as files."""

from __future__ import annotations

import pytest

from lux9.errors import ControlError, NotFound, PermissionDenied
from lux9.kernel.dev.irq import IrqDir
from lux9.kernel.process import Process
from lux9.pending import Pending
from tests.kernel.dev.files import Files
from tests.kernel.hardware.board import A, B, Board


def irq(board: Board, name: str = "one") -> tuple[Files, Process]:
    process = board.process(name)
    return Files(IrqDir(board.hw, process)), process


def test_register_wait_and_acknowledge(board: Board) -> None:
    files, one = irq(board)
    board.hw.bus.claim(one, A)
    files.write("ctl", "register 16 gadget\n")
    assert files.ls() == ["ctl", "16"]
    handle = files.open("16")
    wait = handle.read(0, 4096)
    assert isinstance(wait, Pending)
    board.a.set_irq(True)
    assert wait.result() == b"irq 16\n"
    assert files.read("ctl") == "irq 16: gadget pending=0 delivered=1 dropped=0\n"
    board.a.set_irq(False)
    flushed = handle.read(0, 4096)
    flushed.cancel()
    files.write("ctl", "unregister 16")
    assert files.ls() == ["ctl"]


def test_numbers_can_be_walked_to_and_only_the_registrant_opens(board: Board) -> None:
    files, one = irq(board)
    assert files.has("0")
    assert files.has("255")
    for name in ("256", "-1", "016", "x", "٣"):
        assert not files.has(name)
    with pytest.raises(NotFound, match="irq 16 is not registered"):
        files.open("16")
    board.hw.bus.claim(one, A)
    files.write("ctl", "register 16 gadget")
    other, _ = irq(board, "two")
    with pytest.raises(PermissionDenied, match="registered to one, not to two"):
        other.open("16")
    with pytest.raises(PermissionDenied):
        files.open("16", 1)


@pytest.mark.parametrize(("kind", "count"), [("msi", 2), ("msix", 3)])
def test_messages_answer_with_their_numbers(board: Board, kind: str, count: int) -> None:
    files, one = irq(board)
    board.hw.bus.claim(one, A)
    answer = files.ask("ctl", f"{kind} {A} {count} queue\n")
    numbers = [int(word) for word in answer.split(" ")]
    assert answer == " ".join(map(str, numbers)) + "\n"
    assert len(numbers) == count
    assert files.ls() == ["ctl", *map(str, numbers)]
    assert (
        files.read("ctl").splitlines()[0]
        == f"irq {numbers[0]}: queue.0 pending=0 delivered=0 dropped=0"
    )


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("register", "usage: register N NAME"),
        ("register x y", "irq 'x' is not a number"),
        ("register 16 name alone", "'alone' is not `shared`"),
        ("msi 0000:00:1a.0 many q", "count 'many' is not a number"),
        ("unregister", "usage: unregister N"),
    ],
)
def test_what_ctl_does_not_take(board: Board, line: str, words: str) -> None:
    files, _ = irq(board)
    with pytest.raises(ControlError, match=words):
        files.write("ctl", line)


def test_shared(board: Board) -> None:
    (files, one), (others, two) = irq(board, "one"), irq(board, "two")
    board.hw.bus.claim(one, A)
    board.hw.bus.claim(two, B)
    files.write("ctl", "register 16 one shared")
    others.write("ctl", "register 16 two shared")
    text = files.read("ctl")
    assert [line.split()[2] for line in text.splitlines()] == ["one", "two"]
