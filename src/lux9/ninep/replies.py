"""The tags of one served connection: what waits, and the answers that are ready to be sent.

A request's answer is a value or a `Pending`. Those that wait are kept under their tag, within `Bounds`, until
they are settled, flushed, or their fid goes. An answer that cannot be made is an error for whoever asked, and
for nobody else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import Interrupted, LimitReached, Lux9Error, number_of, text_of
from ..pending import Maybe, Pending, waits
from ..wire import messages as m
from ..wire.codec import Message
from ..wire.messages import IOHDR
from ..wire.node import Bytes, Node
from .fids import Fid

DATA = m.Rread.head  # header, count[4]
MSIZE = (1 << 20) + IOHDR
GREETING = 8192  # bytes that a message before the Tversion may have
COPY = 8192  # bytes from which an answer's data is sent beside its header instead of joined to it
ERRHDR = 13  # what an Rerror has beside its text, at most
LONGEST = 0xFFFF  # bytes of an error's text: a string's count has 16 bits


class Owner(Protocol):
    """Who a session works for: the kernel's process, or a driver."""

    def attach(self, uname: str, aname: str) -> Maybe[Node]:
        """The root for an attach name. The identity is the connection's; `uname` is only what it claims."""
        ...

    def refused(self, error: Exception, what: str, path: str) -> None:
        """A request failed; for the audit."""
        ...


@dataclass
class Bounds:
    """What one session may hold at once."""

    msize: int = MSIZE
    fids: int = 4096
    pending: int = 1024
    inflight: int = 16 << 20  # bytes asked for by requests that wait
    unsent: int = 4 << 20  # bytes of long answers that are made before some have been sent
    rate: int = 0  # messages a second, 0 for any; whoever sends more is read more slowly


class Waiting:
    """A request that has not been answered."""

    __slots__ = ("fid", "pending", "size")

    def __init__(self, pending: Pending[Any], fid: int, size: int) -> None:
        self.pending, self.fid, self.size = pending, fid, size


class Replies:
    """Tags and answers. `wake` is called when `out` has answers outside of the receiving of requests.

    `outright(parts)` may send them at once, before it returns; else it gives False, and they go into `out`.
    """

    def __init__(
        self, owner: Owner, wake: Callable[[], None], bounds: Bounds | None = None
    ) -> None:
        self.owner, self.wake = owner, wake
        self.bounds = bounds or Bounds()
        self.msize = min(GREETING, self.bounds.msize)  # until a Tversion has agreed on one
        self.most = self.msize - IOHDR
        self.fids: dict[int, Fid] = {}
        self.waiting: dict[int, Waiting] = {}
        self.inflight = 0
        self.requests: int = 0
        self.errors: int = 0
        self.out: list[Bytes] = []
        self.unsent = 0  # bytes of long answers in `out`
        self.outright: Callable[[Sequence[Bytes]], bool] = _not_now
        self.receiving = False
        self.calm = True  # what came last was looked up only: nothing waits for the loop to turn
        self.refusal: Callable[[str, int], Message] = plain

    @property
    def full(self) -> bool:
        """So many long answers are there that the next requests have to wait."""
        return self.unsent >= self.bounds.unsent

    def sent(self) -> None:
        """The transport has taken `out`."""
        self.out.clear()
        self.unsent = 0

    def answer(
        self, tag: int, value: Any, fid: int, size: int, done: Callable[[int, Any, int], None]
    ) -> None:
        """Give a request's answer to `done`, now or when it comes; `size` is what it may be in bytes."""
        if not waits(value):
            self._finish(tag, value, size, done)
            return
        pending: Pending[Any] = value
        if len(self.waiting) >= self.bounds.pending or self.inflight + size > self.bounds.inflight:
            pending.cancel()
            what = f"{len(self.waiting)} requests wait for {self.inflight} bytes"
            why, f = LimitReached(f"{what}; wait for some answers first"), self.fids.get(fid)
            self.failed(tag, why, "wait", f.name if f else "")
            return
        self.waiting[tag] = w = Waiting(pending, fid, size)
        self.inflight += size
        pending.then(lambda p: self._settled(tag, w, p, done))

    def _finish(
        self, tag: int, value: Any, size: int, done: Callable[[int, Any, int], None]
    ) -> None:
        try:
            done(tag, value, size)
        except Exception as error:  # what the file gave does not fit into an answer
            self.failed(tag, error, "answer", "")

    def _settled(
        self, tag: int, w: Waiting, p: Pending[Any], done: Callable[[int, Any, int], None]
    ) -> None:
        if self.waiting.get(tag) is not w:
            return
        self.end(tag)
        try:
            value = p.result()
        except Exception as error:
            f = self.fids.get(w.fid)
            self.failed(tag, error, "wait", f.name if f else "")
        else:
            self._finish(tag, value, w.size, done)
        if not self.receiving:
            self.wake()

    def end(self, tag: int) -> Waiting | None:
        """A request waits no longer."""
        w = self.waiting.pop(tag, None)
        if w is not None:
            self.inflight -= w.size
        return w

    def interrupt(self, fid: int, path: str, why: Lux9Error | None = None) -> None:
        """Give up whatever waits on a fid, and say so."""
        for tag in [tag for tag, w in self.waiting.items() if w.fid == fid]:
            w = self.end(tag)
            assert w is not None
            w.pending.cancel()
            self.failed(tag, why or Interrupted("the fid was clunked"), "wait", path)

    def data(self, tag: int, data: Bytes, size: int) -> None:
        """An Rread, of `size` bytes at most: a file that gives more than it was asked for is cut."""
        n = len(data)
        if n > size:
            data, n = data[:size], size
        head = DATA.pack(n + DATA.size, m.Rread.number, tag, n)
        if n < COPY:
            self.out.append(b"".join((head, data)))
        elif type(data) is not bytes and self.outright([*self.out, head, data]):
            self.sent()
        else:  # a view is good only now
            self.out += (head, data if type(data) is bytes else bytes(data))
            self.unsent += n

    def wrote(self, tag: int, count: int, size: int) -> None:
        """An Rwrite."""
        self.out.append(DATA.pack(DATA.size, m.Rwrite.number, tag, count))

    def reply(self, tag: int, message: Message, size: int) -> None:
        """Any other answer."""
        packet = message.encode(tag)
        if len(packet) > self.msize:
            raise LimitReached(f"an answer of {len(packet)} bytes; the msize is {self.msize}")
        self.out.append(packet)

    def failed(self, tag: int, error: Exception, what: str, path: str) -> None:
        """An Rerror, or what the dialect has in its stead: `what` was asked of the file `path`."""
        self.errors += 1
        self.owner.refused(error, what, path)
        text = text_of(error).replace("\0", "\\0").encode(errors="backslashreplace")
        room = min(self.msize - ERRHDR, LONGEST)
        refusal = self.refusal(text[:room].decode(errors="ignore"), number_of(error))
        self.out.append(refusal.encode(tag))


def _not_now(parts: Sequence[Bytes]) -> bool:
    return False


def plain(text: str, number: int) -> m.Rerror:
    """The refusal of 9P2000."""
    return m.Rerror(text)
