"""QEMU as a child process: what it inherits, how it is watched, and how it ends.

It is never told of a socket's or a file's name, but given descriptors: nothing lies about when it is killed. It
dies with us (PDEATHSIG). What is started may be a script that starts QEMU: they are a group, and end together.

The guest's processor runs three bytes, `cli; hlt; jmp`, for ever: virtual time runs, and nothing else. A processor
that is stopped (-S) would stop time too, and with it devices that use timers.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import select
import shlex
import signal
import socket
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

from ...errors import UserError, signal_name

ROM_SIZE, RESET = 64 << 10, 0xFFF0  # the processor starts 16 bytes below 4 GiB
HALT = bytes((0xFA, 0xF4, 0xEB, 0xFD))  # cli; hlt; jmp to the hlt
PR_SET_PDEATHSIG = 1  # linux/prctl.h
GRACE = 3.0  # seconds from SIGTERM to SIGKILL
TAIL = 4096  # bytes of its messages that are shown

_libc = ctypes.CDLL(None)


def halt_rom() -> int:
    """A memfd with the firmware."""
    fd = os.memfd_create("halt-rom", os.MFD_CLOEXEC)
    image = bytearray(b"\xff" * ROM_SIZE)
    image[RESET : RESET + len(HALT)] = HALT
    os.write(fd, image)
    return fd


def _settle(future: asyncio.Future[None]) -> None:
    """Once."""
    if not future.done():
        future.set_result(None)


async def _ready(fd: int, events: int, limit: float) -> bool:
    """Whether one of these events, or a hang-up, comes within `limit` seconds."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    epoll = select.epoll()  # the loop would make a socket itself non-blocking
    epoll.register(fd, events)
    loop.add_reader(epoll.fileno(), _settle, ready)
    try:
        await asyncio.wait([ready], timeout=limit)
        return ready.done()
    finally:
        loop.remove_reader(epoll.fileno())
        epoll.close()


def _die_with_parent() -> None:
    """A QEMU does not outlive its kernel, even one that was killed."""
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Child:
    """A running QEMU. `ended(why)` is called once, from the loop."""

    def __init__(
        self, program: str, options: Sequence[str], keep: Sequence[int], log: Path | None
    ) -> None:
        self.qtest, theirs = socket.socketpair()
        self.monitor, monitor = socket.socketpair()
        rom = halt_rom()
        self._log = self._open_log(log)
        argv = [
            program,
            *("-bios", f"/dev/fd/{rom}"),
            *("-chardev", f"socket,id=qtest,fd={theirs.fileno()}", "-qtest", "chardev:qtest"),
            *("-qtest-log", "none"),
            *("-chardev", f"socket,id=qmp,fd={monitor.fileno()}"),
            *("-mon", "chardev=qmp,mode=control"),
            *options,
        ]
        try:
            if log is not None:
                argv += ["-d", "guest_errors,unimp"]
                self._begin_log(log, argv)
            self.process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=self._log,
                stderr=self._log,
                pass_fds=[rom, theirs.fileno(), monitor.fileno(), *keep],
                preexec_fn=_die_with_parent,
                start_new_session=True,  # Ctrl-C is ours: drivers end before their hardware does
            )
        except UserError:
            self._shut()
            raise
        except OSError as error:
            self._shut()
            raise UserError(f"{program}: cannot be started: {error.strerror}") from None
        finally:
            os.close(rom)
            theirs.close()
            monitor.close()
        self.pid = self.process.pid
        self._pidfd = os.pidfd_open(self.pid)
        self._loop: asyncio.AbstractEventLoop | None = None

    def _open_log(self, log: Path | None) -> int:
        if log is None:
            return os.memfd_create("qemu-log", os.MFD_CLOEXEC)
        try:
            return os.open(log, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise UserError(f"{log}: cannot be written: {error.strerror}") from None

    def _begin_log(self, log: Path, argv: Sequence[str]) -> None:
        try:
            os.write(self._log, f"# {shlex.join(argv)}\n".encode())
        except OSError as error:
            raise UserError(f"{log}: cannot be written: {error.strerror}") from None

    async def answered(self, limit: float) -> None:
        """Until the first answer, or the end, is there to be read. Raises UserError after `limit` seconds."""
        if not await _ready(self.qtest.fileno(), select.EPOLLIN, limit):
            said = self.said()
            raise UserError(
                f"QEMU did not start within {limit:g} s" + (f": {said}" if said else "")
            )

    def watch(self, ended: Callable[[str], None]) -> None:
        """Call `ended` from the loop when it ends."""

        def over() -> None:
            self._unwatch()
            self.kill()  # a script's QEMU does not outlive the script
            ended(self.fate())

        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._pidfd, over)

    def _unwatch(self) -> None:
        if self._loop is not None:
            self._loop.remove_reader(self._pidfd)
            self._loop = None

    @property
    def running(self) -> bool:
        """Whether it has not ended yet."""
        return self.process.poll() is None

    def fate(self) -> str:
        """How it ended, and what it said last."""
        try:
            status = self.process.wait(0.5)
        except subprocess.TimeoutExpired:
            return "QEMU hung up"
        how = (
            f"was killed by {signal_name(-status)}"
            if status < 0
            else f"exited with status {status}"
        )
        said = self.said()
        return f"QEMU {how}" + (f": {said}" if said else "")

    def said(self) -> str:
        """The end of what it wrote to its standard error, on one line."""
        size = os.fstat(self._log).st_size
        text = os.pread(self._log, TAIL, max(size - TAIL, 0)).decode(errors="replace")
        lines = [line for line in text.splitlines() if line and not line.startswith("# ")]
        return "; ".join(line.removeprefix("qemu-system-x86_64: ") for line in lines[-5:])

    def kill(self) -> None:
        """End it at once, even if it is stopped."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        """To the program and all that it has started. One that was waited for may have left its number to others."""
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)

    async def close(self) -> None:
        """End it, wait for that, and close everything that led to it."""
        self._unwatch()
        try:
            for number in (signal.SIGTERM, signal.SIGKILL):
                self._signal(number)
                self._signal(signal.SIGCONT)  # one that is stopped cannot end
                if await self._over():
                    break
        finally:
            self.kill()
            self.process.wait()
            os.close(self._pidfd)
            self._shut()

    async def _over(self) -> bool:
        """Whether the program ends in time, and all that it started, which have the other end of our socket."""
        ended = await _ready(self._pidfd, select.EPOLLIN, GRACE)
        return ended and await _ready(self.qtest.fileno(), 0, GRACE)

    def _shut(self) -> None:
        self.qtest.close()
        self.monitor.close()
        os.close(self._log)
