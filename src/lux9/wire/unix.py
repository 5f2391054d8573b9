"""9P2000.u: what differs from 9P2000. Ref: E. Van Hensbergen, "9P2000.u Unix Extension" (experimental-9p2000.u)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from . import messages as m
from .codec import (
    NOFID,
    Dialect,
    Message,
    Sized,
    filename,
    message,
    sized,
    string,
    u8,
    u16,
    u32,
    u64,
)
from .messages import Qid

NO_NUMBER = NOFID  # of a user or group that has none
DMSYMLINK, DMLINK, DMDEVICE = 1 << 25, 1 << 24, 1 << 23
DMNAMEDPIPE, DMSOCKET, DMSETUID, DMSETGID = 1 << 21, 1 << 20, 1 << 19, 1 << 18


@sized
class Stat:
    """The stat of 9P2000, then extension[s] n_uid[4] n_gid[4] n_muid[4]"""

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
    extension: filename
    n_uid: u32
    n_gid: u32
    n_muid: u32

    if TYPE_CHECKING:

        def put(self) -> bytes:
            """The record as a directory read gives it."""
            ...

        @staticmethod
        def get(buf: memoryview, at: int, end: int) -> tuple[Stat, int]:
            """The record at buf[at:], and where it ends. Raises DecodeError."""
            ...


@message(102)
class Tauth(Message):
    """size[4] Tauth tag[2] afid[4] uname[s] aname[s] n_uname[4]"""

    afid: u32
    uname: string
    aname: string
    n_uname: u32


@message(104)
class Tattach(Message):
    """size[4] Tattach tag[2] fid[4] afid[4] uname[s] aname[s] n_uname[4]"""

    fid: u32
    afid: u32
    uname: string
    aname: string
    n_uname: u32


@message(107)
class Rerror(Message):
    """size[4] Rerror tag[2] ename[s] errno[4]"""

    ename: string
    errno: u32


@message(114)
class Tcreate(Message):
    """size[4] Tcreate tag[2] fid[4] name[s] perm[4] mode[1] extension[s]"""

    fid: u32
    name: string
    perm: u32
    mode: u8
    extension: string


@message(125)
class Rstat(Message):
    """size[4] Rstat tag[2] stat[n]"""

    stat: Annotated[Stat, Sized()]


@message(126)
class Twstat(Message):
    """size[4] Twstat tag[2] fid[4] stat[n]"""

    fid: u32
    stat: Annotated[Stat, Sized()]


UNIX = Dialect(
    "9P2000.u",
    [
        *m.P9.types.values(),
        Tauth,
        Tattach,
        Rerror,
        Tcreate,
        Rstat,
        Twstat,
    ],  # the later of a number counts
)
