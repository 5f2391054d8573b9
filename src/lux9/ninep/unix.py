"""A session's side of 9P2000.u: what differs from 9P2000. Links are shown as such; none is made."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..errors import PermissionDenied
from ..pending import Maybe, after, gather, rescued
from ..wire import links, messages as m, unix as u
from ..wire.codec import Message
from ..wire.linux import Entry
from ..wire.messages import QTSYMLINK, Stat
from ..wire.node import Node
from ..wire.unix import NO_NUMBER

if TYPE_CHECKING:
    from .fids import Fid, Record
    from .session import Session

Act = Callable[[Any], Maybe[Message]]
SPECIAL = u.DMSYMLINK | u.DMLINK | u.DMDEVICE | u.DMNAMEDPIPE | u.DMSOCKET


class Unix:
    """The requests that are not as in 9P2000; each act is given those that are."""

    def __init__(self, session: Session) -> None:
        self.s = session
        self.acts: dict[int, Callable[[dict[int, Act]], Act]] = {
            u.Tcreate.number: lambda plain: lambda t: self.create(t, plain[u.Tcreate.number]),
            m.Tstat.number: lambda _: self.stat,
            u.Twstat.number: lambda plain: (
                lambda t: plain[u.Twstat.number](m.Twstat(t.fid, from_unix(t.stat)))
            ),
        }

    def create(self, t: u.Tcreate, plain: Act) -> Maybe[Message]:
        """Files and directories; anything with an extension is refused."""
        if t.perm & SPECIAL or t.extension:
            raise PermissionDenied(
                f"{t.name!r}: links, devices, pipes and sockets cannot be created here"
            )
        return plain(m.Tcreate(t.fid, t.name, t.perm, t.mode))

    def stat(self, t: m.Tstat) -> Maybe[Message]:
        """With a link's target, and numbers beside the names."""
        _, node = self.s.known(t.fid)
        answer: Maybe[Message] = after(stat_of(node), u.Rstat)
        return answer

    def directory(self, f: Fid) -> Maybe[Sequence[Record]]:
        """An open directory, its links as links."""
        listed: Maybe[Sequence[Stat]] = f.handle.entries()
        return after(listed, lambda stats: self._linked(f, stats))

    def _linked(self, f: Fid, stats: Sequence[Stat]) -> Maybe[Sequence[Record]]:
        def shown(entries: Sequence[Entry]) -> Maybe[Sequence[Record]]:
            have = {stat.name: to_unix(stat) for stat in stats}
            names = [e.name for e in entries if e.qid.type & QTSYMLINK and e.name in have]
            node = f.node
            if node is None or not names:
                return list(have.values())
            found = gather(names, lambda name: _link(node, name, have[name]))
            return after(
                found, lambda got: list({**have, **dict(zip(names, got, strict=True))}.values())
            )

        return after(links.links(f.handle), shown)


def _link(node: Node, name: str, known: u.Stat) -> Maybe[u.Stat]:
    """A link in a directory; where it cannot be looked at, what is known of it."""
    return rescued(lambda: after(links.look(node, name), stat_of), lambda _: known)


def stat_of(node: Node) -> Maybe[u.Stat]:
    """The stat of a file, a link's target with it."""
    told: Maybe[Stat] = node.stat()
    if not node.qid.type & QTSYMLINK:
        return after(told, to_unix)
    return after(told, lambda stat: after(links.target(node), lambda to: to_unix(stat, to)))


def to_unix(stat: Stat, target: str | None = None) -> u.Stat:
    """A stat with what .u adds."""
    if target is not None:
        stat = stat.but(mode=stat.mode | u.DMSYMLINK)
    base = (stat.type, stat.dev, stat.qid, stat.mode, stat.atime, stat.mtime, stat.length)
    owners = (_number(stat.uid), _number(stat.gid), _number(stat.muid))
    return u.Stat(*base, stat.name, stat.uid, stat.gid, stat.muid, target or "", *owners)


def _number(name: str) -> int:
    return links.number(name) if name else NO_NUMBER


def from_unix(stat: u.Stat) -> Stat:
    """The stat of 9P2000 in it; a number stands for a name that is not there."""
    names = ((stat.uid, stat.n_uid), (stat.gid, stat.n_gid), (stat.muid, stat.n_muid))
    uid, gid, muid = (name or ("" if n == NO_NUMBER else str(n)) for name, n in names)
    return Stat(
        *(stat.type, stat.dev, stat.qid, stat.mode, stat.atime, stat.mtime, stat.length),
        *(stat.name, uid, gid, muid),
    )
