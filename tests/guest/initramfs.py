"""The first file system of a guest: busybox, our init and the modules that it loads, as a cpio archive.

Ref: Documentation/driver-api/early-userspace/buffer-format.rst of Linux, for `newc`; modinfo(8) for what modules need.
"""

from __future__ import annotations

import lzma
import re
import shlex
import stat
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

INIT = Path(__file__).with_name("init.sh")
DEPENDS = re.compile(rb"\0depends=([^\0]*)\0")  # of a module's section .modinfo
ALIGNED = 4


class Modules:
    """Linux's modules in a folder, each by its name, with `_` or `-`; compressed by xz or not."""

    def __init__(self, folder: Path) -> None:
        self.paths = {_plain(path.name.partition(".")[0]): path for path in folder.iterdir()}

    def needed(self, names: Iterable[str]) -> dict[str, bytes]:
        """Those and what they depend on, in an order in which they can be loaded. What is built in has no file."""
        found: dict[str, bytes] = {}
        for name in names:
            self._add(_plain(name), found)
        return found

    def _add(self, name: str, found: dict[str, bytes]) -> None:
        path = self.paths.get(name)
        if path is None or name in found:
            return
        data = path.read_bytes()
        data = lzma.decompress(data) if path.suffix == ".xz" else data
        said = DEPENDS.search(data)
        for other in said[1].decode().split(",") if said else ():
            self._add(_plain(other), found)
        found[name] = data


def _plain(name: str) -> str:
    return name.replace("-", "_")


def archive(busybox: Path, modules: dict[str, bytes], agent: Sequence[str]) -> bytes:
    """The archive; `agent` is the command that is run at last, a program of the host's.

    Init finds the modules' names in their order in /modules/order, and the command in /agent.
    """
    files = {
        "init": INIT.read_bytes(),
        "busybox": busybox.read_bytes(),
        "agent": shlex.join(agent).encode(),
        "modules/order": "".join(f"{name}\n" for name in modules).encode(),
        **{f"modules/{name}": data for name, data in modules.items()},
    }
    return b"".join(_entries(files))


def _entries(files: dict[str, bytes]) -> Iterator[bytes]:
    for name in ("modules", "dev", "host", "upper", "new"):
        yield _entry(name, stat.S_IFDIR | 0o755, b"")
    for name, data in files.items():
        yield _entry(name, stat.S_IFREG | 0o755, data)
    yield _entry("TRAILER!!!", 0, b"")


def _entry(name: str, mode: int, data: bytes) -> bytes:
    """A header of 13 numbers in hexadecimal, the name, the data; both padded."""
    path = name.encode() + b"\0"
    numbers = (0, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
    header = b"070701" + b"".join(b"%08x" % n for n in numbers) + path
    return _padded(header) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNED)
