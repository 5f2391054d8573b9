"""What a mount needs of the host, and what undoes it when whoever serves it is killed."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from ..errors import UserError

DEVICE = "/dev/fuse"
LIBRARY = "libfuse3.so.3"
FUSERMOUNT = "fusermount3"  # set-uid: for whoever is not root
UNMOUNT = f'{FUSERMOUNT} -u -z -q -- "$1" || umount --lazy -- "$1"'
# A line says that the mount is gone; an end without one, that its server was killed. libfuse's own `auto_unmount` does
# not do it for who is not root: it asks whether the dead mount can be opened, and takes the refusal for life.
KEEPER = f"read -r _ || {{ {UNMOUNT}; }}"


def available() -> None:
    """Raise UserError, with the remedy behind a `; `, where nothing can be mounted."""
    if find_spec("mfusepy") is None:
        raise UserError(f"mfusepy is missing; {sys.executable} -m pip install 'lux9[fuse]'")
    try:
        ctypes.CDLL(LIBRARY)
    except OSError:
        raise UserError(f"{LIBRARY} is missing; apt-get install fuse3") from None
    _device()
    if os.geteuid() and shutil.which(FUSERMOUNT) is None:
        raise UserError(f"{FUSERMOUNT} is missing; apt-get install fuse3")


def _device() -> None:
    try:
        os.close(os.open(DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        raise UserError(f"{DEVICE} is missing; as root: modprobe fuse") from None
    except OSError as error:
        raise UserError(
            f"{DEVICE}: {error.strerror} for user {os.geteuid()}; as root: chmod 666 {DEVICE}"
        ) from None


@contextmanager
def survived(where: Path) -> Generator[None, None, None]:
    """A process that unmounts when this one is killed, while this goes on."""
    quiet = subprocess.DEVNULL
    with subprocess.Popen(
        _shell(KEEPER, where),
        stdin=subprocess.PIPE,
        stdout=quiet,
        stderr=quiet,
        cwd="/",
        start_new_session=True,  # what ends this process's whole group is not for it
    ) as keeper:
        try:
            yield
        finally:
            keeper.communicate(b"gone\n")


def unmount(where: Path) -> None:
    """At once, whoever still has a file open; what is not mounted is left."""
    subprocess.run(_shell(UNMOUNT, where), check=False, capture_output=True)


def _shell(script: str, where: Path) -> list[str]:
    return ["sh", "-c", script, "sh", str(where.absolute())]
