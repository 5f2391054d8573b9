"""The server's side of one connection: bytes in, bytes out, no socket.

`receive` takes everything that has arrived, answers what can be answered at once, and leaves the answers in
`out`, so that a transport sends them together. A small read or write of an open file takes the short way
through it: no message object, no task, no await. Whatever has to wait is a `Pending` under its tag, which
Tflush, a clunk or the end of the connection cancels.

Fid rules, from intro(5): a fid names a file until it is clunked or removed; a walk does not touch an open fid;
a tag is in use until its answer is sent.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..errors import BadArgument, BadFid, Interrupted, LimitReached, Lux9Error, NotSupported
from ..errors import PermissionDenied, ProtocolError, text_of
from ..pending import Maybe, Pending, after
from ..wire import messages as m
from ..wire.codec import HEADER, NOFID, DecodeError, Dialect, Message
from ..wire.messages import IOHDR, Qid, Stat
from ..wire.node import Bytes, Handle, Node

READ = struct.Struct("<IQI")  # fid[4] offset[8] count[4]
DATA = struct.Struct("<IBHI")  # header, count[4]
MSIZE = (1 << 20) + IOHDR
LEAST_MSIZE = 256
COPY = 16384  # bytes from which an answer's data is sent beside its header instead of joined to it


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


class Fid:
    """A file that the client names: walked to, and perhaps opened."""

    __slots__ = ("entries", "handle", "name", "node", "opened", "orclose", "read", "write")

    def __init__(self, node: Node | None, name: str) -> None:
        self.node, self.name = node, name
        self.opened = self.orclose = False
        self.handle: Any = None
        self.read: Callable[[int, int], Maybe[Bytes]] | None = None
        self.write: Callable[[int, memoryview], Maybe[int]] | None = None
        self.entries: list[bytes] | None = None

    def start(self, handle: Any, mode: int, is_dir: bool) -> None:
        """Take an open's result."""
        self.handle, self.opened, self.orclose = handle, True, bool(mode & m.ORCLOSE)
        if not is_dir:
            self.read = handle.read if mode & 3 != m.OWRITE else None
            self.write = handle.write if mode & 3 in (m.OWRITE, m.ORDWR) else None

    def close(self) -> None:
        """Let the file go."""
        handle, self.handle = self.handle, None
        self.read = self.write = self.node = None
        if handle is not None:
            handle.close()


class Waiting:
    """A request that has not been answered."""

    __slots__ = ("fid", "pending", "size")

    def __init__(self, pending: Pending[Any], fid: int, size: int) -> None:
        self.pending, self.fid, self.size = pending, fid, size


