"""Looking an address up gives what a search through all regions would."""

from __future__ import annotations

from hypothesis import given, strategies as st

from lux9.machine.sim.decode import NOWHERE, Hit, Map

_, _, _, _, READ, WRITE = NOWHERE
Span = tuple[int, int]
spans = st.lists(
    st.tuples(st.integers(0, 200), st.integers(1, 50)).map(lambda s: (s[0], s[0] + s[1])),
    max_size=8,
)


def hits(of: list[Span]) -> list[Hit]:
    return [(start, end, start, n, READ, WRITE) for n, (start, end) in enumerate(of)]


def owner(of: list[Span], address: int) -> int | None:
    return next((n for n, (start, end) in enumerate(of) if start <= address < end), None)


@given(spans)
def test_of_those_that_overlap_the_first_has_each_byte(of: list[Span]) -> None:
    table = Map()
    table.fill(hits(of))
    for address in range(260):
        hit = table.find(address, 1)
        assert (None if hit is NOWHERE else hit[3]) == owner(of, address)
        assert hit is NOWHERE or hit[2] == of[hit[3]][0]


@given(spans, st.sampled_from([2, 4, 8]))
def test_an_access_lies_in_one_region_or_in_none(of: list[Span], width: int) -> None:
    table = Map()
    table.fill(hits(of))
    for address in range(260):
        hit = table.find(address, width)
        if hit is not NOWHERE:
            assert {owner(of, address + i) for i in range(width)} == {hit[3]}
