"""Two hosts and a cable between them: network namespaces with a veth pair (ip-netns(8)), for as long as a test takes.

with pair() as (kernel, client):
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
    global count
    count += 1
    names = [f"lux9-{os.getpid()}-{count}-{end}" for end in "ab"]
    hosts = [Host(name, f"192.0.2.{n}") for n, name in enumerate(names, 1)]
    with ExitStack() as undo:
        for host in hosts:
            ip("netns", "add", host.name)
            undo.callback(ip, "netns", "del", host.name)  # and what is in it
            ip("-n", host.name, "link", "set", "lo", "up")
        one, two = hosts
        peer = ("peer", "name", "cable", "netns", two.name)
        ip("-n", one.name, "link", "add", "cable", "type", "veth", *peer)
        for host in hosts:
            ip("-n", host.name, "addr", "add", f"{host.address}/24", "dev", "cable")
            host.cable("up")
        yield one, two
