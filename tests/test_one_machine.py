"""Every test of a driver runs on both machines, or stands in the table with the reason why it does not."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest

from tests.one_machine import FOLDERS, ONE

HERE = Path(__file__).parent
TEST = re.compile(r"^tests/(\S+?\.py)::(\w+)(?:\[(.*)\])?$")


def machines(parameters: str) -> set[str]:
    """`sim-interrupt-ncq` is of sim: a word of a test's id that is no machine's name counts for neither."""
    words = set(re.split(r"[^a-z0-9]+", parameters))
    here = {"sim"} if words & {"sim", "model", "nameless"} else set[str]()
    return here | ({"qemu"} if "qemu" in words else set())


@pytest.fixture(scope="module")
def collected() -> dict[str, set[str]]:
    """Each test, and the machines that its parameters name."""
    folders = [str(HERE / folder) for folder in FOLDERS]
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, *folders], cwd=HERE.parent, capture_output=True, text=True, check=True
    )
    found: dict[str, set[str]] = defaultdict(set)
    for line in done.stdout.splitlines():
        if match := TEST.match(line):
            found[f"{match[1]}::{match[2]}"] |= machines(match[3] or "")
    assert len(found) > 200, done.stdout
    return found


def test_what_runs_on_one_machine_has_a_reason(collected: dict[str, set[str]]) -> None:
    alone = {name for name, on in collected.items() if on != {"sim", "qemu"}}
    unsaid = sorted(n for n in alone if n not in ONE and n.partition("::")[0] not in ONE)
    assert not unsaid, (
        "these run on one machine only: give them both (fixtures `every`, `machine_name`, "
        "`either` …), or a line in tests/one_machine.py that says why not:\n" + "\n".join(unsaid)
    )


def test_what_runs_on_both_is_not_in_the_table(collected: dict[str, set[str]]) -> None:
    assert not [name for name in ONE if collected.get(name) == {"sim", "qemu"}]


def test_the_table_names_what_there_is(collected: dict[str, set[str]]) -> None:
    known = collected.keys() | {name.partition("::")[0] for name in collected}
    assert not ONE.keys() - known
    assert all(len(reason) > 10 for reason in ONE.values())
