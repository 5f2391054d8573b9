"""A session's side of 9P2000.L: what differs from 9P2000. Errors are Linux's, as its own file systems give them.

Nothing here keeps attributes of its own: what a node does not offer, no client can make it have. A file is created,
removed, truncated and touched through the same four methods that 9P2000 uses; links, devices and moves to another
directory are refused as on a file system that has none.
"""

from __future__ import annotations

import stat as s
import time
from collections.abc import Callable, Sequence
from posixpath import normpath
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import (
    BadArgument,
    BadFid,
    CrossDevice,
    Exists,
    IsADirectory,
    NoAttribute,
    NotADirectory,
    NotFound,
    NotSupported,
    PermissionDenied,
    TooManyLinks,
)
from ..pending import Maybe, after, rescued, waits
from ..wire import links, linux as l, messages as m, unix as u
from ..wire.codec import Message
from ..wire.linux import Entry
from ..wire.messages import DMDIR, KEEP, OREAD, OTRUNC, QTSYMLINK, Stat
from ..wire.node import Node
from .fids import Fid, Rows, opening
from .locks import LOCKS, Lock, span
from .walks import check_name

if TYPE_CHECKING:
    from .session import Session

PERM = 0o777
REQUESTS: list[type[Message]] = [
    *(
        u.Tauth,
        l.Tstatfs,
        l.Tlopen,
        l.Tlcreate,
        l.Tsymlink,
        l.Tmknod,
        l.Trename,
        l.Treadlink,
        l.Tgetattr,
    ),
    *(l.Tsetattr, l.Txattrwalk, l.Txattrcreate, l.Treaddir, l.Tfsync, l.Tlock, l.Tgetlock),
    *(l.Tlink, l.Tmkdir, l.Trenameat, l.Tunlinkat),
]


