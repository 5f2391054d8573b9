"""Short ways through a session for stat and walk: answers that are known to stay are given again.

A `Spot` is a place of the tree as one session has walked to it. What was answered there is kept as it went over the
wire, by the bytes that asked for it, as long as its node calls it steady and nothing has changed since
(`wire.steady`). A request that has no such answer takes the long way, which leaves one. What is checked on the long
way is checked here: the fids, their number, and whether the fid may be walked at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ..wire import linux as l, messages as m
from ..wire.codec import HEADER, NOFID, Message
from ..wire.node import Node
from ..wire.steady import EPOCH, steady
from .fids import Fid
from .replies import Replies

FID = m.Tclunk.head.unpack_from  # of every request that begins with one
WALK = m.Twalk.head
NAMES = WALK.size - 2  # where a Twalk's names begin, with their number
BEHIND = m.Tclunk.head.size  # where a Tstat or Tgetattr has what it asks beside the fid
REST = HEADER.size
KEPT = 256  # answers of each kind at one spot; then they are forgotten

Quick = Callable[
    [memoryview, int, int, int], bool
]  # buffer, start and size of the message, its tag


class Trail(NamedTuple):
    """Where a walk leads, and its answer's body."""

    node: Node
    name: str
    spot: Spot
    size: int
    body: bytes


class Spot:
    """What is kept of one place: the answers to stats, the walks from there."""

    __slots__ = ("epoch", "told", "trails")

    def __init__(self) -> None:
        self.epoch = EPOCH.count
        self.told: dict[bytes, bytes] = {}
        self.trails: dict[bytes, Trail] = {}

    def renew(self) -> None:
        """Forget what may be something else by now, or is too much."""
        if self.epoch != EPOCH.count or len(self.told) > KEPT or len(self.trails) > KEPT:
            self.epoch = EPOCH.count
            self.told.clear()
            self.trails.clear()


class Shortcuts(Replies):
    """The short ways: each answers and gives True, or gives False and has done nothing."""

    linked = False  # a walk finds symbolic links themselves
    quick: Mapping[int, Quick] = MappingProxyType({})  # of the dialect, from a Tversion on

    def shortcuts(self) -> Mapping[int, Quick]:
        """By the number of the request."""
        return {
            m.Twalk.number: self._walk_again,
            m.Tclunk.number: self._clunk_unopened,
            m.Tstat.number: self._tell_again,
            l.Tgetattr.number: self._tell_again,
        }

    def _tell_again(self, buf: memoryview, at: int, size: int, tag: int) -> bool:
        if size < BEHIND:
            return False
        _, kind, _, number = FID(buf, at)
        if (
            size != TOLD[kind]
        ):  # a Tstat's bytes may be all that is right of a Tgetattr, and both may be kept
            return False
        f = self.fids.get(number)
        if f is None or f.spot is None or f.spot.epoch != EPOCH.count:
            return False
        body = f.spot.told.get(bytes(buf[at + BEHIND : at + size]))
        if body is None:
            return False
        self.out.append(HEADER.pack(REST + len(body), kind + 1, tag) + body)
        return True

    def _walk_again(self, buf: memoryview, at: int, size: int, tag: int) -> bool:
        if size < WALK.size:
            return False
        _, _, _, number, new, _ = WALK.unpack_from(buf, at)
        fids = self.fids
        f = fids.get(number)
        if f is None or f.spot is None or f.spot.epoch != EPOCH.count:
            return False
        trail = f.spot.trails.get(bytes(buf[at + NAMES : at + size]))
        if trail is None or new in fids or new == NOFID or len(fids) >= self.bounds.fids:
            return False
        if f.opened and not self.linked:
            return False
        node, name, spot, length, body = trail
        fids[new] = Fid(node, name, spot)
        self.out.append(HEADER.pack(length, m.Rwalk.number, tag) + body)
        return True

    def _clunk_unopened(self, buf: memoryview, at: int, size: int, tag: int) -> bool:
        if size != BEHIND or self.waiting:
            return False
        number = FID(buf, at)[3]
        f = self.fids.get(number)
        if f is None or f.opened or f.ending is not None:
            return False
        del self.fids[number]
        self.out.append(HEADER.pack(REST, m.Rclunk.number, tag))
        return True

    # What the long way leaves

    def learn(self, request: Message, fid: int, answer: Any) -> None:
        """Keep the answer to a stat, if it is one that stays."""
        f = self.fids.get(fid)
        if request.number in TOLD and f is not None and f.node is not None and steady(f.node):
            asked, told = request.encode(0), answer.encode(0)
            self._spot(f).told[asked[BEHIND:]] = told[REST:]

    def learn_walk(self, t: m.Twalk, f: Fid, found: Fid, answer: m.Rwalk) -> None:
        """Keep a walk whose every step stays."""
        assert found.node is not None, "it was found"
        if found.node is f.node:  # a walk by no names: one place, two fids
            found.spot = self._spot(f)
        body = answer.encode(0)[REST:]
        trail = Trail(found.node, found.name, self._spot(found), REST + len(body), body)
        self._spot(f).trails[t.encode(0)[NAMES:]] = trail

    def _spot(self, f: Fid) -> Spot:
        if f.spot is None:
            f.spot = Spot()
        f.spot.renew()
        return f.spot


TOLD = {kind.number: kind.head.size for kind in (m.Tstat, l.Tgetattr)}
