"""The calls that a sandbox's filter lets wait for us: each is refused with EPERM and told, or looked at and let go on.

Ref: seccomp_unotify(2). Who is refused too often in too short a time is told so once, by `flooded`. Whoever makes
too many calls of either kind is made to wait, so that the kernel of lux9 has time for others.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import select
import struct
import time
from collections.abc import Callable

from ...kernel.budget import Budget
from .judge import Judge
from .seccomp import name_of

RECV, SEND = 0xC0502100, 0xC0182101  # linux/seccomp.h: SECCOMP_IOCTL_NOTIF_…
NOTICE = struct.Struct(
    "QIIiIQ6Q"
)  # struct seccomp_notif: id, pid, flags, nr, arch, instruction, args
ANSWER = struct.Struct("QqiI")  # struct seccomp_notif_resp: id, val, error, flags
CONTINUE = 1  # SECCOMP_USER_NOTIF_FLAG_CONTINUE: the call is made as if there were no filter
MOST = 500  # refused calls a second
BURST, RATE = 3000.0, 500.0  # calls at once, as when a program starts, and a second


def ready(fd: int) -> int:
    """What poll(2) says of a descriptor now, 0 if nothing. select(2) knows none above 1023."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return sum(events for _, events in poll.poll(0))


class Listener:
    """The kernel's end of one filter."""

    def __init__(self, fd: int, judge: Judge, flooded: Callable[[], None]) -> None:
        self.fd, self.judge, self.flooded = fd, judge, flooded
        self.second, self.count = 0, 0
        self.budget = Budget(BURST, RATE)
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(fd, self._ready)

    def _ready(self) -> None:
        """One call; then others have their turn."""
        events = ready(self.fd)
        if not events & select.POLLIN:
            if (
                events
            ):  # nobody is left behind the filter: Linux before 6.11 would wait for a call for ever
                self.close()
            return
        notice = bytearray(NOTICE.size)
        try:
            fcntl.ioctl(self.fd, RECV, notice)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINTR):  # the caller was killed meanwhile
                self.close()
            return
        ident, tid, _, number, _, _, *args = NOTICE.unpack(notice)
        verdict = self.judge.call(tid, name_of(number), tuple(args))
        if self._answer(
            ident, verdict.error
        ):  # it waited all the while: what was seen of it is true
            if verdict.error == errno.EPERM:
                self._count()
            if self.count <= MOST:
                for finding in verdict.findings:
                    self.judge.told(finding)
        if self.fd >= 0 and not self.budget.take():
            self._rest()

    def _answer(self, ident: int, error: int) -> bool:
        """An errno, or 0: let it go on. Whether the caller was still waiting."""
        try:
            fcntl.ioctl(self.fd, SEND, ANSWER.pack(ident, 0, -error, 0 if error else CONTINUE))
        except OSError:
            return False
        return True

    def _count(self) -> None:
        second = int(time.monotonic())
        self.count = self.count + 1 if second == self.second else 1
        self.second = second
        if self.count == MOST + 1:
            self.flooded()

    def _rest(self) -> None:
        """Too many: the next one waits until there is time for it."""
        self.loop.remove_reader(self.fd)
        self.loop.call_later(1 / RATE, self._again)

    def _again(self) -> None:
        if self.fd >= 0:
            self.loop.add_reader(self.fd, self._ready)

    def close(self) -> None:
        """Listen no more; whoever is still filtered gets ENOSYS."""
        if self.fd >= 0:
            self.loop.remove_reader(self.fd)
            os.close(self.fd)
            self.fd = -1
