"""What a node can show beyond stat(5), to the dialects that ask: attributes, symbolic links, free space.

All of it is optional: a node or a listing that has the method (`Linked`, `LinkListing`) is asked; for any other the
answer is made from its stat, or is that there is no such thing.
"""

from __future__ import annotations

import pwd
import stat as s
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol

from ..errors import BadArgument
from ..pending import Maybe, after
from . import linux
from .linux import Entry, Rgetattr, Rstatfs
from .messages import DMDIR, KEEP64, QTSYMLINK, Qid, Stat
from .node import Node
from .numeral import numeral
from .unix import NO_NUMBER

Attr = Rgetattr  # what attributes are, is said there
NOBODY = 65534  # whoever has a name and no number
MAGIC = 0x01021997  # of v9fs: statfs(2)
BLOCK, SECTOR = 4096, 512  # st_blksize; what st_blocks counts
IFTODT = 12  # readdir(3): a directory's types are a mode's, so many bits to the right
BILLION = 1_000_000_000
SIGN = 1 << 63  # of a time's seconds
LONGEST = 255  # bytes of a name
NO_SPACE = Rstatfs(MAGIC, BLOCK, 0, 0, 0, 0, 0, 0, LONGEST)  # of files that take no room


class Linked(Protocol):
    """What a `Node` may have besides."""

    def attr(self) -> Maybe[Attr]:
        """What stat(2) and statx(2) tell."""
        ...

    def look(self, name: str) -> Maybe[Node]:
        """One step, which finds a symbolic link itself; `walk` goes where it leads."""
        ...

    def target(self) -> Maybe[str]:
        """What a symbolic link says. Raises BadArgument for anything else (readlink(2))."""
        ...

    def statfs(self) -> Maybe[Rstatfs]:
        """The size of its file system, and what is free."""
        ...


class LinkListing(Protocol):
    """What a `Listing` may have besides."""

    def links(self) -> Maybe[Sequence[Entry]]:
        """The whole directory, symbolic links as such; the server makes the offsets."""
        ...


def attr(node: Node) -> Maybe[Attr]:
    """The attributes of a file."""
    own: Any = getattr(node, "attr", None)
    return own() if own is not None else after(node.stat(), attr_of)


def look(node: Node, name: str) -> Maybe[Node]:
    """A step that does not follow."""
    own: Any = getattr(node, "look", None)
    found: Maybe[Node] = (own or node.walk)(name)
    return found


def target(node: Node) -> Maybe[str]:
    """What a symbolic link says."""
    own: Any = getattr(node, "target", None)
    if own is None or not node.qid.type & QTSYMLINK:
        raise BadArgument("the file is not a symbolic link")
    said: Maybe[str] = own()
    return said


def links(listing: Any) -> Maybe[Sequence[Entry]]:
    """The entries of an open directory."""
    own: Any = getattr(listing, "links", None)
    return own() if own is not None else after(listing.entries(), entries_of)


def statfs(node: Node) -> Maybe[Rstatfs]:
    """The file system of a file; of one that takes no room, nothing but its kind."""
    own: Any = getattr(node, "statfs", None)
    return own() if own is not None else NO_SPACE


def entries_of(stats: Sequence[Stat]) -> list[Entry]:
    """The entries of a directory that has no links."""
    return [entry(stat.qid, stat.name) for stat in stats]


def entry(qid: Qid, name: str, mode: int = 0) -> Entry:
    """One entry; its place in the directory is the server's business.

    Its type is that of stat(2)'s mode, where that is known: a program that finds a plain file may open it unasked.
    """
    kind = linux.DT_LNK if qid.type & QTSYMLINK else linux.DT_DIR if qid.is_dir else linux.DT_REG
    return Entry(qid, 0, s.S_IFMT(mode) >> IFTODT or kind, name)


def attr_of(stat: Stat) -> Attr:
    """What a stat(5) says of stat(2)'s fields. A directory has one link: how many are in it is not known."""
    kind = s.S_IFDIR if stat.mode & DMDIR else s.S_IFREG
    return make(
        stat.qid,
        kind | stat.mode & 0o777,
        uid=number(stat.uid),
        gid=number(stat.gid),
        size=stat.length,
        blocks=-(-stat.length // SECTOR),
        times=(stat.atime * BILLION, stat.mtime * BILLION, stat.mtime * BILLION),
    )


def make(
    qid: Qid,
    mode: int,
    *,
    uid: int,
    gid: int,
    size: int,
    blocks: int,
    times: tuple[int, int, int],
    nlink: int = 1,
    rdev: int = 0,
    blksize: int = BLOCK,
    born: int | None = None,
    gen: int | None = None,
) -> Attr:
    """An answer to Tgetattr. `mode` with its S_IF bits, `times` of access, data and inode in nanoseconds."""
    valid = linux.GETATTR_BASIC | linux.GETATTR_DATA_VERSION
    valid |= 0 if born is None else linux.GETATTR_BTIME
    valid |= 0 if gen is None else linux.GETATTR_GEN
    (a, an), (d, dn), (c, cn), (b, bn) = (_parts(w) for w in (*times, born or 0))
    return Attr(
        *(valid, qid, mode, uid, gid, nlink, rdev, size, blksize, blocks),
        *(a, an, d, dn, c, cn, b, bn, gen or 0, qid.version),
    )


def _parts(when: int) -> tuple[int, int]:
    """Seconds and nanoseconds, as Linux's client takes them: a time before 1970 is one of 64 bits with a sign."""
    seconds, rest = divmod(when, BILLION)
    return seconds & KEEP64, rest


def when(seconds: int, rest: int = 0) -> int:
    """Nanoseconds of a time in attributes, negative before 1970."""
    return ((seconds ^ SIGN) - SIGN) * BILLION + rest


@lru_cache(maxsize=1024)
def number(name: str) -> int:
    """The number of a user or group: as it stands there, or as this host knows it."""
    if 0 <= (n := numeral(name)) < NO_NUMBER:
        return n
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return NOBODY
