r"""A mounted ext4 file system: inodes, directories and symbolic links by name, and files by their bytes.

What looks at metadata is for `attempt`, which calls it again when blocks that it missed have come. Metadata never
changes under us, so what was decoded once is kept: inodes, directories as dictionaries (which makes a walk a
look-up, however the directory is stored), and maps.
Names are bytes on the disk; one that is not UTF-8 is shown with `\xNN` escapes and found by them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from ..errors import NotADirectory, NotFound, NotSupported, TooManyLinks
from ..pending import Maybe, after
from ..wire.linux import Rstatfs
from ..wire.node import LOOPS, Bytes
from .blocks import BlockFile
from .extents import Mapper
from .inode import ENCRYPT_FL, FAST_LINK, INLINE_DATA_FL, KINDS, ROOT_INO, Inode, decode
from .iomanager import Channel
from .libext2 import Corrupt, Ext2
from .lru import Lru
from .metadata import Metadata
from .reading import read_run, read_runs
from .runs import HOLE, Run
from .superblock import Refused, Superblock, read_superblock

MAGIC, LONGEST_NAME = 0xEF53, 255  # of ext4: statfs(2)
LONGEST = 4096  # bytes of a link's target: PATH_MAX
KEPT_INODES = 1 << 15
KEPT_NAMES = 1 << 18  # of all directories together


class Volume:
    """An ext2, ext3 or ext4 file system on a block file. Raises Refused when it cannot be served.

    Made by `open`. A context manager; the block file stays the caller's.
    """

    def __init__(self, file: BlockFile, metadata: Metadata) -> None:
        sb = read_superblock(metadata)
        self._file, self._metadata = file, metadata
        self.block_size, self.space = sb.block_size, space_of(sb)
        self.attempt = metadata.attempt
        self._ext2 = Ext2(Channel(metadata))
        self._mapper = Mapper(sb.block_size, sb.blocks, self._ext2.extents, metadata)
        self._inodes: Lru[int, Inode] = Lru(KEPT_INODES, _one)
        self._directories: Lru[int, dict[str, int]] = Lru(KEPT_NAMES, len)
        try:
            self._check_groups(sb.groups)
            self.root = self._check_root()
        except BaseException:
            self.close()
            raise

    @staticmethod
    def open(file: BlockFile) -> Maybe[Volume]:
        """Mount. Raises Refused."""
        metadata = Metadata(file)

        def mount() -> Volume:
            try:
                return Volume(file, metadata)
            except Corrupt as error:
                raise Refused(f"{error}; run `e2fsck -f IMG`") from error

        return metadata.attempt(mount)

    def _check_groups(self, count: int) -> None:
        bad = self._ext2.bad_groups(count)
        if bad:
            shown = ", ".join(map(str, bad[:8]))
            raise Refused(
                f"the descriptor of block group {shown} fails its checksum; run `e2fsck -f IMG`"
            )

    def _check_root(self) -> Inode:
        root = self.inode(ROOT_INO)
        if not root.is_dir:
            raise Refused(f"the root, inode 2, is {root.kind}; run `e2fsck -f IMG`")
        return root

    def close(self) -> None:
        """Free the library's part."""
        self._ext2.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def inode(self, ino: int) -> Inode:
        """An inode by its number. Raises Corrupt for one that is not in use."""
        got = self._inodes.get(ino)
        if got is None:
            got = decode(ino, self._ext2.inode(ino))
            if not got.links and ino != ROOT_INO:
                raise Corrupt(f"inode {ino} has a name but is not in use; run `e2fsck -f IMG`")
            self._inodes.put(ino, got)
        return got

    def names(self, directory: Inode) -> dict[str, int]:
        """What a directory holds, name to inode number, `.` and `..` with it."""
        if not directory.is_dir:
            raise NotADirectory(f"inode {directory.ino} is {directory.kind}")
        got = self._directories.get(directory.ino)
        if got is None:
            self._want(directory)
            listed = self._ext2.entries(directory.ino)
            got = {_shown(directory.ino, name): ino for name, ino in listed}
            self._directories.put(directory.ino, got)
        return got

    def _want(self, inode: Inode) -> None:
        """Have all blocks fetched together: they are about to be read one by one."""
        if inode.size and not inode.flags & INLINE_DATA_FL:
            runs = self._mapper.runs(inode, 0, inode.size)
            places = (run for run in runs if run.device != HOLE)
            self._metadata.want((run.device, run.device + run.end - run.start) for run in places)

    def step(self, directory: Inode, name: str) -> Inode:
        """What a directory holds under a name: a symbolic link itself, not its target."""
        names = self.names(directory)
        if name == "." or (name == ".." and directory.ino == ROOT_INO):
            return directory
        ino = names.get(name)
        if ino is None:
            raise NotFound(name)
        return self.inode(ino)

    def find(self, directory: Inode, name: str) -> Inode:
        """What a name leads to, through symbolic links; an absolute target starts at the volume's root."""
        todo, at, links = [name], directory, 0
        while todo:
            part = todo.pop()
            here = self._step_of(at, part, name if links else "")
            if here.is_link:
                links += 1
                if links > LOOPS:
                    raise TooManyLinks(f"{name}: more than {LOOPS} on the way")
                target = self.target(here)
                at = self.root if target.startswith("/") else at
                todo += [part or "." for part in reversed(target.split("/"))]
            else:
                at = here
        return at

    def _step_of(self, at: Inode, part: str, link: str) -> Inode:
        """A step, whose refusal says by which link one came there."""
        try:
            return self.step(at, part)
        except (NotFound, NotADirectory) as error:
            raise (
                type(error)(f"{link}, a symbolic link, leads to {error}") if link else error
            ) from None

    def target(self, link: Inode) -> str:
        """What a symbolic link says."""
        if link.flags & ENCRYPT_FL:
            raise NotSupported(f"inode {link.ino} is encrypted, and the key is not here")
        if 0 < link.size < FAST_LINK:
            data = link.block[: link.size]
        elif not 0 < link.size <= LONGEST:
            raise Corrupt(
                f"inode {link.ino}: a symbolic link of {link.size} bytes; run `e2fsck -f IMG`"
            )
        else:
            data = self._read_now(link)
        return data.decode(errors="backslashreplace")

    def _read_now(self, inode: Inode) -> bytes:
        if inode.flags & INLINE_DATA_FL:
            return self.inline(inode)
        runs = self._mapper.runs(inode, 0, inode.size)
        if any(run.device == HOLE for run in runs):
            raise Corrupt(f"inode {inode.ino}: {inode.kind} with a hole; run `e2fsck -f IMG`")
        return b"".join(self._metadata.read(run.device, run.end - run.start) for run in runs)

    def inline(self, inode: Inode) -> bytes:
        """The bytes of a file that lies in its inode; a file that is longer goes on with zeros."""
        return self._ext2.inline_data(inode.ino)[: inode.size]

    def check_readable(self, inode: Inode) -> None:
        """Raises NotSupported for what has no bytes to give."""
        if not inode.is_file:
            what = KINDS.get(inode.mode & 0o170000, "of an unknown type")
            raise NotSupported(f"inode {inode.ino} is {what}: only its name and owner are served")
        if inode.flags & ENCRYPT_FL:
            raise NotSupported(f"inode {inode.ino} is encrypted, and the key is not here")

    def reader(self, inode: Inode) -> Callable[[int, int], Maybe[Bytes]]:
        """Reads of a file that is not inline, by offset and count: short at its end, zeros for holes."""
        return Reader(self._file, self._mapper, self.attempt, inode).read


