"""Control groups, on folders that look like them: what is written, and what is asked for where it cannot be."""

from __future__ import annotations

from pathlib import Path

import pytest

from lux9.errors import NotSupported
from lux9.kernel.process import Limits
from lux9.sip.sandbox.cgroup import Group, Groups, values, where

PID = 4711


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name, text in (
        ("cgroup.controllers", "cpuset cpu io memory pids\n"),
        ("cgroup.subtree_control", ""),
        ("cgroup.procs", f"{PID}\n"),
    ):
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_kernel_moves_out_of_the_group_that_it_divides(root: Path) -> None:
    Groups(root, PID)
    assert (root / "kernel" / "cgroup.procs").read_text() == f"{PID}\n"
    assert (root / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"


def test_a_driver_gets_a_group_with_its_limits(root: Path) -> None:
    group = Groups(root, PID).make(
        "ahci", Limits(memory=1 << 20, arena=1 << 20, processes=2, cpu=50)
    )
    group.add(99)
    assert {p.name: p.read_text().strip() for p in (root / "ahci.1").iterdir()} == {
        "memory.max": str(2 << 20),
        "memory.swap.max": "0",
        "pids.max": "130",
        "cpu.max": "50000 100000",
        "cgroup.procs": "99",
    }


def test_each_start_has_a_group_of_its_own(root: Path) -> None:
    groups = Groups(root, PID)
    assert groups.make("a", Limits()).path != groups.make("a", Limits()).path


def test_no_share_of_the_processor_is_all_of_it() -> None:
    assert values(Limits())["cpu.max"] == "max 100000"


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("cgroup.controllers", "hugetlb\n", "without cpu and memory and pids"),
        ("cgroup.controllers", "cpu memory\n", "without pids"),
        ("cgroup.procs", f"1\n{PID}\n", "other processes are in"),
    ],
)
def test_what_lacks_is_told_with_the_remedy(root: Path, name: str, text: str, why: str) -> None:
    (root / name).write_text(text)
    with pytest.raises(NotSupported, match=why) as error:
        Groups(root, PID)
    assert "systemd-run" in str(error.value)
    assert not (root / "kernel").exists()


def test_where_the_group_of_a_process_is() -> None:
    mounts = [
        "25 30 0:23 / /proc rw - proc proc rw",
        "35 24 0:30 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw",
    ]
    assert where(mounts, ["0::/user.slice/x.scope"]) == Path("/sys/fs/cgroup/user.slice/x.scope")
    with pytest.raises(NotSupported, match="not mounted"):
        where(mounts[:1], ["0::/"])
    elsewhere = "35 24 0:30 /../../docker/x /sys/fs/cgroup rw - cgroup2 cgroup2 rw"
    with pytest.raises(NotSupported, match=r"/user\.slice, is not in the one that is mounted"):
        where([elsewhere], ["0::/user.slice"])


def test_limits_beyond_what_linux_takes_are_its_most() -> None:
    wanted = values(Limits(processes=1 << 62, cpu=1 << 62))
    assert wanted["pids.max"] == str(4 << 20)  # PID_MAX_LIMIT, linux/threads.h
    assert wanted["cpu.max"] == f"{(1 << 44) - 1} 100000"  # MAX_BW, kernel/sched/sched.h


def test_a_group_whose_limits_are_refused_is_not_left(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(group: Group, limits: Limits) -> None:
        raise OSError(22, "Invalid argument")

    groups = Groups(root, PID)
    monkeypatch.setattr(Group, "set", refused)
    with pytest.raises(OSError, match="Invalid"):
        groups.make("a", Limits())
    assert not (root / "a.1").exists()
