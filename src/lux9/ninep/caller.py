"""9P's operations for a client, each a `Pending`: `client.py` waits for it, `aclient.py` awaits it, a mount
passes it on. Fids are given out here and come back when they are clunked.
"""

from __future__ import annotations

from collections.abc import Sequence
from errno import ENOENT
from typing import Any, NoReturn, cast

from ..errors import PLAN9, ProtocolError, RemoteError, number_of
from ..pending import Pending, rescued, waits
from ..wire import messages as m
from ..wire.codec import NOFID, Dialect
from ..wire.messages import Qid, Stat
from .requests import MSIZE, Request, Requests, Wire
from .speech import SPEECH

Attached = tuple[int, Qid]
LEAST_MSIZE = 256
UNKNOWN = "unknown"  # the version of a server that knows none of that kind (version(5))


class Caller(Requests):
    """Fids, and what is done with them.

    `dialect`: what is asked for; `others`: what will do as well, asked for in turn where the server knows none.
    """

    def __init__(
        self, msize: int = MSIZE, dialect: Dialect = m.P9, others: Sequence[Dialect] = ()
    ) -> None:
        super().__init__(msize)
        self.fids: list[int] = []
        self.top_fid = 0
        self.speak(dialect, *others)

    def speak(self, *dialects: Dialect) -> None:
        """Before `start`: which dialects will do, the best first."""
        self.dialect, self.dialects = dialects[0], dialects
        self.speech = SPEECH[self.dialect.version](self)

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
        return self._try(self.dialects, aname, uname)

    def _try(self, left: Sequence[Dialect], aname: str, uname: str) -> Pending[Attached]:
        def versioned(r: m.Rversion) -> Pending[Attached]:
            if r.version == UNKNOWN and left[1:]:
                return self._try(left[1:], aname, uname)
            self._agreed(r)
            return self.attach(aname, uname)

        def refused(error: Exception) -> m.Rversion:
            if isinstance(error, RemoteError) and left[1:]:
                return m.Rversion(self.msize, UNKNOWN)  # which it should have said
            raise error

        asked: Pending[m.Rversion] = self.submit(m.Tversion(self.msize, left[0].version))
        answer = rescued(lambda: asked, refused)
        assert waits(answer), "a request's answer comes later"
        return answer.map(versioned)

    def _agreed(self, r: m.Rversion) -> None:
        dialect = next((d for d in self.dialects if d.version == r.version), None)
        if dialect is None or not LEAST_MSIZE <= r.msize <= self.msize:
            raise ProtocolError(f"the server offers {r.version!r}, msize {r.msize}")
        self.dialect, self.speech = dialect, SPEECH[dialect.version](self)
        self.msize, self.most = r.msize, r.msize - m.IOHDR

    def attach(self, aname: str = "", uname: str = "") -> Pending[Attached]:
        """One more attach on the same connection."""
        fid = self.new_fid()
        answer = self.submit(self.speech.attach(fid, uname, aname))
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
                return self._why(fid, names, len(r.qids))
            if rest:  # the fid half way is held until the walk from it is through
                return self.walk(new, rest).ended(lambda _: self.forget(new))
            return new, r.qids[-1] if r.qids else Qid(0, 0, 0)

        def refused(error: Exception) -> NoReturn:  # 9P2000 names nothing
            raise _nothing(names[:1]) if str(error) == PLAN9[ENOENT] and names else error

        answer: Pending[m.Rwalk] = self.submit(m.Twalk(fid, new, head))
        made = answer.ended(lambda p: self._made(new, p)).map(walked)
        told: Any = rescued(lambda: made, refused)
        return cast("Pending[Attached]", told)

    def _why(self, fid: int, names: Sequence[str], far: int) -> Pending[Attached]:
        """Why a walk ended early: its answer does not tell, but a walk that begins where it ended does."""
        if not far:
            raise _nothing(names[:1])

        def refused(error: Exception) -> NoReturn:
            raise _nothing(names[: far + 1]) if number_of(error) == ENOENT else error

        def on(got: Attached) -> Pending[Attached]:
            return self.walk(got[0], names[far:]).ended(lambda _: self.forget(got[0]))

        told: Any = rescued(lambda: self.walk(fid, names[:far]).map(on), refused)
        return cast("Pending[Attached]", told)

    def open(self, fid: int, mode: int) -> Pending[m.Ropen]:
        """Open a fid; `mode` as in open(5)."""
        return self.speech.open(fid, mode)

    def create(self, fid: int, name: str, perm: int, mode: int) -> Pending[m.Rcreate]:
        """Create a file in the fid's directory; the fid then is it, open."""
        return self.speech.create(fid, name, perm, mode)

    def stat(self, fid: int, name: str = "") -> Pending[Stat]:
        """The stat of a file; `name` is what it is called where the dialect does not say."""
        return self.speech.stat(fid, name)

    def wstat(self, fid: int, stat: Stat) -> Pending[None]:
        """Change what `stat` names."""
        return self.speech.wstat(fid, stat)

    def listing(self, fid: int, base: int = NOFID) -> Pending[list[Stat]]:
        """The whole of an open directory; `base` is a fid of it that is not open, which 9P2000.L needs."""
        return self.speech.listing(fid, base)


def _nothing(names: Sequence[str]) -> RemoteError:
    """There is no file of that path."""
    return RemoteError(f"{PLAN9[ENOENT]}: {'/'.join(names)}", ENOENT)


__all__ = ["MSIZE", "Attached", "Caller", "Request", "Wire"]
