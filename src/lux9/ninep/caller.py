"""9P's operations for a client, each a `Pending`: `client.py` waits for it, `aclient.py` awaits it, a mount
passes it on. Fids are given out here and come back when they are clunked.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..errors import ProtocolError, RemoteError
from ..pending import Pending
from ..wire import messages as m
from ..wire.codec import NOFID
from ..wire.messages import Qid, Stat
from ..wire.node import Bytes
from .requests import MSIZE, Request, Requests, Wire

Attached = tuple[int, Qid]
LEAST_MSIZE = 256


class Caller(Requests):
    """Fids, and what is done with them."""

    def __init__(self, msize: int = MSIZE) -> None:
        super().__init__(msize)
        self.fids: list[int] = []
        self.top_fid = 0

    def new_fid(self) -> int:
        """A fid that is not in use."""
        if self.fids:
            return self.fids.pop()
        self.top_fid += 1
        return self.top_fid

    def forget(self, fid: int) -> None:
        """A Tclunk that nobody waits for."""
        if self.gone is None:
            self.submit(m.Tclunk(fid)).then(lambda _: self.fids.append(fid))

    # -- the session

    def start(self, aname: str = "", uname: str = "") -> Pending[Attached]:
        """Tversion and Tattach: the root's fid."""
        return self.submit(m.Tversion(self.msize, self.dialect.version)).map(
            lambda r: self._versioned(r, aname, uname)
        )

    def _versioned(self, r: m.Rversion, aname: str, uname: str) -> Pending[Attached]:
        if r.version != self.dialect.version or not LEAST_MSIZE <= r.msize <= self.msize:
            raise ProtocolError(f"the server offers {r.version!r}, msize {r.msize}")
        self.msize, self.most = r.msize, r.msize - m.IOHDR
        return self.attach(aname, uname)

    def attach(self, aname: str = "", uname: str = "") -> Pending[Attached]:
        """One more attach on the same connection."""
        fid = self.new_fid()
        answer = self.submit(m.Tattach(fid, NOFID, uname, aname))
        return answer.ended(lambda p: self._made(fid, p)).map(lambda r: (fid, r.qid))

    def _made(self, fid: int, answer: Pending[Any]) -> None:
        """A new fid was asked for: see that its number is not lost when there is none.

        Given up, it may be there or not: a clunk behind the flush ends it, or is refused.
        """
        if answer.cancelled:
            self.forget(fid)
        elif not answer.ok:
            self.fids.append(fid)

    def walk(self, fid: int, names: Sequence[str]) -> Pending[Attached]:
        """A new fid for the file at `names` from `fid`, however many they are."""
        head, rest = tuple(names[: m.MAXWELEM]), names[m.MAXWELEM :]
        new = self.new_fid()

        def walked(r: m.Rwalk) -> Attached | Pending[Attached]:
            if len(r.qids) < len(head):
                self.fids.append(new)
                raise RemoteError(f"file does not exist: {'/'.join(names[: len(r.qids) + 1])}")
            if rest:  # the fid half way is held until the walk from it is through
                return self.walk(new, rest).ended(lambda _: self.forget(new))
            return new, r.qids[-1] if r.qids else Qid(0, 0, 0)

        answer: Pending[m.Rwalk] = self.submit(m.Twalk(fid, new, head))
        return answer.ended(lambda p: self._made(new, p)).map(walked)

    def open(self, fid: int, mode: int) -> Pending[m.Ropen]:
        """Open a fid."""
        return self.submit(m.Topen(fid, mode))

    def listing(self, fid: int) -> Pending[list[Stat]]:
        """The whole of an open directory."""
        return self._more(fid, 0, [])

    def _more(self, fid: int, offset: int, got: list[Stat]) -> Pending[list[Stat]]:
        def took(data: Bytes) -> list[Stat] | Pending[list[Stat]]:
            if not len(data):
                return got
            at, view = 0, memoryview(data)
            while at < len(view):
                stat, at = Stat.get(view, at, len(view))
                got.append(stat)
            return self._more(fid, offset + len(view), got)

        return self.read(fid, offset, self.most).map(took)


__all__ = ["MSIZE", "Attached", "Caller", "Request", "Wire"]
