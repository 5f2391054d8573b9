"""The tree through FUSE, for programs that know nothing of 9P."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from lux9.ninep.client import Client
from tests.fuse.mounting import LIMIT, LUX9, ended, mounting, until_gone, until_mounted
from tests.ninep.serving import Served

SATA = "dev/pci/0000:00:1f.2"
VERSION = 0x10  # of AHCI: a register that only is read


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Generator[str, None, None]:
    """A kernel with no drivers."""
    folder = tmp_path_factory.mktemp("kernel")
    (folder / "none.toml").write_text("# no drivers\n")
    image = folder / "disk.img"
    image.write_bytes(bytes(1 << 20))
    address = f"unix!{folder / 'sock'}"
    command = ["boot", "--disk", str(image), "--manifest", str(folder / "none.toml")]
    state = os.environ | {"XDG_STATE_HOME": str(folder)}
    process = subprocess.Popen(
        [*LUX9, *command, "--listen", address], env=state, stderr=subprocess.PIPE
    )
    assert process.stderr is not None
    for line in process.stderr:
        if b"listening" in line:
            break
    yield address
    assert ended(process) == 0
    process.stderr.close()


@pytest.fixture
def mounted(address: str, tmp_path: Path) -> Generator[Path, None, None]:
    """Its tree as a directory."""
    with mounting(address, tmp_path) as where:
        yield where


def test_directories_and_texts_are_those_of_9p(address: str, mounted: Path) -> None:
    with Client.dial(address) as client:
        for folder in ("", "dev", "dev/pci", SATA):
            names = {s.name for s in client.ls("/" + folder)}
            assert {p.name for p in (mounted / folder).iterdir()} == names
        assert (mounted / "dev/pci/bus").read_bytes() == client.read("/dev/pci/bus")
        assert (mounted / "dev/drivers").read_bytes() == client.read("/dev/drivers")
        stat = (mounted / SATA / "config").stat()
        assert stat.st_mode & 0o777 == 0o660
        assert stat.st_ino == client.stat(f"/{SATA}/config").qid.path


def test_a_read_of_a_register_is_one_access_of_its_width(address: str, mounted: Path) -> None:
    fd = os.open(mounted / SATA / "bar5", os.O_RDWR)
    try:
        assert os.pread(fd, 4, VERSION) == (0x10000).to_bytes(4, "little")
        with pytest.raises(OSError, match="Invalid argument") as refused:
            os.pread(fd, 3, VERSION)
        assert refused.value.errno == errno.EINVAL
    finally:
        os.close(fd)
    done = subprocess.run(
        ["dd", f"if={mounted / SATA / 'bar5'}", "bs=4", "skip=4", "count=1"],
        capture_output=True,
        check=True,
    )
    assert done.stdout == (0x10000).to_bytes(4, "little")


def test_a_request_and_its_answer_go_over_one_descriptor(mounted: Path) -> None:
    fd = os.open(mounted / "dev/dma/alloc", os.O_RDWR)
    try:
        assert os.write(fd, b"size 4096 align 4096\n") == 21
        assert os.read(fd, 200).startswith(b"vaddr:0x")
    finally:
        os.close(fd)


@pytest.mark.parametrize(
    ("path", "number"),
    [("nothing", errno.ENOENT), ("dev/pci/bus/deeper", errno.ENOTDIR), ("dev/irq/5", errno.ENOENT)],
)
def test_a_file_that_is_not_there(mounted: Path, path: str, number: int) -> None:
    with pytest.raises(OSError, match=r"No such file|Not a directory") as refused:
        (mounted / path).read_bytes()
    assert refused.value.errno == number


def test_what_is_not_made_or_changed_here_is_refused_as_such(mounted: Path) -> None:
    """Not as what is not there at all (ENOSYS): programs tell it to their users."""
    null = mounted / "dev/null"
    for change in (
        lambda: (mounted / "dev/made").mkdir(),
        lambda: null.rename(mounted / "dev/other"),
        lambda: null.chmod(0o600),
        lambda: os.chown(null, 1, 1),
        lambda: (mounted / "dev/soft").symlink_to("null"),
        lambda: (mounted / "dev/hard").hardlink_to(null),
        lambda: os.mkfifo(mounted / "dev/pipe"),
    ):
        with pytest.raises(OSError) as caught:
            change()
        assert caught.value.errno in (errno.EPERM, errno.EACCES), caught.value
    with pytest.raises(OSError) as caught:
        null.rename(mounted / "null")
    assert caught.value.errno == errno.EXDEV


def test_a_command_that_is_refused_fails_the_write(mounted: Path) -> None:
    fd = os.open(mounted / "dev/pci/ctl", os.O_WRONLY)
    try:
        with pytest.raises(OSError, match="Invalid argument"):
            os.write(fd, b"fly")
        assert os.write(fd, b"rescan") == 6
    finally:
        os.close(fd)
    subprocess.run(["sh", "-c", f"echo rescan > {mounted}/dev/pci/ctl"], check=True)


WAITER = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDONLY)
while os.read(fd, 65536):
    pass
print("waiting", flush=True)
os.read(fd, 65536)
"""


