"""`lux9 boot` as a user runs it, in a process of its own, and clients of it."""

from __future__ import annotations

import json
import os
import queue
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Self

from lux9.cli import image
from lux9.ninep.client import Client

LIMIT = 20.0  # seconds that any wait may take
AHCI = "0000:00:1f.2"
LUX9 = (sys.executable, "-m", "lux9")
BIG = 12 << 20  # bytes of the file big.bin
SIZE = 64 << 20  # of the image


def lux9(*args: str, timeout: float = LIMIT, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a command to its end; never a traceback, whatever it says."""
    done = subprocess.run(
        [*LUX9, *args], capture_output=True, text=True, check=False, timeout=timeout, **options
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def boot(command: str, *options: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """`lux9 boot … --exec COMMAND`."""
    return lux9("boot", *options, "--exec", command, **more)


def until(true: Callable[[], Any], what: str = "") -> Any:
    """Ask again and again, until the answer is true; what it is."""
    end = time.monotonic() + LIMIT
    while not (found := true()):
        assert time.monotonic() < end, f"waited {LIMIT} s in vain for {what or true}"
        threading.Event().wait(0.01)
    return found


class Running:
    """A kernel that listens. `said` is what it prints; `start`: words before its command."""

    def __init__(self, folder: Path, *options: str, start: Sequence[str] = ()) -> None:
        self.start = start
        self.socket = folder / "lux9.sock"
        self.address = f"unix!{self.socket}"
        self.options = (*options, "--audit", str(folder / "audit.jsonl"))
        self.lines: queue.Queue[str] = queue.Queue()
        self.said: list[str] = []

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            [*self.start, *LUX9, "boot", "--listen", self.address, *self.options],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.reader = threading.Thread(target=self._drain)
        self.reader.start()
        try:
            while "listening on" not in self.line():
                pass
        except BaseException:
            self.__exit__()
            raise
        return self

    def _drain(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.put(line)
        self.lines.put("")

    def line(self) -> str:
        """The next line of its log. Fails when it has ended."""
        line = self.lines.get(timeout=LIMIT)
        self.said.append(line)
        assert line, "".join(self.said)
        return line

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; its status."""
        self.process.send_signal(number)
        return self.process.wait(LIMIT)

    def __exit__(self, *exc: object) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(LIMIT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.reader.join(LIMIT)
        assert self.process.stderr is not None
        self.process.stderr.close()

    def client(self, aname: str = "") -> Client:
        return Client.dial(self.address, aname)

    def read(self, path: str) -> str:
        with self.client() as client:
            return client.read(path).decode()

    def write(self, path: str, text: str) -> None:
        with self.client() as client:
            client.write(path, text.encode())

    def until(self, path: str, true: Callable[[str], Any]) -> str:
        """Read a file until it says so."""

        def look() -> str:
            text = self.read(path)
            return text if true(text) else ""

        found: str = until(look, path)
        return found

    def status(self, name: str) -> dict[str, str]:
        """What a driver's status says."""
        text = self.read(f"/dev/sip/servers/{name}/status")
        return dict(line.split(": ", 1) for line in text.splitlines())

    def kill(self, name: str) -> int:
        """Kill a driver's process; its number. Never 0: that would be our own process group."""
        pid = int(self.status(name)["pid"])
        assert pid > 1, self.status(name)
        os.kill(pid, signal.SIGKILL)
        return pid

    def audit(self, what: str = "", verdict: str = "denied") -> list[dict[str, Any]]:
        """What the audit has of a kind."""
        entries = [json.loads(line) for line in self.read("/dev/audit").splitlines()]
        return [e for e in entries if e["verdict"] == verdict and what in ("", e["what"])]

    def alive(self) -> None:
        """The kernel serves, and so does whatever drives the first disk."""
        assert self.process.poll() is None
        with self.client() as client, client.open("/dev/sdE0/data") as f:
            assert len(f.pread(0, 512)) == 512


def no_drivers(folder: Path) -> tuple[str, str]:
    """The options for a machine that nobody drives."""
    path = folder / "none.toml"
    path.write_text("# no drivers\n")
    return "--manifest", str(path)


def source(folder: Path, big: int = BIG) -> Path:
    """A directory to make an image of."""
    folder.mkdir()
    (folder / "hello.txt").write_text("hello\n")
    (folder / "big.bin").write_bytes(random.Random(9).randbytes(big))
    return folder


def make_image(folder: Path, size: int = SIZE, big: int = BIG) -> Path:
    """A disk with a partition that holds an ext4 with two files."""
    path = folder / "disk.img"
    image.make(path, source(folder / "source", big), size)
    return path


def gone(pid: int) -> bool:
    """Whether a process has ended."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return stat.rpartition(")")[2].split()[0] in "ZX"


def children(pid: int) -> list[int]:
    """The processes that one has started, and those that they have."""
    found = list[int]()
    for task in Path(f"/proc/{pid}/task").iterdir():
        found += [int(n) for n in (task / "children").read_text().split()]
    return found + [n for child in found for n in children(child)]


def environment(**more: str) -> dict[str, str]:
    """This process's environment without a kernel's address, and more."""
    return {k: v for k, v in os.environ.items() if k != "LUX9_ADDR"} | more
