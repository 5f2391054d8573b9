"""Mutated messages against a live session: a little of what `make fuzz` does at length."""

from __future__ import annotations

import random

import pytest
from fuzz.sessions import GROWTH, ROUND, Target, mutated, pool, run
from hypothesis import given, settings, strategies as st

from lux9.wire.dialects import SPOKEN

MESSAGES = 2 * ROUND
NEVER = {"Tsymlink", "Tlink", "Treadlink", "Trename", "Trenameat", "Txattrcreate"}  # in that tree
SELDOM = {"Tmkdir", "Tmknod", "Tlcreate", "Tcreate"}  # a name is made once
POOLS = {version: pool(random.Random(1), dialect, 600) for version, dialect in SPOKEN.items()}
versions = pytest.mark.parametrize("version", SPOKEN)


@versions
def test_nothing_comes_out_and_nothing_stays(version: str) -> None:
    report = run(SPOKEN[version], MESSAGES, seconds=30)
    assert report.messages == MESSAGES
    assert report.grown < GROWTH


@versions
@settings(max_examples=15, deadline=None)
@given(steps=st.lists(st.tuples(st.integers(0, 599), st.integers(0, 1 << 16)), max_size=60))
def test_any_sequence_ends_clean(version: str, steps: list[tuple[int, int]]) -> None:
    target = Target(SPOKEN[version])
    for which, seed in steps:
        whole = POOLS[version][which]
        target.feed(mutated(random.Random(seed), whole) if seed else whole)
    target.end()


@versions
def test_the_messages_reach_their_files(version: str) -> None:
    """What is made is good enough: all that the tree can do is done, and not only refused."""
    target = Target(SPOKEN[version])
    for data in pool(random.Random(3), SPOKEN[version], 10_000):
        target.feed(data)
    target.end()
    requests = [cls for cls in SPOKEN[version].types.values() if cls.__name__[0] == "T"]
    missing = {cls.__name__ for cls in requests if cls.number + 1 not in target.answered}
    assert missing <= {"Tversion", "Tauth", *NEVER, *SELDOM}
