"""Restarting: the rule's words, the back-off, the giving up, on a clock of the test's own."""

from __future__ import annotations

import pytest

from lux9.errors import ControlError
from lux9.sip.policy import FIRST, GOOD, LONGEST, End, Restart, Restarts, rule


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("never", Restart("never")),
        ("always", Restart("always", 5, 60.0)),
        ("on-crash", Restart("on-crash", 5, 60.0)),
        ("on-crash max 3 in 10", Restart("on-crash", 3, 10.0)),
        ("always max 0 in 0.5", Restart("always", 0, 0.5)),
    ],
)
def test_the_words_of_a_rule(text: str, wanted: Restart) -> None:
    assert rule(text) == wanted
    assert rule(str(wanted)) == wanted


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "write never"),
        ("often", "write never"),
        ("never max 3 in 4", "write never"),
        ("on-crash max", "write never"),
        ("on-crash max x in 4", "'x' is not a number of restarts"),
        ("on-crash max -1 in 4", "'-1' is not a number of restarts"),
        ("on-crash max 1 in 0", "'0' is not a time"),
        ("on-crash max 1 in soon", "'soon' is not a time"),
        ("on-crash max 1 in nan", "'nan' is not a time"),
        ("on-crash max 1 in inf", "'inf' is not a time"),
    ],
)
def test_words_that_are_no_rule(text: str, why: str) -> None:
    with pytest.raises(ControlError, match=why):
        rule(text)


def test_never() -> None:
    assert Restarts(Restart("never")).ended(0.0, 1.0, crashed=True) is End.STAYS


def test_a_clean_end_is_no_crash() -> None:
    assert Restarts(rule("on-crash")).ended(0.0, 1.0, crashed=False) is End.STAYS
    assert Restarts(rule("always")).ended(0.0, 1.0, crashed=False) == FIRST


def test_each_delay_is_twice_the_last() -> None:
    restarts = Restarts(rule("on-crash max 100 in 1000"))
    delays = [restarts.ended(float(i), 0.0, crashed=True) for i in range(9)]
    assert delays == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, LONGEST, LONGEST])


def test_good_running_begins_the_delays_anew() -> None:
    restarts = Restarts(rule("on-crash max 100 in 1000"))
    for i in range(5):
        restarts.ended(float(i), 0.0, crashed=True)
    assert restarts.ended(20.0, GOOD - 0.1, crashed=True) == pytest.approx(3.2)
    assert restarts.ended(30.0, GOOD, crashed=True) == FIRST
    assert restarts.ended(31.0, 0.0, crashed=True) == FIRST * 2


def test_too_many_ends_in_too_short_a_time() -> None:
    restarts = Restarts(rule("on-crash max 3 in 10"))
    assert [restarts.ended(t, 0.0, crashed=True) is End.GAVE_UP for t in (0.0, 1.0, 2.0, 3.0)] == [
        False,
        False,
        False,
        True,
    ]


def test_ends_that_are_long_ago_do_not_count() -> None:
    restarts = Restarts(rule("on-crash max 2 in 10"))
    assert End.GAVE_UP not in [restarts.ended(t, 0.0, crashed=True) for t in (0.0, 9.0, 10.0, 19.5)]
    assert restarts.ended(19.6, 0.0, crashed=True) is End.GAVE_UP


def test_good_running_does_not_excuse_the_ends() -> None:
    restarts = Restarts(rule("on-crash max 1 in 100"))
    assert restarts.ended(0.0, 50.0, crashed=True) == FIRST
    assert restarts.ended(50.0, 50.0, crashed=True) is End.GAVE_UP


def test_started_by_hand_it_begins_anew() -> None:
    restarts = Restarts(rule("on-crash max 1 in 100"))
    restarts.ended(0.0, 0.0, crashed=True)
    assert restarts.ended(1.0, 0.0, crashed=True) is End.GAVE_UP
    restarts.forget()
    assert restarts.ended(2.0, 0.0, crashed=True) == FIRST
