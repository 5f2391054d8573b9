"""libext2fs through cffi's ABI mode: its declarations, and one Python method for each call that is used.

Ref: e2fsprogs 1.43 to 1.47, `ext2fs.h`, `ext2_io.h`, `ext2_fs.h`. `ext2_filsys` stays opaque: its members move
between versions, and the calls below give all that is needed. The library is not re-entered: a callback reads
blocks or collects entries, and raises nothing; what went wrong is kept, and raised by whoever made the call.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import cffi

from ..errors import Lux9Error, ServiceDown
from .superblock import Refused

if TYPE_CHECKING:
    from .iomanager import Channel

DECLARATIONS = """
typedef long errcode_t;
typedef uint32_t ext2_ino_t;
typedef uint64_t blk64_t;
typedef struct struct_ext2_filsys *ext2_filsys;
typedef struct struct_io_manager *io_manager;
typedef struct struct_io_channel *io_channel;
typedef struct struct_io_stats *io_stats;
typedef struct ext2_extent_handle *ext2_extent_handle_t;

struct struct_io_channel {
    errcode_t magic;
    io_manager manager;
    char *name;
    int block_size;
    errcode_t (*read_error)(void);
    errcode_t (*write_error)(void);
    int refcount;
    int flags;
    long reserved[14];
    void *private_data;
    void *app_data;
    int align;
};

struct struct_io_manager {
    errcode_t magic;
    const char *name;
    errcode_t (*open)(const char *name, int flags, io_channel *channel);
    errcode_t (*close)(io_channel channel);
    errcode_t (*set_blksize)(io_channel channel, int blksize);
    errcode_t (*read_blk)(io_channel channel, unsigned long block, int count, void *data);
    errcode_t (*write_blk)(io_channel channel, unsigned long block, int count, const void *data);
    errcode_t (*flush)(io_channel channel);
    errcode_t (*write_byte)(io_channel channel, unsigned long offset, int count, const void *data);
    errcode_t (*set_option)(io_channel channel, const char *option, const char *arg);
    errcode_t (*get_stats)(io_channel channel, io_stats *io_stats);
    errcode_t (*read_blk64)(io_channel channel, unsigned long long block, int count, void *data);
    errcode_t (*write_blk64)(io_channel channel, unsigned long long block, int count, const void *data);
    errcode_t (*discard)(io_channel channel, unsigned long long block, unsigned long long count);
    errcode_t (*cache_readahead)(io_channel channel, unsigned long long block, unsigned long long count);
    errcode_t (*zeroout)(io_channel channel, unsigned long long block, unsigned long long count);
    long reserved[14];
};

struct ext2_inode_large {
    uint16_t i_mode;
    uint16_t i_uid;
    uint32_t i_size;
    uint32_t i_atime;
    uint32_t i_ctime;
    uint32_t i_mtime;
    uint32_t i_dtime;
    uint16_t i_gid;
    uint16_t i_links_count;
    uint32_t i_blocks;
    uint32_t i_flags;
    uint32_t i_version;
    uint32_t i_block[15];
    uint32_t i_generation;
    uint32_t i_file_acl;
    uint32_t i_size_high;
    uint32_t i_faddr;
    uint16_t i_blocks_hi;
    uint16_t i_file_acl_high;
    uint16_t i_uid_high;
    uint16_t i_gid_high;
    uint16_t i_checksum_lo;
    uint16_t i_reserved;
    uint16_t i_extra_isize;
    uint16_t i_checksum_hi;
    uint32_t i_ctime_extra;
    uint32_t i_mtime_extra;
    uint32_t i_atime_extra;
    uint32_t i_crtime;
    uint32_t i_crtime_extra;
    uint32_t i_version_hi;
    uint32_t i_projid;
};

struct ext2_dir_entry {
    uint32_t inode;
    uint16_t rec_len;
    uint16_t name_len;
    char name[255];
};

struct ext2fs_extent {
    blk64_t e_pblk;
    blk64_t e_lblk;
    uint32_t e_len;
    uint32_t e_flags;
};

