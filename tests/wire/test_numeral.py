"""Numbers as names, and what looks like one."""

from __future__ import annotations

import pytest

from lux9.wire import links
from lux9.wire.numeral import numeral


@pytest.mark.parametrize("number", [0, 7, 10, (1 << 32) - 2, 10**18 - 1])
def test_what_is_written_so_is_one(number: int) -> None:
    assert numeral(str(number)) == number


@pytest.mark.parametrize(
    "word", ["", "-1", "+1", "007", "²", "٣", "1_0", "0x1", " 1", "1\n", "9" * 5000]
)
def test_what_is_not_is_none(word: str) -> None:
    assert numeral(word) == -1


@pytest.mark.parametrize("word", ["9" * 5000, str((1 << 32) - 1), "²"])
def test_an_owner_that_no_number_holds_is_nobody(word: str) -> None:
    assert links.number(word) == links.NOBODY
