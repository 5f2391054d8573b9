"""A program within bubblewrap: two processes, of which the outer one tells and waits, and the inner one is the driver.

The outer one is our child. When it ends, for whatever reason, the inner one is killed by the kernel of the host
(die-with-parent), and so is everything in its process namespace; we wait for that, too, before anything that the
driver held is given to somebody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from ...kernel.process import Limits
from ..spawn import Child, reason
from .cgroup import Group
from .judge import Judge
from .notify import MOST, Listener, ready

MASKS = ("SigBlk:", "SigIgn:", "SigCgt:")  # of proc(5): signals blocked, ignored, caught
EVERY = 2.0  # seconds between two looks at what it uses


class Jailed(Child):
    """A running program in a sandbox. `judge` looks at the calls that its filter lets wait.

    The driver waits for `message` before it becomes one; by then it is in `group`, if there is one.
    """

    grouped = ("cpu",)

    def __init__(
        self,
        pid: int,
        output: int,
        said: Callable[[str], None],
        status: int,
        control: socket.socket,
        message: bytes,
        judge: Judge,
        group: Group | None = None,
    ) -> None:
        super().__init__(pid, output, said, group)
        self.status, self.control, self.judge = status, control, judge
        self.message = message
        self.inner, self.doomed = -1, False
        self.listener: Listener | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.verdict, self.heard = "", b""
        os.set_blocking(status, False)
        control.setblocking(False)
        self.loop.add_reader(status, self._told)
        self.loop.add_reader(control.fileno(), self._listen)

    def _told(self) -> None:
        """Bubblewrap's JSON, a piece at a time: the first object has the pid of the driver, a later one its end."""
        data = os.read(self.status, 4096)
        self.heard += data
        if not data:
            self._deaf()
        if self.inner < 0 and b"}" in self.heard:
            with contextlib.suppress(ValueError, KeyError, ProcessLookupError):
                pid = int(json.loads(self.heard.split(b"}")[0] + b"}")["child-pid"])
                self.inner, self.pid = os.pidfd_open(pid), pid
                self.judge.pid = pid
                self._let_in()
                if self.doomed:
                    self.signal(signal.SIGKILL)

    def _let_in(self) -> None:
        """It is known, and where it belongs: it may go on."""
        if self.group is not None:
            self.group.add(self.pid)
        if self.control.fileno() >= 0:
            with contextlib.suppress(OSError):  # it has ended already
                self.control.send(self.message)

    def _deaf(self) -> None:
        if self.status >= 0:
            self.loop.remove_reader(self.status)
            os.close(self.status)
            self.status = -1

    def _listen(self) -> None:
        """The filter's listener arrives, or the driver is gone before it had one."""
        fds: list[int] = []
        with contextlib.suppress(ConnectionError):
            _, fds, _, _ = socket.recv_fds(self.control, 16, 1)
        self._hang_up()
        if fds:
            self.listener = Listener(fds[0], self.judge, self._flooded)
            self.timer = self.loop.call_later(EVERY, self._look)

    def _look(self) -> None:
        self.judge.look()
        self.timer = self.loop.call_later(EVERY, self._look)

    def _hang_up(self) -> None:
        if self.control.fileno() >= 0:
            self.loop.remove_reader(self.control.fileno())
            self.control.close()

    def _flooded(self) -> None:
        self.verdict = f"killed: more than {MOST} refused system calls in a second"
        self.signal(signal.SIGKILL)

    def signal(self, number: int) -> None:
        """Send a signal to the driver. What is to end it waits for it to be there, unless it is made to once more.

        Bubblewrap killed between its clone(2) and its next step would leave the clone behind, which waits for it:
        so they go together. Until the driver is told of, both are in one group.
        """
        if self.inner < 0 and number == signal.SIGKILL and self.doomed and self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
        elif self.inner < 0 and number in (signal.SIGTERM, signal.SIGKILL):
            self.doomed = True
        elif self.inner < 0:
            super().signal(number)
        elif self.pid:
            if number == signal.SIGTERM and self._by_default(number):
                self.verdict, number = f"killed by {signal.SIGTERM.name}", signal.SIGKILL
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self.inner, number)

    def limit(self, name: str, limits: Limits) -> None:
        """As for any child; and whoever looks at its calls is told."""
        self.judge.limit(limits)
        super().limit(name, limits)

    def _by_default(self, number: int) -> bool:
        """Whether a signal would take its default action, which it does not for process 1 (pid_namespaces(7)): we do.

        An init of bubblewrap's between would be a process without the filter, whose memory the driver may write.
        """
        try:
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        except OSError:
            return False
        masks = [line.split()[1] for line in lines if line.startswith(MASKS)]
        return not any(int(mask, 16) >> (number - 1) & 1 for mask in masks)

    def _reap(self) -> None:
        """The outer process has ended; it is over when the inner one has."""
        if self.status >= 0 and ready(self.status):
            self._told()
        if self.inner < 0 or ready(self.inner):
            self._gone()
            return
        self.loop.remove_reader(self.pidfd)
        self.signal(signal.SIGKILL)
        self.loop.add_reader(self.inner, self._gone)

    def _gone(self) -> None:
        if self.inner >= 0:
            self.loop.remove_reader(self.inner)
            os.close(self.inner)
            self.inner = -1
        self._deaf()
        self._hang_up()
        if self.listener is not None:
            self.listener.close()
        if self.timer is not None:
            self.timer.cancel()
        super()._reap()

    def _reason(self, status: int) -> str:
        """Bubblewrap ends with 128 and the signal's number when a signal ended the driver."""
        if self.verdict:
            return self.verdict
        code = os.waitstatus_to_exitcode(status)
        if code - 128 in set(signal.Signals):
            return reason(code - 128)
        return reason(status)
