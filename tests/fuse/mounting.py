"""A tree as a directory, for as long as a test takes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

LIMIT = 20.0
LUX9 = [sys.executable, "-m", "lux9"]


def until_mounted(process: subprocess.Popen[bytes], where: Path) -> None:
    end = time.monotonic() + LIMIT
    while not where.is_mount():
        assert process.poll() is None, "the mount ended"
        assert time.monotonic() < end, "not mounted"
        os.sched_yield()


def is_mount(where: Path) -> bool:
    try:
        return where.is_mount()
    except OSError:  # its server is gone, it is not yet
        return True


def until_gone(where: Path) -> None:
    end = time.monotonic() + LIMIT
    while is_mount(where):
        assert time.monotonic() < end, "still mounted"
        os.sched_yield()


def ended(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    process.send_signal(number)
    return process.wait(LIMIT)


@contextmanager
def mounting(address: str, folder: Path) -> Generator[Path, None, None]:
    """What is served at an address, mounted in a directory that is made in `folder`."""
    where = folder / "mnt"
    where.mkdir()
    with (folder / "said").open("w+") as said:
        process = subprocess.Popen([*LUX9, "-a", address, "mount", str(where)], stderr=said)
        until_mounted(process, where)
        yield where
        if process.poll() is None:
            assert ended(process) == 0
        until_gone(where)
        said.seek(0)
        assert said.read() == "", "neither it nor libfuse has anything to complain of"