class Linux:
    """The requests that 9P2000 does not have: a method each, by the request's name."""

    def __init__(self, session: Session) -> None:
        self.s = session
        self.acts: dict[int, Callable[[Any], Maybe[Message]]] = {
            cls.number: getattr(self, cls.__name__[1:]) for cls in REQUESTS
        }

    def auth(self, t: u.Tauth) -> NoReturn:
        """There is none: ENOENT is how clients of this dialect expect to be told (diod, libnpclient)."""
        raise NotFound("authentication: the connection is the identity; attach with afid NOFID")

    # -- opening and creating

    def lopen(self, t: l.Tlopen) -> Maybe[l.Rlopen]:
        """open(2) of what is there; O_CREAT and O_EXCL mean nothing then."""
        f, node = self.s.unopened(t.fid)
        mode, qid = mode_of(t.flags), node.qid
        if qid.type & QTSYMLINK:
            raise TooManyLinks(f"{f.name} is a symbolic link; read where it leads")
        if t.flags & l.O_DIRECTORY and not qid.is_dir:
            raise NotADirectory(f.name)
        if qid.is_dir and mode != OREAD:
            raise IsADirectory(f"{f.name} can only be read")

        def opened(handle: Any) -> l.Rlopen:
            self._start(f, node, handle, t.flags)
            return l.Rlopen(node.qid, self.s.most)

        return opening(f, lambda: after(node.open(mode), opened))

    def _start(self, f: Fid, node: Node, handle: Any, flags: int) -> None:
        f.start(handle, mode_of(flags), node.qid.is_dir)
        if flags & l.O_APPEND and f.write is not None:
            f.write = appending(node, f.write)

    def lcreate(self, t: l.Tlcreate) -> Maybe[l.Rlcreate]:
        """open(2) with O_CREAT; without O_EXCL a file that somebody else has just made is opened."""
        f, node = self._into(t.fid, t.name)
        mode = mode_of(t.flags)

        def created(made: tuple[Node, Any]) -> l.Rlcreate:
            f.move(made[0], f.below(t.name))
            self._start(f, made[0], made[1], t.flags)
            return l.Rlcreate(made[0].qid, self.s.most)

        def there(error: Exception) -> Maybe[tuple[Node, Any]]:
            if not isinstance(error, Exists) or t.flags & l.O_EXCL:
                raise error
            found: Maybe[Any] = links.look(node, t.name)
            return after(found, lambda n: after(n.open(mode), lambda handle: (n, handle)))

        def act() -> Maybe[tuple[Node, Any]]:
            return node.create(t.name, t.mode & PERM, mode)

        return opening(f, lambda: after(rescued(act, there), created))

    def _into(self, number: int, name: str) -> tuple[Fid, Node]:
        """A directory in which a name is to be made."""
        f, node = self.s.unopened(number)
        return f, _directory(f, node, name)

    def _make(self, dfid: int, name: str, perm: int) -> Maybe[m.Qid]:
        """A file or directory that stays closed."""
        f, node = self.s.known(dfid)
        _directory(f, node, name)

        def made(got: tuple[Node, Any]) -> m.Qid:
            got[1].close()
            return got[0].qid

        created: Maybe[Any] = node.create(name, perm, OREAD)
        return after(created, made)

    def mkdir(self, t: l.Tmkdir) -> Maybe[l.Rmkdir]:
        """mkdir(2)."""
        return after(self._make(t.dfid, t.name, DMDIR | t.mode & PERM), l.Rmkdir)

    def mknod(self, t: l.Tmknod) -> Maybe[l.Rmknod]:
        """mknod(2) of a plain file; there are no others."""
        if s.S_IFMT(t.mode) not in (0, s.S_IFREG):
            self._refuse(t.dfid, t.name, "devices, pipes and sockets")
        return after(self._make(t.dfid, t.name, t.mode & PERM), l.Rmknod)

    def symlink(self, t: l.Tsymlink) -> l.Rsymlink:
        """Refused as symlink(2) is where there are none."""
        raise self._refuse(t.fid, t.name, "symbolic links")

    def link(self, t: l.Tlink) -> l.Rlink:
        """Refused as link(2) is where there are none."""
        self.s.known(t.fid)
        raise self._refuse(t.dfid, t.name, "links")

    def _refuse(self, dfid: int, name: str, what: str) -> PermissionDenied:
        f, node = self.s.known(dfid)
        _directory(f, node, name)
        raise PermissionDenied(f"{what} cannot be created here ({name!r})")

    # -- removing and renaming

    def unlinkat(self, t: l.Tunlinkat) -> Maybe[l.Runlinkat]:
        """unlink(2), or rmdir(2) with AT_REMOVEDIR."""
        f, node = self.s.known(t.dirfd)
        found = links.look(_directory(f, node, t.name), t.name)

        def remove(child: Node) -> Maybe[None]:
            if child.qid.is_dir != bool(t.flags & l.AT_REMOVEDIR):
                raise (IsADirectory if child.qid.is_dir else NotADirectory)(f.below(t.name))
            return child.remove()

        return after(after(found, remove), lambda _: l.Runlinkat())

    def rename(self, t: l.Trename) -> Maybe[l.Rrename]:
        """rename(2) of a fid's file."""
        f, node = self.s.known(t.fid)
        d, to = self.s.known(t.dfid)
        _directory(d, to, t.name)
        same = normpath(f"{f.name}/..") == normpath(d.name)  # a walk follows no link: `..` is plain
        return after(_move(node, same, t.name), lambda _: l.Rrename())

    def renameat(self, t: l.Trenameat) -> Maybe[l.Rrenameat]:
        """renameat(2)."""
        f, node = self.s.known(t.olddirfid)
        d, to = self.s.known(t.newdirfid)
        _directory(d, to, t.newname)
        same = node.qid.path == to.qid.path
        found = links.look(_directory(f, node, t.oldname), t.oldname)
        moved = after(found, lambda child: _move(child, same, t.newname))
        return after(moved, lambda _: l.Rrenameat())

    # -- attributes

    def getattr(self, t: l.Tgetattr) -> Maybe[l.Rgetattr]:
        """stat(2): of what was asked, what is known."""
        _, node = self.s.known(t.fid)
        return after(links.attr(node), lambda a: a.but(valid=a.valid & t.request_mask))

    def setattr(self, t: l.Tsetattr) -> Maybe[l.Rsetattr]:
        """chmod(2), chown(2), truncate(2), utimensat(2): as a wstat."""
        _, node = self.s.known(t.fid)
        wanted = changes(t)
        if wanted == KEEP:  # ctime alone, which is nobody's to set
            return l.Rsetattr()
        return after(node.wstat(wanted), lambda _: l.Rsetattr())

    def readlink(self, t: l.Treadlink) -> Maybe[l.Rreadlink]:
        """readlink(2)."""
        _, node = self.s.known(t.fid)
        return after(links.target(node), l.Rreadlink)

    def statfs(self, t: l.Tstatfs) -> Maybe[l.Rstatfs]:
        """statfs(2)."""
        _, node = self.s.known(t.fid)
        return links.statfs(node)

    def xattrwalk(self, t: l.Txattrwalk) -> l.Rxattrwalk:
        """listxattr(2) of a file, which has none; so getxattr(2) of any name finds nothing."""
        f, node = self.s.known(t.fid)
        if t.name:
            raise NoAttribute(f"{f.name} has no {t.name!r}")
        if t.newfid == t.fid:
            raise BadFid(f"fid {t.newfid} is in use")
        hold = self.s.hold(t.newfid, f.name)
        hold.node, hold.opened = node, True
        hold.read = lambda offset, count: b""
        return l.Rxattrwalk(0)

    def xattrcreate(self, t: l.Txattrcreate) -> l.Rxattrcreate:
        """setxattr(2), or removexattr(2) when there is no size: no file takes any."""
        f, _ = self.s.known(t.fid)
        if not t.attr_size:
            raise NoAttribute(f"{f.name} has no {t.name!r}")
        raise NotSupported(f"{f.name} takes no extended attributes")

    # -- directories and open files

    def readdir(self, t: l.Treaddir) -> Maybe[l.Rreaddir]:
        """Entries from a place on; from the beginning, the directory is looked at again."""
        f, node = self.s.known(t.fid)
        if not node.qid.is_dir:
            raise NotADirectory(f.name)
        if f.handle is None:
            raise BadFid(f"fid {t.fid} is not open")
        count = min(t.count, self.s.most)
        if f.rows is not None and t.offset:
            return l.Rreaddir(f.rows.cut(t.offset, count))

        def listed(entries: Sequence[Entry], up: m.Qid) -> l.Rreaddir:
            f.rows = Rows([links.entry(node.qid, "."), links.entry(up, ".."), *entries])
            return l.Rreaddir(f.rows.cut(t.offset, count))

        def above(entries: Sequence[Entry]) -> Maybe[l.Rreaddir]:
            up = rescued(lambda: node.walk(".."), lambda _: node)
            return after(up, lambda parent: listed(entries, parent.qid))

        return after(links.links(f.handle), above)

    def fsync(self, t: l.Tfsync) -> l.Rfsync:
        """Every write is with its file when it is answered: there is nothing left to wait for."""
        f, _ = self.s.known(t.fid)
        if f.handle is None:
            raise BadFid(f"fid {t.fid} is not open")
        return l.Rfsync()

    def lock(self, t: l.Tlock) -> l.Rlock:
        """fcntl(2) F_SETLK: a client that wants to wait asks again."""
        path, wanted = self._wanted(t)
        f = self.s.fids[t.fid]
        try:
            if not LOCKS.take(path, wanted):
                return l.Rlock(l.LOCK_BLOCKED)
        except OverflowError:
            return l.Rlock(l.LOCK_ERROR)
        session = id(self.s)
        f.ending = lambda: LOCKS.release(path, session, t.fid)
        return l.Rlock(l.LOCK_SUCCESS)

    def getlock(self, t: l.Tgetlock) -> l.Rgetlock:
        """fcntl(2) F_GETLK: a lock that is in the way, or the answer that there is none."""
        path, wanted = self._wanted(t)
        found = LOCKS.against(path, wanted)
        if found is None:
            return l.Rgetlock(l.F_UNLCK, t.start, t.length, t.proc_id, t.client_id)
        _, process, client = found.owner
        length = 0 if found.end > l.LAST_BYTE else found.end - found.start
        return l.Rgetlock(found.type, found.start, length, process, client)

    def _wanted(self, t: l.Tlock | l.Tgetlock) -> tuple[int, Lock]:
        f, node = self.s.known(t.fid)
        if f.handle is None:
            raise BadFid(f"fid {t.fid} is not open")
        if t.type not in (l.F_RDLCK, l.F_WRLCK, l.F_UNLCK):
            raise BadArgument(f"{t.type} is not a kind of lock")
        owner = (id(self.s), t.proc_id, t.client_id)
        return node.qid.path, Lock(t.type, *span(t.start, t.length), owner, t.fid)


