"""QEMU's qtest protocol: one line a command, one line an answer, over a socket that stays blocking.

    readl 0xfebf0000         OK 0x0000000080000100
    writel 0xfebf0004 0x2    OK
    (at any time)            IRQ raise 16

Commands are answered in order. `ask` waits for its answer; `post` does not, and what was posted goes out in one
piece with the next `ask`, or by `flush`. Lines about interrupts may stand before any answer; they are told to
`irq` as they are found. Ref: QEMU, system/qtest.c (docs/devel/qtest).
"""

from __future__ import annotations

import os
import socket
import struct
import time
from collections.abc import Callable

from ...errors import DeviceGone

LIMIT = 5.0  # seconds for one answer: then QEMU is stopped, or stuck
MOST = 128  # posted commands without an answer: each answer takes room in the socket's buffer
CHUNK = 1 << 16
SPIN = 40e-6  # seconds to look for an answer before sleeping until it comes


class QemuGone(DeviceGone):
    """QEMU ended, hung up, or does not answer."""


class Qtest:
    """A client of one QEMU. `irq(line, asserted)` and `lost(why)` may be called in any method's stack."""

    def __init__(
        self,
        sock: socket.socket,
        irq: Callable[[int, bool], None],
        lost: Callable[[str], None],
        limit: float = LIMIT,
    ) -> None:
        sock.setblocking(True)
        whole = int(limit)
        wait = struct.pack("@ll", whole, int((limit - whole) * 1e6))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, wait)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, wait)
        self.sock, self.irq, self.lost, self.limit = sock, irq, lost, limit
        self.soon: Callable[[], None] = self.flush  # called when the first command was posted
        self.owed = 0  # answers to posted commands that were sent
        self.gone = ""  # why there is nobody any more
        self.trips = 0  # answers that were waited for
        self._since = 0.0  # when the first of those owed was sent
        self._out: list[bytes] = []
        self._rest = b""  # the beginning of a line

    @property
    def quiet(self) -> bool:
        """Whether every command has been answered."""
        return not self.owed and not self._out

    # Commands

    def ask(self, command: bytes) -> bytes:
        """One command, a line without its end; what stands behind OK. Raises QemuGone."""
        if self._out:
            self.flush()
        if self.owed >= MOST:
            self._collect()
        self._send(command + b"\n")
        self.trips += 1
        while True:
            data = self._receive()
            if (
                not self.owed
                and not self._rest
                and data.startswith(b"OK ")
                and data.find(b"\n") == len(data) - 1
            ):
                return data[3:-1]  # nothing but the answer: nearly always
            answer = self._took(data, asked=True)
            if answer is not None:
                return answer

    def post(self, command: bytes) -> None:
        """A command whose answer says nothing. Lost where QEMU is gone."""
        if self.gone:
            return
        self._out.append(command)
        if len(self._out) == 1:
            self.soon()
        elif len(self._out) >= MOST:
            self.flush()

    def flush(self) -> None:
        """Send what was posted. Nothing is raised: whoever asks next will see."""
        if not self._out:
            return
        out, self._out = self._out, []
        try:
            if self.owed + len(out) > MOST:
                self._collect()
            if not self.owed:
                self._since = time.monotonic()
            self.owed += len(out)
            self._send(b"\n".join(out) + b"\n")
        except QemuGone:
            return

    def collect(self) -> None:
        """Wait until everything posted was answered. Raises QemuGone."""
        self.flush()
        self._collect()

    def _collect(self) -> None:
        while self.owed:
            self._took(self._receive(), asked=False)

    # For the loop

    def take(self) -> None:
        """Something came: answers to what was posted, or interrupts. Only when the socket is readable."""
        if self.gone:
            return
        try:
            self._took(self._receive(), asked=False)
        except QemuGone:
            return

    def overdue(self) -> bool:
        """Whether an answer has been waited for too long; asked after `take`."""
        return bool(self.owed) and time.monotonic() - self._since > self.limit

    def give_up(self, why: str) -> QemuGone:
        """Nobody is there any more: from here everything raises. Gives what to raise."""
        if not self.gone:
            self.gone = why
            self._out.clear()
            self.owed = 0
            self.lost(why)
        return QemuGone(self.gone)

    # Bytes

    def _send(self, data: bytes) -> None:
        if self.gone:
            raise QemuGone(self.gone)
        try:
            self.sock.sendall(data)
        except BlockingIOError:
            raise self.give_up(f"QEMU took no commands for {self.limit:g} s") from None
        except OSError as error:
            raise self.give_up(f"QEMU hung up: {error.strerror}") from None

    def _receive(self) -> bytes:
        if self.gone:
            raise QemuGone(self.gone)
        try:
            data = self._spun() or self.sock.recv(CHUNK)
        except BlockingIOError:
            raise self.give_up(f"QEMU did not answer for {self.limit:g} s") from None
        except OSError as error:
            raise self.give_up(f"QEMU hung up: {error.strerror}") from None
        if not data:
            raise self.give_up("QEMU hung up")
        return data

    def _spun(self) -> bytes:
        """What comes within a moment: to be woken takes longer than most answers. Empty when nothing does."""
        end = time.perf_counter() + SPIN
        while True:
            try:
                return self.sock.recv(CHUNK, socket.MSG_DONTWAIT)
            except BlockingIOError:
                if time.perf_counter() > end:
                    return b""
            os.sched_yield()

    def _took(self, data: bytes, *, asked: bool) -> bytes | None:
        """Every whole line; the answer to the command that was asked, if it is among them."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        answer = None
        for line in lines:
            if line.startswith(b"IRQ "):
                self._interrupt(line)
            elif line[:2] != b"OK" or line[2:3] not in (b"", b" "):
                raise self.give_up(f"QEMU answered {line.decode(errors='replace')!r}")
            elif self.owed:
                self.owed -= 1
            elif asked and answer is None:
                answer = line[3:]
            else:
                raise self.give_up("QEMU answered what was not asked")
        if self.owed:
            self._since = time.monotonic()
        return answer

    def _interrupt(self, line: bytes) -> None:
        try:
            _, what, number = line.split(b" ")
            self.irq(int(number), {b"raise": True, b"lower": False}[what])
        except (ValueError, KeyError):
            raise self.give_up(f"QEMU said {line.decode(errors='replace')!r}") from None
