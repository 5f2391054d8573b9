"""Registers at the prompt, without one: views over memory that counts accesses."""

from __future__ import annotations

from typing import Any

import pytest

from lux9.arch import BLOCKS, CARDS
from lux9.arch.ahci import GHC, HBA
from lux9.regs import U8, U32, Block, Register, bit, bits, octets, part, ro, rw, w1c, wo
from lux9.repl.complete import Completer, members
from lux9.repl.views import BlockView


class Cause(Register, width=32):
    """Why. Ref: nowhere, §1"""

    level: int = bits(11, 8)
    done: bool = bit(1)  # it is done
    bad: bool = bit(0)


class Inner(Block, size=4):
    word = rw(0, U32)


class Device(Block):
    """A device."""

    cause = w1c(0x00, Cause)  # why
    control = rw(0x04, Cause)
    door = wo(0x08, U32)
    queue = ro(0x0C, U8, effect=True)  # takes one out
    sub = part(0x10, Inner)
    text = octets(0x14, 4)


class Window:
    """Memory that notes each access."""

    def __init__(self) -> None:
        self.words: dict[int, int] = {}
        self.calls: list[str] = []

    def read(self, offset: int, width: int) -> int:
        self.calls.append(f"r{offset:x}")
        return self.words.get(offset, 0)

    def write(self, offset: int, width: int, value: int) -> None:
        self.calls.append(f"w{offset:x}={value:x}")
        self.words[offset] = value


class Mine:
    """An owner that lets everything be written, or nothing."""

    def __init__(self) -> None:
        self.refuses = False

    def may_write(self, what: str) -> None:
        if self.refuses:
            raise PermissionError(f"{what} is not written")


@pytest.fixture
def window() -> Window:
    return Window()


@pytest.fixture
def owner() -> Mine:
    return Mine()


@pytest.fixture
def dev(window: Window, owner: Mine) -> Any:
    return BlockView(Device(window), owner)


def test_a_register_is_shown_bit_by_bit(dev: Any, window: Window) -> None:
    window.words[0] = 0x302
    assert repr(dev.cause) == (
        "cause = 0x00000302 level=0x3 done\n"
        "   11:8 level 0x3\n"
        "      1 done  1           it is done\n"
        "      0 bad   0"
    )
    assert window.calls == ["r0"]


def test_to_name_a_thing_accesses_nothing(dev: Any, window: Window) -> None:
    assert dev.cause.read
    assert dev.sub.word
    assert "done" in dir(dev.cause)
    assert set(dir(dev)) == {
        *("cause", "control", "door", "queue", "sub", "text", "diff", "snapshot", "page")
    }
    with pytest.raises(AttributeError, match="cause has no 'nope'; it has level done bad"):
        _ = dev.cause.nope
    with pytest.raises(AttributeError, match="Device has no '_repr_html_'; it has cause control"):
        _ = dev._repr_html_
    assert window.calls == []


def test_reading(dev: Any, window: Window) -> None:
    window.words[4] = 0x103
    assert (dev.control.level, dev.control.done) == (1, True)
    assert dev.control.read() == Cause.of(0x103)
    assert hex(dev.control) == "0x103"
    assert dev.sub.word.read() == U32.of(0)
    assert window.calls == ["r4"] * 4 + ["r10"]


def test_what_reading_would_change_is_left_out_and_named(dev: Any, window: Window) -> None:
    assert repr(dev).splitlines()[-1] == "not read, because reading changes them: queue"
    assert "rc" not in window.calls
    assert "queue" not in dev.snapshot().values
    assert repr(dev.queue) == "queue: reading it does something to the device; .read() reads it"
    assert "rc" not in window.calls
    dev.queue.read()
    assert window.calls[-1] == "rc"


def test_writing(dev: Any, window: Window) -> None:
    window.words[4] = 0x300
    name = "control"
    for value in ({"done": True, "level": 4}, 0x101, Cause(level=2)):
        setattr(dev, name, value)
    dev.control.write({"done": True, "level": 5})
    dev.control.bad = True
    dev.cause.done = True
    dev.door = 7
    dev.sub.word = 9
    dev.text = b"ab"
    assert window.calls == [
        *(
            "w4=402",
            "w4=101",
            "w4=200",
            "w4=502",
            "r4",
            "w4=503",
            "w0=2",
            "w8=7",
            "w10=9",
            "w14=61",
            "w15=62",
        )
    ]


