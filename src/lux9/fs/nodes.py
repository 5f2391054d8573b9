"""A volume as the nodes of a 9P tree, read-only.

Symbolic links are followed here, as 9P2000 has none: a walk through one goes on at its target, which never
leaves the file system, and a directory shows the target's facts under the link's name. A link that leads
nowhere is listed as itself and cannot be walked to. Modes and owners are shown, not enforced: who may see the
tree is the business of the kernel, which mounted it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..errors import NotADirectory, NotFound, NotSupported, ReadOnly, TooManyLinks
from ..pending import Maybe, after
from ..wire import links
from ..wire.links import Attr
from ..wire.linux import Entry, Rstatfs
from ..wire.messages import DMDIR, KEEP, OEXEC, OREAD, QTDIR, QTFILE, QTSYMLINK, Qid, Stat
from ..wire.node import Bytes, Created, Node, Opened
from .inode import HUGE_FILE_FL, INLINE_DATA_FL, Inode
from .libext2 import Corrupt
from .volume import Volume

NEVER = 0xFFFFFFFF  # times are 32 bits in stat(5), until 2106


def qid_of(inode: Inode) -> Qid:
    """The path is the inode with its generation; the version grows with every change that ext4 records."""
    changed = inode.version + (inode.ctime >> 20) + (inode.mtime >> 20)  # about milliseconds
    kind = QTDIR if inode.is_dir else QTSYMLINK if inode.is_link else QTFILE
    return Qid(kind, changed & 0xFFFFFFFF or 1, inode.generation << 32 | inode.ino)


def stat_of(name: str, inode: Inode) -> Stat:
    """stat(5): sizes in bytes, times in seconds, owners as decimal numbers."""
    return Stat(
        type=0,
        dev=0,
        qid=qid_of(inode),
        mode=inode.mode & 0o777 | (DMDIR if inode.is_dir else 0),
        atime=_seconds(inode.atime),
        mtime=_seconds(inode.mtime),
        length=inode.size if inode.is_file or inode.is_link else 0,
        name=name,
        uid=str(inode.uid),
        gid=str(inode.gid),
        muid="",
    )


def _seconds(nanoseconds: int) -> int:
    return min(max(nanoseconds // 1_000_000_000, 0), NEVER)


@dataclass(frozen=True, slots=True)
class Ext4Node:
    """A file or directory of a volume, under the name that it was found by."""

    volume: Volume
    inode: Inode
    name: str

    @property
    def qid(self) -> Qid:
        """What it is, which version, and its number."""
        return qid_of(self.inode)

    def walk(self, name: str) -> Maybe[Node]:
        """One step down or up, through symbolic links; `..` of the root is the root."""
        volume = self.volume
        return volume.attempt(lambda: Ext4Node(volume, volume.find(self.inode, name), name))

    def look(self, name: str) -> Maybe[Node]:
        """One step, but a symbolic link is found itself: for the dialects that have them."""
        volume = self.volume
        return volume.attempt(lambda: Ext4Node(volume, volume.step(self.inode, name), name))

    def target(self) -> Maybe[str]:
        """What a symbolic link says."""
        return self.volume.attempt(lambda: self.volume.target(self.inode))

    def attr(self) -> Attr:
        """What stat(2) tells."""
        inode, volume = self.inode, self.volume
        taken = inode.sectors * (volume.block_size // 512 if inode.flags & HUGE_FILE_FL else 1)
        return links.make(
            qid_of(inode),
            inode.mode,
            uid=inode.uid,
            gid=inode.gid,
            nlink=inode.links,
            size=inode.size,
            blocks=taken,
            rdev=inode.device,
            times=(inode.atime, inode.mtime, inode.ctime),
            blksize=volume.block_size,
            born=inode.born,
            gen=inode.generation,
        )

    def statfs(self) -> Rstatfs:
        """What statfs(2) tells."""
        return self.volume.space

    def stat(self) -> Stat:
        """What stat(5) tells."""
        return stat_of(self.name, self.inode)

    def open(self, mode: int) -> Maybe[Opened]:
        """A listing of a directory, or a file for reading. Any way to change it is refused."""
        if mode not in (OREAD, OEXEC):
            raise self._read_only()
        if self.inode.is_dir:
            return DirListing(self.volume, self.inode)
        self.volume.check_readable(self.inode)
        if self.inode.flags & INLINE_DATA_FL:
            data = self.volume.attempt(lambda: self.volume.inline(self.inode))
            return after(data, lambda data: InlineHandle(data, self.inode.size))
        return FileHandle(self.volume, self.inode)

    def create(self, name: str, perm: int, mode: int) -> Created:
        """Refused."""
        raise self._read_only()

    def remove(self) -> None:
        """Refused."""
        raise self._read_only()

    def wstat(self, stat: Stat) -> None:
        """Refused, but for one that changes nothing: that asks for a sync (stat(5)), and there is nothing to write."""
        if stat != KEEP:
            raise self._read_only()

    def _read_only(self) -> ReadOnly:
        return ReadOnly(f"{self.name}: ext4 is served for reading")


class _ReadHandle:
    def write(self, offset: int, data: memoryview) -> int:
        """Refused."""
        raise ReadOnly("ext4 is served for reading")

    def close(self) -> None:
        """Nothing is held."""


class FileHandle(_ReadHandle):
    """An open file: its reads go to the device side by side."""

    def __init__(self, volume: Volume, inode: Inode) -> None:
        self._read = volume.reader(inode)

    def read(self, offset: int, count: int) -> Maybe[Bytes]:
        """Up to `count` bytes; empty at the end."""
        return self._read(offset, count)


class InlineHandle(_ReadHandle):
    """An open file that lies in its inode."""

    def __init__(self, data: bytes, size: int) -> None:
        self._data, self._size = data, size

    def read(self, offset: int, count: int) -> Bytes:
        """Up to `count` bytes; empty at the end."""
        end = min(offset + count, self._size)
        return self._data[offset:end].ljust(max(0, end - offset), b"\0")


class DirListing:
    """An open directory, `.` and `..` left out as in every 9P directory."""

    def __init__(self, volume: Volume, inode: Inode) -> None:
        self._volume, self._inode = volume, inode

    def entries(self) -> Maybe[Sequence[Stat]]:
        """Every entry, in the order of the inodes: their table is then read once, from end to end."""
        volume = self._volume
        return after(volume.attempt(lambda: volume.names(self._inode)), self._stats)

    def _stats(self, names: Mapping[str, int]) -> Maybe[Sequence[Stat]]:
        found = sorted((ino, name) for name, ino in names.items() if name not in (".", ".."))
        done: list[Stat] = []

        def more() -> list[Stat]:
            """Goes on where it was when a block was missing."""
            for ino, name in found[len(done) :]:
                done.append(stat_of(name, self._facts(ino, name)))
            return done

        return self._volume.attempt(more)

    def links(self) -> Maybe[Sequence[Entry]]:
        """The same with symbolic links as such."""
        volume = self._volume
        return after(volume.attempt(lambda: volume.names(self._inode)), self._entries)

    def _entries(self, names: Mapping[str, int]) -> Maybe[Sequence[Entry]]:
        found = sorted((ino, name) for name, ino in names.items() if name not in (".", ".."))
        done: list[Entry] = []

        def more() -> list[Entry]:
            """Goes on where it was when a block was missing."""
            for ino, name in found[len(done) :]:
                inode = self._own(ino)
                done.append(links.entry(qid_of(inode), name, inode.mode))
            return done

        return self._volume.attempt(more)

    def _own(self, ino: int) -> Inode:
        """An entry's own inode. A broken one does not hide the others: walking to it tells what is wrong."""
        try:
            return self._volume.inode(ino)
        except Corrupt:
            return Inode(ino, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b"")

    def _facts(self, ino: int, name: str) -> Inode:
        """The inode that a walk would find; of a link that leads nowhere, its own."""
        here = self._own(ino)
        if not here.is_link:
            return here
        try:
            return self._volume.find(self._inode, name)
        except (Corrupt, NotADirectory, NotFound, NotSupported, TooManyLinks):
            return here

    def close(self) -> None:
        """Nothing is held."""


def root_of(volume: Volume) -> Ext4Node:
    """The node that an attach gives."""
    return Ext4Node(volume, volume.root, "/")
