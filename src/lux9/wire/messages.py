"""9P2000, message by message, each with the line of intro(5) that it follows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from .codec import (
    Dialect,
    Message,
    Sized,
    blob,
    filename,
    message,
    record,
    sized,
    string,
    u8,
    u16,
    u32,
    u64,
)

OREAD, OWRITE, ORDWR, OEXEC = 0, 1, 2, 3  # open(5)
OTRUNC, ORCLOSE = 0x10, 0x40
QTDIR, QTAPPEND, QTEXCL, QTAUTH, QTSYMLINK, QTFILE = 0x80, 0x40, 0x20, 0x08, 0x02, 0x00
DMDIR, DMAPPEND, DMEXCL, DMAUTH = 1 << 31, 1 << 30, 1 << 29, 1 << 27
MAXWELEM = 16  # names in a walk(5)
IOHDR = 24  # what read(5) and write(5) need beside the data


@record
class Qid:
    """qid[13]: type[1] version[4] path[8]"""

    type: u8
    version: u32
    path: u64

    @property
    def is_dir(self) -> bool:
        """A directory."""
        return bool(self.type & QTDIR)


@sized
class Stat:
    """size[2] type[2] dev[4] qid[13] mode[4] atime[4] mtime[4] length[8] name[s] uid[s] gid[s] muid[s]"""

    type: u16
    dev: u32
    qid: Qid
    mode: u32
    atime: u32
    mtime: u32
    length: u64
    name: filename
    uid: string
    gid: string
    muid: string

    if TYPE_CHECKING:

        def put(self) -> bytes:
            """The record as a directory read gives it."""
            ...

        @staticmethod
        def get(buf: memoryview, at: int, end: int) -> tuple[Stat, int]:
            """The record at buf[at:], and where it ends. Raises DecodeError."""
            ...

        def but(self, **fields: object) -> Stat:
            """The same with some fields changed."""
            ...


KEEP16, KEEP32, KEEP64 = 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF
KEEP = Stat(  # what a wstat leaves alone: every field (stat(5))
    KEEP16, KEEP32, Qid(0xFF, KEEP32, KEEP64), KEEP32, KEEP32, KEEP32, KEEP64, "", "", "", ""
)


@message(100)
class Tversion(Message):
    """size[4] Tversion tag[2] msize[4] version[s]"""

    msize: u32
    version: string


@message(101)
class Rversion(Message):
    """size[4] Rversion tag[2] msize[4] version[s]"""

    msize: u32
    version: string


@message(102)
class Tauth(Message):
    """size[4] Tauth tag[2] afid[4] uname[s] aname[s]"""

    afid: u32
    uname: string
    aname: string


@message(103)
class Rauth(Message):
    """size[4] Rauth tag[2] aqid[13]"""

    aqid: Qid


@message(104)
class Tattach(Message):
    """size[4] Tattach tag[2] fid[4] afid[4] uname[s] aname[s]"""

    fid: u32
    afid: u32
    uname: string
    aname: string


@message(105)
class Rattach(Message):
    """size[4] Rattach tag[2] qid[13]"""

    qid: Qid


@message(107)
class Rerror(Message):
    """size[4] Rerror tag[2] ename[s]"""

    ename: string


@message(108)
class Tflush(Message):
    """size[4] Tflush tag[2] oldtag[2]"""

    oldtag: u16


@message(109)
class Rflush(Message):
    """size[4] Rflush tag[2]"""


@message(110)
class Twalk(Message):
    """size[4] Twalk tag[2] fid[4] newfid[4] nwname[2] nwname*(wname[s])"""

    fid: u32
    newfid: u32
    names: tuple[filename, ...]


@message(111)
class Rwalk(Message):
    """size[4] Rwalk tag[2] nwqid[2] nwqid*(wqid[13])"""

    qids: tuple[Qid, ...]


@message(112)
class Topen(Message):
    """size[4] Topen tag[2] fid[4] mode[1]"""

    fid: u32
    mode: u8


@message(113)
class Ropen(Message):
    """size[4] Ropen tag[2] qid[13] iounit[4]"""

    qid: Qid
    iounit: u32


@message(114)
class Tcreate(Message):
    """size[4] Tcreate tag[2] fid[4] name[s] perm[4] mode[1]"""

    fid: u32
    name: string
    perm: u32
    mode: u8


@message(115)
class Rcreate(Message):
    """size[4] Rcreate tag[2] qid[13] iounit[4]"""

    qid: Qid
    iounit: u32


@message(116)
class Tread(Message):
    """size[4] Tread tag[2] fid[4] offset[8] count[4]"""

    fid: u32
    offset: u64
    count: u32


@message(117)
class Rread(Message):
    """size[4] Rread tag[2] count[4] data[count]"""

    data: blob


@message(118)
class Twrite(Message):
    """size[4] Twrite tag[2] fid[4] offset[8] count[4] data[count]"""

    fid: u32
    offset: u64
    data: blob


@message(119)
class Rwrite(Message):
    """size[4] Rwrite tag[2] count[4]"""

    count: u32


@message(120)
class Tclunk(Message):
    """size[4] Tclunk tag[2] fid[4]"""

    fid: u32


@message(121)
class Rclunk(Message):
    """size[4] Rclunk tag[2]"""


@message(122)
class Tremove(Message):
    """size[4] Tremove tag[2] fid[4]"""

    fid: u32


@message(123)
class Rremove(Message):
    """size[4] Rremove tag[2]"""


@message(124)
class Tstat(Message):
    """size[4] Tstat tag[2] fid[4]"""

    fid: u32


@message(125)
class Rstat(Message):
    """size[4] Rstat tag[2] stat[n]"""

    stat: Annotated[Stat, Sized()]


@message(126)
class Twstat(Message):
    """size[4] Twstat tag[2] fid[4] stat[n]"""

    fid: u32
    stat: Annotated[Stat, Sized()]


@message(127)
class Rwstat(Message):
    """size[4] Rwstat tag[2]"""


P9 = Dialect(
    "9P2000",
    [
        *(Tversion, Rversion, Tauth, Rauth, Tattach, Rattach, Rerror, Tflush, Rflush, Twalk, Rwalk),
        *(Topen, Ropen, Tcreate, Rcreate, Tread, Rread, Twrite, Rwrite, Tclunk, Rclunk),
        *(Tremove, Rremove, Tstat, Rstat, Twstat, Rwstat),
    ],
)
