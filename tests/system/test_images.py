"""Disks that are wrong: told in one line, or served as far as they are right."""

from __future__ import annotations

import contextlib
import os
import struct
from pathlib import Path

import pytest

from lux9.cli import image
from lux9.errors import RemoteError
from tests.fs.images import debugfs, patch, tool
from tests.system.running import Running, boot, lux9, source

MIB = 1 << 20
TABLE = 446  # where the four records of an MBR begin


def small(folder: Path, megabytes: int = 16) -> Path:
    """A disk with a partition that holds an ext4 with little in it."""
    path = folder / "small.img"
    image.make(path, source(folder / "source", 100_000), megabytes * MIB)
    return path


def ext4(folder: Path) -> Path:
    """A disk with a file system and no table."""
    path = folder / "bare.img"
    tool(
        "mke2fs",
        "-q",
        "-F",
        "-t",
        "ext4",
        "-d",
        str(source(folder / "source", 100_000)),
        str(path),
        "16M",
    )
    return path


def record(kind: int, start: int, length: int) -> bytes:
    return struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", kind, b"\xfe\xff\xff", start, length)


# -- images that are no disks


@pytest.mark.parametrize(
    ("size", "why"),
    [
        (-1, "there is no such file; make one with: truncate"),
        (0, "is empty (0 bytes)"),
        (1000, "its size, 1000 bytes, is not a multiple of 512"),
    ],
)
def test_an_image_that_cannot_be_a_disk(tmp_path: Path, size: int, why: str) -> None:
    path = tmp_path / "d.img"
    if size >= 0:
        path.write_bytes(bytes(size))
    done = lux9("boot", "--disk", str(path), "--exec", "true")
    assert done.returncode != 0
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"lux9 boot: disk image {path}: {why}")


def test_a_directory_or_a_device_as_a_disk(tmp_path: Path) -> None:
    assert "is a directory" in lux9("boot", "--disk", str(tmp_path), "--exec", "true").stderr
    done = lux9("boot", "--disk", "/dev/null", "--exec", "true")
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1


def test_one_image_twice(tmp_path: Path) -> None:
    path = str(small(tmp_path))
    done = boot("true", "--disk", path, "--disk", path)
    assert done.returncode != 0
    assert "in use by another machine" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert boot("true", "--disk", path, "--disk", path, "--read-only").returncode == 0


def test_the_smallest_disk(tmp_path: Path) -> None:
    path = tmp_path / "d.img"
    path.write_bytes(b"x" * 512)
    done = boot("lux9 cat /dev/sdE0/data; lux9 cat /dev/sdE0/ctl", "--disk", str(path))
    assert done.stdout.startswith("x" * 512 + "inquiry ")
    assert "geometry 1 512\n" in done.stdout


# -- file systems


def test_a_disk_without_a_file_system(tmp_path: Path) -> None:
    path = tmp_path / "d.img"
    path.write_bytes(os.urandom(MIB))
    done = boot("lux9 cat /dev/sip/ctl; lux9 cat /dev/sdE0/data | wc -c", "--disk", str(path))
    assert done.stdout == f"1 ahci running\n{MIB}\n", "nothing is started for it"
    why = "the bytes at 1080 would be 53 ef; they are "
    assert done.stderr.startswith(f"lux9 boot: ext4 is not started for /dev/sdE0/data: {why}")
    assert len(done.stderr.splitlines()) == 1


def test_a_file_system_without_a_table(tmp_path: Path) -> None:
    done = boot("lux9 cat /root/hello.txt", "--disk", str(ext4(tmp_path)))
    assert (done.stdout, done.stderr) == ("hello\n", "")


def test_a_dirty_journal(tmp_path: Path) -> None:
    """Refused with what to do; the disk itself is served."""
    path = ext4(tmp_path)
    debugfs(path, "feature +needs_recovery")
    done = boot("lux9 cat /dev/sip/ctl", "--disk", str(path))
    assert "needs_recovery" in done.stderr
    assert "e2fsck" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "1 ahci running\n2 ext4 crashed\n" in done.stdout


def test_a_file_system_larger_than_its_partition(tmp_path: Path) -> None:
    path = small(tmp_path)
    patch(path, TABLE, record(0x83, 2048, 4096))
    done = boot("lux9 cat /dev/sip/ctl", "--disk", str(path))
    assert "1 ahci running\n2 ext4 crashed\n" in done.stdout
    assert "/dev/sdE0/linux: truncated: 15360 blocks" in done.stderr


