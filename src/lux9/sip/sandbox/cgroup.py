"""Control groups, version 2, where this process was given one to divide: what a driver may use of the machine.

A group that has processes of its own cannot be divided (cgroups(7), "no internal processes"), so this process moves
into a group below, beside those of the drivers. It does so only when it is alone in its group: a shell or a
session that shares it is not moved about.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from ...errors import NotSupported
from ...kernel.process import Limits

WANTED = ("cpu", "memory", "pids")
REMEDY = "start it with: systemd-run --user --scope -p Delegate=yes lux9 boot …"
THREADS = 128  # beside the processes that it may have
PERIOD = 100_000  # microseconds; cpu.max is so many of them in each
PIDS, QUOTA = 4 << 20, (1 << 44) - 1  # the most that Linux takes: PID_MAX_LIMIT, MAX_BW


class Group:
    """One driver's."""

    def __init__(self, path: Path, limits: Limits) -> None:
        self.path = path
        path.mkdir()
        try:
            self.set(limits)
        except BaseException:
            self.close()
            raise

    def set(self, limits: Limits) -> None:
        """These hold, at once."""
        for name, value in values(limits).items():
            (self.path / name).write_text(f"{value}\n")

    def add(self, pid: int) -> None:
        """From here the process, and all that it will start, count. One that has ended does not."""
        with contextlib.suppress(ProcessLookupError):
            (self.path / "cgroup.procs").write_text(f"{pid}\n")

    def close(self) -> None:
        """Away with it, once nobody is left in it."""
        with contextlib.suppress(
            OSError
        ):  # a process that is still going away: the group stays, empty
            self.path.rmdir()


def values(limits: Limits) -> dict[str, str]:
    """What is written into a group's files."""
    quota = min(limits.cpu * PERIOD // 100, QUOTA)
    share = f"{quota} {PERIOD}" if limits.cpu else f"max {PERIOD}"
    return {
        "memory.max": str(limits.memory + limits.arena),
        "memory.swap.max": "0",
        "pids.max": str(min(limits.processes + THREADS, PIDS)),
        "cpu.max": share,
    }


class Groups:
    """The group that was given to this process. Raises NotSupported with what lacks."""

    def __init__(self, root: Path, pid: int) -> None:
        self.root, self.count = root, 0
        there = _words(root / "cgroup.controllers")
        lacking = [name for name in WANTED if name not in there]
        if lacking:
            raise NotSupported(f"cgroup v2 without {' and '.join(lacking)}; {REMEDY}")
        if not os.access(root / "cgroup.subtree_control", os.W_OK):
            raise NotSupported(f"{root} belongs to somebody else; {REMEDY}")
        if _words(root / "cgroup.procs") != [str(pid)]:
            raise NotSupported(f"other processes are in {root}, too; {REMEDY}")
        self._divide(pid)

    def _divide(self, pid: int) -> None:
        try:
            kernel = self.root / "kernel"
            kernel.mkdir(exist_ok=True)
            (kernel / "cgroup.procs").write_text(f"{pid}\n")
            (self.root / "cgroup.subtree_control").write_text(" ".join(f"+{c}" for c in WANTED))
        except OSError as error:
            raise NotSupported(
                f"{self.root} cannot be divided: {error.strerror}; {REMEDY}"
            ) from None

    def make(self, name: str, limits: Limits) -> Group:
        """One more group."""
        self.count += 1
        return Group(self.root / f"{name}.{self.count}", limits)


@cache
def groups() -> Groups:
    """This process's; asked for once. Raises NotSupported."""
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    own = Path("/proc/self/cgroup").read_text().splitlines()
    return Groups(where(mounts, own), os.getpid())


def where(mounts: Sequence[str], own: Sequence[str]) -> Path:
    """The folder of a process's group, from its mountinfo and cgroup (proc(5)). Raises NotSupported."""
    for line in mounts:
        before, _, after = line.partition(" - ")
        if after.split()[:1] == ["cgroup2"]:
            point, top = before.split()[4], before.split()[3]
            for entry in own:
                if entry.startswith("0::"):
                    return Path(point) / _below(entry[3:], top)
    raise NotSupported("cgroup v2 is not mounted; mount -t cgroup2 none /sys/fs/cgroup")


def _below(group: str, top: str) -> Path:
    """A group's way from the one that is mounted. Raises NotSupported where it is not below that."""
    try:
        return Path(group).relative_to(top)
    except ValueError:
        raise NotSupported(
            f"the cgroup of this process, {group}, is not in the one that is mounted, {top}; {REMEDY}"
        ) from None


def missing() -> str:
    """What this host lacks for it, or nothing."""
    try:
        groups()
    except NotSupported as error:
        return str(error)
    return ""


def _words(path: Path) -> list[str]:
    try:
        return path.read_text().split()
    except OSError:
        return []