errcode_t ext2fs_open2(const char *name, const char *io_options, int flags, int superblock,
                       unsigned int block_size, io_manager manager, ext2_filsys *ret_fs);
errcode_t ext2fs_close(ext2_filsys fs);
errcode_t ext2fs_read_inode_full(ext2_filsys fs, ext2_ino_t ino, struct ext2_inode_large *inode,
                                 int bufsize);
errcode_t ext2fs_dir_iterate2(ext2_filsys fs, ext2_ino_t dir, int flags, char *block_buf,
                              int (*func)(ext2_ino_t dir, int entry, struct ext2_dir_entry *dirent,
                                          int offset, int blocksize, char *buf, void *priv_data),
                              void *priv_data);
errcode_t ext2fs_inline_data_size(ext2_filsys fs, ext2_ino_t ino, size_t *size);
errcode_t ext2fs_inline_data_get(ext2_filsys fs, ext2_ino_t ino, struct ext2_inode_large *inode,
                                 void *buf, size_t *size);
errcode_t ext2fs_extent_open(ext2_filsys fs, ext2_ino_t ino, ext2_extent_handle_t *handle);
void ext2fs_extent_free(ext2_extent_handle_t handle);
errcode_t ext2fs_extent_get(ext2_extent_handle_t handle, int flags, struct ext2fs_extent *extent);
errcode_t ext2fs_extent_goto(ext2_extent_handle_t handle, blk64_t blk);
int ext2fs_group_desc_csum_verify(ext2_filsys fs, uint32_t group);
void initialize_ext2_error_table(void);
const char *error_message(errcode_t code);
"""

MAGIC_IO_CHANNEL = 2133571333  # EXT2_ET_MAGIC_IO_CHANNEL, and so on: ext2_err.h
MAGIC_IO_MANAGER = 2133571335
EXTENT_NO_NEXT = 2133571452
NO_CURRENT_NODE = 2133571456
EXTENT_NOT_FOUND = 2133571460
OP_NOT_SUPPORTED = 2133571457

FLAG_64BITS = 0x20000  # EXT2_FLAG_64BITS
EXTENT_CURRENT = 0x0000
EXTENT_NEXT_LEAF = 0x0007
EXTENT_UNINIT = 0x0002  # EXT2_EXTENT_FLAGS_UNINIT

ffi: Any = cffi.FFI()
ffi.cdef(DECLARATIONS)


class Corrupt(Lux9Error):
    """The file system's own structures are wrong; the message names the inode or the block."""


class Extent(NamedTuple):
    """`blocks` blocks of a file from `logical`, on the device from `physical`."""

    logical: int
    physical: int
    blocks: int
    written: bool  # else the blocks are set aside, and read as zeros


class Entry(NamedTuple):
    """A directory's entry."""

    name: bytes
    ino: int


@cache
def library() -> Any:
    """The shared library, loaded once. Raises Refused where it is not installed."""
    try:
        lib: Any = ffi.dlopen("libext2fs.so.2")
    except OSError as error:
        raise Refused(f"libext2fs.so.2 is missing ({error}); `apt install libext2fs2`") from error
    lib.initialize_ext2_error_table()
    return lib


@cache
def _com_err() -> Any:
    return ffi.dlopen("libcom_err.so.2")


def explain(code: int) -> str:
    """The library's words for a code."""
    return str(ffi.string(_com_err().error_message(code)).decode())


def _collect(
    _dir: int, _kind: int, dirent: Any, _offset: int, _size: int, _buf: Any, to: Any
) -> int:
    size = dirent.name_len & 0xFF  # the high byte is the file type
    ffi.from_handle(to).append(Entry(ffi.unpack(dirent.name, size), dirent.inode))
    return 0


COLLECT: Any = ffi.callback(
    "int(ext2_ino_t, int, struct ext2_dir_entry *, int, int, char *, void *)", _collect
)


