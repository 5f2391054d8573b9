"""A mount of the tree: every file with direct I/O, so that each read(2) and write(2) is one message of its count.

That is what register files need: `dd bs=4 count=1 skip=4` of a BAR is one access of 4 bytes at 0x10. Event files
wait, and a signal ends the wait. Errors arrive as errno.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mfusepy

from ..errors import UserError
from ..ninep.aclient import AsyncFile
from ..wire.links import IFTODT, NOBODY, when
from ..wire.messages import DMDIR, KEEP, ORDWR, OREAD, OWRITE
from .bridge import Bridge
from .keeper import LIBRARY, survived

THREADS = 512  # of libfuse: a program that waits for an interrupt keeps one
MODES = {os.O_RDONLY: OREAD, os.O_WRONLY: OWRITE, os.O_RDWR: ORDWR}
_FUSE = ctypes.CDLL(LIBRARY)  # the library that mfusepy has loaded


_FUSE.fuse_get_context.restype = ctypes.POINTER(ctypes.c_void_p)  # its first member is the mount
_FUSE.fuse_get_session.restype = ctypes.c_void_p
_FUSE.fuse_get_session.argtypes = _FUSE.fuse_session_exited.argtypes = [ctypes.c_void_p]


def _interrupted() -> bool:
    """Whether whoever made the request of this thread got a signal, or the mount is to end: fuse.h."""
    if _FUSE.fuse_interrupted():
        return True
    session = _FUSE.fuse_get_session(_FUSE.fuse_get_context()[0])
    return bool(_FUSE.fuse_session_exited(session))


class Tree(mfusepy.Operations):
    """What libfuse asks, answered by 9P."""

    use_ns = True

    def __init__(self, address: str) -> None:
        self.bridge = Bridge(address, _interrupted)
        self.client = self.bridge.client
        self.open_files: dict[int, AsyncFile] = {}
        self.numbers = itertools.count(1)  # of open files; libfuse's threads ask at the same time
        self.mounted = False
        self.uid, self.gid = os.getuid(), os.getgid()

    def init(self, path: str) -> None:
        """It is mounted."""
        self.mounted = True

    # -- names

    def getattr(self, path: str, fh: int | None = None) -> dict[str, Any]:
        """stat(2); of a symbolic link, its own. What is nobody's is shown as the user's who mounted it."""
        a = self.bridge.ask(self.client.attr(path))
        return {
            "st_ino": a.qid.path,
            "st_mode": a.mode,
            "st_nlink": a.nlink,
            "st_uid": self.uid if a.uid == NOBODY else a.uid,
            "st_gid": self.gid if a.gid == NOBODY else a.gid,
            "st_rdev": a.rdev,
            "st_size": a.size,
            "st_blksize": a.blksize,
            "st_blocks": a.blocks,
            "st_atime": when(a.atime_sec, a.atime_nsec),
            "st_mtime": when(a.mtime_sec, a.mtime_nsec),
            "st_ctime": when(a.ctime_sec, a.ctime_nsec),
        }

    def readlink(self, path: str) -> str:
        """Where a symbolic link leads."""
        return self.bridge.ask(self.client.readlink(path))

    def readdir(self, path: str, fh: int) -> Iterator[tuple[str, dict[str, int], int]]:
        """All names, with kind and number: libfuse leaves out what has none."""
        here = {"st_mode": stat.S_IFDIR, "st_ino": 1}
        yield from ((".", here, 0), ("..", here, 0))
        for e in self.bridge.ask(self.client.entries(path)):
            yield e.name, {"st_mode": e.type << IFTODT, "st_ino": e.qid.path}, 0

    def unlink(self, path: str) -> int:
        """Remove a file."""
        self.bridge.ask(self.client.remove(path))
        return 0

    def rmdir(self, path: str) -> int:
        """Remove a directory."""
        self.bridge.ask(self.client.remove(path))
        return 0

    def mkdir(self, path: str, mode: int) -> int:
        """Make a directory, where the server does."""
        made = self.bridge.ask(self.client.create(path, DMDIR | mode & 0o777, OREAD))
        self.bridge.loop.call_soon_threadsafe(made.close)
        return 0

    def rename(self, old: str, new: str) -> int:
        """Another name in the same directory; mv(1) copies what is to go elsewhere."""
        above, _, name = new.rpartition("/")
        if old.rpartition("/")[0] != above:
            raise OSError(errno.EXDEV, "to another directory")
        self.bridge.ask(self.client.wstat(old, KEEP.but(name=name)))
        return 0

    def chmod(self, path: str, mode: int) -> int:
        """What each may do with it."""
        kind = DMDIR if stat.S_ISDIR(mode) else 0
        self.bridge.ask(self.client.wstat(path, KEEP.but(mode=kind | mode & 0o777)))
        return 0

    def _never(self, *_: object) -> int:
        raise PermissionError(errno.EPERM, "there is none of that in 9P2000")

    symlink = link = mknod = chown = _never

    def truncate(self, path: str, length: int, fh: int | None = None) -> int:
        """What a shell's `>` does before it writes."""
        self.bridge.ask(self.client.wstat(path, KEEP.but(length=length)))
        return 0

    def utimens(self, path: str, times: tuple[int, int] | None = None) -> int:
        """What `touch` does."""
        when = (times[1] if times else time.time_ns()) // 1_000_000_000
        self.bridge.ask(self.client.wstat(path, KEEP.but(mtime=when)))
        return 0

    # -- files

    def open(self, path: str, fi: Any) -> int:
        """Open at the server, with its modes and capabilities."""
        mode = MODES[fi.flags & os.O_ACCMODE]
        return self._opened(self.bridge.ask(self.client.open(path, mode)), fi)

    def create(self, path: str, mode: int, fi: Any) -> int:
        """Create at the server: a service that is posted."""
        how = MODES[fi.flags & os.O_ACCMODE]
        return self._opened(self.bridge.ask(self.client.create(path, mode & 0o777, how)), fi)

    def _opened(self, f: AsyncFile, fi: Any) -> int:
        fi.fh = next(self.numbers)
        fi.direct_io = 1
        self.open_files[fi.fh] = f
        return 0

    def read(self, path: str, size: int, offset: int, fi: Any) -> bytes:
        """One message, or the few that a long read takes."""
        return self.bridge.ask(self.open_files[fi.fh].pread(offset, size))

    def write(self, path: str, data: bytes, offset: int, fi: Any) -> int:
        """As read."""
        return self.bridge.ask(self.open_files[fi.fh].pwrite(offset, data))

    def release(self, path: str, fi: Any) -> int:
        """The last close."""
        f = self.open_files.pop(fi.fh)
        self.bridge.loop.call_soon_threadsafe(f.close)
        return 0

    def fsync(self, path: str, datasync: int, fi: Any) -> int:
        """When the server says so."""
        self.bridge.ask(self.open_files[fi.fh].fsync())
        return 0

    def statfs(self, path: str) -> dict[str, int]:
        """Of the file system at that path; of files that take no room, zeros."""
        room = self.bridge.ask(self.client.statfs(path))
        return {
            "f_bsize": room.bsize,
            "f_frsize": room.bsize,
            "f_blocks": room.blocks,
            "f_bfree": room.bfree,
            "f_bavail": room.bavail,
            "f_files": room.files,
            "f_ffree": room.ffree,
            "f_namemax": room.namelen,
        }


