"""A program and those that it started, as proc(5) shows them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

TICK = os.sysconf("SC_CLK_TCK")
UTIME, STIME, VSIZE = 11, 12, 20  # fields of /proc/PID/stat behind the name, from 0. proc(5)


class Used(NamedTuple):
    """A program and those that it started."""

    processor: float = 0.0  # seconds
    memory: int = 0  # bytes of address space, of the one with most
    files: int = 0  # open ones, of the one with most
    processes: int = 0


def tree(pid: int) -> Iterator[int]:
    """A process and all that descend from it."""
    yield pid
    for task in _listed(Path(f"/proc/{pid}/task")):
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            yield from tree(int(child))


def _listed(path: Path) -> list[Path]:
    try:
        return list(path.iterdir())
    except OSError:
        return []


def used(pid: int) -> Used:
    """What a program uses now."""
    total = Used()
    for each in tree(pid):
        try:
            words = Path(f"/proc/{each}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        total = Used(
            total.processor + (int(words[UTIME]) + int(words[STIME])) / TICK,
            max(total.memory, int(words[VSIZE])),
            max(total.files, len(_listed(Path(f"/proc/{each}/fd")))),
            total.processes + 1,
        )
    return total
