"""Attributes that are made for 9P2000.L."""

from __future__ import annotations

import pytest

from lux9.wire import links
from lux9.wire.messages import Qid


@pytest.mark.parametrize("when", [0, 1, -1, 1_795_444_834_000_000_005, -31_536_000_000_000_000])
def test_a_time_is_told_whatever_its_year(when: int) -> None:
    made = links.make(
        Qid(0, 0, 1), 0o100644, uid=0, gid=0, size=0, blocks=0, times=(when, when, when)
    )
    for seconds, rest in ((made.atime_sec, made.atime_nsec), (made.ctime_sec, made.ctime_nsec)):
        assert links.when(seconds, rest) == when
        assert 0 <= rest < links.BILLION
