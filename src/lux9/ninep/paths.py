"""What programs do with paths, on a client's connection: each a `Pending` that leaves no fid behind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..pending import Pending
from ..wire import messages as m
from ..wire.codec import Message
from ..wire.messages import OREAD, Qid, Stat
from .caller import Attached, Caller


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

    def _on(self, path: str, request: Callable[[int], Message]) -> Pending[Any]:
        """One request on a fid of its own, which is clunked behind it."""

        def walked(fid: int) -> Pending[Any]:
            answer = self.caller.submit(request(fid))
            return answer.ended(lambda _: self.caller.forget(fid))

        return self.walk(path).map(walked)

    def open(self, path: str, mode: int = OREAD) -> Pending[Opened]:
        """Open a file; `mode` is OREAD, OWRITE or ORDWR, with OTRUNC if wanted."""
        return self.walk(path).map(lambda fid: self._opening(fid, m.Topen(fid, mode)))

    def create(self, path: str, perm: int, mode: int) -> Pending[Opened]:
        """Create a file and open it."""
        above, _, name = path.rstrip("/").rpartition("/")
        return self.walk(above).map(
            lambda fid: self._opening(fid, m.Tcreate(fid, name, perm, mode))
        )

    def _opening(self, fid: int, request: m.Topen | m.Tcreate) -> Pending[Opened]:
        def over(p: Pending[m.Ropen]) -> None:
            if not p.ok:
                self.caller.forget(fid)

        answer: Pending[m.Ropen] = self.caller.submit(request)
        most = self.caller.most
        return answer.ended(over).map(lambda r: Opened(fid, r.qid, min(r.iounit or most, most)))

    def remove(self, path: str) -> Pending[None]:
        """Remove a file."""

        def walked(fid: int) -> Pending[None]:
            answer = self.caller.submit(m.Tremove(fid))  # the fid goes, whatever the answer
            return answer.ended(lambda _: self.caller.fids.append(fid)).map(lambda _: None)

        return self.walk(path).map(walked)

    def stat(self, path: str) -> Pending[Stat]:
        """What stat(5) tells."""
        return self._on(path, m.Tstat).map(lambda r: r.stat)

    def wstat(self, path: str, stat: Stat) -> Pending[None]:
        """Change what `stat` names."""
        return self._on(path, lambda fid: m.Twstat(fid, stat)).map(lambda _: None)

    def ls(self, path: str) -> Pending[list[Stat]]:
        """The stats of a directory, all of them."""

        def opened(file: Opened) -> Pending[list[Stat]]:
            return self.caller.listing(file.fid).ended(lambda _: self.caller.forget(file.fid))

        return self.open(path).map(opened)
