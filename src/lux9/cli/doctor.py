"""`lux9 doctor`: what this host has for each machine, what it lacks, and the command that mends it."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec

import click

from ..errors import UserError
from ..fuse.keeper import available
from ..ninep import short
from .machines import NAMES, lacks
from .tree import printed

EXAMPLES = """
\b
Examples:
  lux9 doctor
  lux9 doctor --json | jq -r '.[] | select(.state == "lacks") | .remedy'
"""
QEMU = "qemu-system-x86_64"
PATIENCE = 10.0  # seconds for it to tell its version
MODELS = "everything: models in Python"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked for. State is `has`, `lacks`, or `could have`: then all works without it."""

    subject: str
    state: str
    what: str
    remedy: str = ""


@click.command(epilog=EXAMPLES)
@click.option("--json", "as_json", is_flag=True, help="A JSON array, for programs.")
def doctor(as_json: bool) -> None:
    """Tell for each machine what is there, what lacks, and what mends it. Ends with 1 when the embedded one lacks."""
    found = list(findings())
    if as_json:
        printed([asdict(f) for f in found])
    else:
        for f in found:
            click.echo(f"{f.subject:<8} {f.state:<10} {f.what}")
            if f.remedy:
                click.echo(f"{'':<19} {f.remedy}")
    if any(f.subject == "sim" and f.state == "lacks" for f in found):
        sys.exit(1)


def findings() -> Iterator[Finding]:
    """Everything, machine by machine, then what drivers and file systems use."""
    yield Finding(
        "host", "has", f"Python {platform.python_version()} on Linux {platform.release()}"
    )
    for name in NAMES:
        lacking = [Finding(name, "lacks", lack.what, lack.remedy) for lack in lacks(name)]
        yield from lacking or [_qemu() if name == "qemu" else Finding(name, "has", MODELS)]
    yield _module("qemu", "qemu.qmp", "qemu.qmp, to plug cards while it runs", "qemu")
    yield _module("loop", "uvloop", "uvloop, an event loop at half the cost", "fast")
    yield _module("keys", "cryptography", "cryptography, to make keys for the network", "keys")
    yield _short()
    yield _sandbox()
    yield _mount()
    yield _program("ext4", "mke2fs", "mke2fs, to make images", "e2fsprogs")


def _qemu() -> Finding:
    """Which one it is; one that does not say so is not ready for more."""
    program = shutil.which(QEMU) or QEMU
    try:
        return Finding("qemu", "has", _version(program))
    except OSError as error:
        wrong = f"cannot be started: {error.strerror}"
    except subprocess.CalledProcessError as error:
        wrong = f"exits with status {error.returncode}"
    except subprocess.TimeoutExpired:
        wrong = f"says nothing for {PATIENCE:g} s"
    remedy = "sudo apt-get install --reinstall qemu-system-x86"
    return Finding("qemu", "lacks", f"`{program} --version` {wrong}", remedy)


def _version(program: str) -> str:
    run = subprocess.run(
        [program, "--version"], capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    return run.stdout.partition("\n")[0]


def _sandbox() -> Finding:
    """Whether drivers can be kept apart from the host."""
    from ..sip.sandbox.host import host

    if not (missing := host().missing):
        return Finding("sandbox", "has", "bubblewrap, namespaces and seccomp, for drivers")
    return _without("sandbox", "a sandbox for drivers", missing)


def _mount() -> Finding:
    """Whether the tree can be a directory."""
    try:
        available()
    except UserError as error:
        return _without(
            "mount", "FUSE, for `lux9 mount`, `lux9 run` and `lux9 shell`", error.message
        )
    return Finding("mount", "has", "FUSE, for `lux9 mount`, `lux9 run` and `lux9 shell`")


def _without(subject: str, what: str, missing: str) -> Finding:
    """What would be nice, of a text that has the remedy behind its last `; `."""
    why, _, remedy = missing.rpartition("; ")
    return Finding(subject, "could have", f"{what}: {why}", remedy)


def _short() -> Finding:
    """Whether the 9P server has its short ways in C."""
    what = "the 9P server's short ways in C"
    if short.TURN is not None:
        return Finding("9p", "has", what)
    if short.stale():
        return Finding("9p", "could have", f"{what}: they are of another lux9", "make accel")
    return Finding("9p", "could have", what, "make accel")


def _module(subject: str, name: str, what: str, extra: str) -> Finding:
    try:
        there = find_spec(name) is not None
    except ModuleNotFoundError:  # not even its parent
        there = False
    if there:
        return Finding(subject, "has", what)
    return Finding(subject, "could have", what, f"{sys.executable} -m pip install 'lux9[{extra}]'")


def _program(subject: str, name: str, what: str, package: str) -> Finding:
    if shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin"):
        return Finding(subject, "has", what)
    return Finding(subject, "could have", what, f"sudo apt-get install {package}")
