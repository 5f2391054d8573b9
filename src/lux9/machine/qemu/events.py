"""What happens on a running QEMU: answers, lines, messages, its end. One epoll set holds all of it.

The event loop watches the set alone: so it never touches the qtest socket, which stays blocking for those who
read registers. What QEMU said of interrupts is told to the kernel afterwards, in a turn of its own, never in the
stack of an access.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
from collections import deque
from collections.abc import Callable

from ..abstract import Bdf, Sink
from .doorbell import FIRST, Doorbell
from .launch import Child
from .lines import Lines
from .qtest import Qtest

BEAT = 1.0  # seconds between two looks whether QEMU still answers
BURST = 64  # messages of one vector told at once: what the kernel keeps for a reader


class Events:
    """Between QEMU and the kernel's sink. `why` tells why QEMU is no more, empty while it is."""

    def __init__(
        self, child: Child, bell: Doorbell, sink: Sink, over: Callable[[str], object], limit: float
    ) -> None:
        self.child, self.bell, self.sink, self.over = child, bell, sink, over
        self.qtest = Qtest(child.qtest, self._line, self._lost, limit)
        self.lines = Lines(sink, self.ask_turn, lambda: self.qtest.quiet)
        self.why = ""
        self.closed = False
        self._loop = asyncio.get_running_loop()
        self._epoll = select.epoll()
        self._beat: asyncio.TimerHandle | None = None
        self._asked = False  # for a turn
        self._rung: deque[int] = deque()
        self._vectors = {fd: n for n, fd in enumerate(bell.events)}

    def start(self) -> None:
        """From here the loop takes care."""
        for fd in (self.child.qtest.fileno(), *self._vectors):
            self._epoll.register(fd, select.EPOLLIN)
        self._loop.add_reader(self._epoll.fileno(), self._happened)
        self.child.watch(self._ended)
        self.qtest.soon = self.ask_turn
        self._tick()

    def close(self) -> None:
        """Nothing is told any more."""
        if self.closed:
            return
        self.closed = True
        self.why = self.why or "it was closed"
        self.qtest.gone = self.qtest.gone or self.why
        if self._beat is not None:
            self._beat.cancel()
        self._loop.remove_reader(self._epoll.fileno())
        self._epoll.close()

    # What came

    def _line(self, line: int, asserted: bool) -> None:
        self.lines.drive(line, asserted)

    def _happened(self) -> None:
        self._look(0)
        self._turn()

    def _look(self, timeout: float) -> None:
        """Take what is there to be read."""
        if self.closed:
            return
        socket = self.child.qtest.fileno()
        for fd, _ in self._epoll.poll(timeout):
            if fd == socket:
                self._take(fd)
            else:
                self._ring(self._vectors[fd])

    def _take(self, fd: int) -> None:
        if self.qtest.gone:
            with contextlib.suppress(OSError):
                self._epoll.unregister(fd)
        self.qtest.take()

    def _ring(self, vector: int) -> None:
        count = min(self.bell.count(vector), BURST)
        if vector in self.bell.owner:
            self._rung.extend([FIRST + vector] * count)

    # What is told

    def ask_turn(self) -> None:
        """Tell what there is to tell, and send what was posted, in the loop's next turn."""
        if not self._asked and not self._loop.is_closed():
            self._asked = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self._asked = False
        self.qtest.flush()
        while self._rung:
            self.sink(self._rung.popleft(), True)
        self.lines.deliver()
        self.qtest.flush()

    def pump(self) -> None:
        """Wait a millisecond for something to happen, and tell it."""
        self.qtest.flush()
        self._look(0.001)
        self._turn()

    def wake(self, bdf: Bdf | None = None) -> None:
        """Whoever waits for an interrupt of a function that is gone (None: of any) shall look at it."""
        for vector, owner in self.bell.owner.items():
            if bdf in (None, owner):
                self._rung.append(FIRST + vector)
        self.lines.wake()
        self.ask_turn()

    # Its life, and when it is no more

    def _tick(self) -> None:
        """See to it that QEMU lives: an answer is due within the limit, whatever was asked."""
        self._look(0)
        if self.qtest.overdue():
            self.qtest.give_up(f"QEMU did not answer for {self.qtest.limit:g} s")
        elif self.qtest.quiet:
            self.qtest.post(b"endianness")
        self._turn()
        if not self.qtest.gone:
            self._beat = self._loop.call_later(BEAT, self._tick)

    def _ended(self, why: str) -> None:
        """The process is over, perhaps by us: then why is known."""
        self.why = self.why or why
        self.qtest.give_up(why)

    def _lost(self, why: str) -> None:
        """From here all reads give all ones; whoever waits for an interrupt has one, and will see."""
        self.child.kill()
        if not self.why:
            self.why = self.child.fate() if why.startswith("QEMU hung up") else why
        if not self._loop.is_closed():
            self._loop.call_soon(self._tell_the_end)

    def _tell_the_end(self) -> None:
        if not self.closed:
            self.over(self.why)
            self.wake()
