"""`lux9 sip`: the drivers of a running kernel."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from lux9.cli.sip import ended
from lux9.ninep.client import Client
from tests.system.running import AHCI, Running, lux9, make_image, until


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("sip")
    image = make_image(folder, 16 << 20, 1 << 20)
    with Running(folder, "--disk", str(image), "--read-only") as made:
        made.until("/dev/sip/ctl", lambda text: text == "1 ahci running\n2 ext4 running\n")
        yield made


def sip(running: Running, *words: str, status: int = 0) -> str:
    """What a command prints; it ends with this status."""
    done = lux9("--addr", running.address, "sip", *words)
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


def test_list(running: Running) -> None:
    head, *rows = sip(running, "list").splitlines()
    assert head.split() == ["number", "name", "state", "health", "pid", "restarts", "binding"]
    assert [row.split()[1:3] for row in rows] == [["ahci", "running"], ["ext4", "running"]]
    ahci, ext4 = json.loads(sip(running, "list", "--json"))
    assert (ahci["binding"], ext4["binding"]) == (AHCI, "/dev/sdE0/linux")


def test_show_and_claims(running: Running) -> None:
    shown = sip(running, "show", "ahci")
    assert "state: running\n" in shown
    assert "  bind -a '#m' /dev\n" in shown
    found = json.loads(sip(running, "show", "1", "--json"))
    assert found["caps"] == ["mem", "irq", "dma", "pci"]
    assert f"ahci: function {AHCI} since " in sip(running, "claims")
    assert json.loads(sip(running, "claims", "ext4", "--json")) == {"ext4": []}


def test_its_life(running: Running) -> None:
    assert sip(running, "crash", "ahci") == "ahci has not ended yet\n"
    before = running.status("ahci")["pid"]
    sip(running, "reload", "ahci")
    assert running.status("ahci")["pid"] != before
    assert running.status("ext4")["restarts"] == "0", "what uses it went on"
    sip(running, "restart", "ext4", "ahci")
    assert running.read("/root/hello.txt") == "hello\n"
    sip(running, "stop", "ext4")
    assert running.status("ext4")["state"] == "stopped"
    sip(running, "start", "ext4")
    assert running.read("/root/hello.txt") == "hello\n"
    assert "AHCI" in sip(running, "log", "ahci")


def test_one_that_is_killed_comes_back_and_tells(running: Running) -> None:
    status = running.status("ahci")
    os.kill(int(status["pid"]), signal.SIGKILL)
    until(lambda: running.status("ahci")["restarts"] != status["restarts"], "a restart")
    assert running.read("/root/hello.txt") == "hello\n"
    report = sip(running, "crash", "ahci")
    assert "SIGKILL" in report
    assert "port[0]." in report, "the registers that it touched last, by name"
    assert json.loads(sip(running, "crash", "ahci", "--json"))["name"] == "ahci"


def test_an_end_that_is_under_way_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = iter(["", "", "killed by SIGKILL\n"])

    def read(*_: object) -> str:
        return next(answers)

    monkeypatch.setattr("lux9.cli.sip.file", read)
    monkeypatch.setattr("lux9.cli.sip.UNDER_WAY", 60.0)
    assert ended(cast(Client, None), "ahci") == "killed by SIGKILL\n"


def test_what_is_not_there(running: Running) -> None:
    for command in ("show", "log", "crash", "claims", "stop"):
        said = sip(running, command, "nvme", status=1)
        assert "there is no driver nvme; there are: ahci ext4" in said
    assert "there is no driver nvme" in sip(running, "log", "-f", "nvme", status=1)
    assert sip(running, "stop", "nvme", status=1).startswith("lux9 sip stop: there is no driver")


def test_what_it_cannot_do(running: Running) -> None:
    assert "is running" in sip(running, "start", "ahci", status=1)


def test_a_learnt_manifest_is_enough(tmp_path: Path) -> None:
    image, learnt = make_image(tmp_path, 16 << 20, 1 << 20), tmp_path / "learnt.toml"
    options = ("boot", "--disk", str(image), "--read-only", "--exec", "lux9 cat /root/hello.txt")
    assert lux9(*options, "--learn", str(learnt)).stdout == "hello\n"
    assert 'capabilities = ["mem", "irq", "dma", "pci"]' in learnt.read_text()
    assert "capabilities = []" in learnt.read_text()
    assert lux9(*options, "--manifest", str(learnt)).stdout == "hello\n"