def test_a_file_system_that_is_broken_within(tmp_path: Path) -> None:
    """Its inode table is noise: reads fail, nothing dies, the disk is served."""
    path = ext4(tmp_path)
    with Running(tmp_path, "--disk", str(path), "--read-only") as running, running.client() as c:
        assert "hello.txt" in [s.name for s in c.ls("/root")]
    patch(path, 40 * 4096, os.urandom(200 * 4096))
    with Running(tmp_path, "--disk", str(path), "--read-only") as running:
        with running.client() as client:
            for name in ("/root", "/root/hello.txt", "/root/big.bin"):
                with contextlib.suppress(RemoteError):
                    client.stat(name)
                    client.read(name)
        running.alive()


# -- tables


def test_a_table_that_lies(tmp_path: Path) -> None:
    """Beyond the end, over another, of no length: dropped and told; the good one is served."""
    path = small(tmp_path)
    sectors = path.stat().st_size // 512
    good = record(0x83, 2048, sectors - 2048)
    lies = record(0x0C, sectors + 5, 100) + record(0x07, 4096, 100) + record(0x82, 0, sectors)
    patch(path, TABLE, good + lies)
    with Running(tmp_path, "--disk", str(path), "--read-only") as running:
        ctl = running.read("/dev/sdE0/ctl")
        assert f"part linux 2048 {sectors}\n" in ctl
        assert ctl.count("part ") == 1
        log = running.read("/dev/kmesg")
        assert f"the disk ends at {sectors}" in log
        assert "overlaps" in log
        assert running.read("/root/hello.txt") == "hello\n"


def test_a_chain_that_comes_back_to_itself(tmp_path: Path) -> None:
    path = tmp_path / "d.img"
    path.write_bytes(bytes(MIB))
    patch(path, TABLE, record(0x05, 100, 1000))
    patch(path, 510, b"\x55\xaa")
    extended = 100 * 512
    patch(path, extended + TABLE, record(0x83, 1, 50) + record(0x05, 0, 1000))
    patch(path, extended + 510, b"\x55\xaa")
    done = boot("lux9 cat /dev/sdE0/ctl; lux9 cat /dev/kmesg", "--disk", str(path))
    assert "part linux 101 151\n" in done.stdout
    assert "come back to sector 100" in done.stdout


@pytest.mark.parametrize("seed", range(3))
def test_a_table_of_noise(tmp_path: Path, seed: int) -> None:
    path = tmp_path / "d.img"
    path.write_bytes(
        bytes((i * 31 + seed * 7) % 256 for i in range(510)) + b"\x55\xaa" + bytes(MIB - 512)
    )
    done = boot("lux9 cat /dev/sdE0/data | wc -c", "--disk", str(path))
    assert done.stdout == f"{MIB}\n"


# -- many


def test_more_disks_than_one_controller_has_ports(tmp_path: Path) -> None:
    names = list[str]()
    for n in range(14):
        path = tmp_path / f"{n:02}.img"
        path.write_bytes(bytes([n]) * 512 * 64)
        names += ["--disk", str(path)]
    found = list[bytes]()
    with Running(tmp_path, *names, *only_disks(tmp_path)) as running, running.client() as client:
        bus = client.read("/dev/pci/bus").decode()
        assert bus.count("class=01.06.01") == 3
        assert client.read("/dev/sip/ctl") == b"1 ahci running\n2 ahci1 running\n3 ahci2 running\n"
        for stat in client.ls("/dev"):
            if stat.name.startswith("sd") and stat.qid.is_dir:
                found.append(client.read(f"/dev/{stat.name}/data"))
        owners = [client.read(f"/dev/pci/{line.split()[0]}/ctl") for line in controllers(bus)]
        assert all(b"owner: ahci" in owner for owner in owners)
    assert sorted(found) == [bytes([n]) * 512 * 64 for n in range(14)]


def controllers(bus: str) -> list[str]:
    return [line for line in bus.splitlines() if "class=01.06.01" in line]


def only_disks(folder: Path) -> tuple[str, str]:
    """The options for disks with no file systems on them."""
    path = folder / "disks.toml"
    path.write_text(
        '[ahci]\nclass = "01.06.01"\nmodule = "lux9.drivers.ahci.main"\n'
        'capabilities = ["pci", "mem", "irq", "dma"]\nmount = "/dev"\n'
    )
    return "--manifest", str(path)


def test_too_many_disks(tmp_path: Path) -> None:
    path = tmp_path / "d.img"
    path.write_bytes(bytes(512))
    done = lux9("boot", *["--disk", str(path)] * 200, "--exec", "true")
    assert done.returncode != 0
    assert "200 disks: the board has room for" in done.stderr
