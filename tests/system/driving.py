"""`lux9 drive` as a user runs it, against a kernel of `running.py`."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from tests.system.running import AHCI, LIMIT, LUX9, Running, environment, until

MANIFEST = """
[ahci]
class = "01.06.01"
remote = "{user}"
mount = "/dev"
hold = 30.0
repeats = true

[ext4]
file = ["/dev/sd*/linux", "/dev/sd*/data"]
module = "lux9.fs.ext4"
mount = "/root"
hold = 30.0
"""


def manifest(folder: Path, user: str = "disks", more: str = "") -> tuple[str, str]:
    """The options for a machine whose disk controller is driven from elsewhere."""
    path = folder / "remote.toml"
    path.write_text(MANIFEST.format(user=user) + more)
    return "--manifest", str(path)


class Driving:
    """A driver that runs. `said` is what it prints."""

    def __init__(
        self,
        address: str,
        *options: str,
        kind: str = "ahci",
        function: str = AHCI,
        prefix: tuple[str, ...] = (),
        env: Mapping[str, str] | None = None,
    ) -> None:
        words = ("-a", address, "drive", kind, "--bind", function, *options)
        self.command = (*prefix, *LUX9, *words)
        self.env = environment() if env is None else dict(env)
        self.said: list[str] = []

    def __enter__(self) -> Self:
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=self.env,
        )
        self.reader = threading.Thread(target=self._drain)
        self.reader.start()
        return self

    def _drain(self) -> None:
        assert self.process.stderr is not None
        self.said.extend(self.process.stderr)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; its status."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Wait for its end; its status. What it printed is complete then."""
        status = self.process.wait(LIMIT)
        self.reader.join(LIMIT)
        return status

    def __exit__(self, *exc: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.reader.join(LIMIT)
        assert self.process.stderr is not None
        self.process.stderr.close()


def serves(running: Running, name: str = "ahci") -> None:
    """Wait until a driver is there."""
    until(lambda: running.status(name)["state"] == "running", f"{name} to run")
