"""A client's side of the dialects: which messages do what programs ask for, and what the answers mean.

`Caller` has one of these, of the dialect that was agreed on. Whatever it is, programs see the stat of 9P2000, and
the modes of open(5).
"""

from __future__ import annotations

import errno
import os
import stat as s
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from ..errors import PLAN9, BadArgument, NotSupported, RemoteError
from ..pending import Maybe, Pending, gather, rescued, resolved
from ..wire import links, linux as l, messages as m, unix as u
from ..wire.codec import NOFID, DecodeError, Dialect, Message
from ..wire.dialects import LUX9
from ..wire.links import Attr
from ..wire.linux import LINUX, Entry
from ..wire.messages import DMDIR, OEXEC, ORCLOSE, OTRUNC, Qid, Stat
from ..wire.node import Bytes
from ..wire.unix import DMSYMLINK, NO_NUMBER, UNIX
from .unix import from_unix, to_unix

if TYPE_CHECKING:
    from .caller import Caller

ERRORS = (m.Rerror.number, l.Rlerror.number)
DOTS = (".", "..")


def refusal(dialect: Dialect, kind: int, buf: memoryview, at: int, end: int) -> RemoteError:
    """The error that an answer is. Raises DecodeError."""
    if kind == l.Rlerror.number:  # some servers refuse a Tversion so, before there is a dialect
        said: Any = l.Rlerror.parse(buf, at, end)
        return RemoteError(PLAN9.get(said.ecode) or os.strerror(said.ecode).lower(), said.ecode)
    try:
        said = dialect.parse(kind, buf, at, end)
    except DecodeError:  # or in the plain way, which needs none
        said = m.Rerror.parse(buf, at, end)
    return RemoteError(said.ename, getattr(said, "errno", 0) or None)


class Speech:
    """9P2000. `ask` sends a message."""

    def __init__(self, caller: Caller) -> None:
        self.caller, self.ask = caller, caller.submit

    def attach(self, fid: int, uname: str, aname: str) -> Message:
        """The Tattach of this dialect."""
        return m.Tattach(fid, NOFID, uname, aname)

    def open(self, fid: int, mode: int) -> Pending[m.Ropen]:
        """Open a fid."""
        return self.ask(m.Topen(fid, mode))

    def create(self, fid: int, name: str, perm: int, mode: int) -> Pending[m.Rcreate]:
        """Create a file or directory in the fid's, which then is it, open."""
        return self.ask(m.Tcreate(fid, name, perm, mode))

    def stat(self, fid: int, name: str) -> Pending[Stat]:
        """What stat(5) tells; the name is for dialects whose answer has none."""
        return self.ask(m.Tstat(fid)).map(lambda r: r.stat)

    def wstat(self, fid: int, stat: Stat) -> Pending[None]:
        """Change what `stat` names."""
        return self.ask(m.Twstat(fid, stat)).map(_nothing)

    def listing(self, fid: int, base: int) -> Pending[list[Stat]]:
        """The whole of a directory that `fid` has open; `base` is a fid of it that is not."""
        return self._read(fid, 0, [])

    # What stat(2) and its like tell, made from that where a dialect has no more

    def attr(self, fid: int) -> Pending[Attr]:
        """What stat(2) tells."""
        return self.stat(fid, "").map(links.attr_of)

    def entries(self, fid: int, base: int) -> Pending[list[Entry]]:
        """As `listing`, but names and kinds alone."""
        return self.listing(fid, base).map(links.entries_of)

    def target(self, fid: int) -> Pending[str]:
        """Where a symbolic link leads."""
        raise BadArgument(f"{self.caller.dialect.version} shows no symbolic links")

    def statfs(self, fid: int) -> Pending[l.Rstatfs]:
        """The size of the file system that the file is in."""
        return resolved(links.NO_SPACE)

    def fsync(self, fid: int) -> Pending[None]:
        """What was written is where it stays; a write that was answered is, in 9P2000."""
        return resolved(None)

    def _read(self, fid: int, offset: int, got: list[Stat]) -> Pending[list[Stat]]:
        def took(data: Bytes) -> Maybe[list[Stat]]:
            at, view = 0, memoryview(data)
            while at < len(view):
                stat, at = self._record(view, at)
                got.append(stat)
            return self._read(fid, offset + len(view), got) if len(view) else got

        return self.caller.read(fid, offset, self.caller.most).map(took)

    def _record(self, view: memoryview, at: int) -> tuple[Stat, int]:
        return Stat.get(view, at, len(view))


