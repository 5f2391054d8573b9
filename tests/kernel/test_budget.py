"""Nobody drives the record of what he did out of the journal by doing it again and again."""

from __future__ import annotations

import json
from types import SimpleNamespace

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
    for _ in range(50):
        audit.record(rogue, "mem read", "0x0", "denied")
    audit.record(other, "mem read", "0x1", "denied")
    audit.record(rogue, "quiesce", "0000:00:03.0", "done")
    last = entries(audit)[-3:]
    assert [(e["who"], e["what"]) for e in last] == [
        ("ahci/2", "mem read"),
        ("rogue/1", "audit"),
        ("rogue/1", "quiesce"),
    ]
    assert last[1]["missed"] == 40
