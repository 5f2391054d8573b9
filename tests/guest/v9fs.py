"""Our tree mounted by Linux's own 9P client in the guest, and a disk that Linux can read both ways."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fs.images import tool
from tests.guest.guest import PEER, Guest

BIG = 2 << 20  # bytes of the longest file, and then some
MANY = 24  # files in one directory, whose names are more than a message of 4096 bytes
MSIZE = 1 << 20  # the most that Linux has for a stream: MAX_SOCK_BUF of net/9p/trans_fd.c
SIZE = "32M"

numbers = itertools.count(1)


@dataclass(frozen=True)
class Mount:
    """What is asked of Linux."""

    version: str = "9p2000.L"
    cache: str = "none"
    msize: int = MSIZE
    trans: str = "tcp"

    def __str__(self) -> str:
        return f"{self.version}-{self.cache}-{self.msize}-{self.trans}"

    @contextmanager
    def at(self, guest: Guest, address: str) -> Generator[str, None, None]:
        """Mounted, at the folder that this gives; it can be unmounted at the end, as nothing waits."""
        port, where = guest.forward(address), f"/mnt/{next(numbers)}"
        own = f"noatime,version={self.version},cache={self.cache},msize={self.msize}"
        guest.run(["mkdir", where])
        if self.trans == "tcp":
            guest.run(f"mount -t 9p -o trans=tcp,port={port},{own} {PEER} {where}")
        else:
            stream = f"exec 3<> /dev/tcp/{PEER}/{port}"
            mount = f"mount -t 9p -o trans=fd,rfdno=3,wfdno=3,{own} none {where}"
            guest.run(["bash", "-c", f"{stream} && {mount}"])
        try:
            yield where
        finally:
            guest.run(f"umount {where}")


def source(top: Path) -> Path:
    """A tree with whatever an ext4 holds and nobody needs to be root to make."""
    (top / "dir" / "deep").mkdir(parents=True)
    (top / "empty").touch()
    (top / "file").write_bytes(b"0123456789" * 1000)
    (top / "big").write_bytes(random.Random(9).randbytes(BIG + 4321))
    (top / "dir" / "hard").hardlink_to(top / "file")
    (top / "dir" / "deep" / "third").hardlink_to(top / "file")
    (top / "soft").symlink_to("file")
    (top / "dir" / "up").symlink_to("../file")
    (top / "todir").symlink_to("dir/deep")
    (top / "dir" / "absolute").symlink_to("/dir/deep/third")
    (top / "long").symlink_to("./" * 100 + "file")
    (top / "dangling").symlink_to("nowhere")
    (top / "loop").symlink_to("loop")
    (top / "a name of ünïcode's").write_text("and of blanks\n")
    (top / ("n" * 255)).write_text("long\n")
    os.mkfifo(top / "pipe")
    with (top / "sparse").open("wb") as f:
        f.seek(1 << 20)
        f.write(b"x")
    (top / "many").mkdir()
    for i in range(MANY):
        (top / "many" / f"file{i:04}-{'x' * 200}").write_text(f"{i}\n")
    (top / "program").write_text("#!/bin/sh\necho ran\n")
    (top / "program").chmod(0o4751)
    (top / "dir").chmod(0o1775)
    os.utime(top / "file", ns=(1_000_000_000 * 10**9, 1_500_000_000 * 10**9))
    return top


def image(folder: Path) -> Path:
    """An ext4 of that tree."""
    disk = folder / "tree.img"
    tool("mke2fs", "-q", "-t", "ext4", "-d", str(source(folder / "source")), str(disk), SIZE)
    return disk
