"""When the kernel ends, however it ends, nothing of what it started is left."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.system.running import Running, children, until


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
    if number != signal.SIGKILL:
        assert not running.socket.exists()


def alive(pid: int) -> bool:
    """Whether a process is there, and not only its number."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except OSError:
        return False
