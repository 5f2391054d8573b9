"""The client's side of one connection, with no socket: requests out, answers in.

Every request is a `Pending`; `client.py` waits for it, `aclient.py` awaits it, a mount passes it on. Requests are
queued and sent together: when somebody waits, or at the end of the loop's turn.

Re-entrance: with a loop attached, the callbacks of requests marked `later` (what programs submit and have told
to them) run after the answers in hand were taken in, never in the middle of somebody's synchronous wait.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..errors import Disconnected, Lux9Error, ProtocolError, RemoteError
from ..pending import Pending
from ..wire import messages as m
from ..wire.codec import HEADER, NOFID, NOTAG, Dialect, Message
from ..wire.messages import IOHDR, Qid, Stat
from ..wire.node import Bytes

TREAD = struct.Struct("<IBHIQI")
TWRITE = TREAD
MSIZE = (1 << 20) + IOHDR


class Wire(Protocol):
    """What carries the bytes."""

    def send(self, parts: list[Bytes]) -> None:
        """Send them all, in order."""
        ...

    def wait(self) -> None:
        """Return when something came in and was given to `Caller.receive`."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


class Request:
    """A request on its way. `pending` is None for a posted one; `copy`: the data outlives the callback."""

    __slots__ = ("copy", "later", "name", "pending")

    def __init__(self, pending: Pending[Any] | None, name: str, copy: bool, later: bool) -> None:
        self.pending, self.name, self.copy, self.later = pending, name, copy, later


