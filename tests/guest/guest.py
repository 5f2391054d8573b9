"""A Linux guest in QEMU: Debian's kernel, the host's files under it read-only, and commands run in it as in a shell.

It is told of no socket's or file's name and dies with us (PDEATHSIG): nothing lies about, whatever ends the tests.
Its network is a card with nothing behind it but the addresses that `forward` opens. All that it writes is in its
memory, so it ends by being killed.
"""

from __future__ import annotations

import base64
import ctypes
import itertools
import json
import os
import queue
import shlex
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypedDict, Unpack

from tests.guest.initramfs import Modules, archive

PARTS = Path(__file__).parents[2] / ".guest"  # tools/guest makes it
MODULES = (
    "virtio_pci",
    "virtio_console",
    "virtio_net",
    "9pnet_virtio",
    "9p",
    "9pnet_fd",
    "overlay",
)
HERE = Path(__file__).parent
AGENT = [sys.executable, "-I", "-S", "-B", str(HERE / "agent.py")]
RELAY = [sys.executable, "-I", "-S", "-B", str(HERE / "relay.py")]
BOOT = 120.0  # seconds in which it has to be there; about 5 on an idle machine
LIMIT = 60.0  # for one command
SLACK = 20.0  # more than the guest's own limit
PEER, FIRST_PORT, PORTS = "10.0.2.100", 564, 8
PR_SET_PDEATHSIG = 1  # linux/prctl.h
TAIL = 4000  # bytes of the console that are shown

_libc = ctypes.CDLL(None)


class Options(TypedDict, total=False):
    """Of a command: what it reads, whose it is, the seconds that it has, more variables of its environment."""

    input: bytes
    user: int
    limit: float
    env: Mapping[str, str]


class Failed(AssertionError):
    """A command in the guest, or the guest."""


class Guest:
    """One machine. `options` are QEMU's, `modules` are loaded beside those that it needs itself."""

    def __init__(
        self, folder: Path, options: Sequence[str] = (), modules: Sequence[str] = ()
    ) -> None:
        self.folder, self.options = folder, options
        self.modules = (*MODULES, *modules)
        self.numbers, self.ports = itertools.count(1), itertools.cycle(range(PORTS))
        self.asked: dict[int, queue.Queue[dict[str, Any]]] = {}
        self.ready: queue.Queue[dict[str, Any]] = queue.Queue()
        self.sending = threading.Lock()

    def __enter__(self) -> Self:
        initrd = self.folder / "initrd"
        modules = Modules(PARTS / "modules").needed(self.modules)
        initrd.write_bytes(archive(PARTS / "busybox", modules, AGENT))
        self.console = os.memfd_create("console")
        self.channel, theirs = socket.socketpair()
        try:
            self.process = subprocess.Popen(
                self._argv(theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=self.console,
                stderr=self.console,
                pass_fds=[theirs.fileno()],
                preexec_fn=_die_with_parent,
            )
        finally:
            theirs.close()
        self.reader = threading.Thread(target=self._listen)
        self.reader.start()
        try:
            self.wait(self.ready, BOOT, "its start")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _argv(self, channel: int) -> list[str]:
        relay = shlex.join([*RELAY, str(self.folder)]).replace(",", ",,")
        forwards = "".join(
            f",guestfwd=tcp:{PEER}:{FIRST_PORT + i}-cmd:{relay} {i}" for i in range(PORTS)
        )
        return [
            *("qemu-system-x86_64", "-nodefaults", "-nographic", "-no-reboot"),
            *("-machine", "q35,accel=tcg", "-cpu", "max", "-m", "1G"),
            *("-kernel", str(PARTS / "linux"), "-initrd", str(self.folder / "initrd")),
            *("-append", "console=ttyS0 quiet panic=-1 oops=panic mitigations=off"),
            *("-serial", "stdio"),
            "-virtfs",
            "local,path=/,mount_tag=host,readonly=on,security_model=none,multidevs=remap",
            *("-device", "virtio-serial", "-chardev", f"socket,id=agent,fd={channel}"),
            *("-device", "virtserialport,chardev=agent,name=lux9"),
            *(
                "-netdev",
                f"user,id=net,restrict=on{forwards}",
                "-device",
                "virtio-net,netdev=net,romfile=",
            ),
            *self.options,
        ]

    def _listen(self) -> None:
        """Answers, each to who waits for it; nothing to all of them when the guest is gone."""
        with self.channel.makefile("rb") as lines:
            for line in lines:
                answer = json.loads(line)
                self.asked.get(answer.get("id", 0), self.ready).put(answer)
        for waiting in (self.ready, *self.asked.values()):
            waiting.put({})

    def wait(self, answers: queue.Queue[dict[str, Any]], limit: float, what: str) -> dict[str, Any]:
        """The next answer. Raises Failed when there is none in time, or ever."""
        try:
            answer = answers.get(timeout=limit)
        except queue.Empty:
            raise Failed(f"no answer to {what} within {limit:g} s\n{self.said()}") from None
        if not answer:
            raise Failed(f"the guest ended in {what}\n{self.said()}")
        return answer

    def __exit__(self, *exc: object) -> None:
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.channel.close()
        os.close(self.console)

    def said(self) -> str:
        """The end of what Linux wrote to its console."""
        size = os.fstat(self.console).st_size
        return os.pread(self.console, TAIL, max(size - TAIL, 0)).decode(errors="replace")

    def run(
        self, command: str | Sequence[str], check: bool = True, **options: Unpack[Options]
    ) -> subprocess.CompletedProcess[str]:
        """A command, or a line of shell, to its end. Raises Failed when it lasts too long, or fails and `check`."""
        return self.start(command, **options).end(check)

    def start(self, command: str | Sequence[str], **options: Unpack[Options]) -> Command:
        """The same, beside others."""
        argv = ["/bin/sh", "-c", command] if isinstance(command, str) else list(command)
        number, limit = next(self.numbers), options.get("limit", LIMIT)
        ask = {
            "id": number,
            "argv": argv,
            "user": options.get("user", 0),
            "limit": limit,
            "env": dict(options.get("env", {})),
            "input": base64.b64encode(options.get("input", b"")).decode(),
        }
        self.asked[number] = queue.Queue[dict[str, Any]]()
        with self.sending:
            self.channel.sendall(json.dumps(ask).encode() + b"\n")
        return Command(self, number, argv, limit)

    def forward(self, address: str) -> int:
        """The port of PEER that leads to an address of the host, `unix!…` or `tcp!127.0.0.1!…`."""
        port = next(self.ports)
        (self.folder / str(port)).write_text(address)
        return FIRST_PORT + port


class Command:
    """One that runs in the guest."""

    def __init__(self, guest: Guest, number: int, argv: Sequence[str], limit: float) -> None:
        self.guest, self.number, self.argv, self.limit = guest, number, argv, limit

    def end(self, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Its end. Raises Failed."""
        what = f"`{self.argv[-1]}`"
        answer = self.guest.wait(self.guest.asked[self.number], self.limit + SLACK, what)
        del self.guest.asked[self.number]
        out, err = (base64.b64decode(answer[k]).decode(errors="replace") for k in ("out", "err"))
        if answer["late"]:
            raise Failed(f"{what} had not ended after {self.limit:g} s: {out}{err}")
        if check and answer["status"]:
            raise Failed(f"{what} ended with {answer['status']}: {out}{err}")
        return subprocess.CompletedProcess(self.argv, answer["status"], out, err)


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
