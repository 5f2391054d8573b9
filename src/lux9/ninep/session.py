"""The server's side of one connection: bytes in, bytes out, no socket.

`receive` takes everything that has arrived, answers what can be answered at once, and leaves the answers in
`out`, so that a transport sends them together. A small read or write of an open file takes the short way
through it: no message object, no task, no await. Whatever has to wait is a `Pending` under its tag, which
Tflush, a clunk or the end of the connection cancels.

Fid rules, from intro(5): a fid names a file until it is clunked or removed; a walk does not touch an open fid;
a tag is in use until its answer is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ..errors import (
    BadArgument,
    BadFid,
    IsADirectory,
    LimitReached,
    Lux9Error,
    NotADirectory,
    NotSupported,
    ProtocolError,
)
from ..pending import Maybe, after, waits
from ..wire import messages as m
from ..wire.codec import HEADER, NOFID, Dialect, Message
from ..wire.dialects import choose
from ..wire.messages import IOHDR
from ..wire.node import Node
from .fids import Fid, Packed, Record, opening
from .quick import TOLD, Shortcuts
from .replies import COPY, Bounds, Owner
from .speaking import Act, parse, speak, strange
from .walks import Steps, check_name, check_names, steps

TREAD, TWRITE, RREAD, RWRITE = (c.number for c in (m.Tread, m.Twrite, m.Rread, m.Rwrite))
IO, DATA = m.Tread.head.size, m.Rread.head.size
assert m.Twrite.head.format == m.Tread.head.format, "one look tells a Tread and a Twrite"
assert m.Rwrite.head.format == m.Rread.head.format, "both begin with a count"
head, io, pack = HEADER.unpack_from, m.Tread.head.unpack_from, m.Rread.head.pack
LEAST_MSIZE = 256
REQUESTS = [
    (kind, cls.__name__) for kind, cls in m.P9.types.items() if cls.__name__.startswith("T")
]


class Session(Shortcuts):
    """The fids and tags of one connection; `acts` says who answers which request of its dialect."""

    dialect: Dialect | None = None
    acts: dict[int, Act]
    directory: Callable[[Fid], Maybe[Sequence[Record]]] | None = None  # how one is read, if not so

    # -- bytes in

    def receive(self, buf: memoryview) -> int:
        """Answer the whole messages in `buf`; how many bytes they were. Raises ProtocolError when lost.

        It stops early when `bounds.unsent` bytes of answers are there: send them, and call it again.
        """
        if self.unsent and self.full:
            return 0
        at, end, out, fids, waiting = 0, len(buf), self.out, self.fids, self.waiting
        asked = number = offset = count = 0
        self.receiving = self.calm = True
        try:
            while (left := end - at) >= HEADER.size:
                if left >= IO:
                    size, kind, tag, number, offset, count = io(buf, at)
                    if kind == TREAD and size == IO and tag not in waiting:
                        f = fids.get(number)
                        if f is not None and f.read is not None:
                            asked += 1
                            at += IO
                            if count > self.most:
                                count = self.most
                            try:
                                data = f.read(offset, count)
                            except Exception as error:
                                self.failed(tag, error, "read", f.name)
                                continue
                            if type(data) is bytes and (n := len(data)) < COPY and n <= count:
                                out.append(pack(n + DATA, RREAD, tag, n) + data)
                                continue
                            self.answer(tag, data, number, count, self.data)
                            if self.full:
                                break
                            continue
                else:
                    size, kind, tag = head(buf, at)
                if not HEADER.size <= size <= self.msize:
                    raise ProtocolError(strange(size, self.msize))
                if left < size:
                    break
                if (
                    kind in self.quick
                    and tag not in waiting
                    and self.quick[kind](buf, at, size, tag)
                ):
                    asked += 1
                    at += size
                    continue
                self.calm = False
                if kind == TWRITE and size == count + IO and tag not in waiting:
                    f = fids.get(number)
                    if f is not None and f.write is not None:
                        asked += 1
                        at += size
                        try:
                            done = f.write(offset, buf[at - count : at])
                        except Exception as error:
                            self.failed(tag, error, "write", f.name)
                            continue
                        if type(done) is int:
                            out.append(pack(DATA, RWRITE, tag, done))
                        else:
                            self.answer(tag, done, number, count, self.wrote)
                        continue
                at += size
                self._message(kind, tag, buf, at - size + HEADER.size, at)
                if self.full:
                    break
        finally:
            self.receiving = False
            self.requests += asked
        return at

    def _message(self, kind: int, tag: int, buf: memoryview, at: int, end: int) -> None:
        """Whatever is not the short way."""
        self.requests += 1
        what, path, fid = "message", "", NOFID
        try:
            request, act = self._parse(kind, tag, buf, at, end)
            what, fid = type(request).__name__, getattr(request, "fid", NOFID)
            path = self._path(request, fid)
            answer = act(request)
        except Exception as error:
            self.failed(tag, error, what, path)
            return
        self.answer(tag, answer, fid, 0, self.reply)
        if kind in TOLD and not waits(answer):
            self.learn(request, fid, answer)

    def _parse(
        self, kind: int, tag: int, buf: memoryview, at: int, end: int
    ) -> tuple[Message, Callable[[Any], Maybe[Message]]]:
        if kind != m.Tversion.number:  # which begins anew, whatever waits
            if self.dialect is None:
                raise ProtocolError(f"message {kind} before Tversion")
            if tag in self.waiting:
                raise ProtocolError(f"tag {tag} is in use")
            act = self.acts.get(kind)
        else:
            act = self._tversion
        request = parse(self.dialect or m.P9, kind, buf, at, end)
        if act is None:
            raise ProtocolError(f"{type(request).__name__} is not a request")
        return request, act

    def _path(self, request: Message, fid: int) -> str:
        """Which file it is about, in words."""
        f = self.fids.get(fid)
        if f is None:
            return getattr(request, "aname", "")
        if isinstance(request, m.Twalk):
            return f.below(*request.names)
        name = getattr(request, "name", "")
        return f.below(name) if name else f.name

    # -- the session

    def _tversion(self, t: m.Tversion) -> m.Rversion:
        if t.msize < LEAST_MSIZE:
            raise BadArgument(f"msize {t.msize}: at least {LEAST_MSIZE}")
        self.reset()
        self.dialect = choose(t.version)
        if self.dialect is not None:
            self.acts = {kind: getattr(self, "_" + name.lower()) for kind, name in REQUESTS}
            speak(self, self.dialect)
            self.quick = {k: act for k, act in self.shortcuts().items() if k in self.acts}
        self.msize = min(t.msize, self.bounds.msize)
        self.most = self.msize - IOHDR
        return m.Rversion(self.msize, self.dialect.version if self.dialect else "unknown")

    def _tauth(self, t: m.Tauth) -> m.Rauth:
        raise NotSupported(
            "no authentication: the connection is the identity; attach with afid NOFID"
        )

    def _tattach(self, t: m.Tattach) -> Maybe[m.Rattach]:
        if t.afid != NOFID:
            raise BadFid(f"afid {t.afid}: no authentication here; attach with afid NOFID")
        hold = self.hold(t.fid, t.aname or "/")

        def made(node: Node) -> m.Rattach:
            hold.node = node
            return m.Rattach(node.qid)

        return self.or_drop(t.fid, hold, lambda: after(self.owner.attach(t.uname, t.aname), made))

    def _tflush(self, t: m.Tflush) -> m.Rflush:
        w = self.end(t.oldtag)
        if w is not None:
            w.pending.cancel()
        return m.Rflush()

    # -- fids

    def hold(self, number: int, name: str) -> Fid:
        """A new fid, of no file yet."""
        if number == NOFID:
            raise BadFid("NOFID is not a fid")
        if number in self.fids:
            raise BadFid(f"fid {number} is in use")
        if len(self.fids) >= self.bounds.fids:
            raise LimitReached(f"{len(self.fids)} fids are in use; clunk some")
        hold = self.fids[number] = Fid(None, name)
        return hold

    def or_drop(self, number: int, hold: Fid, act: Callable[[], Maybe[Any]]) -> Maybe[Any]:
        """A fid that is being made goes away again when making it fails, or nobody waits for it."""

        def drop(_: object = None) -> None:
            if hold.node is None and self.fids.get(number) is hold:
                del self.fids[number]

        try:
            made = act()
        except Exception:
            drop()
            raise
        return made.ended(drop) if waits(made) else made

    def known(self, number: int) -> tuple[Fid, Node]:
        """A fid and its file. Raises BadFid."""
        f = self.fids.get(number)
        if f is None or f.node is None:
            raise BadFid(f"fid {number} is unknown")
        return f, f.node

    def unopened(self, number: int) -> tuple[Fid, Node]:
        """A fid that is not open."""
        f, node = self.known(number)
        if f.opened:
            raise BadFid(f"fid {number} is open already; walk to a new one before opening")
        return f, node

    def _twalk(self, t: m.Twalk) -> Maybe[m.Rwalk]:
        clones = self.linked and t.newfid != t.fid  # which strangers do of open directories, too
        f, node = self.known(t.fid) if clones else self.unopened(t.fid)
        check_names(t.names)
        name = f.below(*t.names)

        def stepped() -> Maybe[Steps]:
            return after(steps(node, t.names, self.linked), lambda got: self._stepped(got, name))

        if t.newfid == t.fid:
            return after(stepped(), lambda got: _moved(f, got, name))
        hold = self.hold(t.newfid, name)

        def walked(got: Steps) -> m.Rwalk:
            hold.node, answer = got.node, m.Rwalk(got.qids)
            if hold.node is None:
                del self.fids[t.newfid]
            elif got.steady:
                self.learn_walk(t, f, hold, answer)
            return answer

        return self.or_drop(t.newfid, hold, lambda: after(stepped(), walked))

    def _stepped(self, got: Steps, name: str) -> Steps:
        """A walk that ended early is answered by how far it came: whoever audits is told all the same."""
        if got.error is not None:
            self.owner.refused(got.error, "Twalk", name)
        return got

    def _topen(self, t: m.Topen) -> Maybe[m.Ropen]:
        f, node = self.unopened(t.fid)
        is_dir = node.qid.is_dir
        if is_dir and t.mode & m.ORCLOSE:
            raise IsADirectory(f"{f.name} cannot be removed on close")

        def opened(handle: Any) -> m.Ropen:
            f.start(handle, t.mode, is_dir)
            return m.Ropen(node.qid, self.most)

        return opening(f, lambda: after(node.open(t.mode), opened))

    def _tcreate(self, t: m.Tcreate) -> Maybe[m.Rcreate]:
        f, node = self.unopened(t.fid)
        if not node.qid.is_dir:
            raise NotADirectory(f"{f.name}; nothing is created in a file")
        check_name(t.name)
        if t.name in (".", ".."):
            raise BadArgument(f"{t.name!r} is not a file name")

        def created(made: tuple[Node, Any]) -> m.Rcreate:
            f.move(made[0], f.below(t.name))
            f.start(made[1], t.mode, made[0].qid.is_dir)
            return m.Rcreate(made[0].qid, self.most)

        return opening(f, lambda: after(node.create(t.name, t.perm, t.mode), created))

    def _tread(self, t: m.Tread) -> Maybe[m.Rread]:
        f, node = self.known(t.fid)
        if f.handle is None:
            raise BadFid(f"fid {t.fid} is not open")
        if not node.qid.is_dir:
            raise BadFid(f"fid {t.fid} is not open for reading")
        count = min(t.count, self.most)
        if f.entries is not None and t.offset:
            return m.Rread(f.entries.cut(t.offset, count))

        def listed(records: Sequence[Record]) -> m.Rread:
            f.entries = Packed(records)
            return m.Rread(f.entries.cut(t.offset, count))

        return after(self.listing(f), listed)

    def listing(self, f: Fid) -> Maybe[Sequence[Record]]:
        """An open directory's records as this dialect reads them."""
        return self.directory(f) if self.directory is not None else f.handle.entries()

    def _twrite(self, t: m.Twrite) -> m.Rwrite:
        f, node = self.known(t.fid)
        if node.qid.is_dir:
            raise IsADirectory(f"{f.name} cannot be written")
        raise BadFid(f"fid {t.fid} is not open{' for writing' if f.handle is not None else ''}")

    def _tclunk(self, t: m.Tclunk) -> Maybe[m.Rclunk]:
        return after(self.drop(t.fid), lambda _: m.Rclunk())

    def drop(self, number: int) -> Maybe[None]:
        """Let a fid go, with all that waits on it."""
        f, node = self.known(number)
        del self.fids[number]
        self.interrupt(number, f.name)
        f.close()
        return node.remove() if f.orclose else None

    def revoke(self, number: int, why: Lux9Error) -> None:
        """Take the file of a fid away: what waits on it fails, and so does all that is asked of it later."""
        f = self.fids[number]
        self.interrupt(number, f.name, why)
        f.revoke(why)
        self.wake()

    def _tremove(self, t: m.Tremove) -> Maybe[m.Rremove]:
        f, node = self.known(t.fid)
        f.orclose = False
        self.drop(t.fid)  # even when the remove fails (remove(5))
        return after(node.remove(), lambda _: m.Rremove())

    def _tstat(self, t: m.Tstat) -> Maybe[m.Rstat]:
        _, node = self.known(t.fid)
        return after(node.stat(), m.Rstat)

    def _twstat(self, t: m.Twstat) -> Maybe[m.Rwstat]:
        _, node = self.known(t.fid)
        return after(node.wstat(t.stat), lambda _: m.Rwstat())

    # -- the end

    def reset(self) -> None:
        """Cancel what waits and clunk every fid: a new Tversion, or the end of the connection."""
        waiting = list(self.waiting.values())
        self.waiting.clear()
        self.inflight = 0
        for w in waiting:
            w.pending.cancel()
        fids = list(self.fids.values())
        self.fids.clear()
        for f in fids:
            self._abandon(f)

    def _abandon(self, f: Fid) -> None:
        """Clunk with nobody to tell: what fails is told to the owner."""
        node = f.node
        try:
            f.close()
            if f.orclose and node is not None:
                node.remove()
        except Exception as error:
            self.owner.refused(error, "Tclunk", f.name)


def _moved(f: Fid, got: Steps, name: str) -> m.Rwalk:
    """A walk of a fid to elsewhere is done; it stays where it was if a name was not found."""
    if f.opened:
        raise BadFid("the fid was opened while it was walked")
    if got.node is not None:
        f.move(got.node, name)
    return m.Rwalk(got.qids)


__all__ = ["Bounds", "Owner", "Session"]