class UnixSpeech(Speech):
    """9P2000.u. Who we are by number is told, for servers that go by that."""

    def attach(self, fid: int, uname: str, aname: str) -> Message:
        """With the number of this process's user where no name is given."""
        number = NO_NUMBER if uname else os.geteuid()
        return u.Tattach(fid, NOFID, uname, aname, number)

    def create(self, fid: int, name: str, perm: int, mode: int) -> Pending[m.Rcreate]:
        """A plain file or a directory."""
        return self.ask(u.Tcreate(fid, name, perm, mode, ""))

    def stat(self, fid: int, name: str) -> Pending[Stat]:
        """Names of numbers where it has no others."""
        return self.ask(m.Tstat(fid)).map(lambda r: from_unix(r.stat))

    def wstat(self, fid: int, stat: Stat) -> Pending[None]:
        """Owners by name; a number is one, too."""
        return self.ask(u.Twstat(fid, to_unix(stat))).map(_nothing)

    def _record(self, view: memoryview, at: int) -> tuple[Stat, int]:
        stat, at = u.Stat.get(view, at, len(view))
        return from_unix(stat), at


class _Linked(Speech):
    """The dialects with attributes and links."""

    def attr(self, fid: int) -> Pending[Attr]:
        """A link's are its own."""
        return self.ask(l.Tgetattr(fid, l.GETATTR_ALL))

    def entries(self, fid: int, base: int) -> Pending[list[Entry]]:
        """As the server tells them."""
        return entries(self.caller, fid)

    def target(self, fid: int) -> Pending[str]:
        """What the link says."""
        return self.ask(l.Treadlink(fid)).map(lambda r: r.target)

    def statfs(self, fid: int) -> Pending[l.Rstatfs]:
        """As the server tells it."""
        return self.ask(l.Tstatfs(fid))

    def fsync(self, fid: int) -> Pending[None]:
        """When the server says so."""
        return self.ask(l.Tfsync(fid, 0)).map(_nothing)


class Lux9Speech(_Linked):
    """Our own: the messages of 9P2000, and those of 9P2000.L beside them."""


class LinuxSpeech(_Linked, UnixSpeech):
    """9P2000.L. A listing needs the stat of each file: they are asked for side by side."""

    def open(self, fid: int, mode: int) -> Pending[Any]:
        """By open(2)'s flags."""
        return self.ask(l.Tlopen(fid, flags_of(mode)))

    def create(self, fid: int, name: str, perm: int, mode: int) -> Pending[Any]:
        """A directory is made, walked to, and opened."""
        flags = flags_of(mode)
        if not perm & DMDIR:
            flags |= l.O_CREAT | l.O_EXCL
            return self.ask(l.Tlcreate(fid, name, flags, perm & 0o777, os.getegid()))
        made = self.ask(l.Tmkdir(fid, name, perm & 0o777, os.getegid()))
        walked = made.map(lambda _: self.ask(m.Twalk(fid, fid, (name,))))
        return walked.map(lambda _: self.ask(l.Tlopen(fid, flags)))

    def stat(self, fid: int, name: str) -> Pending[Stat]:
        """From the attributes; a link's are its own."""
        return self.attr(fid).map(lambda a: stat_of(a, name))

    def wstat(self, fid: int, stat: Stat) -> Pending[None]:
        """As setattr; a name is another message's business (`rename`)."""
        wanted = setattr_of(fid, stat)
        return self.ask(wanted).map(_nothing)

    def rename(self, above: int, name: str, to: str) -> Pending[None]:
        """A file's new name in its directory: Trename, which is older than Trenameat, where that is unknown."""

        def older(error: Exception) -> Pending[None]:
            if not isinstance(error, RemoteError) or error.number != errno.EOPNOTSUPP:
                raise error
            return self.caller.walk(above, (name,)).map(walked)

        def walked(got: tuple[int, Qid]) -> Pending[None]:
            asked = self.ask(l.Trename(got[0], above, to))
            return asked.ended(lambda _: self.caller.forget(got[0])).map(_nothing)

        newer = self.ask(l.Trenameat(above, name, above, to))
        done: Any = rescued(lambda: newer.map(_nothing), older)
        return cast("Pending[None]", done)

    def listing(self, fid: int, base: int) -> Pending[list[Stat]]:
        """Names, then what each is."""

        def stats(entries: Sequence[Entry]) -> Maybe[list[Stat]]:
            return gather(entries, lambda e: self._one(base, e))

        return entries(self.caller, fid).map(stats)

    def _one(self, base: int, entry: Entry) -> Maybe[Stat]:
        """A file's stat; of one that cannot tell it, what the entry says: it does not hide the others."""

        def walked(got: tuple[int, Qid]) -> Pending[Stat]:
            asked = self.stat(got[0], entry.name)
            return asked.ended(lambda _: self.caller.forget(got[0]))

        def untold(error: Exception) -> Stat:
            if not isinstance(error, RemoteError):
                raise error
            mode = DMDIR if entry.qid.is_dir else 0
            return Stat(*(0, 0, entry.qid, mode, 0, 0, 0, entry.name, "", "", ""))

        return rescued(lambda: self.caller.walk(base, (entry.name,)).map(walked), untold)


