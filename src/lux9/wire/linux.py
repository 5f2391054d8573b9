"""9P2000.L: what Linux's v9fs speaks. Ref: diod, protocol.md; Linux net/9p/client.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import messages as m, unix
from .codec import Dialect, Message, blob, filename, message, record, string, u8, u32, u64
from .messages import Qid

# open(2) flags of Linux on every architecture that matters here, octal as fcntl.h has them
O_ACCMODE, O_CREAT, O_EXCL, O_TRUNC, O_APPEND = 0o3, 0o100, 0o200, 0o1000, 0o2000
O_DIRECTORY, O_NOFOLLOW = 0o200000, 0o400000
GETATTR_BASIC, GETATTR_BTIME, GETATTR_GEN, GETATTR_DATA_VERSION = 0x7FF, 0x800, 0x1000, 0x2000
GETATTR_ALL = 0x3FFF
SETATTR_MODE, SETATTR_UID, SETATTR_GID, SETATTR_SIZE = 0x1, 0x2, 0x4, 0x8
SETATTR_ATIME, SETATTR_MTIME, SETATTR_CTIME = 0x10, 0x20, 0x40
SETATTR_ATIME_SET, SETATTR_MTIME_SET = 0x80, 0x100
LOCK_SUCCESS, LOCK_BLOCKED, LOCK_ERROR, LOCK_GRACE = 0, 1, 2, 3
LOCK_BLOCK = 1  # flag of Tlock: whoever asks will ask again
XATTR_CREATE, XATTR_REPLACE = 1, 2
F_RDLCK, F_WRLCK, F_UNLCK = 0, 1, 2
LAST_BYTE = (1 << 64) - 1  # of the longest file
AT_REMOVEDIR = 0x200
DT_DIR, DT_REG, DT_LNK = 4, 8, 10


@record
class Entry:
    """An entry of a directory: qid[13] offset[8] type[1] name[s]"""

    qid: Qid
    offset: u64
    type: u8
    name: filename

    if TYPE_CHECKING:

        def put(self) -> bytes:
            """The record as Rreaddir gives it."""
            ...

        def but(self, **fields: object) -> Entry:
            """The same with some fields changed."""
            ...

        @staticmethod
        def get(buf: memoryview, at: int, end: int) -> tuple[Entry, int]:
            """The record at buf[at:], and where it ends. Raises DecodeError."""
            ...


@message(7)
class Rlerror(Message):
    """size[4] Rlerror tag[2] ecode[4]"""

    ecode: u32


@message(8)
class Tstatfs(Message):
    """size[4] Tstatfs tag[2] fid[4]"""

    fid: u32


@message(9)
class Rstatfs(Message):
    """size[4] Rstatfs tag[2] type[4] bsize[4] blocks[8] bfree[8] bavail[8] files[8] ffree[8] fsid[8] namelen[4]"""

    type: u32
    bsize: u32
    blocks: u64
    bfree: u64
    bavail: u64
    files: u64
    ffree: u64
    fsid: u64
    namelen: u32


@message(12)
class Tlopen(Message):
    """size[4] Tlopen tag[2] fid[4] flags[4]"""

    fid: u32
    flags: u32


@message(13)
class Rlopen(Message):
    """size[4] Rlopen tag[2] qid[13] iounit[4]"""

    qid: Qid
    iounit: u32


@message(14)
class Tlcreate(Message):
    """size[4] Tlcreate tag[2] fid[4] name[s] flags[4] mode[4] gid[4]"""

    fid: u32
    name: string
    flags: u32
    mode: u32
    gid: u32


@message(15)
class Rlcreate(Message):
    """size[4] Rlcreate tag[2] qid[13] iounit[4]"""

    qid: Qid
    iounit: u32


@message(16)
class Tsymlink(Message):
    """size[4] Tsymlink tag[2] fid[4] name[s] symtgt[s] gid[4]"""

    fid: u32
    name: string
    symtgt: string
    gid: u32


@message(17)
class Rsymlink(Message):
    """size[4] Rsymlink tag[2] qid[13]"""

    qid: Qid


@message(18)
class Tmknod(Message):
    """size[4] Tmknod tag[2] dfid[4] name[s] mode[4] major[4] minor[4] gid[4]"""

    dfid: u32
    name: string
    mode: u32
    major: u32
    minor: u32
    gid: u32


@message(19)
class Rmknod(Message):
    """size[4] Rmknod tag[2] qid[13]"""

    qid: Qid


@message(20)
class Trename(Message):
    """size[4] Trename tag[2] fid[4] dfid[4] name[s]"""

    fid: u32
    dfid: u32
    name: string


@message(21)
class Rrename(Message):
    """size[4] Rrename tag[2]"""


@message(22)
class Treadlink(Message):
    """size[4] Treadlink tag[2] fid[4]"""

    fid: u32


@message(23)
class Rreadlink(Message):
    """size[4] Rreadlink tag[2] target[s]"""

    target: filename


@message(24)
class Tgetattr(Message):
    """size[4] Tgetattr tag[2] fid[4] request_mask[8]"""

    fid: u32
    request_mask: u64


@message(25)
class Rgetattr(Message):
    """size[4] Rgetattr tag[2] valid[8] qid[13] mode[4] uid[4] gid[4] nlink[8] rdev[8] size[8] blksize[8] blocks[8]
    atime_sec[8] atime_nsec[8] mtime_sec[8] mtime_nsec[8] ctime_sec[8] ctime_nsec[8] btime_sec[8] btime_nsec[8]
    gen[8] data_version[8]
    """

    valid: u64
    qid: Qid
    mode: u32
    uid: u32
    gid: u32
    nlink: u64
    rdev: u64
    size: u64
    blksize: u64
    blocks: u64
    atime_sec: u64
    atime_nsec: u64
    mtime_sec: u64
    mtime_nsec: u64
    ctime_sec: u64
    ctime_nsec: u64
    btime_sec: u64
    btime_nsec: u64
    gen: u64
    data_version: u64

    if TYPE_CHECKING:

        def but(self, **fields: object) -> Rgetattr:
            """The same with some fields changed."""
            ...


@message(26)
class Tsetattr(Message):
    """size[4] Tsetattr tag[2] fid[4] valid[4] mode[4] uid[4] gid[4] size[8] atime_sec[8] atime_nsec[8]
    mtime_sec[8] mtime_nsec[8]
    """

    fid: u32
    valid: u32
    mode: u32
    uid: u32
    gid: u32
    size: u64
    atime_sec: u64
    atime_nsec: u64
    mtime_sec: u64
    mtime_nsec: u64


@message(27)
class Rsetattr(Message):
    """size[4] Rsetattr tag[2]"""


@message(30)
class Txattrwalk(Message):
    """size[4] Txattrwalk tag[2] fid[4] newfid[4] name[s]"""

    fid: u32
    newfid: u32
    name: string


@message(31)
class Rxattrwalk(Message):
    """size[4] Rxattrwalk tag[2] size[8]"""

    size: u64


@message(32)
class Txattrcreate(Message):
    """size[4] Txattrcreate tag[2] fid[4] name[s] attr_size[8] flags[4]"""

    fid: u32
    name: string
    attr_size: u64
    flags: u32


@message(33)
class Rxattrcreate(Message):
    """size[4] Rxattrcreate tag[2]"""


@message(40)
class Treaddir(Message):
    """size[4] Treaddir tag[2] fid[4] offset[8] count[4]"""

    fid: u32
    offset: u64
    count: u32


@message(41)
class Rreaddir(Message):
    """size[4] Rreaddir tag[2] count[4] data[count]"""

    data: blob


@message(50)
class Tfsync(Message):
    """size[4] Tfsync tag[2] fid[4] datasync[4]"""

    fid: u32
    datasync: u32


@message(51)
class Rfsync(Message):
    """size[4] Rfsync tag[2]"""


@message(52)
class Tlock(Message):
    """size[4] Tlock tag[2] fid[4] type[1] flags[4] start[8] length[8] proc_id[4] client_id[s]"""

    fid: u32
    type: u8
    flags: u32
    start: u64
    length: u64
    proc_id: u32
    client_id: string


@message(53)
class Rlock(Message):
    """size[4] Rlock tag[2] status[1]"""

    status: u8


@message(54)
class Tgetlock(Message):
    """size[4] Tgetlock tag[2] fid[4] type[1] start[8] length[8] proc_id[4] client_id[s]"""

    fid: u32
    type: u8
    start: u64
    length: u64
    proc_id: u32
    client_id: string


@message(55)
class Rgetlock(Message):
    """size[4] Rgetlock tag[2] type[1] start[8] length[8] proc_id[4] client_id[s]"""

    type: u8
    start: u64
    length: u64
    proc_id: u32
    client_id: string


@message(70)
class Tlink(Message):
    """size[4] Tlink tag[2] dfid[4] fid[4] name[s]"""

    dfid: u32
    fid: u32
    name: string


@message(71)
class Rlink(Message):
    """size[4] Rlink tag[2]"""


@message(72)
class Tmkdir(Message):
    """size[4] Tmkdir tag[2] dfid[4] name[s] mode[4] gid[4]"""

    dfid: u32
    name: string
    mode: u32
    gid: u32


@message(73)
class Rmkdir(Message):
    """size[4] Rmkdir tag[2] qid[13]"""

    qid: Qid


@message(74)
class Trenameat(Message):
    """size[4] Trenameat tag[2] olddirfid[4] oldname[s] newdirfid[4] newname[s]"""

    olddirfid: u32
    oldname: string
    newdirfid: u32
    newname: string


@message(75)
class Rrenameat(Message):
    """size[4] Rrenameat tag[2]"""


@message(76)
class Tunlinkat(Message):
    """size[4] Tunlinkat tag[2] dirfd[4] name[s] flags[4]"""

    dirfd: u32
    name: string
    flags: u32


@message(77)
class Runlinkat(Message):
    """size[4] Runlinkat tag[2]"""


LINUX = Dialect(
    "9P2000.L",
    [
        *(m.Tversion, m.Rversion, unix.Tauth, m.Rauth, unix.Tattach, m.Rattach, m.Tflush, m.Rflush),
        *(
            m.Twalk,
            m.Rwalk,
            m.Tread,
            m.Rread,
            m.Twrite,
            m.Rwrite,
            m.Tclunk,
            m.Rclunk,
            m.Tremove,
            m.Rremove,
        ),
        *(
            Rlerror,
            Tstatfs,
            Rstatfs,
            Tlopen,
            Rlopen,
            Tlcreate,
            Rlcreate,
            Tsymlink,
            Rsymlink,
            Tmknod,
            Rmknod,
        ),
        *(Trename, Rrename, Treadlink, Rreadlink, Tgetattr, Rgetattr, Tsetattr, Rsetattr),
        *(Txattrwalk, Rxattrwalk, Txattrcreate, Rxattrcreate, Treaddir, Rreaddir, Tfsync, Rfsync),
        *(Tlock, Rlock, Tgetlock, Rgetlock, Tlink, Rlink, Tmkdir, Rmkdir, Trenameat, Rrenameat),
        *(Tunlinkat, Runlinkat),
    ],
)
