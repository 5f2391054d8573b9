"""What a client knows of its fids, and which of them mean the same on another connection to the same server.

The fids and open files of a connection end with it. A file can be opened anew, and be what it was, where

- it was open for reading alone: to open it for writing, to truncate it or to remove it on close is to do something;
- it keeps what it says: its qid has a version, or its stat a length, and then on a server that was not started anew. A
  file of events, a text that is made when it is opened, a register: these have neither (stat(5));
- its qid is the same, and its length.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ..errors import Disconnected, Lux9Error, Stale
from ..wire import linux as l, messages as m
from ..wire.codec import Message
from ..wire.messages import Qid

READING = (m.OREAD, m.OEXEC)
QUIET = {"Twalk", "Tstat", "Tgetattr", "Tstatfs", "Treadlink"}  # requests that do nothing
READS = {"Tread", "Treaddir"}
SPENT: dict[str, Message] = {"Tclunk": m.Rclunk(), "Tflush": m.Rflush()}  # done by the loss itself
UNKNOWN = -1  # a length that was not told yet


@dataclass
class Known:
    """A fid, as the server told of it."""

    names: tuple[str, ...]  # from the root
    qid: Qid
    opened: Message | None = None  # the request by which
    length: int = UNKNOWN
    stale: Stale | None = None

    def gone(self, why: str) -> None:
        """From now on it is stale."""
        self.stale = Stale(f"/{'/'.join(self.names)}: the connection was lost, and {why}")

    def hopeless(self) -> str:
        """Why it is not even tried to open it again; nothing where it is."""
        if self.opened is None or reading(self.opened):
            return ""
        return "it was not open for reading alone"

    def differs(self, qid: Qid, length: int, same: bool) -> str:
        """Why the file that was found is not what was known; `same`: its server was not started anew."""
        if (qid.type, qid.path) != (self.qid.type, self.qid.path):
            return "another file is there now"
        if self.opened is None or qid.is_dir:
            return ""
        if qid != self.qid or self.length not in (UNKNOWN, length):
            return "the file has changed since"
        if not (qid.version or length):
            return "what it says is made when it is read"
        return "" if qid.version or same else "its server was started anew"


class History:
    """All fids of a connection, by number."""

    def __init__(self) -> None:
        self.fids: dict[int, Known] = {}

    def stale(self, fid: int) -> Stale | None:
        """The error that stands in the stead of a file, if one does."""
        found = self.fids.get(fid)
        return found.stale if found is not None else None

    def answered(self, request: Any, answer: Any) -> bool:
        """Take note of what a fid has become; whether a file was opened to be read."""
        fids, fid = self.fids, getattr(request, "fid", -1)
        if isinstance(request, m.Tclunk | m.Tremove):
            fids.pop(fid, None)
            return False
        if fid not in fids:
            return False
        known = fids[fid]
        if isinstance(request, m.Twalk) and len(answer.qids) == len(request.names):
            qid = answer.qids[-1] if answer.qids else known.qid
            fids[request.newfid] = Known((*known.names, *request.names), qid)
        elif isinstance(request, m.Tcreate | l.Tlcreate):
            fids[fid] = Known((*known.names, request.name), answer.qid, request)
        elif isinstance(request, m.Topen | l.Tlopen):
            known.opened, known.qid = request, answer.qid
            return reading(request) and not answer.qid.is_dir
        return False

    def again(self, name: str, fid: int, offset: int, request: Message | None) -> bool:
        """Whether a request that may have been carried out means the same again."""
        known = self.fids.get(fid)
        if known is None or known.stale is not None:
            return False
        if name in ("Topen", "Tlopen"):
            return request is not None and reading(request)
        if name in READS:
            return known.opened is not None and (not known.qid.is_dir or not offset)
        return name in QUIET

    def failed(self, name: str, fid: int, why: Lux9Error, sent: bool) -> Lux9Error:
        """The error of a request that was on its way when the connection was lost, and is not made again."""
        stale = self.stale(fid)
        if stale is not None and (not sent or name in READS | QUIET):
            return stale
        return Disconnected(
            f"{why}; it is there again, but this {name} may have been carried out, and is not repeated"
        )


def reading(request: Message) -> bool:
    """Whether a file is opened to be read, and for nothing that lasts."""
    if isinstance(request, m.Topen):
        return request.mode in READING
    return isinstance(request, l.Tlopen) and not request.flags & (3 | l.O_CREAT | l.O_TRUNC)
