"""The arguments of bwrap(1): which parts of the host a driver sees, and nothing that it could write.

A system as the interpreter needs it (/usr, its libraries, Python's own folders, this package) read-only, a small
private /tmp, the /proc of a process namespace of its own, five devices. The root is an empty tmpfs, made read-only
last: there is nowhere to put a file but /tmp.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

PROGRAM = "bwrap"
SYSTEM = ("/bin", "/lib", "/lib32", "/lib64", "/libx32", "/sbin")
SETUP = (  # what the C library reads of its own accord
    *("/etc/ld.so.cache", "/etc/localtime", "/sys/devices/system/cpu/online"),
)
DEVICES = ("null", "zero", "full", "random", "urandom")
# What of the machine proc(5) may show. All else is hidden: outside of the sandbox the user may be root, and many
# of those files ask no more than that, whatever namespaces there are.
SHOWN = (
    "cmdline",
    "cpuinfo",
    "filesystems",
    "loadavg",
    "meminfo",
    "stat",
    "uptime",
    "version",
    "version_signature",
    "vmstat",
)
SETTINGS = "sys"  # shown, and not to be written
TEMPORARY = 16 << 20  # bytes of /tmp
NOBODY = "65534"
PACKAGE = Path(__file__).parents[2]  # lux9 itself


def arguments(command: Sequence[str], status: int, more: Sequence[str] = ()) -> list[str]:
    """The whole command line. `status` is the fd on which bwrap tells the pid; `more` are files to be seen."""
    return [
        *(
            PROGRAM,
            "--unshare-user",
            "--unshare-ipc",
            "--unshare-pid",
            "--unshare-net",
            "--unshare-uts",
        ),
        *(
            "--unshare-cgroup-try",
            "--disable-userns",
            "--die-with-parent",
            "--new-session",
            "--as-pid-1",
        ),
        *("--cap-drop", "ALL", "--uid", NOBODY, "--gid", NOBODY, "--hostname", "sip"),
        *("--json-status-fd", str(status)),
        *system(),
        *("--size", str(TEMPORARY), "--tmpfs", "/tmp"),  # before what is seen: that may lie in /tmp
        *seen([*python(), *more]),
        *("--proc", "/proc", *masked()),
        *_devices(),
        *("--setenv", "HOME", "/tmp", "--setenv", "TMPDIR", "/tmp", "--chdir", "/tmp"),
        *("--remount-ro", "/"),
        "--",
        *command,
    ]


def system() -> Iterator[str]:
    """Programs and libraries of the host."""
    yield from ("--ro-bind", "/usr", "/usr")
    for name in SYSTEM:
        path = Path(name)
        if path.is_symlink():
            yield from ("--symlink", str(path.readlink()), name)
        elif path.is_dir():
            yield from ("--ro-bind", name, name)
    for name in SETUP:
        yield from ("--ro-bind-try", name, name)


def python() -> list[str]:
    """The interpreter, its library, this package, and what the environment adds to them."""
    added = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    return [sys.base_prefix, sys.prefix, str(PACKAGE), *filter(None, added)]


def seen(paths: Sequence[str]) -> Iterator[str]:
    """Each that is not within another, read-only under its own name, the outer ones first."""
    done = [Path("/usr")]
    for path in sorted({Path(p).absolute() for p in paths}):
        if path.exists() and not any(path.is_relative_to(outer) for outer in done):
            done.append(path)
            yield from ("--ro-bind", str(path), str(path))


def masked() -> Iterator[str]:
    """Nothing of /proc that is the machine's and not a process's, but what is in `SHOWN`."""
    yield from ("--ro-bind", f"/proc/{SETTINGS}", f"/proc/{SETTINGS}")
    for path in sorted(Path("/proc").iterdir()):
        if path.name.isdigit() or path.is_symlink() or path.name in (*SHOWN, SETTINGS):
            continue
        if path.is_dir():
            yield from ("--perms", "0555", "--tmpfs", str(path), "--remount-ro", str(path))
        else:
            yield from ("--ro-bind", "/dev/null", str(path))


def _devices() -> Iterator[str]:
    for name in DEVICES:
        yield from ("--dev-bind", f"/dev/{name}", f"/dev/{name}")
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        yield from ("--symlink", f"/proc/self/fd/{number}", f"/dev/{name}")
    yield from ("--symlink", "/proc/self/fd", "/dev/fd")


def shown(command: Sequence[str]) -> tuple[list[str], list[str]]:
    """A manifest's command with absolute paths, and the files that it names: those are in the sandbox, too."""
    words = [shutil.which(command[0]) or command[0], *command[1:]]
    words = [str(Path(word).absolute()) if Path(word).is_file() else word for word in words]
    return words, [word for word in words if Path(word).is_file()]
