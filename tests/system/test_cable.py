"""A client of another host is cut off: both sides find out in time, and what the client held is free."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lux9.keys.authority import Authority
from lux9.keys.folder import Folder
from tests import hosts
from tests.system.running import AHCI, LIMIT, Running, environment, until

SECONDS = "3"  # without a sign of life
MANIFEST = f"""
[[user]]
name = "ada"
capabilities = ["pci", "mem", "irq", "dma"]
bind = ["{AHCI}"]
"""

HOLDS = """
import sys
from lux9.errors import Lux9Error
from lux9.ninep.client import Client
client = Client.dial(sys.argv[1])
ctl = f"/dev/pci/{sys.argv[2]}/ctl"
client.write(ctl, b"claim")
with client.open("/dev/dma/alloc", 2) as alloc:
    alloc.pwrite(0, b"size 4096")
client.write(ctl, b"master on")
client.write("/dev/irq/ctl", b"register 11 far")
with client.open("/dev/irq/11") as line:
    print("waits", flush=True)
    try:
        line.pread(0, 64)
    except Lux9Error as error:
        print(error.message, flush=True)
client.close()
"""


class Client:
    """A program on the other host that has claimed a function and waits for its interrupt."""

    def __init__(self, host: hosts.Host, *args: str, **env: str) -> None:
        self.process = subprocess.Popen(
            host.command(sys.executable, "-c", HOLDS, *args),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**env),
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def end(self) -> str:
        """What it says at its end."""
        try:
            out, errors = self.process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.communicate()
            raise
        assert "Traceback" not in errors, errors
        return out.strip()


@pytest.fixture
def ends() -> Iterator[tuple[hosts.Host, hosts.Host]]:
    with hosts.pair() as made:
        yield made


@pytest.fixture
def folder(ends: tuple[hosts.Host, hosts.Host], tmp_path: Path) -> Folder:
    made = Authority.init(Folder(tmp_path / "keys"), "far")
    made.new("host", [ends[0].address])
    made.new("ada")
    (tmp_path / "m.toml").write_text(MANIFEST)
    return made.folder


@pytest.fixture
def kernel(
    ends: tuple[hosts.Host, hosts.Host], folder: Folder, tmp_path: Path
) -> Iterator[Running]:
    options = (
        *("--manifest", str(tmp_path / "m.toml"), "--keys", str(folder.file("host"))),
        *("--listen", f"tls!{ends[0].address}!0", "--dead-after", SECONDS),
    )
    with Running(tmp_path, *options, start=ends[0].command()) as made:
        yield made


def test_both_sides_find_out(
    ends: tuple[hosts.Host, hosts.Host], folder: Folder, kernel: Running
) -> None:
    address = next(w for w in kernel.read("/dev/listen").split() if w.startswith("tls!"))
    keys = {"LUX9_KEYS": str(folder.file("ada")), "LUX9_DEAD_AFTER": SECONDS}
    client = Client(ends[1], address, AHCI, **keys)
    try:
        assert client.line() == "waits"
        assert "owner: ada" in kernel.read(f"/dev/pci/{AHCI}/ctl")
        ends[1].cable("down")
        entry = until(lambda: _entries(kernel, "disconnect"), "the end of the connection")[-1]
        assert entry["user"] == "ada"
        assert entry["why"].startswith("no sign of life from the other side")
        kernel.until(f"/dev/pci/{AHCI}/ctl", lambda text: "owner: -" in text)
        steps = [e["what"] for e in _entries(kernel) if e["target"] == AHCI]
        mask, master, reset = (steps.index(f"quiesce {s}") for s in ("mask", "master off", "reset"))
        assert mask < master < reset
        assert client.end().startswith("connection closed: no sign of life from the other side")
    finally:
        client.process.kill()
        client.process.communicate()
    ends[1].cable("up")
    again = Client(ends[1], address, AHCI, **keys)
    try:
        assert again.line() == "waits", "and the function can be had again"
    finally:
        again.process.kill()
        again.process.communicate()


def _entries(kernel: Running, what: str = "") -> list[dict[str, Any]]:
    entries = [json.loads(line) for line in kernel.read("/dev/audit").splitlines()]
    return [e for e in entries if what in ("", e["what"])]
