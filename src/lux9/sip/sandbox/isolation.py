"""A driver started at a level: which one, why not a further one, and how."""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from ...errors import NotSupported
from ...kernel.process import Limits
from ..spawn import Child, Inherit, spawn
from . import bubblewrap, calls, cgroup, enter, seccomp
from .cgroup import Group
from .held import Held
from .host import host
from .jailed import Jailed
from .judge import Judge, Told
from .level import Level
from .rlimits import impose, rlimits

STATUS = 7  # fd on which bubblewrap tells the pid; the driver does not inherit it


class Program(Protocol):
    """What is to be started: a manifest's stanza."""

    @property
    def name(self) -> str:
        """Whose it is."""
        ...

    @property
    def module(self) -> str:
        """A Python module, or nothing."""
        ...

    @property
    def command(self) -> tuple[str, ...]:
        """A program and its arguments, where there is no module."""
        ...

    @property
    def argv(self) -> list[str]:
        """What is run outside of a sandbox."""
        ...

    @property
    def limits(self) -> Limits:
        """What it may use."""
        ...

    @property
    def isolation(self) -> Level:
        """The least that it may run with."""
        ...

    @property
    def read(self) -> tuple[str, ...]:
        """Files and folders of the host that it sees."""
        ...


@dataclass(frozen=True)
class Isolation:
    """What the user asked for: a level for all, or the best there is; `inside` names those without any.

    Raises NotSupported when the host does not have that level.
    """

    wanted: Level | None = None
    inside: Collection[str] = ()

    def __post_init__(self) -> None:
        if self.wanted is not None and self.wanted > host().best:
            raise NotSupported(f"isolation {self.wanted.word}: {host().missing}")

    def level(self, program: Program) -> Level:
        """At which level it is started. Raises NotSupported when its manifest demands more."""
        level = host().best if self.wanted is None else self.wanted
        if program.name in self.inside:
            level = Level.NONE
        if level < program.isolation:
            raise NotSupported(
                f"{program.name} demands isolation {program.isolation.word}, "
                f"and would get {self.status(level)}"
            )
        return level

    @property
    def notice(self) -> str:
        """What to tell when the best that there is was asked for and it is not the furthest; or nothing."""
        if self.wanted is not None or host().best is Level.SANDBOX:
            return ""
        return f"drivers run at isolation {self.status(host().best)}"

    def status(self, level: Level) -> str:
        """A level, and what lacks for the next."""
        if level is Level.SANDBOX:
            return (
                f"{level.word} (no cgroup: {lacks})" if (lacks := cgroup.missing()) else level.word
            )
        why = f"--isolation {Level(level + 1).word}" if level < host().best else host().missing
        return f"{level.word} (for {Level(level + 1).word}: {why})"


def start(
    level: Level,
    program: Program,
    inherit: Inherit,
    variables: Mapping[str, str],
    said: Callable[[str], None],
    told: Told,
) -> Child:
    """Start it in a process of its own, in a sandbox or not. `told` hears of what it tries there in vain.

    Raises UserError.
    """
    group = None if cgroup.missing() else cgroup.groups().make(program.name, program.limits)
    try:
        if level is Level.SANDBOX:
            return _jail(program, group, inherit, variables, said, told)
        pid, output = spawn(program.argv, inherit, variables)
    except BaseException:
        if group is not None:
            group.close()
        raise
    child = Child(pid, output, said, group)
    try:
        if group is not None:
            group.add(pid)
        impose(pid, rlimits(program.limits))
    except BaseException:
        child.signal(signal.SIGKILL)
        raise
    return child


def _jail(
    program: Program,
    group: Group | None,
    inherit: Inherit,
    variables: Mapping[str, str],
    said: Callable[[str], None],
    told: Told,
) -> Child:
    what, files = ["--module", program.module], list(program.read)
    if program.command:
        words, named = bubblewrap.shown(program.command)
        what, files = ["--command", *words], files + named
    first = [sys.executable, "-P", "-m", enter.__name__]
    argv = [*first, *(f"{name}={value}" for name, value in rlimits(program.limits).items()), *what]
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    status, telling = os.pipe2(os.O_CLOEXEC)
    number = enter.NUMBER.pack(seccomp.number_of("seccomp"))
    message = number + seccomp.program()
    outer = bubblewrap.arguments(argv, STATUS, files)
    names = calls.WATCHED | {*(calls.PROGRAM if program.command else ())}
    try:
        more = {**inherit, enter.CONTROL: theirs.fileno(), STATUS: telling}
        environment = {**variables, "PYTHONDONTWRITEBYTECODE": "1"}
        pid, output = spawn(outer, more, environment)
    except BaseException:
        ours.close()
        os.close(status)
        raise
    finally:
        theirs.close()
        os.close(telling)
    judge = Judge(Held(outer), program.limits, names, told)
    return Jailed(pid, output, said, status, ours, message, judge, group)
