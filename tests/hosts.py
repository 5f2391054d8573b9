"""Two hosts and a cable between them: network namespaces with a veth pair (ip-netns(8)), for as long as a test takes.

with pair() as (kernel, client):             # star(2) for one more
    kernel.command("lux9", "boot", …)      # as a list to start
    client.cable("down")
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

import pytest

LIMIT = 20.0  # seconds that a command of ip's may take
count = 0


def ip(*args: str) -> None:
    """Run ip(8)."""
    tool = shutil.which("ip", path=os.environ["PATH"] + ":/sbin:/usr/sbin")
    if tool is None:
        pytest.skip("ip is not installed")
    done = subprocess.run([tool, *args], capture_output=True, text=True, timeout=LIMIT, check=False)
    assert not done.returncode, f"ip {' '.join(args)}: {done.stderr}"


class Host:
    """A network namespace with a loopback and one end of the cable."""

    def __init__(self, name: str, address: str) -> None:
        self.name, self.address = name, address

    def command(self, *words: str) -> list[str]:
        """What starts a program on this host."""
        return ["ip", "netns", "exec", self.name, *words]

    def cable(self, state: str) -> None:
        """Plug its end in (`up`), or pull it (`down`)."""
        ip("-n", self.name, "link", "set", "cable", state)


@contextmanager
def pair() -> Generator[tuple[Host, Host], None, None]:
    """Two of them; nothing is left behind."""
    with star(1) as (one, two):
        yield one, two


NETS = ("192.0.2", "198.51.100", "203.0.113")  # RFC 5737: for documentation, and nobody's


@contextmanager
def star(others: int) -> Generator[list[Host], None, None]:
    """One that has a cable to each of the others, which have none between them. Nothing is left behind.

    The first is `NETS[i] + ".1"` to the others, which are `.2`.
    """
    global count
    count += 1
    names = [f"lux9-{os.getpid()}-{count}-{n}" for n in range(others + 1)]
    made = [Host(names[0], f"{NETS[0]}.1")]
    made += [Host(name, f"{net}.2") for name, net in zip(names[1:], NETS, strict=False)]
    with ExitStack() as undo:
        for host in made:
            ip("netns", "add", host.name)
            undo.callback(ip, "netns", "del", host.name)  # and what is in it
            ip("-n", host.name, "link", "set", "lo", "up")
        for n, host in enumerate(made[1:]):
            here = "cable" if not n else f"cable{n}"
            peer = ("peer", "name", "cable", "netns", host.name)
            ip("-n", names[0], "link", "add", here, "type", "veth", *peer)
            ip("-n", names[0], "addr", "add", f"{NETS[n]}.1/24", "dev", here)
            ip("-n", names[0], "link", "set", here, "up")
            ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "cable")
            host.cable("up")
        yield made
