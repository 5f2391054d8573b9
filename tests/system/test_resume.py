"""`lux9 --reconnect`: a long file arrives whole over TLS, however often the line is cut."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lux9.keys.authority import Authority
from lux9.keys.folder import Folder
from tests.ninep.cutting import Cutter, cuts
from tests.system.running import BIG, Running, environment, make_image

MANIFEST = """
drivers = "built-in"

[[user]]
name = "ada"
namespace = ["bind '#s/ext4' /root", "bind -a '#s/ahci' /dev"]
"""
CUTS = 7
LONG = 60.0  # seconds for a copy on a busy machine


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Folder:
    made = Authority.init(Folder(tmp_path_factory.mktemp("keys")), "here")
    made.new("host", ["127.0.0.1"])
    made.new("ada")
    return made.folder


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, folder: Folder
) -> Iterator[tuple[Running, Path]]:
    home = tmp_path_factory.mktemp("resume")
    (home / "m.toml").write_text(MANIFEST)
    options = (
        *("--manifest", str(home / "m.toml"), "--keys", str(folder.file("host"))),
        *("--disk", str(make_image(home)), "--listen", "tls!127.0.0.1!0"),
    )
    with Running(home, *options) as kernel:
        yield kernel, home


def copy(address: str, folder: Folder, path: str, *options: str) -> subprocess.Popen[bytes]:
    keys = ("--keys", str(folder.file("ada")))
    return subprocess.Popen(
        [sys.executable, "-m", "lux9", "-a", address, *keys, *options, "cat", path],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
    )


@pytest.mark.parametrize("name", ["/root/big.bin", "/dev/sdE0/linux"])
def test_a_copy_is_whole(running: tuple[Running, Path], folder: Folder, name: str) -> None:
    kernel, home = running
    server = next(w for w in kernel.read("/dev/listen").split() if w.startswith("tls!"))
    seed = random.randrange(1 << 32)
    where = random.Random(seed)
    lengths = iter([where.randrange(20_000, BIG // CUTS) for _ in range(CUTS)])
    with Cutter(server, cuts(lengths)) as cutter:
        command = copy(cutter.address, folder, name, "--reconnect", "30")
        out, said = command.communicate(timeout=LONG)
        assert command.returncode == 0, (seed, said)
        assert cutter.cuts == CUTS, (seed, said)
        assert said.count(b"dialling tls!") >= CUTS
    with kernel.client() as client:
        whole = client.read(name)
    assert name != "/root/big.bin" or whole == (home / "source" / "big.bin").read_bytes()
    assert hashlib.sha256(out).digest() == hashlib.sha256(whole).digest(), seed


def test_without_it_a_cut_is_the_end(running: tuple[Running, Path], folder: Folder) -> None:
    kernel, _ = running
    server = next(w for w in kernel.read("/dev/listen").split() if w.startswith("tls!"))
    with Cutter(server, lambda: 1 << 20) as cutter:
        command = copy(cutter.address, folder, "/root/big.bin")
        _, said = command.communicate(timeout=LONG)
    assert command.returncode == 1
    assert said.startswith(b"lux9 cat: ")
    assert b"connection closed" in said
    assert b"Traceback" not in said
