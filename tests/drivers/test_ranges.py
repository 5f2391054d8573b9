from __future__ import annotations

from hypothesis import given, strategies as st

from lux9.drivers.ranges import Ranges


def test_ranges_apart_go_at_once_and_overlapping_ones_in_order() -> None:
    ranges, went = Ranges(), list[str]()
    assert ranges.take(0, 10, lambda: went.append("a"))
    assert ranges.take(10, 20, lambda: went.append("b"))
    assert not ranges.take(5, 15, lambda: went.append("c"))
    assert not ranges.take(14, 16, lambda: went.append("d"))  # free of b soon, but c was first
    ranges.give(10, 20)
    assert went == ["a", "b"]
    ranges.give(0, 10)
    assert went == ["a", "b", "c"]
    ranges.give(5, 15)
    assert went == ["a", "b", "c", "d"]


def test_one_that_ends_within_its_turn_lets_the_next_go() -> None:
    ranges, went = Ranges(), list[int]()

    def go(n: int) -> None:
        went.append(n)
        ranges.give(0, 1)

    ranges.take(0, 1, lambda: None)
    for n in range(3):
        ranges.take(0, 1, lambda n=n: go(n))  # type: ignore[misc]  # a default binds n now
    ranges.give(0, 1)
    assert went == [0, 1, 2]
    assert (ranges.held, ranges.waiting) == ([], [])


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 8)), max_size=30))
def test_nobody_holds_what_another_holds_and_everybody_goes(wants: list[tuple[int, int]]) -> None:
    ranges, holding, went = Ranges(), list[tuple[int, int]](), 0

    def go(want: tuple[int, int]) -> None:
        nonlocal went
        went += 1
        assert all(want[1] <= h[0] or h[1] <= want[0] for h in holding)
        holding.append(want)

    for start, size in wants:
        want = (start, start + size)
        ranges.take(*want, lambda want=want: go(want))  # type: ignore[misc]  # a default binds it now
    while holding:
        done = holding.pop(0)
        ranges.give(*done)
    assert went == len(wants)
