"""What a session's dialect changes: who answers which request, how a directory is read, how it refuses.

A session answers 9P2000 itself; `unix.py` and `linux.py` have what differs.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import IsADirectory, Lux9Error, NotFound, number_of
from ..pending import Maybe, rescued
from ..wire import linux as l, messages as m, unix as u
from ..wire.codec import Dialect, Message
from ..wire.dialects import LUX9
from ..wire.linux import LINUX
from ..wire.unix import UNIX
from .linux import Linux
from .replies import plain
from .unix import Unix

if TYPE_CHECKING:
    from .fids import Fid
    from .session import Session

Act = Callable[[Any], Maybe[Message]]
ERRMAX = (
    128 - 2 - 4
)  # P9_ERRMAX of Linux's net/9p bounds ename[s] errno[4], as ERRMAX bounds a string of Plan 9's
OLD_FSYNC = 4  # bytes of a Tfsync as it was before it had a datasync


def speak(s: Session, dialect: Dialect) -> None:
    """Have a session answer in a dialect; its `acts` are those of 9P2000."""
    s.refusal, s.directory, s.linked = plain, None, dialect is not m.P9
    if dialect is m.P9:
        walk = s.acts[m.Twalk.number]
        s.acts |= {m.Twalk.number: lambda t: rescued(lambda: walk(t), _bare)}
    if dialect is UNIX:
        unix = Unix(s)
        s.refusal, s.directory = _brief, unix.directory
        own = dict(s.acts)
        s.acts |= {kind: act(own) for kind, act in unix.acts.items()}
    if dialect in (LINUX, LUX9):
        s.refusal = u.Rerror if dialect is LUX9 else _number
        s.acts |= Linux(s).acts
    if dialect is LINUX:
        s.directory = _by_treaddir


def _by_treaddir(f: Fid) -> NoReturn:
    """This dialect has a request of its own for that, and no stat as 9P2000 packs them."""
    raise IsADirectory(f"{f.name} is read by Treaddir")


class Missing(NotFound):
    """The table's string and nothing behind it."""

    @property
    def message(self) -> str:
        """Whoever asked knows the name."""
        return NotFound().message


def _bare(error: Exception) -> NoReturn:
    """The refusal of a walk to what is not there, in the very words of the table.

    Linux knows an error of 9P2000 by its whole string (p9_errstr2errno in net/9p/error.c), and walks to each name
    that it is about to create: with more words it would take this one for a failure of the server.
    """
    if isinstance(error, Lux9Error) and number_of(error) == errno.ENOENT:
        raise Missing(str(error)) from error
    raise error


def _brief(text: str, number: int) -> u.Rerror:
    """As much of the text as Linux takes; with more it would not see the number either."""
    return u.Rerror(text.encode()[:ERRMAX].decode(errors="ignore"), number)


def _number(text: str, number: int) -> l.Rlerror:
    return l.Rlerror(number)


def parse(dialect: Dialect, kind: int, buf: memoryview, at: int, end: int) -> Message:
    """A request. Raises DecodeError."""
    if kind == l.Tfsync.number and end - at == OLD_FSYNC and kind in dialect.types:
        return l.Tfsync(int.from_bytes(buf[at:end], "little"), 0)
    return dialect.parse(kind, buf, at, end)


STRANGERS = {  # what the first bytes of a message are that is none: of a TLS record, of an HTTP request
    b"\x16\x03": "this is TLS, and 9P is spoken plainly here: write tcp! for tls!",
    b"GE": "this is HTTP, and 9P is spoken here",
}


def strange(size: int, msize: int) -> str:
    """What is to be said of a message of that size, which cannot be one."""
    begins = size.to_bytes(4, "little")[:2]
    return STRANGERS.get(begins) or f"a message of {size} bytes; msize is {msize}"
