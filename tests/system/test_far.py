"""A driver that is a connection and nothing else: no memory shared with the kernel, no descriptor inherited."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lux9.ninep.client import File
from tests.delay import Delay
from tests.system.driving import Driving, manifest, serves
from tests.system.running import AHCI, Running, children, gone, until
from tests.system.test_data import digest, printed

QUIESCED = [
    f"quiesce {step}" for step in ("mask", "master off", "reset", "quarantine", "free", "release")
]


@pytest.fixture
def far(disk: Path, tmp_path: Path) -> Iterator[Running]:
    """A kernel that waits for its driver."""
    options = ("--disk", str(disk), "--read-only", *manifest(tmp_path))
    with Running(tmp_path, *options) as made:
        yield made


def test_a_disk_and_its_files_appear_where_the_hardware_is(far: Running, disk: Path) -> None:
    assert far.status("ahci")["state"] == "created"
    assert far.status("ahci")["reason"] == "waits for disks to drive it"
    with Driving(far.address) as driver:
        serves(far)
        assert printed(far, "/dev/sdE0/data") == digest(disk)
        until(lambda: far.read("/dev/sip/ctl").count("running") == 2, "ext4")
        assert printed(far, "/root/big.bin") == digest(disk.parent / "source" / "big.bin")
        assert far.status("ahci")["isolation"].startswith("elsewhere (")
        assert driver.stop(signal.SIGINT) == 0
        assert not any("again in" in line for line in driver.said), driver.said
    assert far.status("ahci")["state"] == "crashed"


def test_clients_wait_for_one_that_was_killed_and_go_on(far: Running, disk: Path) -> None:
    with Driving(far.address) as first:
        serves(far)
        with far.client() as client, client.open("/dev/sdE0/data") as f:
            whole = disk.read_bytes()
            assert f.pread(4096, 8192) == whole[4096 : 4096 + 8192]
            processes = [first.process.pid, *children(first.process.pid)]
            first.process.kill()
            far.until("/dev/sip/servers/ahci/status", lambda text: "state: crashed" in text)
            until(lambda: all(gone(pid) for pid in processes), "the driver's processes")
            steps = [e["what"] for e in far.audit(verdict="done") if e["target"] in (AHCI, "dma")]
            assert steps == QUIESCED
            asked = f.submit(65536, 4096)
            client.caller.flush()
            with Driving(far.address):
                assert client.wait(asked) == whole[65536 : 65536 + 4096]
                assert printed(far, "/dev/sdE0/data") == digest(disk)
                assert far.status("ahci")["restarts"] == "1"


def test_one_that_is_stopped_there_does_not_come_back_before_it_is_started(far: Running) -> None:
    with Driving(far.address, "--once") as driver:
        serves(far)
        far.write("/dev/sip/servers/ahci/ctl", "stop")
        assert driver.ended() == 0
    with Driving(far.address) as driver:
        assert driver.ended() == 1
        assert "it was stopped; `lux9 sip start ahci`" in driver.said[-1]
    far.write("/dev/sip/servers/ahci/ctl", "start")
    with Driving(far.address):
        serves(far)


def test_a_second_one_is_refused(far: Running) -> None:
    with Driving(far.address):
        serves(far)
        with Driving(far.address) as second:
            assert second.ended() == 1
            assert f"{AHCI} is claimed by ahci" in second.said[-1]
        far.alive()


def test_a_read_is_three_round_trips_on_a_slow_link(
    far: Running, disk: Path, tmp_path: Path
) -> None:
    """To the driver and its doorbell back; the interrupt and the look back; what was seen and the data back."""
    whole = disk.read_bytes()
    with Delay(far.socket, tmp_path / "slow", 0.01) as link, Driving(link.address) as driver:
        serves(far)
        until(lambda: far.read("/dev/sip/ctl").count("running") == 2, "ext4")
        with far.client() as client, client.open("/dev/sdE0/data") as f:
            assert f.pread(0, 4096) == whole[:4096]
            trips = min(_trips(link, f, whole, 4096 * n, 4096) for n in range(1, 6))
            assert trips <= 6, "one way each"
            assert min(_trips(link, f, whole, n << 20, 1 << 20) for n in range(1, 4)) <= 6
            places = [n * 7919 % 4096 * 4096 for n in range(128)]
            asked = [f.submit(at, 4096) for at in places]
            for at, answer in zip(places, asked, strict=True):
                assert client.wait(answer) == whole[at : at + 4096]
        assert driver.stop() == 0


def _trips(link: Delay, f: File, whole: bytes, at: int, count: int) -> int:
    before = link.trips
    assert f.pread(at, count) == whole[at : at + count]
    return link.trips - before
