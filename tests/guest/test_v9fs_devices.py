"""A Linux kernel mounts our tree, and the device files in it are to a shell what they are to us."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from lux9.wire.messages import Rflush, Tflush
from tests.guest.guest import Guest
from tests.guest.tap import Tap
from tests.guest.v9fs import Mount
from tests.system.running import AHCI, Running, no_drivers, until

pytestmark = pytest.mark.timeout(240)

EXAMPLES = Path(__file__).parents[2] / "examples" / "edu"
EDU, PARTS = "0000:00:01.0", ("pci", "irq", "dma")
MOUNTS = [Mount(), Mount("9p2000.u"), Mount("9p2000")]
STATUS, RAISE, ACKNOWLEDGE = 0x24, 0x60, 0x64  # of edu: what interrupts, do so, let go of the line
# A function of the shell that puts four bytes, its second argument as printf's, at an offset that is its first.
PUT = "put() { printf $2 | dd of=$bar bs=4 seek=$(($1 / 4)) conv=notrunc status=none; }; "


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("devices")
    with Running(folder, "--device", "edu", *no_drivers(folder)) as made:
        yield made


@pytest.mark.parametrize("mount", MOUNTS, ids=str)
def test_texts_registers_and_refusals(guest: Guest, running: Running, mount: Mount) -> None:
    with mount.at(guest, running.address) as where:
        dev = f"{where}/dev"
        texts(guest, running, dev)
        registers(guest, dev)
        refusals(guest, dev, mount.version == "9p2000")


def texts(guest: Guest, running: Running, dev: str) -> None:
    for path in ("pci/bus", "pci/dump", "drivers", f"pci/{AHCI}/caps", f"pci/{EDU}/resource"):
        assert guest.run(f"cat {dev}/{path}").stdout == running.read(f"/dev/{path}"), path
    assert set(guest.run(f"ls {dev}/pci").stdout.split()) >= {AHCI, EDU, "bus", "ctl", "dump"}
    assert guest.run(f"echo rescan > {dev}/pci/ctl && cat {dev}/pci/ctl").stdout == "devices: 5\n"


def registers(guest: Guest, dev: str) -> None:
    """One access of the width that is asked for."""
    config, bar = f"{dev}/pci/{EDU}/config", f"{dev}/pci/{EDU}/bar0"
    reads = "".join(
        f"dd status=none if={config} bs={width} skip={place} count=1 | od -An -tx{width};"
        for width, place in ((4, 0), (2, 1), (1, 11))
    )
    assert guest.run(reads).stdout.split() == ["11e81234", "11e8", "00"]
    guest.run(f"echo claim > {dev}/pci/{EDU}/ctl; {PUT} bar={bar}; put 4 '\\001\\002\\003\\004'")
    found = guest.run(
        f"for n in 0 1; do dd status=none if={bar} bs=4 skip=$n count=1; done | od -An -tx4"
    )
    assert found.stdout.split() == ["010000ed", "fbfcfdfe"]


def refusals(guest: Guest, dev: str, by_text: bool) -> None:
    """With the right number. In plain 9P2000 Linux knows few of our texts, and calls the others 526, or EIO."""
    tries = {
        f"cat {dev}/pci/0000:00:1e.0": "No such file or directory",
        f"dd status=none if={dev}/pci/{EDU}/bar0 bs=3 count=1": "Invalid argument",
        f"dd status=none if={dev}/mem bs=4 count=1": "Operation not permitted",
        f"bash -c 'echo fly > {dev}/pci/ctl'": "Invalid argument",
    }
    for command, why in tries.items():
        done = guest.run(command, check=False)
        assert done.returncode, command
        assert done.stderr.strip().endswith(why) or (
            by_text and why != "No such file or directory"
        ), done.stderr


def test_a_wait_for_an_interrupt_ends_by_a_signal_and_leaves_nothing(
    guest: Guest, running: Running, tmp_path: Path
) -> None:
    with Tap(tmp_path, running.socket) as tap, Mount().at(guest, tap.address) as where:
        dev = f"{where}/dev"
        bar = f"{dev}/pci/{EDU}/bar0"
        guest.run(f"echo claim > {dev}/pci/{EDU}/ctl")
        line = guest.run(f"sed -n 's/^irq: //p' {dev}/pci/{EDU}/ctl").stdout.strip()
        guest.run(f"echo register {line} linux > {dev}/irq/ctl")
        waiting = guest.start(f"echo $$ > /run/waiting; exec cat {dev}/irq/{line}")
        in_read = "until grep -q '^0 ' /proc/$(cat /run/waiting)/syscall; do :; done 2>/dev/null"
        guest.run(in_read)
        assert Tflush.number not in tap.kinds
        guest.run("kill -INT $(cat /run/waiting)")
        assert waiting.end(check=False).returncode == -2
        tap.wait(Rflush.number)
        assert Tflush.number in tap.kinds

        held = re.compile(rf"/dev/irq/{line}$", re.MULTILINE)
        until(lambda: not held.search(fids(running)), "the interrupt's fid to be clunked")
        guest.run(f"{PUT} bar={bar}; put {RAISE} '\\001\\000\\000\\000'")
        once = (
            "iflag=nonblock bs=64 count=1 status=none"  # else Linux goes on until it has 64 bytes
        )
        told = guest.run(f"dd if={dev}/irq/{line} {once}").stdout
        assert told == f"irq {line}\n", "no dead reader has taken it"
        guest.run(f"{PUT} bar={bar}; put {ACKNOWLEDGE} '\\001\\000\\000\\000'")
        count = re.search(
            rf"irq {line}: .* delivered=(\d+) dropped=0", running.read("/dev/irq/ctl")
        )
        assert count
        assert count[1] == "1"


def fids(running: Running) -> str:
    """What every client of the kernel has open."""
    with running.client() as client:
        numbers = [entry.name for entry in client.ls("/proc")]
        return "".join(client.read(f"/proc/{n}/fd").decode() for n in numbers if n.isdigit())


def test_a_driver_in_shell_runs_in_linux_on_the_files_alone(guest: Guest, running: Running) -> None:
    binds = "".join(f"mkdir -p /dev/{n}; mount --bind dev/{n} /dev/{n};" for n in PARTS)
    with Mount().at(guest, running.address) as where:
        script = f"cd {where}; {binds} exec {EXAMPLES}/edu.sh {EDU}"
        said = guest.run(["unshare", "-m", "sh", "-ec", script]).stdout
    assert said.startswith("id 010000ed\n")
    assert "10! = 3628800" in said
    assert said.endswith("dma: hello from sh, cause 256\n")


def test_what_a_cached_mount_shows_of_files_that_are_made_on_reading(
    guest: Guest, running: Running
) -> None:
    with Mount(cache="loose").at(guest, running.address) as where:
        bus = f"{where}/dev/pci/bus"
        assert guest.run(f"cat {bus}").stdout == "", "Linux reads as far as the length, which is 0"
        told = guest.run(f"dd status=none if={bus} bs=64k iflag=direct").stdout
        assert told == running.read("/dev/pci/bus"), "without its cache it asks us"


NONE = """
[[user]]
name = "none"
namespace = ["bind '#c' /dev"]
"""


@pytest.mark.parametrize("trusted", [True, False])
def test_over_plain_tcp_it_is_who_the_kernel_says(
    guest: Guest, tmp_path: Path, trusted: bool
) -> None:
    manifest = tmp_path / "manifest.toml"
    manifest.write_text(NONE)
    trust = ["--trust-network"] if trusted else []
    options = ["--manifest", str(manifest), "--listen", "tcp!127.0.0.1!0", *trust]
    with Running(tmp_path, *options) as running:
        address = re.findall(r"on the network at (\S+?)[:;]? ", "".join(running.said))[0]
        with Mount().at(guest, address) as where:
            user = guest.run(f"cat {where}/dev/user").stdout
            assert user == (running.read("/dev/user") if trusted else "none")
            claim = guest.run(f"bash -c 'echo claim > {where}/dev/pci/{AHCI}/ctl'", check=False)
            assert (claim.returncode == 0) is trusted
            assert trusted or claim.stderr.endswith("Operation not permitted\n")
