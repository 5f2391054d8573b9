"""The arguments of bwrap(1) for a user's own program: the host as it is, or little of it, with other files in /dev.

Not for drivers that nobody trusts: those are in `bubblewrap`'s sandbox, with a filter of system calls.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from ...errors import UserError
from . import bubblewrap
from .level import Level

KEPT = ("--die-with-parent", "--unshare-user-try")
SHOWN = ("/usr", "/etc", *bubblewrap.SYSTEM)  # read-only
SYSTEM = (*SHOWN, "/dev", "/proc", "/sys")
APART = (
    *("--unshare-user", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"),
    *("--unshare-cgroup-try", "--cap-drop", "ALL"),
)


def arguments(
    level: Level,
    command: Sequence[str],
    devices: Mapping[str, Path],
    named: Sequence[str] = (),
    kernel: Path | None = None,
) -> list[str]:
    """The whole command line. `devices` are what is in /dev, by name; `named` are files that it sees besides.

    `kernel` is its socket, which the sandbox does not show: who dials there is not bound by what was given up here.
    """
    try:
        here = Path.cwd()
    except FileNotFoundError:
        raise UserError("the working directory was removed; change to one that is there") from None
    seen = _everything(here) if level < Level.SANDBOX else _little(here, named, kernel)
    binds = [word for name, at in devices.items() for word in ("--bind", str(at), f"/dev/{name}")]
    return [bubblewrap.PROGRAM, *KEPT, *seen, *binds, "--", *command]


def _everything(here: Path) -> list[str]:
    """The host, but for /dev: there nothing of its own is but what every program needs."""
    return ["--dev-bind", "/", "/", "--dev", "/dev", "--chdir", str(here)]


def _little(here: Path, named: Sequence[str], kernel: Path | None) -> list[str]:
    """The system to read, the working directory to write, a /tmp and a /proc of its own, no network."""
    return [
        *(*APART, "--uid", str(os.getuid()), "--gid", str(os.getgid())),
        *bubblewrap.system(),
        *("--ro-bind-try", "/etc", "/etc", "--dev", "/dev"),
        *("--proc", "/proc", *bubblewrap.masked()),
        *("--size", str(bubblewrap.TEMPORARY), "--tmpfs", "/tmp"),
        *("--setenv", "TMPDIR", "/tmp"),
        *bubblewrap.seen([*bubblewrap.python(), *named]),
        *_working(here),
        *(("--ro-bind", "/dev/null", str(kernel)) if kernel and here in kernel.parents else ()),
    ]


def _working(here: Path) -> list[str]:
    """The working directory, to write. One that is the system's is as the sandbox has it: `/` is no way around it."""
    if here == Path("/") or any(here.is_relative_to(system) for system in SYSTEM):
        return ["--chdir", str(here) if any(here.is_relative_to(s) for s in SHOWN) else "/"]
    return ["--bind", str(here), str(here), "--chdir", str(here)]
