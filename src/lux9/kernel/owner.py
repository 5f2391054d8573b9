"""A process as the session of its connection knows it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..errors import LimitReached, Lux9Error, NotFound, PermissionDenied, ProtocolError
from ..ninep.session import Bounds, Session
from ..pending import Maybe, after
from ..wire.node import Node
from .dev.proc import Life
from .namespace import alone
from .process import Limits

if TYPE_CHECKING:
    from .kernel import Kernel

REFUSALS = (PermissionDenied, LimitReached, ProtocolError)
REFUSALS_OF_SIPS = (*REFUSALS, NotFound)  # what a SIP was not given is not there for it


class Owner:
    """A process, as its session knows it."""

    def __init__(self, kernel: Kernel, life: Life, trusted: bool) -> None:
        self.kernel, self.life, self.trusted = kernel, life, trusted

    def attach(self, uname: str, aname: str) -> Maybe[Node]:
        """The namespace, or a device by its name (`#P`). What the client calls itself means nothing."""
        process = self.life.process
        if not self.trusted:
            raise PermissionDenied(
                f"{process.user} is not {self.kernel.user}, who runs this kernel"
            )
        if aname.startswith("#"):
            self.life.may_have(aname)
            found = self.kernel.find(self.life, aname)
            return after(found, alone) if process.confined else found
        if aname.strip("/"):
            raise NotFound(f"attach name {aname!r}: write nothing, or a device such as #P")
        return self.kernel.namespace(self.life).root()

    def refused(self, error: Exception, what: str, path: str) -> None:
        """Refusals go into the audit, our own mistakes into the log."""
        process = self.life.process
        refusals = REFUSALS_OF_SIPS if process.kind == "sip" else REFUSALS
        if isinstance(error, refusals) and not error.audited:
            self.kernel.audit.record(process, what, path, "denied", error=error.message)
        elif not isinstance(error, Lux9Error):
            self.kernel.console.log(f"{what} {path} by {process.name}: {error!r}")


def files_of(session: Session) -> Iterable[str]:
    """What /proc/N/fd lists: a line an open file."""
    for number, f in session.fids.items():
        if f.node is not None:
            access = ("r" if f.read or f.entries is not None else "") + ("w" if f.write else "")
            yield f"{number} {access or '-'} {f.name}"


def bounds_of(limits: Limits) -> Bounds:
    """What one connection may hold at once."""
    return Bounds(
        fids=limits.fids, pending=limits.pending, inflight=limits.inflight, rate=limits.messages
    )


def hang_up(transport: asyncio.Transport, what: str) -> None:
    """What a word written to its ctl does to a client."""
    if what != "kill":
        raise PermissionDenied(f"a client of the socket takes `kill` alone, not {what!r}")
    transport.abort()
