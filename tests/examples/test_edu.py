"""The drivers of examples/edu, in four languages, on sim and on QEMU: what they print, what they leave."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lux9.machine.qemu.board import PROGRAM
from lux9.ninep.client import Client
from lux9.wire.messages import ORDWR
from tests.system.running import LIMIT, LUX9, Running, no_drivers

EXAMPLES = Path(__file__).parents[2] / "examples" / "edu"
EDU = "0000:00:01.0"
NAMES = {"shell": "sh", "c": "C", "go": "Go"}
FACTORIAL, DMA = 1, 256  # causes of its interrupts


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not there")


@pytest.fixture(scope="module", params=["sim", "qemu"])
def machine(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """A kernel on a machine with the card in it, and no drivers."""
    if request.param == "qemu":
        needs(PROGRAM)
    needs("bwrap", "fusermount3")
    folder = tmp_path_factory.mktemp(request.param)
    options = ("--machine", request.param, "--device", "edu", *no_drivers(folder))
    with Running(folder, *options) as made:
        yield made


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where what had to be compiled is."""
    return tmp_path_factory.mktemp("built")


def program(language: str, built: Path) -> Path:
    """The driver in a language, compiled where it has to be."""
    made, env = (
        built / language,
        os.environ | {"GOCACHE": str(built / "cache"), "GO111MODULE": "off"},
    )
    if language == "shell":
        return EXAMPLES / "edu.sh"
    if language == "c":
        needs("gcc")
        command = ["gcc", "-Wall", "-Wextra", "-Werror", "-o", str(made), str(EXAMPLES / "edu.c")]
    else:
        needs("go")
        command = ["go", "build", "-o", str(made), str(EXAMPLES / "edu.go")]
    if not made.exists():
        subprocess.run(command, env=env, check=True, timeout=LIMIT * 2)
    return made


def lux9(machine: Running, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    command = [*LUX9, "-a", machine.address, *words]
    return subprocess.run(
        command, env=os.environ | more, capture_output=True, text=True, check=False, timeout=LIMIT
    )


@pytest.mark.parametrize("isolation", ["sandbox", "process"])
@pytest.mark.parametrize("language", ["shell", "c", "go"])
def test_it_drives_the_card(machine: Running, built: Path, language: str, isolation: str) -> None:
    path = program(language, built)
    rights = [word for name in ("pci", "mem", "irq", "dma") for word in ("--capability", name)]
    options = ["--isolation", isolation, "--bind", EDU, *rights]
    done = lux9(machine, "run", *options, "--", str(path))
    assert done.returncode == 0, done.stderr
    identity, factorial, dma = done.stdout.splitlines()
    assert identity == "id 010000ed"
    assert factorial.startswith("10! = 3628800, interrupt ")
    assert factorial.endswith(f", cause {FACTORIAL}")
    assert dma == f"dma: hello from {NAMES[language]}, cause {DMA}"
    assert "owner: -" in machine.read(f"/dev/pci/{EDU}/ctl")
    assert "allocations: 0\n" in machine.read("/dev/dma/ctl")
    assert EDU not in machine.read("/dev/irq/ctl")


@pytest.mark.parametrize("kind", ["sim", "qemu"])
def test_in_python_it_serves_files(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kind == "qemu":
        needs(PROGRAM)
    monkeypatch.chdir(EXAMPLES.parents[1])
    manifest = str(EXAMPLES / "edu.toml")
    with Running(tmp_path, "--machine", kind, "--device", "edu", "--manifest", manifest) as running:
        assert running.status("edu")["state"] == "running", running.said
        assert running.read("/dev/edu/id") == "010000ed\n"
        with running.client() as client:
            assert ask(client, "factorial", "10") == "3628800\n"
            assert ask(client, "factorial", "34\n") == "0\n"
            assert ask(client, "echo", "hello from Python") == "hello from Python"


def ask(client: Client, name: str, request: str) -> str:
    with client.open(f"/dev/edu/{name}", ORDWR) as f:
        f.pwrite(0, request.encode())
        return f.pread(len(request), 2048).decode()
