"""Control groups of a real Linux, and a Linux that lets nobody have a namespace."""

from __future__ import annotations

import compileall
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lux9.sip.sandbox.cgroup import THREADS
from tests.guest.grouped import LIMITS
from tests.guest.guest import Guest

pytestmark = pytest.mark.timeout(400)

ROOT = Path(__file__).parents[2]
SOMEBODY, SWITCH = 1000, "user.max_user_namespaces"
LIMIT = 200.0
MANIFEST = """
[meek]
class = "06.00.00"
module = "lux9.drivers.edu"
isolation = "process"

[strict]
class = "06.01.00"
module = "lux9.drivers.edu"
isolation = "sandbox"
"""


@pytest.fixture(scope="module")
def compiled() -> None:
    """So that the guest, which is slow, has not to do it each time."""
    for folder in ("src", "tests/guest"):
        compileall.compile_dir(ROOT / folder, quiet=1)


@pytest.fixture(scope="module")
def told(compiled: None, guest: Guest) -> Iterator[dict[str, Any]]:
    guest.run("mount -t cgroup2 none /sys/fs/cgroup")
    env = {"PYTHONPATH": str(ROOT)}
    done = guest.run([sys.executable, str(ROOT / "tests/guest/grouped.py")], env=env, limit=LIMIT)
    yield json.loads(done.stdout)["sandboxed"] | {"loose": json.loads(done.stdout)["loose"]}
    guest.run("rmdir /sys/fs/cgroup/lux9/kernel /sys/fs/cgroup/lux9 && umount /sys/fs/cgroup")


def counts(text: str) -> dict[str, int]:
    return {name: int(number) for name, number in re.findall(r"^(\w+) (\d+)$", text, re.MULTILINE)}


def test_status_says_that_the_sandbox_is_whole(told: dict[str, Any]) -> None:
    assert "\nisolation: sandbox\n" in told["status"], "no word of a control group that lacks"
    assert set(told["before"]) == {"kernel", "greedy.1"}


def test_the_groups_limits_are_the_drivers(told: dict[str, Any]) -> None:
    group = told["before"]["greedy.1"]
    assert int(group["memory.max"]) == LIMITS.memory + LIMITS.arena
    assert group["memory.swap.max"] == "0"
    assert group["pids.max"] == str(LIMITS.processes + THREADS)
    assert group["cpu.max"] == "max 100000"
    assert told["shared"]["greedy.1"]["cpu.max"] == "50000 100000", "told while it ran"
    assert int(group["pids.current"]) >= 1, "it is in there"


def test_no_more_processes_than_it_may_have(told: dict[str, Any]) -> None:
    why = "Resource temporarily unavailable"
    number, found = told["processes"].strip().split(" ", 1)
    assert found == why
    assert 1 <= int(number) <= LIMITS.processes
    number, found = told["loose"]["processes"].strip().split(" ", 1)
    assert found == why
    assert LIMITS.processes < int(number) < LIMITS.processes + THREADS, "its group's limit"
    (group,) = (facts for name, facts in told["loose"]["after"].items() if name != "kernel")
    assert counts(group["pids.events"])["max"] >= 1


def test_no_more_memory_than_its_group_may_have(told: dict[str, Any]) -> None:
    number, signal = told["memory"].split()
    assert signal == "SIGKILL"
    assert 1 <= int(number) <= (LIMITS.memory + LIMITS.arena) >> 24
    group = told["after"]["greedy.1"]
    assert counts(group["memory.events"])["oom_kill"] >= 1
    assert int(group["memory.peak"]) <= LIMITS.memory + LIMITS.arena


def test_no_more_of_the_processor_than_its_share(told: dict[str, Any]) -> None:
    assert float(told["busy"]) >= 0.6, "0.4 s of it, at half"
    assert counts(told["after"]["greedy.1"]["cpu.stat"])["nr_throttled"] >= 1


def test_the_group_goes_with_the_driver(told: dict[str, Any]) -> None:
    assert told["stopped"] == told["loose"]["stopped"] == ["kernel"]


@pytest.mark.usefixtures("compiled")
def test_where_nobody_may_have_a_namespace(guest: Guest, tmp_path: Path) -> None:
    manifest = tmp_path / "manifest.toml"
    manifest.write_text(MANIFEST)
    readable(guest, Path(sys.executable).resolve(), ROOT, manifest)
    file = f"/proc/sys/{SWITCH.replace('.', '/')}"
    before = guest.run(f"cat {file}; echo 0 > {file}").stdout.strip()
    boot = ["boot", "--manifest", str(manifest), "-v", "--exec", "true"]
    try:
        done = guest.run([sys.executable, "-m", "lux9", *boot], user=SOMEBODY, limit=LIMIT)
    finally:
        guest.run(f"echo {before} > {file}")
    remedy = rf"bwrap: .*; sysctl {SWITCH}=[1-9]\d*"
    assert re.search(rf"drivers run at isolation process \(for sandbox: {remedy}\)", done.stderr)
    assert re.search(
        rf"strict demands isolation sandbox, and would get process \(for sandbox: {remedy}\)",
        done.stderr,
    )
    assert "meek demands" not in done.stderr


def readable(guest: Guest, *paths: Path) -> None:
    """Let everybody in the guest come to these: a home's folder may be its owner's alone."""
    folders = {str(above) for path in paths for above in (path, *path.parents)}
    guest.run(["chmod", "a+rx", *sorted(folders, key=len)])
