"""When the kernel ends, however it ends, nothing of what it started is left."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import pytest

from lux9.cli.keeper import Keeper
from tests.system.running import LIMIT, LUX9, Running, children, no_drivers, until


def namespaces(pids: list[int]) -> set[str]:
    """The process and mount namespaces of processes, but our own."""
    names = [Path(f"/proc/{pid}/ns/{kind}") for pid in pids for kind in ("pid", "mnt")]
    ours = {str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in ("pid", "mnt")}
    return {str(name.readlink()) for name in names} - ours


def in_use() -> set[str]:
    """The namespaces that any process of this host is in."""
    found = set[str]()
    for process in Path("/proc").glob("[0-9]*"):
        for kind in ("pid", "mnt"):
            try:
                found.add(str((process / "ns" / kind).readlink()))
            except OSError:  # it ends while we look
                continue
    return found


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left(tmp_path: Path, number: signal.Signals) -> None:
    (tmp_path / "disk.img").write_bytes(bytes(4 << 20))
    options = ("--disk", str(tmp_path / "disk.img"), "--isolation", "sandbox")
    with Running(tmp_path, *options) as running:
        status = running.read("/dev/sip/servers/ahci/status")
        assert "isolation: sandbox" in status
        started = children(running.process.pid)
        sandboxes = namespaces(started)
        assert len(started) >= 2, "bubblewrap, and the driver in it"
        assert len(sandboxes) >= 2
        arenas = [fd for pid in started for fd in Path(f"/proc/{pid}/fd").iterdir()]
        assert any("memfd:" in str(fd.readlink()) for fd in arenas)
        running.stop(number)
        until(lambda: not [pid for pid in started if alive(pid)], "the end of what it started")
        until(lambda: not sandboxes & in_use(), "the end of its namespaces")
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    until(lambda: not running.socket.exists(), "the end of its socket")


def test_a_command_and_its_socket_end_with_a_kernel_that_is_killed(tmp_path: Path) -> None:
    command = 'echo "$LUX9_ADDR"; kill -KILL $PPID; exec sleep 1000'
    done = subprocess.run(
        [*LUX9, "boot", *no_drivers(tmp_path), "--exec", command],
        stdout=subprocess.PIPE,  # read until the last who has it is gone
        text=True,
        check=False,
        timeout=LIMIT,
    )
    assert done.returncode == -signal.SIGKILL
    folder = Path(done.stdout.strip().removeprefix("unix!")).parent
    assert folder.name.startswith("lux9-")
    until(lambda: not folder.exists(), "the end of its folder")


def test_the_socket_of_another_kernel_at_the_same_place_is_left(tmp_path: Path) -> None:
    path = tmp_path / "lux9.sock"
    path.touch()
    with Keeper(path) as keeper:
        path.unlink()
        path.touch()
        keeper.orders.close()
        keeper.shell.wait()
    assert path.exists()


def alive(pid: int) -> bool:
    """Whether a process is there, and not only its number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False
