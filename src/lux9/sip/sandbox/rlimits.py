"""What one process may use, by setrlimit(2): hard limits, which it cannot raise again."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Mapping

from ...kernel.process import Limits
from .cgroup import THREADS

STACK = 8 << 20


def rlimits(limits: Limits) -> dict[str, int]:
    """Names of setrlimit(2), in lower case, and values."""
    wanted = {
        "as": limits.memory + limits.arena,
        "core": 0,
        "fsize": limits.file_size,
        "memlock": 0,
        "msgqueue": 0,
        "nofile": limits.files,
        "stack": STACK,
    }
    if limits.processes:
        wanted["nproc"] = limits.processes + THREADS
    return {name: _allowed(name, value) for name, value in wanted.items()}


def _allowed(name: str, value: int) -> int:
    """Not more than we have ourselves, as nobody may give more."""
    _, most = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
    return value if most == resource.RLIM_INFINITY else min(value, most)


def impose(pid: int, values: Mapping[str, int]) -> None:
    """Set them for another process, if it still runs. A count of processes is its user's, not its: left out."""
    for name, value in values.items():
        if name != "nproc":
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, getattr(resource, f"RLIMIT_{name.upper()}"), (value, value))