class Reader:
    """One open file's reads."""

    def __init__(
        self,
        file: BlockFile,
        mapper: Mapper,
        attempt: Callable[[Callable[[], list[Run]]], Maybe[list[Run]]],
        inode: Inode,
    ) -> None:
        self._file, self._mapper, self._attempt, self._inode = file, mapper, attempt, inode
        self._last = Run(0, 0, 0)  # where the last short read was: the next is mostly there, too

    def read(self, offset: int, count: int) -> Maybe[Bytes]:
        """The bytes, or their reads sent out."""
        end, inode, run = min(offset + count, self._inode.size), self._inode, self._last
        if offset >= end:
            return b""
        if not run.start <= offset < end <= run.end:
            known = self._mapper.known(inode, offset, end)
            if known is None:
                runs = self._attempt(lambda: self._mapper.runs(inode, offset, end))
                return after(runs, lambda runs: read_runs(self._file, runs))
            run = self._last = known
        return read_run(self._file, run.device + offset - run.start, end - offset)


def _shown(directory: int, name: bytes) -> str:
    """A name as text. One that would lead elsewhere, which only a forged image holds, is refused."""
    if not name or b"/" in name or b"\0" in name:
        raise Corrupt(
            f"directory, inode {directory}: {name!r} is not a file name; run `e2fsck -f IMG`"
        )
    return name.decode(errors="backslashreplace")


def space_of(sb: Superblock) -> Rstatfs:
    """What the superblock says of free space."""
    files = (sb.inodes_count.read().raw, sb.free_inodes.read().raw)
    return Rstatfs(MAGIC, sb.block_size, sb.room, sb.free, sb.available, *files, 0, LONGEST_NAME)


def _one(_: object) -> int:
    return 1