class Caller:
    """Tags, fids and the queue of one client connection."""

    def __init__(self, msize: int = MSIZE) -> None:
        self.wire: Wire
        self.msize, self.most = msize, msize - IOHDR
        self.dialect: Dialect = m.P9
        self.queue: list[Bytes] = []
        self.table: dict[int, Request] = {}
        self.tags = list(range(1024, -1, -1))
        self.held: set[int] = set()  # flushed tags, not free before their Rflush
        self.top_tag = 1024
        self.fids: list[int] = []
        self.top_fid = 0
        self.posted = 0  # writes on their way that nobody waits for
        self.posted_error: Lux9Error | None = None
        self.gone: Lux9Error | None = None
        self.soon: Callable[[Callable[[], None]], Any] | None = None  # a loop's call_soon
        self.scheduled = False
        self.backlog: list[tuple[Pending[Any], Any, Exception | None]] = []

    # -- out

    def submit(self, message: Message, *, name: str = "", later: bool = False) -> Pending[Any]:
        """Queue a message; its answer, or RemoteError."""
        tag = NOTAG if isinstance(message, m.Tversion) else self._tag()
        pending: Pending[Any] = Pending(lambda: self._flush_tag(tag))
        self._enter(tag, Request(pending, name, True, later), message.encode(tag))
        return pending

    def read(
        self, fid: int, offset: int, count: int, *, later: bool = False, copy: bool = False
    ) -> Pending[Bytes]:
        """One Tread of at most `most` bytes. The data is a view, good only in the callback, unless `copy`."""
        tag = self._tag()
        pending: Pending[Bytes] = Pending(lambda: self._flush_tag(tag))
        count = min(count, self.most)
        packet = TREAD.pack(23, 116, tag, fid, offset, count)
        self._enter(tag, Request(pending, "", copy, later), packet)
        return pending

    def write(self, fid: int, offset: int, data: Bytes, *, later: bool = False) -> Pending[int]:
        """One Twrite of at most `most` bytes; `data` is copied before this returns."""
        tag = self._tag()
        pending: Pending[int] = Pending(lambda: self._flush_tag(tag))
        self._enter(tag, Request(pending, "", True, later), self._twrite(tag, fid, offset, data))
        return pending

    def post(self, fid: int, offset: int, data: Bytes, name: str) -> None:
        """A Twrite that nobody waits for; an error is kept for the next `check`, and names the write."""
        tag = self._tag()
        self.posted += 1
        self._enter(tag, Request(None, f"{name}+{offset:#x}", True, False), self._twrite(tag, fid, offset, data))

    def forget(self, fid: int) -> None:
        """A Tclunk that nobody waits for."""
        if self.gone is None:
            tag = self._tag()
            request = Request(Pending(), "", True, False)
            self._enter(tag, request, m.Tclunk(fid).encode(tag))
            assert request.pending is not None
            request.pending.then(lambda _: self.fids.append(fid))

    def _twrite(self, tag: int, fid: int, offset: int, data: Bytes) -> bytes:
        data = data[: self.most]
        n = len(data)
        return b"".join((TWRITE.pack(23 + n, 118, tag, fid, offset, n), data))

    def _enter(self, tag: int, request: Request, packet: bytes) -> None:
        if self.gone is not None:
            self.tags.append(tag)
            if request.pending is None:
                raise self.gone
            request.pending.fail(self.gone)
            return
        self.table[tag] = request
        self.queue.append(packet)
        if self.soon is not None and not self.scheduled:
            self.scheduled = True
            self.soon(self._turn)

    def _turn(self) -> None:
        self.scheduled = False
        self.flush()

    def flush(self) -> None:
        """Send what is queued."""
        if self.queue and self.gone is None:
            queue, self.queue = self.queue, []
            self.wire.send(queue)

    def _tag(self) -> int:
        if not self.tags:
            if self.top_tag + 1 >= NOTAG:
                raise ProtocolError(f"{self.top_tag} requests are waiting; no tag is left")
            self.top_tag += 1
            return self.top_tag
        return self.tags.pop()

    def new_fid(self) -> int:
        """A fid that is not in use."""
        if self.fids:
            return self.fids.pop()
        self.top_fid += 1
        return self.top_fid

    def _flush_tag(self, old: int) -> None:
        """Nobody wants that answer any more. Its tag is free again once the Rflush is there (flush(5))."""
        request = self.table.get(old)
        if request is None or self.gone is not None:
            return
        tag = self._tag()
        done: Pending[Any] = Pending()
        self.held.add(old)
        self._enter(tag, Request(done, "", True, False), m.Tflush(old).encode(tag))
        done.then(lambda _: self._release(old))

    def _release(self, tag: int) -> None:
        self.table.pop(tag, None)
        self.held.discard(tag)
        self.tags.append(tag)

    # -- in

    def receive(self, buf: memoryview) -> int:
        """Settle every whole answer in `buf`; how many bytes they were. Raises ProtocolError when lost."""
        at, end, table = 0, len(buf), self.table
        while end - at >= 7:
            size, kind, tag = HEADER.unpack_from(buf, at)
            if not 7 <= size <= self.msize:
                raise ProtocolError(f"an answer of {size} bytes; msize is {self.msize}")
            if end - at < size:
                break
            request = table.pop(tag, None)
            if request is None:
                raise ProtocolError(f"an answer to tag {tag}, which asked nothing")
            if tag != NOTAG and tag not in self.held:
                self.tags.append(tag)
            self._settle(request, kind, buf, at, at + size)
            at += size
        return at

    def _settle(self, request: Request, kind: int, buf: memoryview, at: int, end: int) -> None:
        value: Any = None
        error: Exception | None = None
        if kind == 117 and end - at >= 11:
            value = buf[at + 11 : end]
            if request.copy or (request.later and self.soon is not None):
                value = bytes(value)
        elif kind == 119 and end - at == 11:
            value = int.from_bytes(buf[at + 7 : end], "little")
        else:
            value = self.dialect.parse(kind, buf, at + 7, end)
            if isinstance(value, m.Rerror):
                error = RemoteError(value.ename)
        self._tell(request, value, error)

    def _tell(self, request: Request, value: Any, error: Exception | None) -> None:
        pending = request.pending
        if pending is None:
            self.posted -= 1
            if error is not None and self.posted_error is None:
                self.posted_error = RemoteError(f"{error} (posted write to {request.name})")
        elif request.later and self.soon is not None:
            self.backlog.append((pending, value, error))
            if len(self.backlog) == 1:
                self.soon(self.deliver)
        else:
            _give(pending, value, error)

    def deliver(self) -> None:
        """Run the callbacks that were put off."""
        backlog, self.backlog = self.backlog, []
        for pending, value, error in backlog:
            _give(pending, value, error)

    def urge(self, pending: Pending[Any]) -> bool:
        """Settle one of the put-off ones now: somebody waits for just that. Whether it was there."""
        for i, (p, value, error) in enumerate(self.backlog):
            if p is pending:
                del self.backlog[i]
                _give(p, value, error)
                return True
        return False

    def check(self) -> None:
        """Raise the error of a posted write, once."""
        if self.posted_error is not None:
            error, self.posted_error = self.posted_error, None
            raise error

    def lost(self, error: Lux9Error | None = None) -> None:
        """The connection is gone: everything that waits fails."""
        if self.gone is not None:
            return
        self.gone = error or Disconnected("the other side hung up")
        table, self.table, self.queue = self.table, {}, []
        for request in table.values():
            if request.pending is not None:
                request.pending.fail(self.gone)
        self.deliver()

    # -- the session

    def start(self, aname: str = "", uname: str = "") -> Pending[Attached]:
        """Tversion and Tattach: the root's fid."""
        return self.submit(m.Tversion(self.msize, self.dialect.version)).map(
            lambda r: self._versioned(r, aname, uname)
        )

    def _versioned(self, r: m.Rversion, aname: str, uname: str) -> Pending[Attached]:
        if r.version != self.dialect.version or not 256 <= r.msize <= self.msize:
            raise ProtocolError(f"the server offers {r.version!r}, msize {r.msize}")
        self.msize, self.most = r.msize, r.msize - IOHDR
        return self.attach(aname, uname)

    def attach(self, aname: str = "", uname: str = "") -> Pending[Attached]:
        """One more attach on the same connection."""
        fid = self.new_fid()
        return self.submit(m.Tattach(fid, NOFID, uname, aname)).map(lambda r: (fid, r.qid))

    def walk(self, fid: int, names: Sequence[str]) -> Pending[Attached]:
        """A new fid for the file at `names` from `fid`, however many they are."""
        head, rest = tuple(names[: m.MAXWELEM]), names[m.MAXWELEM :]
        new = self.new_fid()

        def walked(r: m.Rwalk) -> Any:
            if len(r.qids) < len(head):
                self.fids.append(new)
                raise RemoteError(f"file does not exist: {'/'.join(names[: len(r.qids) + 1])}")
            got = (new, r.qids[-1] if r.qids else Qid(0, 0, 0))
            if not rest:
                return got
            further = self.walk(new, rest)
            self.forget(new)
            return further

        return self.submit(m.Twalk(fid, new, head)).map(walked)

    def open(self, fid: int, mode: int) -> Pending[m.Ropen]:
        """Open a fid."""
        return self.submit(m.Topen(fid, mode))

    def listing(self, fid: int) -> Pending[list[Stat]]:
        """The whole of an open directory."""
        return self._more(fid, 0, [])

    def _more(self, fid: int, offset: int, got: list[Stat]) -> Pending[list[Stat]]:
        def took(data: Bytes) -> Any:
            if not len(data):
                return got
            at, view = 0, memoryview(data)
            while at < len(view):
                stat, at = Stat.get(view, at, len(view))
                got.append(stat)
            return self._more(fid, offset + len(view), got)

        return self.read(fid, offset, self.most).map(took)


Attached = tuple[int, Qid]


def _give(pending: Pending[Any], value: Any, error: Exception | None) -> None:
    if error is None:
        pending.resolve(value)
    else:
        pending.fail(error)
