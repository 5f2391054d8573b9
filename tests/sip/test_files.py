"""/dev/sip: the drivers as files."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lux9.errors import RemoteError
from lux9.ninep.client import Client
from lux9.wire import messages as m
from tests.system.peer import Peer
from tests.system.running import AHCI, Running, make_image

STATUS = (
    "name",
    "type",
    "state",
    "pid",
    "uptime",
    "restarts",
    "requests",
    "errors",
    "isolation",
    "dma",
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("sip")
    with Running(folder, "--disk", str(make_image(folder, 16 << 20, 1 << 20))) as made:
        yield made


@pytest.fixture
def client(running: Running) -> Iterator[Client]:
    running.until("/dev/sip/ctl", lambda text: text == "1 ahci running\n2 ext4 running\n")
    with running.client() as made:
        yield made


def test_ctl_and_types(client: Client) -> None:
    assert client.read("/dev/sip/ctl") == b"1 ahci running\n2 ext4 running\n"
    types = dict(line.split(" ", 1) for line in client.read("/dev/sip/types").decode().splitlines())
    assert "01.06.01" in types["ahci"]
    assert "/dev/sd*/linux" in types["ext4"]


def test_a_server_by_number_and_by_name(client: Client) -> None:
    names = {stat.name for stat in client.ls("/dev/sip/servers")}
    assert {"1", "2", "ahci", "ext4"} <= names
    assert (
        client.read("/dev/sip/servers/ahci/ctl") == client.read("/dev/sip/servers/1/ctl") == b"1\n"
    )
    for name in ("3", "nvme"):
        with pytest.raises(RemoteError, match="file does not exist"):
            client.read(f"/dev/sip/servers/{name}/ctl")


def test_status(running: Running, client: Client) -> None:
    status = running.status("ahci")
    assert list(status)[: len(STATUS)] == list(STATUS)
    assert (status["name"], status["type"], status["state"]) == ("ahci", "ahci", "running")
    assert Path(f"/proc/{status['pid']}").exists()
    assert int(status["requests"]) > 0
    assert status["dma"].startswith("protected")
    assert running.status("ext4")["dma"] == "-"


def test_log_and_ns(client: Client) -> None:
    assert b"sdE0" in client.read("/dev/sip/servers/ahci/log")
    ns = client.read("/dev/sip/servers/ahci/ns").decode()
    assert f"bind '#P/{AHCI}' /dev/pci/{AHCI}\n" in ns
    assert "#s" not in ns
    assert (
        "bind '#s/ahci/sdE0/linux' /dev/sdE0/linux\n"
        in client.read("/dev/sip/servers/ext4/ns").decode()
    )


def test_commands_that_are_none(client: Client) -> None:
    before = client.read("/dev/sip/ctl")
    for command in (b"dance", b"start now", b"\xff\xfe"):
        with pytest.raises(RemoteError, match="bad argument"):
            client.write("/dev/sip/servers/ahci/ctl", command)
    with pytest.raises(RemoteError, match="ahci is running"):
        client.write("/dev/sip/servers/ahci/ctl", b"start")
    assert client.read("/dev/sip/ctl") == before


def test_a_restart_is_followed(running: Running, client: Client) -> None:
    """In the events and in the log: first what was, then an end, then each read waits."""
    with Peer(running.socket) as events, Peer(running.socket) as log:
        for peer, path in ((events, "/dev/sip/events"), (log, "/dev/kmesg")):
            peer.start().open(1, path)
            while peer.read(1, 0, 65000):
                pass
            peer.send(m.Tread(1, 0, 65000), 7)
        client.write("/dev/sip/servers/ahci/ctl", b"restart")
        for peer, word in ((events, b"1 ahci stopping"), (log, b"ahci")):
            tag, answer = peer.answer()
            assert tag == 7
            assert isinstance(answer, m.Rread)
            assert word in bytes(answer.data)
    text = client.read("/dev/sip/events").decode()
    states = [line.split()[2] for line in text.splitlines() if line.startswith("1 ahci ")]
    assert states[-4:] == ["stopping", "stopped", "starting", "running"]
    running.until("/dev/sip/ctl", lambda text: text == "1 ahci running\n2 ext4 running\n")
    running.alive()


def test_a_death_is_an_event_with_its_reason(running: Running, client: Client) -> None:
    os.kill(int(running.status("ext4")["pid"]), signal.SIGKILL)
    running.until("/dev/sip/events", lambda text: "2 ext4 crashed killed by SIGKILL" in text)
    running.until(
        "/dev/sip/servers/ext4/status", lambda text: "last-exit: killed by SIGKILL" in text
    )
    running.until("/dev/sip/ctl", lambda text: text == "1 ahci running\n2 ext4 running\n")
