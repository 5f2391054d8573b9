"""The drivers of examples/edu on another host than the card: network namespaces, with TLS between them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lux9.keys.authority import Authority
from lux9.keys.folder import Folder
from lux9.machine.qemu.board import PROGRAM
from lux9.wire.messages import ORDWR
from tests import hosts
from tests.examples.test_edu import DMA, EDU, EXAMPLES, FACTORIAL, NAMES, built, needs, program
from tests.system.driving import Driving, serves
from tests.system.running import LIMIT, LUX9, Running, environment

MANIFEST = f"""
[edu]
ids = ["1234:11e8"]
remote = "cards"
mount = "/dev/edu"

[[user]]
name = "cards"
capabilities = ["pci", "mem", "irq", "dma"]
bind = ["{EDU}"]
namespace = ["bind '#s' /srv"]
"""
DRIVER = f"""
[edu]
command = ["{sys.executable}", "{EXAMPLES / "edu.py"}"]
"""
ADDRESS = f"tls!{hosts.NETS[0]}.1!5640"
__all__ = ["built"]


class Away:
    """The host without the card, and the kernel on the one with it."""

    def __init__(self, kernel: Running, host: hosts.Host, folder: Path, keys: Path) -> None:
        self.kernel, self.host, self.folder = kernel, host, folder
        self.env = environment(LUX9_KEYS=str(keys))


@pytest.fixture(scope="module", params=["sim", "qemu"])
def away(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Away]:
    needs("bwrap", "fusermount3", *([PROGRAM] if request.param == "qemu" else []))
    folder = tmp_path_factory.mktemp("away")
    with hosts.pair() as (here, there):
        authority = Authority.init(Folder(folder / "keys"), "lab")
        authority.new("host", [here.address])
        authority.new("cards")
        files = authority.folder
        (folder / "m.toml").write_text(MANIFEST)
        (folder / "driver.toml").write_text(DRIVER)
        options = (
            *("--machine", request.param, "--device", "edu"),
            *("--manifest", str(folder / "m.toml")),
            *("--keys", str(files.file("host")), "--listen", ADDRESS),
        )
        with Running(folder, *options, start=here.command()) as kernel:
            yield Away(kernel, there, folder, files.file("cards"))


def test_the_python_driver_serves_the_card_where_it_is(away: Away) -> None:
    options = ("--manifest", str(away.folder / "driver.toml"))
    prefix = tuple(away.host.command())
    with Driving(
        ADDRESS, *options, kind="edu", function=EDU, prefix=prefix, env=away.env
    ) as driver:
        serves(away.kernel, "edu")
        with away.kernel.client() as client:
            assert client.read("/dev/edu/id") == b"010000ed\n"
            for name, asked, answer in (
                ("factorial", b"10", b"3628800\n"),
                ("echo", b"through a network", b"through a network"),
            ):
                with client.open(f"/dev/edu/{name}", ORDWR) as f:
                    f.pwrite(0, asked)
                    assert f.pread(0, 64) == answer
        assert driver.stop() == 0


@pytest.mark.parametrize("language", ["shell", "c", "go"])
def test_a_program_in_any_language_drives_it_from_there(
    away: Away, built: Path, language: str
) -> None:
    words = ("-a", ADDRESS, "run", "--", str(program(language, built)), EDU)
    done = subprocess.run(
        away.host.command(*LUX9, *words),
        env=away.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=LIMIT * 2,
    )
    assert done.returncode == 0, done.stderr
    identity, factorial, dma = done.stdout.splitlines()
    assert identity == "id 010000ed"
    assert factorial.startswith("10! = 3628800, interrupt ")
    assert factorial.endswith(f", cause {FACTORIAL}")
    assert dma == f"dma: hello from {NAMES[language]}, cause {DMA}"
    assert "owner: -" in away.kernel.read(f"/dev/pci/{EDU}/ctl")
