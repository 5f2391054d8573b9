"""An inode as the rest of the service sees it: decoded once, then never changed."""

from __future__ import annotations

import os
import stat
from typing import Any, NamedTuple

from .libext2 import ffi

ROOT_INO = 2  # EXT2_ROOT_INO
FAST_LINK = 60  # a shorter target lies in i_block itself: ext2fs_is_fast_symlink
EXTENTS_FL, INLINE_DATA_FL, ENCRYPT_FL = 0x00080000, 0x10000000, 0x00000800
HUGE_FILE_FL = 0x00040000  # its size on the disk is counted in blocks, not sectors


class Inode(NamedTuple):
    """One file. Times are nanoseconds since 1970."""

    ino: int
    mode: int
    uid: int
    gid: int
    size: int
    links: int
    atime: int
    ctime: int
    mtime: int
    flags: int
    generation: int
    version: int
    block: bytes  # i_block: the map's root, a short symlink's target
    sectors: int = 0  # of 512 bytes, that it takes on the disk
    born: int | None = None  # when it was made, where the inode has room for that

    @property
    def is_dir(self) -> bool:
        """A directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """A regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        """A symbolic link."""
        return stat.S_ISLNK(self.mode)

    @property
    def device(self) -> int:
        """The number of a device file, as st_rdev has it: the old form of 16 bits, else the new."""
        if not (stat.S_ISCHR(self.mode) or stat.S_ISBLK(self.mode)):
            return 0
        old, new = (int.from_bytes(self.block[at : at + 4], "little") for at in (0, 4))
        if old:
            return os.makedev(old >> 8 & 0xFF, old & 0xFF)
        return os.makedev(new >> 8 & 0xFFF, new & 0xFF | new >> 12 & 0xFFF00)

    @property
    def kind(self) -> str:
        """What it is, in words."""
        return KINDS.get(stat.S_IFMT(self.mode), f"a file of unknown type {self.mode:#o}")


KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFREG: "a file",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
}


def decode(ino: int, raw: Any) -> Inode:
    """The inode of a `struct ext2_inode_large`."""
    extra = raw.i_extra_isize
    mode = raw.i_mode
    high = (
        raw.i_size_high if stat.S_ISREG(mode) else 0
    )  # a directory's is its ACL in old file systems
    return Inode(
        ino=ino,
        mode=mode,
        uid=raw.i_uid | raw.i_uid_high << 16,
        gid=raw.i_gid | raw.i_gid_high << 16,
        size=raw.i_size | high << 32,
        links=raw.i_links_count,
        atime=_time(raw.i_atime, raw.i_atime_extra if extra >= 16 else 0),
        ctime=_time(raw.i_ctime, raw.i_ctime_extra if extra >= 8 else 0),
        mtime=_time(raw.i_mtime, raw.i_mtime_extra if extra >= 12 else 0),
        flags=raw.i_flags,
        generation=raw.i_generation,
        version=raw.i_version | (raw.i_version_hi << 32 if extra >= 28 else 0),
        block=bytes(ffi.buffer(raw.i_block)),
        sectors=raw.i_blocks | raw.i_blocks_hi << 32,
        born=_time(raw.i_crtime, raw.i_crtime_extra) if extra >= 24 else None,
    )


def _time(seconds: int, extra: int) -> int:
    """Nanoseconds of a signed 32-bit time and its extension: two bits of epoch, 30 of nanoseconds."""
    signed = seconds - (1 << 32) if seconds >> 31 else seconds
    return (signed + ((extra & 3) << 32)) * 1_000_000_000 + (extra >> 2)
