"""Several directories at one place, listed as one."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

from ..pending import Maybe, after
from ..wire import links
from ..wire.linux import Entry
from ..wire.messages import DMDIR, QTDIR, Qid, Stat
from ..wire.node import Listing, Node
from .group import Path


class Ways(Protocol):
    """A place, as a union asks it what is mounted below."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    def below(self) -> Sequence[str]:
        """Names that are there because something is mounted on them, or below."""
        ...


def way(name: str, qid: Qid) -> Stat:
    """The stat of a place that is only a way to what is mounted below it."""
    return Stat(0, 0, qid, DMDIR | 0o555, 0, 0, 0, name, "lux9", "lux9", "lux9")


def open_all(members: Sequence[Node], mode: int) -> Maybe[list[Listing]]:
    """Each of them."""
    got: Maybe[list[Any]] = []
    for member in members:
        got = after(got, partial(_open_one, member, mode))
    return got


def _open_one(member: Node, mode: int, have: list[Any]) -> Maybe[list[Any]]:
    opened: Maybe[Any] = member.open(mode)
    return after(opened, lambda listing: [*have, listing])


class Union:
    """An open union: each member's entries, the first of a name counts, then what is only mounted."""

    def __init__(self, place: Ways, listings: Sequence[Listing]) -> None:
        self.place, self.listings = place, listings

    def entries(self) -> Maybe[Sequence[Stat]]:
        """All of them."""
        none: dict[str, Stat] = {}
        got: Maybe[dict[str, Stat]] = none
        for listing in self.listings:
            got = after(got, partial(_merge, listing))
        return after(got, self._mounted)

    def _mounted(self, have: dict[str, Stat]) -> list[Stat]:
        for name, qid in self._ways():
            have.setdefault(name, way(name, qid))
        return list(have.values())

    def _ways(self) -> list[tuple[str, Qid]]:
        at, below = self.place.path, self.place.below()
        return [(n, Qid(QTDIR, 0, hash((*at, n)) & 0xFFFFFFFFFFFFFFFF)) for n in below]

    def links(self) -> Maybe[Sequence[Entry]]:
        """The same, symbolic links as such."""
        none: dict[str, Entry] = {}
        got: Maybe[dict[str, Entry]] = none
        for listing in self.listings:
            got = after(got, partial(_merge_links, listing))
        ways = {name: links.entry(qid, name) for name, qid in self._ways()}
        return after(got, lambda have: list({**ways, **have}.values()))

    def close(self) -> None:
        """Each of them."""
        for listing in self.listings:
            listing.close()


def _merge(listing: Listing, have: dict[str, Stat]) -> Maybe[dict[str, Stat]]:
    def add(stats: Sequence[Stat]) -> dict[str, Stat]:
        for stat in stats:
            have.setdefault(stat.name, stat)
        return have

    entries: Maybe[Any] = listing.entries()
    return after(entries, add)


def _merge_links(listing: Listing, have: dict[str, Entry]) -> Maybe[dict[str, Entry]]:
    return after(links.links(listing), lambda more: {**{e.name: e for e in more}, **have})