def test_many_may_wait_and_a_signal_ends_each_wait(mounted: Path) -> None:
    command = [sys.executable, "-c", WAITER, str(mounted / "dev/kmesg")]
    waiting = [subprocess.Popen(command, stdout=subprocess.PIPE) for _ in range(12)]
    for process in waiting:
        assert process.stdout is not None
        assert process.stdout.readline() == b"waiting\n"
    assert (mounted / "dev/user").read_text(), "the others go on"
    for process in waiting:
        assert ended(process) == -signal.SIGTERM
        assert process.stdout is not None
        process.stdout.close()


def test_a_mount_ends_though_somebody_waits_in_it(address: str, tmp_path: Path) -> None:
    where = tmp_path / "mnt"
    where.mkdir()
    process = subprocess.Popen([*LUX9, "-a", address, "mount", str(where)])
    until_mounted(process, where)
    command = [sys.executable, "-c", WAITER, str(where / "dev/kmesg")]
    waiting = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert waiting.stdout is not None
    assert waiting.stdout.readline() == b"waiting\n"
    assert ended(process) == 0
    until_gone(where)
    assert waiting.wait(LIMIT) == 1, "its read failed"
    waiting.stdout.close()


def test_a_mount_that_is_killed_is_unmounted(address: str, tmp_path: Path) -> None:
    where = tmp_path / "mnt"
    where.mkdir()
    process = subprocess.Popen([*LUX9, "-a", address, "mount", str(where)])
    until_mounted(process, where)
    assert ended(process, signal.SIGKILL) == -signal.SIGKILL
    until_gone(where)


def test_a_mount_ends_with_the_kernel(tmp_path: Path) -> None:
    where = tmp_path / "mnt"
    where.mkdir()
    with Served() as served:
        served.listen(tmp_path / "s")
        address = f"unix!{tmp_path / 's'}"
        command = [*LUX9, "-a", address, "mount", str(where)]
        process = subprocess.Popen(command, stderr=subprocess.PIPE)
        until_mounted(process, where)
    said = process.communicate(timeout=LIMIT)[1].decode()
    assert said == f"lux9 mount: {where}: unmounted; {address} hung up\n"
    assert process.returncode == 1
    until_gone(where)


@pytest.mark.parametrize("what", ["nothing", "file"])
def test_a_place_that_cannot_be_mounted_on(address: str, tmp_path: Path, what: str) -> None:
    where = tmp_path / "mnt"
    if what == "file":
        where.write_text("")
    done = subprocess.run(
        [*LUX9, "-a", address, "mount", str(where)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr == f"lux9 mount: {where}: not a directory; make it first\n"
