"""Tags and the queue of one client connection, with no socket: requests out, answers in.

Every request is a `Pending`. Requests are queued and sent together: when somebody waits, or at the end of the
loop's turn. A callback runs in the middle of `receive` and must not raise.

Re-entrance: with a loop attached, the callbacks of requests marked `later` (what programs submit and have told
to them) run after the answers in hand were taken in, never in the middle of somebody's synchronous wait.

Flushing, by flush(5): a request that nobody wants any more is flushed; its tag is free again when the Rflush is
there, whether or not its own answer came first.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Callable
from typing import Any, Protocol

from ..errors import BadArgument, Disconnected, Lux9Error, ProtocolError, RemoteError, number_of
from ..pending import Maybe, Pending
from ..wire import messages as m
from ..wire.codec import HEADER, NOTAG, Dialect, Message
from ..wire.messages import IOHDR
from ..wire.node import Bytes
from .speech import ERRORS, refusal

TREAD, TWRITE = m.Tread.head, m.Twrite.head
MSIZE = (1 << 20) + IOHDR
TAGS = 1024  # that are there from the start; more are made when they are needed


class Wire(Protocol):
    """What carries the bytes."""

    def send(self, parts: list[Bytes]) -> None:
        """Send them all, in order."""
        ...

    def wait(self) -> None:
        """Return when something came in and was given to `Requests.receive`."""
        ...

    def pause(self, seconds: float) -> None:
        """Let time pass for the other side; whoever polls calls this between two looks."""
        ...

    def close(self) -> None:
        """Hang up."""
        ...


Again = Callable[[], Maybe[Any]]


class Request:
    """A request on its way, and the number of its answer.

    `pending` is None for a posted one; `copy`: the data outlives the callback; `again`: how to ask once more.
    """

    __slots__ = ("again", "answer", "copy", "later", "name", "pending")

    def __init__(
        self,
        pending: Pending[Any] | None,
        answer: int,
        name: str,
        copy: bool,
        later: bool,
        again: Again | None = None,
    ) -> None:
        self.pending, self.answer, self.name = pending, answer, name
        self.copy, self.later, self.again = copy, later, again


class Requests:
    """Tags, and what is asked under them."""

    wire: Wire

    def __init__(self, msize: int = MSIZE) -> None:
        self.msize, self.most = msize, msize - IOHDR
        self.dialect: Dialect = m.P9
        self.queue: list[Bytes] = []
        self.table: dict[int, Request] = {}
        self.tags = list(range(TAGS - 1, -1, -1))
        self.top_tag = TAGS
        self.held: set[int] = set()  # flushed tags, not free before their Rflush
        self.posted = 0  # writes on their way that nobody waits for
        self.posted_error: Lux9Error | None = None
        self.gone: Lux9Error | None = None
        self.soon: Callable[[Callable[[], None]], Any] | None = None  # a loop's call_soon
        self.scheduled = False
        self.backlog: deque[tuple[Pending[Any], Any, Exception | None]] = deque()

    # -- out

    def submit(self, message: Message, *, name: str = "", later: bool = False) -> Pending[Any]:
        """Queue a message; its answer, or RemoteError. Raises ProtocolError when it cannot be encoded."""
        tag = NOTAG if isinstance(message, m.Tversion) else self._tag()
        pending: Pending[Any] = Pending(lambda: self._flush_tag(tag))
        try:
            packet = message.encode(tag)
        except ProtocolError:
            self.tags.append(tag)
            raise
        self._enter(tag, Request(pending, message.number + 1, name, True, later), packet)
        return pending

    def read(
        self,
        fid: int,
        offset: int,
        count: int,
        *,
        later: bool = False,
        copy: bool = False,
        again: Again | None = None,
    ) -> Pending[Bytes]:
        """One Tread of at most `most` bytes. The data is a view, good only in the callback, unless `copy`."""
        tag = self._tag()
        pending: Pending[Bytes] = Pending(lambda: self._flush_tag(tag))
        count = min(count, self.most)
        try:
            packet = TREAD.pack(23, 116, tag, fid, offset, count)
        except struct.error:
            raise self._beyond(tag, offset) from None
        self._enter(tag, Request(pending, 117, "", copy, later, again), packet)
        return pending

    def write(
        self,
        fid: int,
        offset: int,
        data: Bytes,
        *,
        later: bool = False,
        again: Again | None = None,
    ) -> Pending[int]:
        """One Twrite of at most `most` bytes; `data` is copied before this returns."""
        tag = self._tag()
        pending: Pending[int] = Pending(lambda: self._flush_tag(tag))
        request = Request(pending, 119, "", True, later, again)
        self._enter(tag, request, self._twrite(tag, fid, offset, data))
        return pending

    def post(self, fid: int, offset: int, data: Bytes, name: str) -> None:
        """A Twrite that nobody waits for; an error is kept for the next `check`, and names the write."""
        if self.gone is not None:
            raise self.gone
        tag = self._tag()
        packet = self._twrite(tag, fid, offset, data)
        self.posted += 1
        self._enter(tag, Request(None, 119, f"{name}+{offset:#x}", True, False), packet)

    def _twrite(self, tag: int, fid: int, offset: int, data: Bytes) -> bytes:
        data = data[: self.most]
        n = len(data)
        try:
            head = TWRITE.pack(23 + n, 118, tag, fid, offset, n)
        except struct.error:
            raise self._beyond(tag, offset) from None
        return b"".join((head, data))

    def _beyond(self, tag: int, offset: int) -> BadArgument:
        """The only thing in a Tread or Twrite that is not of our making."""
        self.tags.append(tag)
        return BadArgument(f"offset {offset} is not one of a file: 0 to 2^64-1")

    def _enter(self, tag: int, request: Request, packet: bytes) -> None:
        if self.gone is not None and request.pending is not None:
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
            if self.top_tag >= NOTAG:
                raise ProtocolError(f"{self.top_tag} requests are waiting; no tag is left")
            self.top_tag += 1
            return self.top_tag - 1
        return self.tags.pop()

    def _flush_tag(self, old: int) -> None:
        """Nobody wants that answer any more."""
        if old not in self.table or self.gone is not None:
            return
        self.held.add(old)
        self.submit(m.Tflush(old)).then(lambda _: self._release(old))

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
                raise self._unasked(kind, tag, buf, at, at + size)
            if tag != NOTAG and tag not in self.held:
                self.tags.append(tag)
            try:
                self._settle(request, kind, buf, at, at + size)
            except ProtocolError:
                table[tag] = request  # so that `lost` tells whoever waits for it
                raise
            at += size
        return at

    def _unasked(self, kind: int, tag: int, buf: memoryview, at: int, end: int) -> ProtocolError:
        if kind in ERRORS and tag == NOTAG:  # a server's last word before it hangs up
            return ProtocolError(str(refusal(self.dialect, kind, buf, at + 7, end)))
        return ProtocolError(f"an answer to tag {tag}, which asked nothing")

    def _settle(self, request: Request, kind: int, buf: memoryview, at: int, end: int) -> None:
        value: Any
        error: Exception | None = None
        if kind in ERRORS:
            value, error = None, refusal(self.dialect, kind, buf, at + 7, end)
        elif kind != request.answer:
            raise ProtocolError(f"message {kind} as an answer to message {request.answer - 1}")
        elif kind == 117 and end - at >= 11:
            value = buf[at + 11 : end]
            if int.from_bytes(buf[at + 7 : at + 11], "little") != len(value):
                raise ProtocolError("an Rread whose count is not that of its data")
            if request.copy or (request.later and self.soon is not None):
                value = bytes(value)
        elif kind == 119 and end - at == 11:
            value = int.from_bytes(buf[at + 7 : end], "little")
        else:
            value = self.dialect.parse(kind, buf, at + 7, end)
        self._tell(request, value, error)

    def _tell(self, request: Request, value: Any, error: Exception | None) -> None:
        pending = request.pending
        if pending is None:
            self.posted -= 1
            if error is not None and self.posted_error is None:
                self.posted_error = RemoteError(
                    f"{error} (posted write to {request.name})", number_of(error)
                )
        elif request.later and self.soon is not None:
            self._put_off(pending, value, error)
        else:
            _give(pending, value, error)

    def _put_off(self, pending: Pending[Any], value: Any, error: Exception | None) -> None:
        assert self.soon is not None
        self.backlog.append((pending, value, error))
        if len(self.backlog) == 1:
            self.soon(self.deliver)

    def deliver(self) -> None:
        """Run the callbacks that were put off; one that raises does not keep the others back."""
        backlog, self.backlog = self.backlog, deque()
        try:
            while backlog:
                _give(*backlog.popleft())
        finally:
            if backlog:
                self.backlog.extendleft(reversed(backlog))
                if self.soon is not None:
                    self.soon(self.deliver)

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
        table = list(self.table.values())
        self.table.clear()
        self.queue.clear()
        self.posted = 0
        for request in table:
            if request.pending is None or request.pending.done:
                continue
            if request.again is not None:  # it is asked again, of whoever comes next
                self._ask_again(request.pending, request.again)
            else:
                self._tell(request, None, self.gone)

    def _ask_again(self, pending: Pending[Any], again: Again) -> None:
        try:
            pending.follow(again())
        except Lux9Error as error:
            pending.fail(error)


def _give(pending: Pending[Any], value: Any, error: Exception | None) -> None:
    if error is None:
        pending.resolve(value)
    else:
        pending.fail(error)