def entries(caller: Caller, fid: int) -> Pending[list[Entry]]:
    """All entries of an open directory, but for `.` and `..`; needs a dialect with Treaddir."""
    return _entries(caller, fid, 0, [])


def _entries(caller: Caller, fid: int, offset: int, got: list[Entry]) -> Pending[list[Entry]]:
    def took(r: l.Rreaddir) -> Maybe[list[Entry]]:
        at, view, last = 0, memoryview(r.data), offset
        while at < len(view):
            entry, at = Entry.get(view, at, len(view))
            last = entry.offset
            if entry.name not in DOTS:
                got.append(entry)
        return _entries(caller, fid, last, got) if len(view) else got

    return caller.submit(l.Treaddir(fid, offset, caller.most)).map(took)


def flags_of(mode: int) -> int:
    """The flags of open(2) for a mode of open(5)."""
    if mode & ORCLOSE:
        raise NotSupported("9P2000.L cannot remove a file on close")
    access = 0 if mode & 3 == OEXEC else mode & 3
    return access | (l.O_TRUNC if mode & OTRUNC else 0)


def stat_of(a: l.Rgetattr, name: str) -> Stat:
    """The stat of 9P2000 in attributes."""
    mode = a.mode & 0o777 | (DMDIR if s.S_ISDIR(a.mode) else 0)
    mode |= DMSYMLINK if s.S_ISLNK(a.mode) else 0
    read, changed = (max(links.when(sec) // links.BILLION, 0) for sec in (a.atime_sec, a.mtime_sec))
    when = (min(read, m.KEEP32 - 1), min(changed, m.KEEP32 - 1))
    length = 0 if s.S_ISDIR(a.mode) else a.size
    return Stat(*(0, 0, a.qid, mode, *when, length, name, str(a.uid), str(a.gid), ""))


def setattr_of(fid: int, stat: Stat) -> l.Tsetattr:
    """The changes that a wstat names."""
    if stat.name:
        raise BadArgument("a name is changed in its directory")
    valid = 0
    for given, bit in (
        (stat.mode != m.KEEP32, l.SETATTR_MODE),
        (bool(stat.uid), l.SETATTR_UID),
        (bool(stat.gid), l.SETATTR_GID),
        (stat.length != m.KEEP64, l.SETATTR_SIZE),
        (stat.atime != m.KEEP32, l.SETATTR_ATIME | l.SETATTR_ATIME_SET),
        (stat.mtime != m.KEEP32, l.SETATTR_MTIME | l.SETATTR_MTIME_SET),
    ):
        valid |= bit if given else 0
    uid, gid = (_number(name) for name in (stat.uid, stat.gid))
    size = stat.length if valid & l.SETATTR_SIZE else 0
    mode = stat.mode & 0o777
    return l.Tsetattr(fid, valid, mode, uid, gid, size, stat.atime, 0, stat.mtime, 0)


def _number(name: str) -> int:
    if name and not name.isdecimal():
        raise BadArgument(f"{name!r}: 9P2000.L has owners by number only")
    return int(name or 0)


def _nothing(_: object) -> None:
    return None


SPEECH: dict[str, Callable[[Caller], Speech]] = {
    m.P9.version: Speech,
    UNIX.version: UnixSpeech,
    LINUX.version: LinuxSpeech,
    LUX9.version: Lux9Speech,
}