@pytest.mark.parametrize(
    ("name", "value", "error", "says"),
    [
        ("control", 1 << 32, ValueError, "control has 32 bits: 0x100000000 does not fit"),
        ("control", -1, ValueError, "does not fit"),
        ("control", GHC(), TypeError, "control is a Cause, not a GHC"),
        ("control", {"nope": 1}, TypeError, "Cause has no field 'nope'"),
        ("control", {"level": 16}, ValueError, "Cause.level: 0x10 does not fit"),
        ("queue", 1, TypeError, "queue can only be read"),
        ("sub", 1, TypeError, "sub is a block"),
        ("nope", 1, AttributeError, "no 'nope'"),
    ],
)
def test_what_cannot_be_written(
    dev: Any, window: Window, name: str, value: object, error: type[Exception], says: str
) -> None:
    with pytest.raises(error, match=says):
        setattr(dev, name, value)
    assert window.calls == []


def test_nothing_is_written_without_a_claim(dev: Any, window: Window, owner: Mine) -> None:
    owner.refuses = True
    for name, value in (("control", 1), ("door", 1), ("cause", 1), ("text", b"x")):
        with pytest.raises(PermissionError, match=f"{name} is not written"):
            setattr(dev, name, value)
    with pytest.raises(PermissionError):
        dev.control.bad = True
    assert window.calls == []


def test_two_moments(dev: Any, window: Window) -> None:
    before = dev.snapshot()
    assert repr(dev.diff(before)) == "nothing changed"
    assert not dev.diff(before)
    window.words |= {4: 0x201, 0x10: 0xFF}
    assert repr(dev.diff(before)) == (
        "control  0x00000000 → 0x00000201  level: 0x0 → 0x2 bad: 0 → 1\n"
        "sub.word 0x00000000 → 0x000000ff"
    )
    assert before["control"] == Cause.of(0)
    assert repr(before).splitlines()[0] == "cause    0x00000000"


def test_a_page_is_the_specification_s(dev: Any, window: Window) -> None:
    assert dev.cause.page() == (
        "cause: Cause, 32 bits, writing one clears a bit\n"
        "\n"
        "Why. Ref: nowhere, §1\n"
        "\n"
        "   11:8 level\n"
        "      1 done     it is done\n"
        "      0 bad"
    )
    assert "Reading it does something" in dev.queue.page()
    assert dev.page().startswith("### Device")
    assert window.calls == []


def test_a_bank_by_its_plural(window: Window, owner: Mine) -> None:
    hba: Any = BlockView(HBA(window), owner)
    assert len(hba.ports) == len(list(hba.ports)) == 32
    assert repr(hba.ports) == "32 × Port, port[0] and on"
    assert repr(hba.port[3].cmd).startswith("port[3].cmd = ")
    assert [repr(p.cmd)[:7] for p in hba.ports[30:]] == ["port[30", "port[31"]
    assert repr(hba.ports[-1].cmd).startswith("port[31]")
    with pytest.raises(IndexError):
        _ = hba.ports[32]
    with pytest.raises(TypeError, match="is a block"):
        hba.ports = 1


def test_completion_reads_nothing(dev: Any, window: Window, owner: Mine) -> None:
    hba: Any = BlockView(HBA(window), owner)
    completer = Completer({"dev": dev, "hba": hba, "number": 5})
    for line, found in [
        ("de", ["def", "del", "delattr", "dev"]),
        ("dev.c", ["cause", "control"]),
        ("print(dev.cause.d", ["done"]),
        ("x = hba.ports[0].cm", ["cmd"]),
        ("hba.ports[0].cmd.st", ["st"]),
        ("hba.port", ["ports"]),
        ("hba.ports[99].c", []),
        ("hba.ports[i].c", []),
        ("dev.nope.c", []),
        ("dev.read().c", []),
        ("number.real.im", []),
        ("number.re", ["real"]),
        ("dev.cause.__cl", []),
        ("1 +", []),
    ]:
        assert completer.complete(line)[1] == found, line
    assert completer.complete("x = hba.gh")[0] == 8
    assert window.calls == []


def test_no_register_is_hidden_by_what_a_view_can_do() -> None:
    for known in [*BLOCKS.values(), *CARDS.values()]:
        names = {slot for block in _blocks(known.block) for slot in block.slots}
        assert not names & {"snapshot", "diff", "page"}
        assert not names & set(vars(BlockView)), "a register of such a name could not be named"
    assert members(None) == []


def _blocks(kind: type[Block]) -> list[type[Block]]:
    inner = [p.kind for p in kind.parts.values()] + [b.kind for b in kind.inner.values()]
    return [kind, *(found for each in inner for found in _blocks(each))]
