"""What this host permits: found out by trying, told in words with the remedy."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ...errors import NotSupported
from . import bubblewrap, seccomp
from .level import Level

TRIAL = 10.0  # seconds


@dataclass(frozen=True)
class Host:
    """The furthest level that can be had, and what lacks for the next; `missing` is empty at the last."""

    best: Level
    missing: str = ""


@cache
def host() -> Host:
    """This one; tried once."""
    missing = _library() or _program()
    return Host(Level.PROCESS, missing) if missing else Host(Level.SANDBOX)


def _library() -> str:
    try:
        seccomp.program()
    except NotSupported as error:
        return str(error)
    return ""


def _program() -> str:
    """Run nothing in a sandbox and see whether it comes up."""
    if shutil.which(bubblewrap.PROGRAM) is None:
        return "bwrap is missing; apt-get install bubblewrap"
    try:
        done = subprocess.run(
            bubblewrap.arguments(["true"], status=2),
            capture_output=True,
            timeout=TRIAL,
            check=False,
            start_new_session=True,  # a Ctrl-C does not tell that there is no sandbox
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"bwrap cannot be tried: {error}"
    if done.returncode == 0:
        return ""
    said = [line for line in done.stderr.decode(errors="replace").splitlines() if "bwrap:" in line]
    return f"{said[-1] if said else 'bwrap failed'}; {_remedy()}"


def _remedy() -> str:
    """Which of the host's switches is off."""
    switches = {
        "/proc/sys/kernel/unprivileged_userns_clone": (
            "0",
            "sysctl kernel.unprivileged_userns_clone=1",
        ),
        "/proc/sys/user/max_user_namespaces": ("0", "sysctl user.max_user_namespaces=10000"),
        "/proc/sys/kernel/apparmor_restrict_unprivileged_userns": (
            "1",
            "sysctl kernel.apparmor_restrict_unprivileged_userns=0",
        ),
    }
    for path, (off, remedy) in switches.items():
        if _read(path) == off:
            return remedy
    return "let this container make user namespaces (docker: --security-opt seccomp=unconfined)"


def _read(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
