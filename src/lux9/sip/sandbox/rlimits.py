"""What one process may use, by setrlimit(2): hard limits, which it cannot raise again."""

from __future__ import annotations

import resource
from collections.abc import Mapping

from ...errors import NotSupported
from ...kernel.process import Limits

STACK = 8 << 20
NAMES = {"memory": "as", "files": "nofile", "file_size": "fsize"}  # by a manifest's limits


def rlimits(limits: Limits) -> dict[str, int]:
    """Names of setrlimit(2), in lower case, and values. That of processes is a user's, not a program's: not here."""
    wanted = {
        "as": limits.memory + limits.arena,
        "core": 0,
        "fsize": limits.file_size,
        "memlock": 0,
        "msgqueue": 0,
        "nofile": limits.files,
        "stack": STACK,
    }
    return {name: _allowed(name, value) for name, value in wanted.items()}


def _allowed(name: str, value: int) -> int:
    """Not more than we have ourselves, as nobody may give more."""
    _, most = resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))
    return value if most == resource.RLIM_INFINITY else min(value, most)


def impose(pid: int, values: Mapping[str, int]) -> None:
    """Set them for another process, if it still runs. Raises NotSupported where one would be raised, and may not."""
    for name, value in values.items():
        try:
            resource.prlimit(pid, getattr(resource, f"RLIMIT_{name.upper()}"), (value, value))
        except ProcessLookupError:
            return
        except PermissionError:
            raise NotSupported("only root raises a limit of a process that runs") from None
