"""A driver's process: what it inherits, what it prints, and how it ends.

fd 3   its 9P connection      fd 4   its arena, where it has one      fd 5   its service
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from ..errors import NotSupported, UserError, signal_name
from ..kernel.process import Limits
from .output import Output
from .processes import tree
from .sandbox import cgroup
from .sandbox.cgroup import Group
from .sandbox.rlimits import NAMES, impose, rlimits

CLIENT, ARENA, SERVICE = 3, 4, 5
KEEP_ENV = ("PATH", "PYTHONPATH", "VIRTUAL_ENV", "LANG", "LC_ALL", "HOME", "LUX9_LOG")
AT_ONCE = {"PYTHONUNBUFFERED": "1"}  # what it prints is told then, and not lost when it is killed
GRACE = 3.0  # seconds from SIGTERM to SIGKILL
Inherit = Mapping[int, int]  # fd in the child: fd here


class Child:
    """A running program. `said(line)` gets what it prints; `ended` gets how it went. `group` goes with it."""

    grouped: ClassVar[tuple[str, ...]] = ("cpu", "processes")  # limits that only a group keeps

    def __init__(
        self, pid: int, output: int, said: Callable[[str], None], group: Group | None = None
    ) -> None:
        self.pid = self.waited = pid  # whom we speak to; whom we wait for
        self.group = group
        self.output = Output(output, said)
        self.loop = asyncio.get_running_loop()
        self.pidfd = os.pidfd_open(pid)
        self.ended: asyncio.Future[str] = self.loop.create_future()
        self.loop.add_reader(self.pidfd, self._reap)

    def _reap(self) -> None:
        self.loop.remove_reader(self.pidfd)
        os.close(self.pidfd)
        _, status = os.waitpid(self.waited, 0)
        self.pid = 0
        self.output.drain()
        if self.group is not None:
            self.group.close()
        self.ended.set_result(self._reason(status))

    def _reason(self, status: int) -> str:
        """How it ended, in words."""
        return reason(status)

    def signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def limit(self, name: str, limits: Limits) -> None:
        """Let one of these take effect now. Raises NotSupported where it cannot."""
        if self.group is not None:
            self.group.set(limits)
        elif name in self.grouped:
            raise NotSupported(cgroup.missing())
        if name == "arena":
            raise NotSupported("its arena is mapped as it is")
        if name in NAMES:
            wanted = NAMES[name]
            for pid in tree(self.pid) if self.pid else ():
                impose(pid, {wanted: rlimits(limits)[wanted]})

    async def stop(self) -> str:
        """Ask it to end, then make it; how it ended."""
        self.signal(signal.SIGTERM)
        await asyncio.wait([self.ended], timeout=GRACE)
        if not self.ended.done():
            self.signal(signal.SIGKILL)
        return await ending(self.ended)


async def ending(ended: asyncio.Future[str]) -> str:
    """How it ended, once it has. Whoever gives up waiting takes that from nobody else."""
    await asyncio.wait([ended])
    return ended.result()


def reason(status: int) -> str:
    """A wait status in words."""
    if os.WIFSIGNALED(status):
        return f"killed by {signal_name(os.WTERMSIG(status))}"
    return f"exited with status {os.WEXITSTATUS(status)}"


def spawn(argv: Sequence[str], inherit: Inherit, variables: Mapping[str, str]) -> tuple[int, int]:
    """Start a program with just those descriptors; its pid, and where what it prints can be read.

    Raises UserError when it cannot be started.
    """
    output, theirs = os.pipe2(os.O_CLOEXEC)
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    wanted = {0: nothing, 1: theirs, 2: theirs, **inherit}
    high = {fd: fcntl.fcntl(ours, fcntl.F_DUPFD_CLOEXEC, 32) for fd, ours in wanted.items()}
    env = {k: os.environ[k] for k in KEEP_ENV if k in os.environ} | AT_ONCE | dict(variables)
    try:
        actions: list[tuple[int, int] | tuple[int, int, int]] = [
            (os.POSIX_SPAWN_CLOSE, fd) for fd in strangers()
        ]
        actions += [(os.POSIX_SPAWN_DUP2, here, fd) for fd, here in high.items()]
        signals = [signal.SIGINT, signal.SIGTERM, signal.SIGPIPE]
        pid = os.posix_spawnp(
            argv[0], list(argv), env, file_actions=actions, setsigdef=signals, setpgroup=0
        )
    except OSError as error:
        os.close(output)
        raise UserError(f"{argv[0]}: cannot be started: {error.strerror}") from None
    finally:
        for fd in (nothing, theirs, *high.values()):
            os.close(fd)
    return pid, output


def strangers() -> list[int]:
    """What whoever started us left open to all that we start: none of a driver's business."""
    found = list[int]()
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the folder's own is closed by now
            if os.get_inheritable(int(path.name)):
                found.append(int(path.name))
    return [fd for fd in found if fd > 2]


def pair() -> tuple[socket.socket, socket.socket]:
    """Two ends of a stream: ours, and the child's."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
