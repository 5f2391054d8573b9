"""A driver that dies, at any moment: who is told, what is taken back, and that it can be started again."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from lux9.errors import RemoteError
from lux9.ninep.client import Client
from tests.system.running import AHCI, LIMIT, Running, gone, until

BUS_MASTER = 1 << 2  # of the command register, PCI 3.0 §6.2.2


@pytest.fixture
def machine(tmp_path: Path, disk: Path, machine_name: str) -> Iterator[Running]:
    options = ("--machine", machine_name, "--disk", str(disk), "--read-only", *left_alone(tmp_path))
    with Running(tmp_path, *options) as made:
        yield made


def left_alone(folder: Path) -> tuple[str, str]:
    """The options for drivers that stay dead."""
    text = resources.files("lux9.sip").joinpath("drivers.toml").read_text()
    lines = [x for x in text.splitlines() if not x.startswith(("restart", "hold"))]
    path = folder / "left_alone.toml"
    path.write_text("\n".join(lines))
    return "--manifest", str(path)


class Reader:
    """A client that reads all the time, until it is told that it cannot."""

    def __init__(self, running: Running, path: str) -> None:
        self.client, self.path = running.client(), path
        self.bytes, self.before, self.after, self.why = 0, 0.0, 0.0, ""
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        with self.client, self.client.open(self.path) as f:
            try:
                while True:
                    self.before = time.monotonic()
                    self.bytes += len(f.pread(0, 4 << 20))
            except RemoteError as error:
                self.after, self.why = time.monotonic(), error.message

    def join(self) -> None:
        self.thread.join(LIMIT)
        assert not self.thread.is_alive(), f"{self.path}: the reader waits for the dead"


def command(client: Client) -> int:
    with client.open(f"/dev/pci/{AHCI}/config") as f:
        return int.from_bytes(f.pread(4, 2), "little")


def nothing_is_held(running: Running) -> None:
    """All of it read from the tree."""
    with running.client() as client:
        ctl = client.read(f"/dev/pci/{AHCI}/ctl").decode()
        assert "owner: -\n" in ctl, ctl
        assert not command(client) & BUS_MASTER
        dma = client.read("/dev/dma/ctl").decode()
        assert "allocations: 0\ntotal bytes: 0\n" in dma, dma
        assert client.read("/dev/irq/ctl") == b""
        assert not numbers(client, "ahci")
        assert not numbers(client, "ext4")
        assert not client.ls("/srv")
        assert "sdE0" not in [stat.name for stat in client.ls("/dev")]
        assert client.read("/dev/mounts") == b""


def name(client: Client, number: str) -> str:
    """Of a process."""
    return client.read(f"/proc/{number}/status").decode().splitlines()[0].removeprefix("name: ")


def numbers(client: Client, wanted: str) -> list[str]:
    """The processes of a name."""
    return [s.name for s in client.ls("/proc") if name(client, s.name) == wanted]


def test_a_driver_killed_in_the_middle_of_a_read(machine: Running) -> None:
    status = machine.status("ahci")
    assert status["state"] == "running"
    with machine.client() as client:
        assert command(client) & BUS_MASTER
    readers = [Reader(machine, p) for p in ("/dev/sdE0/data", "/dev/sdE0/data", "/root/big.bin")]
    until(lambda: all(r.bytes > 8 << 20 for r in readers), "readers that read")
    died = time.monotonic()
    machine.kill("ahci")
    for reader in readers:
        reader.join()
        assert reader.after - died < 1.0, "a second is the limit"
        assert reader.why
    machine.until("/dev/sip/ctl", lambda text: text == "1 ahci crashed\n2 ext4 stopped\n")
    assert machine.status("ahci")["last-exit"] == "killed by SIGKILL"
    nothing_is_held(machine)
    assert gone(int(status["pid"]))

    machine.write("/dev/sip/servers/ahci/ctl", "start")
    machine.until("/dev/sip/ctl", lambda text: text == "1 ahci running\n2 ext4 running\n")
    assert machine.read("/root/hello.txt") == "hello\n"
    machine.alive()
    after = machine.status("ahci")
    assert after["restarts"] == "1"
    assert after["pid"] != status["pid"]


def test_the_steps_of_its_end_are_in_the_audit(machine: Running) -> None:
    machine.kill("ahci")
    machine.until("/dev/sip/ctl", lambda text: text.startswith("1 ahci crashed\n"))
    done = [e for e in machine.audit(verdict="done") if e["who"].startswith("ahci/")]
    assert [e["what"] for e in done] == [
        "quiesce mask",
        "quiesce master off",
        "quiesce reset",
        "quiesce quarantine",
        "quiesce free",
        "quiesce release",
        "sip end",
    ]
    assert done[-1]["outcome"] == "killed by SIGKILL"


def test_it_can_die_again_and_again(machine: Running) -> None:
    for n in range(1, 4):
        machine.write("/dev/sip/servers/ahci/ctl", "kill")
        machine.until(
            "/dev/sip/ctl", lambda text: "ahci crashed" in text and "ext4 stopped" in text
        )
        nothing_is_held(machine)
        machine.write("/dev/sip/servers/1/ctl", "start")
        machine.alive()
        assert machine.status("ahci")["restarts"] == str(n)


def test_killed_within_its_start(machine: Running) -> None:
    """At any moment of its bringing up: what it had by then is taken back."""
    machine.write("/dev/sip/servers/ahci/ctl", "stop")
    for delay in (0.02, 0.06, 0.1, 0.14):
        with machine.client() as client:
            why = list[str]()
            starter = threading.Thread(target=_start, args=(client, why))
            starter.start()
            machine.until("/dev/sip/ctl", lambda text: "ahci starting" in text)
            threading.Event().wait(delay)
            machine.write("/dev/sip/servers/ahci/ctl", "kill")
            starter.join(LIMIT)
        machine.until(
            "/dev/sip/ctl", lambda text: "ahci crashed" in text and "ext4 stopped" in text
        )
        nothing_is_held(machine)
    machine.write("/dev/sip/servers/ahci/ctl", "start")
    machine.alive()


def _start(client: Client, why: list[str]) -> None:
    try:
        client.write("/dev/sip/servers/ahci/ctl", b"start")
    except RemoteError as error:
        why.append(error.message)


def test_stopped_in_order(machine: Running) -> None:
    machine.write("/dev/sip/servers/ahci/ctl", "stop")
    machine.until("/dev/sip/ctl", lambda text: text == "1 ahci stopped\n2 ext4 stopped\n")
    assert machine.status("ahci")["last-exit"] == "exited with status 0"
    nothing_is_held(machine)
    machine.write("/dev/sip/ctl", "rescan")
    machine.until("/dev/sip/ctl", lambda text: text == "1 ahci running\n2 ext4 running\n")
    machine.alive()


def test_a_driver_that_hangs(machine: Running) -> None:
    """Stopped by a signal, it answers nobody; the others are served, and it is ended when asked to."""
    with machine.client() as stuck, machine.client() as other:
        (number,) = numbers(other, "ahci")
        other.write(f"/proc/{number}/ctl", b"stop")
        waiting = threading.Thread(target=_read_to_the_end, args=(stuck,))
        waiting.start()
        assert b"ahci running" in other.read("/dev/sip/ctl")
        assert b"owner: ahci" in other.read(f"/dev/pci/{AHCI}/ctl")
        for path in ("/dev/kmesg", "/dev/irq/ctl", "/dev/dma/ctl", "/dev/mounts", "/proc/self/ns"):
            assert other.read(path)
        other.write("/dev/sip/servers/ahci/ctl", b"kill")
        waiting.join(LIMIT)
        assert not waiting.is_alive()
    machine.until("/dev/sip/ctl", lambda text: text == "1 ahci crashed\n2 ext4 stopped\n")
    nothing_is_held(machine)


def _read_to_the_end(client: Client) -> None:
    try:
        client.read("/dev/sdE0/data")
    except RemoteError:
        return
    raise AssertionError("a driver that is stopped has answered")


def test_the_file_system_dies_alone(machine: Running) -> None:
    reader = Reader(machine, "/root/big.bin")
    until(lambda: reader.bytes, "a reader that reads")
    machine.kill("ext4")
    reader.join()
    machine.until("/dev/sip/ctl", lambda text: text == "1 ahci running\n2 ext4 crashed\n")
    machine.alive()
    machine.write("/dev/sip/servers/ext4/ctl", "start")
    assert machine.read("/root/hello.txt") == "hello\n"