class Session:
    """The fids and tags of one connection. `wake` is called when `out` has answers outside of `receive`."""

    def __init__(self, owner: Owner, wake: Callable[[], None], bounds: Bounds | None = None) -> None:
        self.owner, self.wake = owner, wake
        self.bounds = bounds or Bounds()
        self.msize, self.most = self.bounds.msize, self.bounds.msize - IOHDR
        self.dialect: Dialect | None = None
        self.fids: dict[int, Fid] = {}
        self.waiting: dict[int, Waiting] = {}
        self.inflight = self.requests = self.errors = 0
        self.out: list[Bytes] = []
        self.receiving = False

    # -- bytes in

    def receive(self, buf: memoryview) -> int:
        """Answer every whole message in `buf`; how many bytes they were. Raises ProtocolError when lost."""
        at, end, out, fids = 0, len(buf), self.out, self.fids
        self.receiving = True
        try:
            while end - at >= 7:
                size, kind, tag = HEADER.unpack_from(buf, at)
                if not 7 <= size <= self.msize:
                    raise ProtocolError(f"a message of {size} bytes; msize is {self.msize}")
                if end - at < size:
                    break
                if kind == 116 and size == 23 and tag not in self.waiting:  # Tread
                    number, offset, count = READ.unpack_from(buf, at + 7)
                    f = fids.get(number)
                    if f is not None and f.read is not None:
                        self.requests += 1
                        try:
                            data = f.read(offset, count if count < self.most else self.most)
                        except Exception as error:
                            self._failed(tag, error, "read", f.name)
                        else:
                            if type(data) is bytes and len(data) < COPY:
                                n = len(data)
                                out.append(DATA.pack(n + 11, 117, tag, n) + data)
                            else:
                                self._answer(tag, data, number, count, self._data)
                        at += size
                        continue
                elif kind == 118 and size >= 23 and tag not in self.waiting:  # Twrite
                    number, offset, count = READ.unpack_from(buf, at + 7)
                    f = fids.get(number)
                    if f is not None and f.write is not None and size == count + 23:
                        self.requests += 1
                        try:
                            done = f.write(offset, buf[at + 23 : at + size])
                        except Exception as error:
                            self._failed(tag, error, "write", f.name)
                        else:
                            if type(done) is int:
                                out.append(DATA.pack(11, 119, tag, done))
                            else:
                                self._answer(tag, done, number, count, self._wrote)
                        at += size
                        continue
                self._message(kind, tag, buf, at + 7, at + size)
                at += size
        finally:
            self.receiving = False
        return at

    def _message(self, kind: int, tag: int, buf: memoryview, at: int, end: int) -> None:
        self.requests += 1
        what = "message"
        try:
            if self.dialect is None and kind != m.Tversion.number:
                raise ProtocolError(f"message {kind} before Tversion")
            if tag in self.waiting:
                raise ProtocolError(f"tag {tag} is in use")
            request = (self.dialect or m.P9).parse(kind, buf, at, end)
            what = type(request).__name__
            act = getattr(self, "_" + what.lower(), None)
            if act is None:
                raise ProtocolError(f"{what} is not a request")
            answer = act(request)
        except Exception as error:
            self._failed(tag, error, what, "")
        else:
            self._answer(tag, answer, getattr(request, "fid", NOFID), 0, self._reply)

    # -- answers out

    def _answer(
        self, tag: int, value: Any, fid: int, size: int, done: Callable[[int, Any], None]
    ) -> None:
        if not isinstance(value, Pending):
            done(tag, value)
            return
        if len(self.waiting) >= self.bounds.pending or self.inflight + size > self.bounds.inflight:
            value.cancel()
            what = f"{len(self.waiting)} requests wait for {self.inflight} bytes"
            self._failed(tag, LimitReached(f"{what}; wait for some answers first"), "wait", "")
            return
        self.waiting[tag] = Waiting(value, fid, size)
        self.inflight += size
        value.then(lambda p: self._settled(tag, p, done))

    def _settled(self, tag: int, p: Pending[Any], done: Callable[[int, Any], None]) -> None:
        w = self.waiting.pop(tag, None)
        if w is None:
            return
        self.inflight -= w.size
        try:
            value = p.result()
        except BaseException as error:
            f = self.fids.get(w.fid)
            self._failed(tag, error, "wait", f.name if f else "")
        else:
            done(tag, value)
        if not self.receiving:
            self.wake()

    def _data(self, tag: int, data: Bytes) -> None:
        n = len(data)
        head = DATA.pack(n + 11, 117, tag, n)
        if n < COPY:
            self.out.append(b"".join((head, data)))
        else:  # a view is good only now
            self.out += (head, data if type(data) is bytes else bytes(data))

    def _wrote(self, tag: int, count: int) -> None:
        self.out.append(DATA.pack(11, 119, tag, count))

    def _reply(self, tag: int, message: Message) -> None:
        self.out.append(message.encode(tag))

    def _failed(self, tag: int, error: BaseException, what: str, path: str) -> None:
        self.errors += 1
        if isinstance(error, Exception):
            self.owner.refused(error, what, path)
        room = self.msize - 9
        self.out.append(m.Rerror(text_of(error).encode()[:room].decode(errors="ignore")).encode(tag))

    # -- the session

    def _tversion(self, t: m.Tversion) -> m.Rversion:
        if t.msize < LEAST_MSIZE:
            raise BadArgument(f"msize {t.msize}: at least {LEAST_MSIZE}")
        self.reset()
        family, _, _ = t.version.partition(".")
        dialect = m.DIALECTS.get(t.version) or m.DIALECTS.get(family)
        if dialect is None:
            return m.Rversion(min(t.msize, self.bounds.msize), "unknown")
        self.dialect = dialect
        self.msize = min(t.msize, self.bounds.msize)
        self.most = self.msize - IOHDR
        return m.Rversion(self.msize, dialect.version)

    def _tauth(self, t: m.Tauth) -> m.Rauth:
        raise NotSupported("no authentication: the connection is the identity; attach with afid NOFID")

    def _tattach(self, t: m.Tattach) -> Maybe[m.Rattach]:
        if t.afid != NOFID:
            raise BadFid(f"afid {t.afid}: no authentication here; attach with afid NOFID")
        self._free(t.fid)
        hold = self.fids[t.fid] = Fid(None, t.aname or "/")

        def made(node: Node) -> m.Rattach:
            hold.node = node
            return m.Rattach(node.qid)

        return self._or_drop(t.fid, hold, lambda: after(self.owner.attach(t.uname, t.aname), made))

    def _tflush(self, t: m.Tflush) -> m.Rflush:
        w = self.waiting.pop(t.oldtag, None)
        if w is not None:
            self.inflight -= w.size
            w.pending.cancel()
        return m.Rflush()

    # -- fids

    def _free(self, number: int) -> None:
        if number in self.fids:
            raise BadFid(f"fid {number} is in use")
        if number == NOFID:
            raise BadFid("NOFID is not a fid")
        if len(self.fids) >= self.bounds.fids:
            raise LimitReached(f"{len(self.fids)} fids are in use; clunk some")

    def _or_drop(self, number: int, hold: Fid, act: Callable[[], Maybe[Any]]) -> Maybe[Any]:
        """A fid that is being made goes away again when making it fails, or nobody waits for it."""

        def drop() -> None:
            if self.fids.get(number) is hold:
                del self.fids[number]

        try:
            made = act()
        except BaseException:
            drop()
            raise
        if not isinstance(made, Pending):
            return made
        inner: Pending[Any] = made

        def cancel() -> None:
            drop()
            inner.cancel()

        out: Pending[Any] = Pending(cancel)

        def settled(p: Pending[Any]) -> None:
            try:
                out.resolve(p.result())
            except BaseException as error:
                drop()
                out.fail(error)

        inner.then(settled)
        return out

    def _fid(self, number: int) -> tuple[Fid, Node]:
        f = self.fids.get(number)
        if f is None or f.node is None:
            raise BadFid(f"fid {number} is unknown")
        return f, f.node

    def _twalk(self, t: m.Twalk) -> Maybe[m.Rwalk]:
        f, node = self._fid(t.fid)
        if f.opened:
            raise BadFid(f"fid {t.fid} is open; clone it before it is opened")
        if len(t.names) > m.MAXWELEM:
            raise BadArgument(f"{len(t.names)} names in a walk; {m.MAXWELEM} at most")
        for name in t.names:
            if not name or "/" in name:
                raise BadArgument(f"{name!r} is not a file name")
        if t.newfid == t.fid:
            return after(_steps(node, t.names), lambda got: self._walked(f, got, t.names))
        self._free(t.newfid)
        hold = self.fids[t.newfid] = Fid(None, f.name)

        def walked(got: tuple[Node | None, tuple[Qid, ...]]) -> m.Rwalk:
            if got[0] is None:
                del self.fids[t.newfid]
            return self._walked(hold, got, t.names)

        return self._or_drop(t.newfid, hold, lambda: after(_steps(node, t.names), walked))

    def _walked(
        self, f: Fid, got: tuple[Node | None, tuple[Qid, ...]], names: Sequence[str]
    ) -> m.Rwalk:
        node, qids = got
        if node is not None:
            f.node = node
            f.name = "/".join((f.name.rstrip("/"), *names)) if names else f.name
        return m.Rwalk(qids)

    def _topen(self, t: m.Topen) -> Maybe[m.Ropen]:
        f, node = self._fid(t.fid)
        if f.opened:
            raise BadFid(f"fid {t.fid} is open already")
        f.opened = True  # while the open is on its way, too
        is_dir = node.qid.is_dir

        def opened(handle: Any) -> m.Ropen:
            f.start(handle, t.mode, is_dir)
            return m.Ropen(node.qid, self.most)

        try:
            return _closing(f, after(node.open(t.mode), opened))
        except BaseException:
            f.opened = False
            raise

    def _tcreate(self, t: m.Tcreate) -> Maybe[m.Rcreate]:
        f, node = self._fid(t.fid)
        if f.opened:
            raise BadFid(f"fid {t.fid} is open")
        if not node.qid.is_dir:
            raise BadArgument(f"{f.name} is not a directory; nothing is created in it")
        if t.name in ("", ".", "..") or "/" in t.name:
            raise BadArgument(f"{t.name!r} is not a file name")

        def created(made: tuple[Node, Any]) -> m.Rcreate:
            f.node, f.name = made[0], f"{f.name.rstrip('/')}/{t.name}"
            f.start(made[1], t.mode, made[0].qid.is_dir)
            return m.Rcreate(made[0].qid, self.most)

        return after(node.create(t.name, t.perm, t.mode), created)

    def _tread(self, t: m.Tread) -> Maybe[m.Rread]:
        f, _ = self._fid(t.fid)
        if not f.opened or f.handle is None:
            raise BadFid(f"fid {t.fid} is not open")
        if not hasattr(f.handle, "entries"):
            raise BadFid(f"fid {t.fid} is not open for reading")
        count = min(t.count, self.most)
        if f.entries is not None and t.offset:
            return m.Rread(_cut(f.entries, t.offset, count))

        def listed(stats: Sequence[Stat]) -> m.Rread:
            f.entries = [stat.put() for stat in stats]
            return m.Rread(_cut(f.entries, t.offset, count))

        return after(f.handle.entries(), listed)

    def _twrite(self, t: m.Twrite) -> m.Rwrite:
        f, _ = self._fid(t.fid)
        if f.opened and f.handle is not None and hasattr(f.handle, "entries"):
            raise PermissionDenied(f"{f.name} is a directory; it cannot be written")
        state = "not open for writing" if f.opened else "not open"
        raise BadFid(f"fid {t.fid} is {state}")

    def _tclunk(self, t: m.Tclunk) -> m.Rclunk:
        self._drop(t.fid)
        return m.Rclunk()

    def _drop(self, number: int) -> None:
        f = self.fids.pop(number, None)
        if f is None:
            raise BadFid(f"fid {number} is unknown")
        for tag in [tag for tag, w in self.waiting.items() if w.fid == number]:
            w = self.waiting.pop(tag)
            self.inflight -= w.size
            w.pending.cancel()
            self._failed(tag, Interrupted("the fid was clunked"), "wait", f.name)
        node = f.node
        f.close()
        if f.orclose and node is not None:
            node.remove()

    def _tremove(self, t: m.Tremove) -> Maybe[m.Rremove]:
        _, node = self._fid(t.fid)
        self._drop(t.fid)  # even when the remove fails (remove(5))
        return after(node.remove(), lambda _: m.Rremove())

    def _tstat(self, t: m.Tstat) -> Maybe[m.Rstat]:
        _, node = self._fid(t.fid)
        return after(node.stat(), m.Rstat)

    def _twstat(self, t: m.Twstat) -> Maybe[m.Rwstat]:
        _, node = self._fid(t.fid)
        return after(node.wstat(t.stat), lambda _: m.Rwstat())

    # -- the end

    def reset(self) -> None:
        """Cancel what waits and clunk every fid: a new Tversion, or the end of the connection."""
        waiting, self.waiting, self.inflight = self.waiting, {}, 0
        for w in waiting.values():
            w.pending.cancel()
        fids = list(self.fids.values())
        self.fids.clear()
        for f in fids:
            f.close()


