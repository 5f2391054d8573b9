"""What a driver tries and its sandbox does not have, or what is more than its share: found, and told for the audit.

The filter lets these calls wait (`calls.WATCHED`), so that they can be looked at; then the host's own kernel goes on
with them and answers as it would have. It is the namespaces and limits that refuse; nothing is allowed here that they
would not. So it does no harm that a driver can change a path in its memory after it was read here (seccomp_unotify(2),
"SECCOMP_USER_NOTIF_FLAG_CONTINUE"): it would spoil its own record at most. The one thing that is refused here is one
more thread or process than its share, and that is told by registers and counts, which it cannot change.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from ...kernel.process import Limits
from ..processes import tree
from . import calls
from .bubblewrap import TEMPORARY
from .caller import Caller, signed
from .cgroup import THREADS
from .held import PROC, Access, Held, process

CLONE_THREAD = 0x10000  # linux/sched.h
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
TMP = PurePosixPath("/tmp")


class Finding(NamedTuple):
    """What is told: `open /etc/shadow`, `limit memory`, `system call ptrace`; and what else there is to know of it."""

    what: str
    target: str
    detail: dict[str, object]


class Verdict(NamedTuple):
    """An errno, or 0 to let the call go on."""

    error: int
    findings: list[Finding]


Told = Callable[[Finding], None]


class Judge:
    """Of one driver's calls. `told` gets each finding."""

    def __init__(self, held: Held, limits: Limits, names: frozenset[str], told: Told) -> None:
        self.held, self.names, self.told = held, names, told
        self.limit(limits)
        self.reached: set[str] = set()
        self.pid = 0  # the first process; known before it makes a call

    def limit(self, limits: Limits) -> None:
        """These hold from now on."""
        self.limits, self.memory = limits, limits.memory + limits.arena

    def call(self, tid: int, name: str, args: tuple[int, ...]) -> Verdict:
        """What is to be answered to a call, and what there is to tell of it."""
        if name not in self.names or (name in calls.FORK and not self._forks(name, args)):
            return Verdict(errno.EPERM, [refusal(name, args)])
        who = Caller(tid)
        if name in calls.FORK:
            return self._starts(who, name, args)
        return Verdict(0, list(self._found(who, name, args)))

    def _forks(self, name: str, args: tuple[int, ...]) -> bool:
        """A thread may be started in any case, a process where the manifest has some."""
        return self.limits.processes > 0 or _is_thread(name, args)

    def _found(self, who: Caller, name: str, args: tuple[int, ...]) -> Iterator[Finding]:
        """Each is looked for on its own: one that cannot be (the caller is gone) hides no other."""
        looks = (self._paths, self._signals, self._files, self._memory, self._sizes, self._usage)
        for look in looks:
            try:
                yield from look(who, name, args)
            except (OSError, ValueError):
                continue

    # -- what it names

    def _paths(self, who: Caller, name: str, args: tuple[int, ...]) -> Iterator[Finding]:
        for named in calls.PATHS.get(name, ()):
            directory = None if named.directory is None else args[named.directory]
            path = who.path(directory, args[named.path])
            writes = _writes(named, args)
            there = self._access(who, path)
            if there is Access.NONE or (writes and there is Access.READ):
                detail: dict[str, object] = {"why": there.value, "call": name}
                yield Finding("write" if writes else "open", str(path), detail)

    def _access(self, who: Caller, path: PurePosixPath) -> Access:
        """How it is there; other processes' files are not, nor are those that are in the host's /tmp."""
        if (pid := process(path)) and not who.sees(str(PROC / pid)):
            return Access.NONE
        if TMP in path.parents and os.path.lexists(path) and not who.sees(str(path)):
            return Access.NONE
        return self.held.access(path)

    def _signals(self, who: Caller, name: str, args: tuple[int, ...]) -> Iterator[Finding]:
        pid = abs(signed(args[0])) if name in calls.SIGNALS else 0  # below 0: a group's
        if pid > 1 and not who.sees(str(PROC / str(pid))):
            yield Finding("signal", str(pid), {"why": Access.NONE.value, "call": name})

    # -- how much it takes

    def _starts(self, who: Caller, name: str, args: tuple[int, ...]) -> Verdict:
        """One more thread or process, if that is within its share."""
        if _is_thread(name, args):
            what, used, most = "threads", _count(who.threads) - 1, THREADS
        else:
            what, used, most = "processes", len(list(tree(self.pid))) - 1, self.limits.processes
        if used < most:
            return Verdict(0, [])
        return Verdict(errno.EAGAIN, [reached(what, used, most, name)])

    def _files(self, who: Caller, name: str, args: tuple[int, ...]) -> Iterator[Finding]:
        if name in calls.OPENING and (used := who.files()) >= self.limits.files:
            yield reached("files", used, self.limits.files, name)

    def _memory(self, who: Caller, name: str, args: tuple[int, ...]) -> Iterator[Finding]:
        if name in calls.GROWING:
            wanted, had = calls.GROWING[name]
            size = args[wanted] - (0 if had is None else args[had])
            if (used := who.memory()) + size > self.memory:
                yield reached("memory", used, self.memory, name)

    def _sizes(self, who: Caller, name: str, args: tuple[int, ...]) -> Iterator[Finding]:
        size = sum(args[n] for n in calls.SIZES.get(name, ()))
        if size > self.limits.file_size:
            yield reached("file_size", size, self.limits.file_size, name)

    def _usage(self, who: Caller, name: str, args: tuple[int, ...]) -> Iterator[Finding]:
        """What has no call of its own, before a call that may give it back."""
        writes = any(_writes(named, args) for named in calls.PATHS.get(name, ()))
        if writes or name in calls.ENDS or name in calls.SIZES:
            yield from self._used(who)

    def look(self) -> None:
        """At the first process as it runs: what was reached without a call that is watched."""
        try:
            for finding in self._used(Caller(self.pid)):
                self.told(finding)
        except (OSError, ValueError):
            return

    def _used(self, who: Caller) -> Iterator[Finding]:
        """A full /tmp; memory to the last piece. Told when it is reached, not as long as it is so."""
        room, peak = who.room(str(TMP)), who.peak()
        full = {
            "disk": (room == 0, reached("disk", TEMPORARY - room, TEMPORARY)),
            "memory": (peak + calls.PIECE > self.memory, reached("memory", peak, self.memory)),
        }
        for name, (is_full, finding) in full.items():
            if is_full and name not in self.reached:
                yield finding
        self.reached = {name for name, (is_full, _) in full.items() if is_full}


def _is_thread(name: str, args: tuple[int, ...]) -> bool:
    return name == "clone" and bool(args[0] & CLONE_THREAD)


def _count(what: Callable[[], int]) -> int:
    """0 of a caller that is gone."""
    try:
        return what()
    except OSError:
        return 0


def _writes(named: calls.Named, args: tuple[int, ...]) -> bool:
    return named.writes or (named.flags is not None and bool(args[named.flags] & WRITING))


def reached(what: str, used: int, most: int, call: str = "") -> Finding:
    """One that was reached."""
    detail: dict[str, object] = {"used": used, "most": most}
    return Finding("limit", what, {**detail, "call": call} if call else detail)


def refusal(call: str, args: tuple[int, ...]) -> Finding:
    """A call that is not let pass at all."""
    return Finding("system call", call, {"args": ", ".join(f"{value:#x}" for value in args)})
