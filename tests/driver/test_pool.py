from __future__ import annotations

from hypothesis import given, strategies as st

from lux9.driver.pool import PAGE, Pool


def test_what_is_taken_is_apart_and_in_pages() -> None:
    pool = Pool(4 * PAGE)
    assert [pool.take(1), pool.take(PAGE), pool.take(PAGE + 1)] == [0, PAGE, 2 * PAGE]
    assert pool.take(1) is None
    assert pool.free_bytes == 0


def test_whoever_waits_is_served_in_order_and_a_large_one_is_not_starved() -> None:
    pool, got = Pool(4 * PAGE), list[tuple[str, int]]()
    assert [pool.take(PAGE) for _ in range(4)] == [0, PAGE, 2 * PAGE, 3 * PAGE]
    assert not pool.when_free(2 * PAGE, lambda at: got.append(("large", at)))
    assert not pool.when_free(PAGE, lambda at: got.append(("small", at)))
    assert pool.take(PAGE) is None, "nobody jumps the queue"
    pool.give(0, PAGE)
    pool.give(2 * PAGE, PAGE)
    assert got == []
    pool.give(PAGE, PAGE)
    assert got == [("large", 0), ("small", 2 * PAGE)]


def test_room_that_is_there_is_given_at_once() -> None:
    got: list[int] = []
    assert Pool(PAGE).when_free(100, got.append)
    assert got == [0]


@given(st.lists(st.tuples(st.integers(1, 5 * PAGE), st.booleans()), max_size=60))
def test_nothing_overlaps_and_everything_comes_back(steps: list[tuple[int, bool]]) -> None:
    pool, held = Pool(16 * PAGE), dict[int, int]()
    for size, keep in steps:
        at = pool.take(size)
        if at is not None:
            assert at % PAGE == 0
            assert 0 <= at <= at + size <= pool.size
            assert all(at + size <= a or a + s <= at for a, s in held.items())
            held[at] = size
        if held and not keep:
            at, size = held.popitem()
            pool.give(at, size)
    for at, size in held.items():
        pool.give(at, size)
    assert pool.free_bytes == pool.size
    assert pool.take(pool.size) == 0, "the holes were not joined"