Steps = tuple["Node | None", tuple[Qid, ...]]


def _steps(node: Node, names: Sequence[str], qids: tuple[Qid, ...] = ()) -> Maybe[Steps]:
    """Walk name by name. A first name that fails is an error; a later one ends the walk (walk(5))."""
    for i, name in enumerate(names):
        try:
            found = node.walk(name)
        except Lux9Error:
            if not qids:
                raise
            return None, qids
        if isinstance(found, Pending):
            return _later(found, names[i + 1 :], qids)
        node = found
        qids = (*qids, node.qid)
    return node, qids


def _later(found: Pending[Node], rest: Sequence[str], qids: tuple[Qid, ...]) -> Pending[Steps]:
    out: Pending[Steps] = Pending(found.cancel)

    def settled(p: Pending[Node]) -> None:
        try:
            node = p.result()
            got = _steps(node, rest, (*qids, node.qid))
        except Exception as error:
            if qids and isinstance(error, Lux9Error):
                out.resolve((None, qids))
            else:
                out.fail(error)
            return
        if isinstance(got, Pending):
            got.then(out.take)
        else:
            out.resolve(got)

    found.then(settled)
    return out


def _closing(f: Fid, opened: Maybe[m.Ropen]) -> Maybe[m.Ropen]:
    """An open that fails or is given up later leaves the fid as it was."""
    if not isinstance(opened, Pending):
        return opened
    inner: Pending[m.Ropen] = opened

    def cancel() -> None:
        f.opened = False
        inner.cancel()

    def settled(p: Pending[m.Ropen]) -> None:
        if f.handle is None:
            f.opened = False
        out.take(p)

    out: Pending[m.Ropen] = Pending(cancel)

    opened.then(settled)
    return out


def _cut(entries: list[bytes], offset: int, count: int) -> bytes:
    """The whole entries of a directory from `offset` that fit into `count` (read(5))."""
    at = 0
    for i, entry in enumerate(entries):
        if at == offset:
            return _whole(entries[i:], count)
        at += len(entry)
    if at == offset:
        return b""
    raise BadArgument(f"offset {offset} is not where an entry begins")


def _whole(entries: list[bytes], count: int) -> bytes:
    total = fit = 0
    for entry in entries:
        if total + len(entry) > count:
            break
        total, fit = total + len(entry), fit + 1
    if entries and not fit:
        raise BadArgument(f"count {count} is too small for an entry of {len(entries[0])} bytes")
    return b"".join(entries[:fit])


__all__ = ["Bounds", "DecodeError", "Handle", "Owner", "Session"]
