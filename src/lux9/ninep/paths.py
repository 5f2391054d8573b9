"""What programs do with paths, on a client's connection: each a `Pending` that leaves no fid behind."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from ..errors import Lux9Error
from ..pending import Pending
from ..wire import messages as m
from ..wire.codec import NOFID
from ..wire.links import Attr
from ..wire.linux import Entry, Rstatfs
from ..wire.messages import OREAD, Qid, Stat
from .caller import Attached, Caller
from .speech import LinuxSpeech

T = TypeVar("T")
Listed = Callable[[int, int], Pending[list[T]]]


def names(path: str) -> list[str]:
    """A path's names; `.` and doubled slashes mean nothing."""
    return [name for name in path.split("/") if name not in ("", ".")]


class Opened:
    """An open fid, as the server told."""

    __slots__ = ("fid", "iounit", "qid")

    def __init__(self, fid: int, qid: Qid, iounit: int) -> None:
        self.fid, self.qid, self.iounit = fid, qid, iounit


class Paths:
    """The operations, from the root that was attached."""

    def __init__(self, caller: Caller, root: Attached) -> None:
        self.caller = caller
        self.root, self.root_qid = root

    def walk(self, path: str) -> Pending[int]:
        """A fid for the file; whoever asks clunks it."""
        return self.caller.walk(self.root, names(path)).map(lambda got: got[0])

    def on(self, path: str, ask: Callable[[int], Pending[T]]) -> Pending[T]:
        """Something done with a fid of its own, which is clunked behind it."""

        def walked(fid: int) -> Pending[T]:
            answer = self._asked(fid, lambda: ask(fid))
            return answer.ended(lambda _: self.caller.forget(fid))

        return self.walk(path).map(walked)

    def _asked(self, fid: int, ask: Callable[[], Pending[T]]) -> Pending[T]:
        """Ask it; a fid of which nothing can be asked is clunked."""
        try:
            return ask()
        except Lux9Error:
            self.caller.forget(fid)
            raise

    def open(self, path: str, mode: int = OREAD) -> Pending[Opened]:
        """Open a file; `mode` is OREAD, OWRITE or ORDWR, with OTRUNC if wanted."""
        return self.walk(path).map(
            lambda fid: self._opening(fid, lambda: self.caller.open(fid, mode))
        )

    def create(self, path: str, perm: int, mode: int) -> Pending[Opened]:
        """Create a file and open it."""
        above, _, name = path.rstrip("/").rpartition("/")
        return self.walk(above).map(
            lambda fid: self._opening(fid, lambda: self.caller.create(fid, name, perm, mode))
        )

    def _opening(self, fid: int, ask: Callable[[], Pending[Any]]) -> Pending[Opened]:
        def over(p: Pending[Any]) -> None:
            if not p.ok:
                self.caller.forget(fid)

        most = self.caller.most
        return (
            self._asked(fid, ask)
            .ended(over)
            .map(lambda r: Opened(fid, r.qid, min(r.iounit or most, most)))
        )

    def remove(self, path: str) -> Pending[None]:
        """Remove a file."""

        def over(fid: int, p: Pending[Any]) -> None:
            if p.cancelled:  # it may have been carried out, or not
                self.caller.forget(fid)
            else:
                self.caller.fids.append(fid)

        def walked(fid: int) -> Pending[None]:
            answer = self.caller.submit(m.Tremove(fid))  # the fid goes, whatever the answer
            return answer.ended(partial(over, fid)).map(lambda _: None)

        return self.walk(path).map(walked)

    def stat(self, path: str) -> Pending[Stat]:
        """What stat(5) tells."""
        name = (names(path) or ["/"])[-1]
        return self.on(path, lambda fid: self.caller.stat(fid, name))

    def wstat(self, path: str, stat: Stat) -> Pending[None]:
        """Change what `stat` names."""
        speech = self.caller.speech
        if not (isinstance(speech, LinuxSpeech) and stat.name):
            return self.on(path, lambda fid: self.caller.wstat(fid, stat))
        above, _, name = path.rstrip("/").rpartition("/")
        if stat.but(name="") == m.KEEP:
            return self.on(above, lambda fid: speech.rename(fid, name, stat.name))
        first = self.on(path, lambda fid: self.caller.wstat(fid, stat.but(name="")))
        return first.map(lambda _: self.wstat(path, m.KEEP.but(name=stat.name)))

    def ls(self, path: str) -> Pending[list[Stat]]:
        """The stats of a directory, all of them."""
        return self.on(path, partial(self._listing, self.caller.speech.listing))

    def entries(self, path: str) -> Pending[list[Entry]]:
        """The names in a directory, and what kind each is."""
        return self.on(path, partial(self._listing, self.caller.speech.entries))

    def _listing(self, listed: Listed[T], base: int) -> Pending[list[T]]:
        """By a fid that is open and, where the dialect asks for one, another that is not."""
        caller = self.caller

        def cloned(got: Attached) -> Pending[list[T]]:
            fid = got[0]
            opened = caller.open(fid, OREAD)
            found: Pending[list[T]] = opened.map(lambda _: listed(fid, base))
            return found.ended(lambda _: caller.forget(fid))

        if isinstance(caller.speech, LinuxSpeech):
            return caller.walk(base, ()).map(cloned)
        return caller.open(base, OREAD).map(lambda _: listed(base, NOFID))

    def readlink(self, path: str) -> Pending[str]:
        """Where a symbolic link leads, in a dialect that has them."""
        return self.on(path, self.caller.speech.target)

    def attr(self, path: str) -> Pending[Attr]:
        """What stat(2) tells."""
        return self.on(path, self.caller.speech.attr)

    def statfs(self, path: str) -> Pending[Rstatfs]:
        """The size of the file system that the file is in."""
        return self.on(path, self.caller.speech.statfs)
