"""Nobody drives the record of what he did out of the journal by doing it again and again."""

from __future__ import annotations

import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from lux9.kernel.audit import Audit
from lux9.kernel.budget import Budget
from lux9.kernel.process import Process


def process(number: int, name: str) -> Process:
    return Process(number, name, "u", audited=Budget(burst=10.0, rate=2.0))


def entries(audit: Audit) -> list[dict[str, object]]:
    return [json.loads(line) for line in audit.journal.lines]


@pytest.fixture
def now(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, to be set."""
    times = [100.0]
    clock = SimpleNamespace(monotonic=lambda: times[0])
    monkeypatch.setattr("lux9.kernel.budget.time", clock)
    monkeypatch.setattr("lux9.kernel.repeats.time", clock)
    return times


def test_a_flood_is_told_of_by_its_number(now: list[float]) -> None:
    audit, who = Audit(), process(1, "rogue")
    for n in range(100):
        audit.record(who, "mem read", hex(n), "denied")
    assert [e["target"] for e in entries(audit)] == [hex(n) for n in range(10)]
    now[0] += 1.0
    audit.record(who, "mem read", "later", "denied")
    last = entries(audit)[-2:]
    assert [(e["what"], e.get("missed"), e["target"]) for e in last] == [
        ("audit", 90, "-"),
        ("mem read", None, "later"),
    ]


@pytest.mark.usefixtures("now")
def test_another_process_and_what_is_done_to_it_are_recorded_all_the_same() -> None:
    audit, rogue, other = Audit(), process(1, "rogue"), process(2, "ahci")
    for n in range(50):
        audit.record(rogue, "mem read", hex(n), "denied")
    audit.record(other, "mem read", "0x1", "denied")
    audit.record(rogue, "quiesce", "0000:00:03.0", "done")
    last = entries(audit)[-3:]
    assert [(e["who"], e["what"]) for e in last] == [
        ("ahci/2", "mem read"),
        ("rogue/1", "audit"),
        ("rogue/1", "quiesce"),
    ]
    assert last[1]["missed"] == 40


def test_what_is_repeated_is_counted(now: list[float]) -> None:
    due: list[Callable[[], None]] = []

    def later(after: float, call: Callable[[], None]) -> Any:
        due.append(call)
        return SimpleNamespace(cancel=due.clear)

    audit, who = Audit(), process(1, "rogue")
    audit.later = later
    for n in range(5):
        audit.record(who, "open", "/etc/shadow", "denied", n=n)
    audit.record(who, "open", "/etc/passwd", "denied")
    audit.record(who, "open", "/dev/sdE0", "allowed")
    audit.record(who, "open", "/dev/sdE0", "allowed")
    assert [(e["target"], e.get("times")) for e in entries(audit)] == [
        *[("/etc/shadow", None), ("/etc/passwd", None)],
        *[("/dev/sdE0", None), ("/dev/sdE0", None)],  # what was let it is told each time
    ]
    now[0] += 1.0
    due.pop()()
    assert (entries(audit)[-1]["times"], entries(audit)[-1]["n"]) == (4, 4)
    audit.record(who, "open", "/etc/shadow", "denied")
    audit.end(who)  # before the time is over
    assert entries(audit)[-1]["times"] == 1
    assert due  # the timer still runs, for others
    due.pop()()
    assert not due
    assert len(entries(audit)) == 6


def test_what_comes_again_much_later_is_new(now: list[float]) -> None:
    audit, who = Audit(), process(1, "rogue")
    due: list[Callable[[], None]] = []
    audit.later = lambda after, call: due.append(call)  # type: ignore[assignment,return-value]  # no handle
    audit.record(who, "open", "/etc/shadow", "denied")
    now[0] += 2.0
    due.pop()()
    audit.record(who, "open", "/etc/shadow", "denied")
    assert ["times" in e for e in entries(audit)] == [False, False]
