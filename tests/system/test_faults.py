"""Faults ordered on the command line: what the client is told, and what is left to read of it."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from lux9.errors import RemoteError
from tests.system.running import Running, boot, lux9

SECTOR = 512
BAD = 40_000  # a sector that no file is in


def test_a_bad_sector_is_told_by_its_number_and_the_disk_goes_on(
    disk: Path, machine_name: str
) -> None:
    """What is before it comes; QEMU's disk does not say which it is, and the driver finds out."""
    done = boot(
        f"lux9 cat --offset {(BAD - 3) * SECTOR} --count 4096 /dev/sdE0/data | wc -c; "
        "lux9 cat /root/hello.txt",
        *("--machine", machine_name, "--disk", str(disk), "--read-only"),
        *("--fault", f"media where={BAD}-{BAD + 1} times=0"),
    )
    assert f"read of 5 sectors at {BAD} failed at sector {BAD}: " in done.stderr
    assert {"sim": "Error(unc)", "qemu": "Error(abrt)"}[machine_name] in done.stderr
    assert done.stdout == f"{3 * SECTOR}\nhello\n"


def test_the_report_of_a_crash_names_the_registers_last_touched(disk: Path) -> None:
    done = boot(
        "cat /dev/null; while lux9 cat /dev/sdE0/data > /dev/null 2>&1; do :; done; "
        "until lux9 sip crash ahci 2> /dev/null; do :; done",
        *("--disk", str(disk), "--read-only", "--restart", "never"),
        *("--fault", "ones 00:1f.2 after=400 times=0"),
    )
    assert re.search(r"bar5 read  [\w\[\].]+ = 0xffffffff", done.stdout)
    assert "quiesced:\n  quarantine dma: 0 buffers" in done.stdout, "it had let go of all itself"
    for told in (
        r"interrupts:\n  irq 11: \S+ pending=\d+ delivered=\d+ dropped=\d+ \(given back\)\n",
        r"\n  dma bytes 0 of \d+, at most [1-9]\d*\n",
        r"released before its end:\n  mask \S+: .*\n  master off \S+: .*\n  reset \S+: reset of the model\n",
    ):
        assert re.search(told, done.stdout), "and what it had is told all the same"


def test_a_fault_that_is_none() -> None:
    done = lux9("boot", "--fault", "fly")
    assert done.returncode == 1
    assert done.stderr.startswith("lux9 boot: 'fly' is no fault; one of slow")
    wrong = (
        "media",
        "lost 00:1f.2",
        "media where=1-1000",
        "media where=1 times=3",
        "media where=9-8",
    )
    for fault in wrong:
        done = lux9("boot", "--machine", "qemu", "--fault", fault)
        assert f"'{fault}' is no fault of QEMU's: it has `media where=FIRST-LAST`" in done.stderr


def test_sectors_go_bad_while_it_runs_and_are_mended(tmp_path: Path, machine_name: str) -> None:
    image = tmp_path / "d.img"
    image.write_bytes(bytes(1 << 20))
    with Running(tmp_path, "--machine", machine_name, "--disk", str(image)) as r:
        for at in (100, 200, 101):  # the second of a kind replaces the first, with both
            r.write("/dev/pci/ctl", f"fault media where={at}-{at + 1} times=0")
            with r.client() as client, client.open("/dev/sdE0/data") as f:
                assert len(f.pread((at - 4) * SECTOR, 4096)) in (3 * SECTOR, 4 * SECTOR)
                with pytest.raises(RemoteError, match=f"failed at sector {at}: "):
                    f.pread(at * SECTOR, 4096)
        for rule in ("media where=7-2", f"media where={1 << 63}", "media where=x"):
            with pytest.raises(RemoteError, match="where="):
                r.write("/dev/pci/ctl", f"fault {rule}")
        r.write("/dev/pci/ctl", "fault none")
        with r.client() as client:
            assert len(client.read("/dev/sdE0/data")) == 1 << 20
        with pytest.raises(RemoteError, match="burn"):
            r.write("/dev/pci/ctl", "fault burn")


def test_a_fault_that_came_is_not_there_again_with_the_next_one_and_none_mends_all(
    tmp_path: Path, machine_name: str
) -> None:
    image = tmp_path / "d.img"
    image.write_bytes(bytes(1 << 20))
    bad = ("--fault", "media where=50", "--fault", "media where=60 times=0")
    with (
        Running(tmp_path, "--machine", machine_name, "--disk", str(image), *bad) as r,
        r.client() as client,
        client.open("/dev/sdE0/data") as f,
    ):

        def fails(sector: int) -> bool:
            try:
                f.pread(sector * SECTOR, SECTOR)
            except RemoteError:
                return True
            return False

        for sector in (50, 100, 200):
            if sector > 50:
                r.write("/dev/pci/ctl", f"fault media where={sector}")
            assert [fails(sector), fails(sector), fails(50), fails(60)] == [
                True,
                False,
                False,
                True,
            ]
        r.write("/dev/pci/ctl", "fault none")
        assert not fails(60)
        for sector in (300, 400):  # none of them read before both are ordered
            r.write("/dev/pci/ctl", f"fault media where={sector}")
        assert [fails(300), fails(400), fails(60)] == [True, True, False]


def test_a_bad_sector_is_the_disks_and_not_the_files(tmp_path: Path) -> None:
    if shutil.which("qemu-img") is None:
        pytest.skip("qemu-img is not there")
    image = tmp_path / "d.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", str(image), "1M"], check=True)
    disk = ("--machine", "qemu", "--disk", f"{image}:qcow2", "--fault", "media where=100 times=0")
    with Running(tmp_path, *disk) as r, r.client() as client, client.open("/dev/sdE0/data") as f:
        r.write("/dev/pci/ctl", "fault media where=200 times=0")
        for sector in (100, 200):
            assert len(f.pread((sector - 1) * SECTOR, SECTOR)) == SECTOR
            with pytest.raises(RemoteError, match=f"1 sectors at {sector} failed"):
                f.pread(sector * SECTOR, SECTOR)
