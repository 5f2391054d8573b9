"""A session begun anew, with the fids that the one before it had."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from errno import ENOENT
from pathlib import Path
from typing import TypeVar

from ..errors import Disconnected, RemoteError, Stale
from ..pending import Pending
from ..wire import messages as m
from ..wire.messages import Qid
from .caller import Caller
from .history import Known
from .wires import dial

T = TypeVar("T")
Mark = tuple[int, int]  # of the root: its qid's path, when it was changed


def _unsaid(text: str) -> None:
    """Nobody wants to know."""


@dataclass
class Line:
    """How a connection is made, and made again. `patience`: seconds for that; `say` is told of it."""

    addr: str
    keys: Path | None = None
    patience: float = 60.0
    say: Callable[[str], object] = _unsaid

    def dial(self) -> socket.socket:
        """A connected socket. Raises UserError."""
        return dial(self.addr, self.keys)


class NotYet(Disconnected):
    """A server that was started anew has not yet what was there before: its drivers are still on their way."""


def restore(
    fresh: Caller,
    fids: Mapping[int, Known],
    root: int,
    aname: str,
    before: Mark,
    patient: bool = False,
) -> Mark:
    """Attach, and walk every fid to where it was; what cannot be had again becomes stale. Raises Lux9Error.

    `before`: the mark of the server as it was; the one that it has now. `patient`: NotYet is worth another try.
    """
    msize, fresh.fids = fresh.msize, [root]
    attached = settle(fresh, fresh.start(aname))
    if fresh.msize != msize:
        raise Stale(f"the server's msize was {msize}, and is {fresh.msize}")
    mark = attached[1].path, settle(fresh, fresh.stat(root, "/")).mtime
    for fid, known in fids.items():
        if known.stale is None and fid != root:
            _renew(fresh, root, fid, known, mark == before, patient)
    return mark


def _renew(fresh: Caller, root: int, fid: int, known: Known, same: bool, patient: bool) -> None:
    """Walk to a file again, and open it if it was. Raises Disconnected, and where that is worth it NotYet."""
    why, walked = known.hopeless(), False
    try:
        if not why:
            qid, length = walk(fresh, root, fid, known.names) or known.qid, 0
            walked = True
            if known.opened is not None:
                qid = settle(fresh, fresh.submit(known.opened)).qid
                length = settle(fresh, fresh.stat(fid)).length
            why = known.differs(qid, length, same)
    except RemoteError as error:
        if patient and not same and error.number == ENOENT:
            raise NotYet(f"/{'/'.join(known.names)} is not there yet") from None
        why = f"it cannot be had again: {error}"
    if why:
        known.gone(why)
        if walked:
            settle(fresh, fresh.submit(m.Tclunk(fid)))


def settle(caller: Caller, pending: Pending[T]) -> T:
    """Block until it is settled."""
    caller.flush()
    while not pending.done:
        caller.wire.wait()
        caller.flush()
    return pending.result()


def walk(caller: Caller, root: int, fid: int, names: tuple[str, ...]) -> Qid | None:
    """Walk from the root to a file, which gets that fid; its qid, or None for the root's own."""
    qid, at = None, root
    while at == root or names:
        head, names = names[: m.MAXWELEM], names[m.MAXWELEM :]
        answer = settle(caller, caller.submit(m.Twalk(at, fid, head)))
        if len(answer.qids) < len(head):
            raise RemoteError("file does not exist")
        at, qid = fid, answer.qids[-1] if head else None
    return qid
