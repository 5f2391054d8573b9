"""The calls that a sandbox's filter did not allow: each waits for us, is refused with EPERM, and is told by name.

Ref: seccomp_unotify(2). Nothing is ever let pass here: what a call's pointers say can change under our eyes, so only
its number and plain arguments are told. Who makes too many in too short a time is told so once, by `flooded`.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import struct
import time
from collections.abc import Callable

from .seccomp import name_of

RECV, SEND = 0xC0502100, 0xC0182101  # SECCOMP_IOCTL_NOTIF_RECV, _SEND of linux/seccomp.h
NOTICE = struct.Struct(
    "QIIiIQ6Q"
)  # struct seccomp_notif: id, pid, flags, nr, arch, instruction, args
ANSWER = struct.Struct("QqiI")  # struct seccomp_notif_resp: id, val, error, flags
MOST = 500  # refused calls a second


class Listener:
    """The kernel's end of one filter. `refused(name, args)` is called for each call."""

    def __init__(
        self,
        fd: int,
        refused: Callable[[str, tuple[int, ...]], None],
        flooded: Callable[[], None],
    ) -> None:
        self.fd, self.refused, self.flooded = fd, refused, flooded
        self.second, self.count = 0, 0
        self.loop = asyncio.get_running_loop()
        self.loop.add_reader(fd, self._ready)

    def _ready(self) -> None:
        notice = bytearray(NOTICE.size)
        try:
            fcntl.ioctl(self.fd, RECV, notice)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.EINTR):  # the caller was killed meanwhile
                self.close()
            return
        ident, _, _, number, _, _, *args = NOTICE.unpack(notice)
        try:
            fcntl.ioctl(self.fd, SEND, ANSWER.pack(ident, 0, -errno.EPERM, 0))
        except OSError:
            return  # it did not wait for the answer
        self._tell(number, tuple(args))

    def _tell(self, number: int, args: tuple[int, ...]) -> None:
        second = int(time.monotonic())
        self.count = self.count + 1 if second == self.second else 1
        self.second = second
        if self.count <= MOST:
            self.refused(name_of(number), args)
        elif self.count == MOST + 1:
            self.flooded()

    def close(self) -> None:
        """Listen no more; whoever is still filtered gets ENOSYS."""
        if self.fd >= 0:
            self.loop.remove_reader(self.fd)
            os.close(self.fd)
            self.fd = -1