class Shown(Tree):
    """The tree, for as long as the other side is there: a dead mount would be in everybody's way."""

    lost = False

    def __init__(self, address: str) -> None:
        super().__init__(address)
        self.bridge.client.when_lost(self._ended)

    def _ended(self) -> None:
        if not self.bridge.closing:
            self.lost = True
            os.kill(os.getpid(), signal.SIGTERM)  # which libfuse takes as its end


def mount(address: str, where: Path, allow_other: bool = False) -> None:
    """Mount, and return when it was unmounted. Raises UserError with what is in the way, or has ended it."""
    if not where.is_dir():
        raise UserError(f"{where}: not a directory; make it first")
    if _is_mount(where):
        raise UserError(
            f"{where}: something is mounted there; unmount it, or name another directory"
        )
    tree = Shown(address)
    serve(tree, where, allow_other)
    if tree.lost:
        raise UserError(f"{where}: unmounted; {address} hung up")


def _is_mount(where: Path) -> bool:
    try:
        return where.is_mount()
    except OSError:  # of a mount whose server was killed a moment ago
        return True


def serve(tree: Tree, where: Path, allow_other: bool = False) -> None:
    """Mount a tree, and return when it was unmounted; its connection is closed then. Raises UserError."""
    options: dict[str, Any] = {"fsname": "lux9", "subtype": "9p", "max_threads": THREADS}
    options["max_idle_threads"] = THREADS  # libfuse complains of its own default
    try:
        with survived(where):
            mfusepy.FUSE(
                tree,
                str(where),
                raw_fi=True,
                foreground=True,
                use_ino=True,
                allow_other=allow_other,
                **options,
            )
    except RuntimeError as error:
        if not tree.mounted:
            raise UserError(f"{where}: cannot mount (FUSE status {error})") from None
    finally:  # a signal that ended it is how it is meant to end
        tree.bridge.close()
