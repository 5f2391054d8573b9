"""Two hosts and a cable between them: network namespaces with a veth pair, for as long as a test takes.

with pair() as (kernel, client):             # star(2) for one more
    kernel.command("lux9", "boot", …)      # as a list to start
    client.cable("down")

A process holds each of them until its stdin ends: nothing is left when the tests are killed. Whoever is not root
gets them within a user namespace (user_namespaces(7)), and with it a mount namespace, or FUSE would be refused there.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import pytest

LIMIT = 20.0  # seconds that a command may take
HOLD = ("sh", "-c", "echo up; exec cat >/dev/null")
ROOT = os.geteuid() == 0
ROOM = () if ROOT else ("--user", "--map-root-user", "--mount")  # for unshare(1)
INTO = () if ROOT else ("--user", "--preserve-credentials", "--mount")  # for nsenter(1)
NETS = ("192.0.2", "198.51.100", "203.0.113")  # RFC 5737: for documentation, and nobody's


class Host:
    """A network namespace with a loopback and one end of the cable."""

    def __init__(self, pid: int, address: str) -> None:
        self.pid, self.address = pid, address

    def command(self, *words: str) -> list[str]:
        """What starts a program on this host."""
        return ["nsenter", "--target", str(self.pid), *INTO, "--net", "--", *words]

    def cable(self, state: str) -> None:
        """Plug its end in (`up`), or pull it (`down`)."""
        self.ip("link", "set", "cable", state)

    def ip(self, *words: str) -> None:
        """Run ip(8) there."""
        command = self.command(_tool("ip"), *words)
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT, check=False)
        assert not done.returncode, f"ip {' '.join(words)}: {done.stderr}"


def _tool(name: str) -> str:
    path = shutil.which(name, path=os.environ["PATH"] + ":/sbin:/usr/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


@contextmanager
def _hold(command: list[str]) -> Generator[int, None, None]:
    """The process that holds what `command` makes."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [*command, *HOLD], stdin=pipe, stdout=pipe, start_new_session=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"up\n", f"{' '.join(command)}: no namespace"
        yield holder.pid


@contextmanager
def pair() -> Generator[tuple[Host, Host], None, None]:
    """Two of them; nothing is left behind."""
    with star(1) as (one, two):
        yield one, two


@contextmanager
def star(others: int) -> Generator[list[Host], None, None]:
    """One that has a cable to each of the others, which have none between them. Nothing is left behind.

    The first is `NETS[i] + ".1"` to the others, which are `.2`.
    """
    with ExitStack() as undo:
        first = Host(undo.enter_context(_hold(["unshare", *ROOM, "--net"])), f"{NETS[0]}.1")
        made = [first]
        for net in NETS[:others]:
            another = first.command("unshare", "--net")
            made.append(Host(undo.enter_context(_hold(another)), f"{net}.2"))
        for host in made:
            host.ip("link", "set", "lo", "up")
        for n, host in enumerate(made[1:]):
            _connect(first, "cable" if not n else f"cable{n}", f"{NETS[n]}.1", host)
        yield made


def _connect(first: Host, name: str, address: str, other: Host) -> None:
    peer = ("peer", "name", "cable", "netns", str(other.pid))
    first.ip("link", "add", name, "type", "veth", *peer)
    for host, end, ours in ((first, name, address), (other, "cable", other.address)):
        host.ip("addr", "add", f"{ours}/24", "dev", end)
        host.ip("link", "set", end, "up")
