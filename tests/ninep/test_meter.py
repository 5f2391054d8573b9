"""The token bucket, on a clock of the test's own."""

from __future__ import annotations

import pytest

from lux9.ninep.meter import Meter


class Session:
    requests = 0


def test_a_second_s_worth_may_come_at_once() -> None:
    waits, session = list[float](), Session()
    meter = Meter(100, lambda: 0.0, waits.append)
    session.requests = 100
    meter.count(session)
    assert waits == []
    session.requests = 110
    meter.count(session)
    assert waits == [pytest.approx(0.1)]


def test_it_fills_with_time_and_not_beyond_a_second() -> None:
    now, waits, session = [0.0], list[float](), Session()
    meter = Meter(10, lambda: now[0], waits.append)
    session.requests = 10
    meter.count(session)
    now[0] = 0.5
    session.requests = 15
    meter.count(session)
    assert waits == []
    now[0] = 100.0
    session.requests = 26
    meter.count(session)
    assert waits == [pytest.approx(0.1)]


def test_who_waits_is_told_once() -> None:
    waits, session = list[float](), Session()
    meter = Meter(10, lambda: 0.0, waits.append)
    for session.requests in (20, 30, 40):
        meter.count(session)
    assert (len(waits), meter.waits, meter.empty) == (1, 1, True)
    meter.empty = False
    session.requests = 41
    meter.count(session)
    assert len(waits) == 2
