"""What a sandbox holds, read from the arguments that make it: so the audit never says otherwise than bwrap(1) does."""

from __future__ import annotations

import os
from collections.abc import Sequence
from enum import Enum
from pathlib import PurePosixPath

from .bubblewrap import SHOWN

READS = ("--ro-bind", "--ro-bind-try")
WRITES = ("--bind", "--dev-bind")
PROC = PurePosixPath("/proc")
ROOT = "root"  # a process's link to its root
OWN = ("self", "thread-self", "mounts", "net")  # of proc(5): a process's own, and links to it


class Access(Enum):
    """How a path is there; where it is not as it was wanted, in words."""

    NONE = "it is not in the sandbox"
    READ = "it can only be read"
    WRITE = "it is there"


class Held:
    """The paths of a sandbox, each with all that is below it."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.paths: dict[PurePosixPath, Access] = {}
        self.links: dict[PurePosixPath, PurePosixPath] = {}
        options = list(arguments[: arguments.index("--")])
        for n, option in enumerate(options):
            if option in READS or option in WRITES:
                self._bound(option, *options[n + 1 : n + 3])
            elif option == "--symlink":
                link = PurePosixPath(options[n + 2])
                self.links[link] = link.parent / options[n + 1]
            elif option == "--tmpfs":
                self.paths[PurePosixPath(options[n + 1])] = Access.WRITE
            elif option == "--remount-ro" and options[n + 1] != "/":  # it hides a folder
                self.paths[PurePosixPath(options[n + 1])] = Access.NONE
        self.ways = {above for path in [*self.paths, *self.links] for above in path.parents}

    def _bound(self, option: str, source: str, to: str) -> None:
        hidden = source == os.devnull != to
        there = Access.WRITE if option in WRITES else Access.READ
        self.paths[PurePosixPath(to)] = Access.NONE if hidden else there

    def access(self, path: PurePosixPath) -> Access:
        """Of an absolute path, `..` resolved. A process's own folder in /proc is taken to be there."""
        for above in (path, *path.parents):
            if above in self.links:
                return self.access(self.links[above] / path.relative_to(above))
            if above in self.paths:
                return self.paths[above]
        if PROC in path.parents:
            return self._process(*path.parts[2:])
        return Access.READ if path in self.ways else Access.NONE

    def _process(self, name: str, *rest: str) -> Access:
        """Of a path in /proc: what of it is a process's, or of the machine and shown."""
        if not (name.isdigit() or name in OWN):
            return Access.READ if name in SHOWN else Access.NONE
        if ROOT in rest:
            return self.access(PurePosixPath("/", *rest[rest.index(ROOT) + 1 :]))
        return Access.WRITE


def process(path: PurePosixPath) -> str:
    """The number of the process whose folder in /proc it is, or is in; or nothing."""
    name = path.parts[2] if PROC in path.parents else ""
    return name if name.isdigit() else ""
