"""A driver on one host, the hardware on a second, a client on a third: network namespaces, with TLS between them."""

from __future__ import annotations

import hashlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lux9.keys.authority import Authority
from lux9.keys.folder import Folder
from tests import hosts
from tests.system.driving import Driving, manifest, serves
from tests.system.running import AHCI, LIMIT, LUX9, Running, environment, make_image, until
from tests.system.test_data import digest, printed

SECONDS = "3"  # without a sign of life
SMALL = 8 << 20
USERS = f"""
[[user]]
name = "disks"
capabilities = ["pci", "mem", "irq", "dma"]
bind = ["{AHCI}"]
namespace = ["bind '#s' /srv"]

[[user]]
name = "reader"
namespace = ["bind '#s/ahci' /dev"]

[[user]]
name = "other"
capabilities = ["pci", "mem", "irq", "dma"]
bind = ["{AHCI}"]
namespace = ["bind '#s' /srv"]

[[user]]
name = "blind"
capabilities = ["pci", "irq", "dma"]
bind = ["{AHCI}"]
namespace = ["bind '#s' /srv"]

[[user]]
name = "stiff"
capabilities = ["pci", "mem", "irq"]
bind = ["{AHCI}"]
namespace = ["bind '#s' /srv"]
"""
NAMES = ("disks", "reader", "other", "blind", "stiff")


class Lab:
    """The three hosts, their keys, and the kernel on the first."""

    def __init__(self, made: list[hosts.Host], folder: Path, image: Path) -> None:
        self.hardware, self.away, self.third = made
        self.folder, self.image = folder, image
        authority = Authority.init(Folder(folder / "keys"), "lab")
        authority.new("host", [f"{net}.1" for net in hosts.NETS])
        for name in NAMES:
            authority.new(name)
        self.keys = authority.folder

    def kernel(self, *options: str) -> Running:
        """One that listens to the network and waits for its driver."""
        return Running(
            self.folder,
            *("--disk", str(self.image), "--read-only", *manifest(self.folder, "disks", USERS)),
            *("--keys", str(self.keys.file("host")), "--listen", "tls!*!5640"),
            *("--dead-after", SECONDS, *options),
            start=self.hardware.command(),
        )

    def env(self, user: str) -> dict[str, str]:
        return environment(LUX9_KEYS=str(self.keys.file(user)), LUX9_DEAD_AFTER=SECONDS)

    def driver(self, user: str = "disks", *options: str) -> Driving:
        """On the second host."""
        prefix = tuple(self.away.command())
        return Driving(f"tls!{hosts.NETS[0]}.1!5640", *options, prefix=prefix, env=self.env(user))

    def sha256(self, path: str) -> str:
        """Of a file, as the third host reads it."""
        command = self.third.command(*LUX9, "-a", f"tls!{hosts.NETS[1]}.1!5640", "cat", path)
        hash_ = hashlib.sha256()
        with subprocess.Popen(command, env=self.env("reader"), stdout=subprocess.PIPE) as cat:
            assert cat.stdout is not None
            while data := cat.stdout.read(1 << 20):
                hash_.update(data)
            assert cat.wait(LIMIT) == 0
        return hash_.hexdigest()


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_image(tmp_path_factory.mktemp("far"), 16 << 20, 4 << 20)


@pytest.fixture
def lab(tmp_path: Path, image: Path) -> Iterator[Lab]:
    with hosts.star(2) as made:
        yield Lab(made, tmp_path, image)


@pytest.mark.parametrize("machine", ["sim", "qemu"])
def test_the_disk_is_the_same_from_everywhere(lab: Lab, machine: str) -> None:
    with lab.kernel("--machine", machine) as kernel, lab.driver() as driver:
        serves(kernel)
        assert lab.sha256("/dev/sdE0/data") == digest(lab.image)
        assert printed(kernel, "/dev/sdE0/data") == digest(lab.image)
        until(lambda: kernel.status("ext4")["state"] == "running", "ext4")
        assert printed(kernel, "/root/big.bin") == digest(lab.image.parent / "source" / "big.bin")
        assert kernel.status("ahci")["isolation"] == "elsewhere (disks)"
        assert driver.stop(signal.SIGINT) == 0


def test_a_cable_is_pulled_and_plugged_in_again(lab: Lab) -> None:
    with lab.kernel() as kernel, lab.driver():
        serves(kernel)
        with kernel.client() as client, client.open("/dev/sdE0/data") as f:
            whole = lab.image.read_bytes()
            assert f.pread(0, 4096) == whole[:4096]
            lab.away.cable("down")
            asked = f.submit(1 << 20, 65536)
            client.caller.flush()
            until(lambda: kernel.status("ahci")["state"] == "crashed", "the end of the driver")
            assert "owner: -\n" in kernel.read(f"/dev/pci/{AHCI}/ctl")
            steps = [e["what"] for e in kernel.audit(verdict="done") if e["target"] == AHCI]
            assert "quiesce master off" in steps
            lab.away.cable("up")
            assert client.wait(asked) == whole[1 << 20 : (1 << 20) + 65536]
        assert lab.sha256("/dev/sdE0/data") == digest(lab.image)


@pytest.mark.parametrize(
    ("user", "name", "why"),
    [
        ("blind", "ahci", "ahci lacks capability mem"),
        ("stiff", "ahci", "ahci lacks capability dma"),
        ("other", "ahci", "other is not disks, who may drive it"),
        ("disks", "nvme", "nothing of that name is expected"),
    ],
)
def test_whoever_may_not_is_told_so_and_it_is_in_the_audit(
    lab: Lab, user: str, name: str, why: str
) -> None:
    with lab.kernel() as kernel:
        with lab.driver(user, "--name", name) as driver:
            assert driver.ended() == 1
            assert why in driver.said[-1], driver.said
        denied = [e for e in kernel.audit() if e["user"] == user]
        assert any(why in e["error"] for e in denied), denied
        assert kernel.status("ahci")["state"] == "created"
        kernel.until(f"/dev/pci/{AHCI}/ctl", lambda text: "owner: -" in text)
