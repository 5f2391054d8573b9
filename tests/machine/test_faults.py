"""Faults come when they were ordered, to whom they were ordered, and the same for the same seed."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from lux9.errors import UserError
from lux9.machine.sim.faults import Plan, Rule
from lux9.machine.sim.sim import Sim
from lux9.models.pci import Fault
from lux9.models.q35 import HostBridge, Lpc
from lux9.models.shape import Bar
from tests.machine.test_sim import Board
from tests.models.cards import Card

ONES = 0xFFFF_FFFF
NAME = "0000:00:02.0"


def board(*rules: Rule) -> Board:
    sim = Sim([(0, HostBridge()), (0xF8, Lpc())], plan=Plan(rules), virtual=True)
    made = Board(sim=sim)
    made.command(mem=True, io=True, master=True)
    return made


def test_a_rule_has_its_chances() -> None:
    plan = Plan([Rule(Fault.SLOW, after=1, times=2, seconds=0.5)])
    assert [plan.due(Fault.SLOW, NAME) for _ in range(5)] == [None, 0.5, 0.5, None, None]
    assert [done.function for done in plan.log] == [NAME, NAME]


def test_for_ever() -> None:
    plan = Plan([Rule(Fault.SLOW, times=0)])
    assert [plan.due(Fault.SLOW, NAME) for _ in range(3)] == [0.0] * 3


def test_only_whom_it_concerns() -> None:
    plan = Plan([Rule(Fault.MEDIA, function=NAME, where=range(100, 108), times=0)])
    assert plan.due(Fault.MEDIA, NAME, range(96, 101)) == 100, "the first bad sector"
    assert plan.due(Fault.MEDIA, NAME, range(92, 100)) is None
    assert plan.due(Fault.MEDIA, NAME, range(108, 116)) is None
    assert plan.due(Fault.MEDIA, "0000:00:03.0", range(100, 101)) is None
    assert plan.due(Fault.LATE, NAME, range(100, 101)) is None


def test_the_first_of_several_bad_sectors_is_met() -> None:
    plan = Plan([Rule(Fault.MEDIA, where=range(n, n + 1)) for n in (30, 10, 20)])
    assert [plan.due(Fault.MEDIA, NAME, range(40)) for _ in range(4)] == [10, 20, 30, None]


@pytest.mark.parametrize(
    "field",
    [
        "where=9-8",
        "where=-1",
        "where=x",
        f"where={1 << 48}",
        "times=-1",
        "after=x",
        "chance=2",
        "seconds=nan",
    ],
)
def test_a_field_that_means_nothing_is_refused_with_what_would_be_right(field: str) -> None:
    with pytest.raises(UserError, match=f"^{field}: write "):
        Rule.parse(f"media {field}")


@given(st.integers())
def test_the_same_seed_gives_the_same_faults(seed: int) -> None:
    def run() -> list[float | None]:
        plan = Plan([Rule(Fault.LATE, times=0, chance=0.5)], seed)
        return [plan.due(Fault.LATE, NAME) for _ in range(50)]

    assert run() == run()


def test_a_read_that_nobody_answers() -> None:
    it = board(Rule(Fault.ONES, NAME, after=1))
    it.sim.mem_write(it.bar, 4, 3)
    assert [it.sim.mem_read(it.bar, 4) for _ in range(3)] == [3, ONES, 3]


def test_a_lost_interrupt_is_lost_and_the_next_is_not() -> None:
    it = board(Rule(Fault.LOST))
    it.card.set_irq(True)
    it.card.set_irq(False)
    assert it.lines == []
    it.card.set_irq(True)
    assert it.lines == [(11, True), (22, True)]


def test_pulled_out_in_the_middle_of_an_access() -> None:
    it = board(Rule(Fault.GONE, NAME, after=2))
    it.sim.mem_write(it.bar, 4, 3)
    assert [it.sim.mem_read(it.bar, 4) for _ in range(3)] == [3, ONES, ONES]
    assert it.sim.config_read(it.card.bdf, 0, 4) == ONES
    assert it.reports == [f"{NAME} pulled out"]


def test_a_rule_that_comes_later_counts_from_then() -> None:
    it = board()
    it.sim.mem_write(it.bar, 4, 3)
    it.sim.order(Rule(Fault.ONES, NAME))
    assert [it.sim.mem_read(it.bar, 4) for _ in range(2)] == [ONES, 3]


def test_a_rule_is_written_in_words() -> None:
    assert Rule.parse("lost 00:1f.2 after=3") == Rule(Fault.LOST, "0000:00:1f.2", after=3)
    media = Rule.parse("media where=0x10-0x1f times=0 chance=0.5")
    assert media == Rule(Fault.MEDIA, times=0, where=range(16, 32), chance=0.5)
    assert Rule.parse("slow seconds=1.5") == Rule(Fault.SLOW, seconds=1.5)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no fault"),
        ("burn", "one of slow ones lost late gone media"),
        ("lost 1f.2", "no PCI function"),
        ("lost after=x", "after=x: write a number"),
        ("lost colour=red", "one of function after times"),
    ],
)
def test_a_rule_that_is_none_says_why(text: str, why: str) -> None:
    with pytest.raises(UserError, match=why):
        Rule.parse(text)


def test_others_are_not_touched() -> None:
    it = board(Rule(Fault.ONES, "0000:00:03.0", times=0))
    other = Card({0: Bar(0x1000)})
    it.sim.plug(other, 0x18)
    it.sim.config_write(0x18, 4, 2, 2)
    assert it.sim.mem_read(other.bar_address(0), 4) == ONES
    assert it.sim.mem_read(it.bar, 4) == 0