class Ext2:
    """An open file system. Everything here raises Corrupt, and Missing for blocks that are to be fetched."""

    def __init__(self, channel: Channel) -> None:
        self._lib = library()
        self._channel = channel
        out = ffi.new("ext2_filsys *")
        code = self._lib.ext2fs_open2(b"lux9", ffi.NULL, FLAG_64BITS, 0, 0, channel.manager, out)
        self._check(code, "the superblock or the group descriptors")
        self._handle = out[0]

    def close(self) -> None:
        """Free what the library holds."""
        if self._handle != ffi.NULL:
            self._lib.ext2fs_close(self._handle)
            self._handle = ffi.NULL

    @property
    def _fs(self) -> Any:
        """The library's handle. Raises ServiceDown after `close`: whoever still holds a node is told so."""
        if self._handle == ffi.NULL:
            raise ServiceDown("the file system was unmounted")
        return self._handle

    def _check(self, code: int, what: str) -> None:
        fault = self._channel.take_fault()
        if fault is not None:  # also one that the library made light of
            raise fault
        if code:
            raise Corrupt(
                f"{what}: {explain(code)} (block {self._channel.last_block} was read last)"
            )

    def bad_groups(self, count: int) -> list[int]:
        """The block groups whose descriptor does not match its checksum, of the first `count`."""
        verify = self._lib.ext2fs_group_desc_csum_verify
        return [g for g in range(count) if not verify(self._fs, g)]

    def inode(self, ino: int) -> Any:
        """The inode as `struct ext2_inode_large`; what a small inode lacks is zero."""
        raw = ffi.new("struct ext2_inode_large *")
        size = ffi.sizeof("struct ext2_inode_large")
        self._check(self._lib.ext2fs_read_inode_full(self._fs, ino, raw, size), f"inode {ino}")
        return raw

    def entries(self, ino: int) -> list[Entry]:
        """A directory's entries in its own order, `.` and `..` with them."""
        out: list[Entry] = []
        to = ffi.new_handle(out)
        code = self._lib.ext2fs_dir_iterate2(self._fs, ino, 0, ffi.NULL, COLLECT, to)
        self._check(code, f"directory, inode {ino}")
        return out

    def inline_data(self, ino: int) -> bytes:
        """The bytes that the inode itself holds."""
        size = ffi.new("size_t *")
        what = f"inline data, inode {ino}"
        self._check(self._lib.ext2fs_inline_data_size(self._fs, ino, size), what)
        buf = ffi.new("char[]", size[0])
        self._check(self._lib.ext2fs_inline_data_get(self._fs, ino, ffi.NULL, buf, size), what)
        return bytes(ffi.buffer(buf, size[0]))

    def extents(self, ino: int, block: int) -> Iterator[Extent]:
        """The extents from the one that holds `block`, or the next after it, in the tree's order."""
        what = f"extents, inode {ino}"
        out = ffi.new("ext2_extent_handle_t *")
        self._check(self._lib.ext2fs_extent_open(self._fs, ino, out), what)
        try:
            yield from self._leaves(out[0], block, what)
        finally:
            self._lib.ext2fs_extent_free(out[0])

    def _leaves(self, handle: Any, block: int, what: str) -> Iterator[Extent]:
        get, extent = self._lib.ext2fs_extent_get, ffi.new("struct ext2fs_extent *")
        code = self._lib.ext2fs_extent_goto(handle, block)
        if code != EXTENT_NOT_FOUND:  # a hole: the handle stands before it
            self._check(code, what)
        seen: set[Extent] = set()  # a goto that hits an index entry exactly comes by its leaf again
        code = get(handle, EXTENT_CURRENT, extent)
        while code not in (EXTENT_NO_NEXT, NO_CURRENT_NODE):
            self._check(code, what)
            written = not extent.e_flags & EXTENT_UNINIT
            found = Extent(extent.e_lblk, extent.e_pblk, extent.e_len, written)
            if found not in seen:
                seen.add(found)
                yield found
            code = get(handle, EXTENT_NEXT_LEAF, extent)