def mode_of(flags: int) -> int:
    """The mode of open(5) for open(2)'s flags."""
    access = flags & l.O_ACCMODE
    if access == l.O_ACCMODE:
        raise BadArgument(f"flags {flags:#o}: read, write, or both")
    return access | (OTRUNC if flags & l.O_TRUNC else 0)  # O_RDONLY is OREAD, and so on


def changes(t: l.Tsetattr) -> Stat:
    """The wstat for a setattr; a time that is not given is now."""
    have, now = t.valid, int(time.time())
    stat = KEEP
    if have & l.SETATTR_MODE:
        stat = stat.but(mode=t.mode & PERM)
    if have & l.SETATTR_UID:
        stat = stat.but(uid=str(t.uid))
    if have & l.SETATTR_GID:
        stat = stat.but(gid=str(t.gid))
    if have & l.SETATTR_SIZE:
        stat = stat.but(length=t.size)
    if have & l.SETATTR_ATIME:
        stat = stat.but(atime=_seconds(t.atime_sec if have & l.SETATTR_ATIME_SET else now))
    if have & l.SETATTR_MTIME:
        stat = stat.but(mtime=_seconds(t.mtime_sec if have & l.SETATTR_MTIME_SET else now))
    return stat


def _seconds(when: int) -> int:
    return min(when, m.KEEP32 - 1)  # all ones mean to leave it


def appending(
    node: Node, write: Callable[[int, memoryview], Maybe[int]]
) -> Callable[[int, memoryview], Maybe[int]]:
    """Writes of a file that was opened with O_APPEND: behind what it has, wherever the client says."""

    def append(offset: int, data: memoryview) -> Maybe[int]:
        told = node.stat()
        kept = memoryview(bytes(data)) if waits(told) else data  # the view is good only now
        done: Maybe[int] = after(told, lambda stat: write(stat.length or offset, kept))
        return done

    return append


def _directory(f: Fid, node: Node, name: str) -> Node:
    """A directory that is asked about a name in it."""
    if not node.qid.is_dir:
        raise NotADirectory(f.name)
    check_name(name)
    if name in (".", ".."):
        raise BadArgument(f"{name!r} is not a file name")
    return node


def _move(node: Node, same: bool, name: str) -> Maybe[None]:
    if not same:
        raise CrossDevice("files are renamed within their directory only")
    return node.wstat(KEEP.but(name=name))
