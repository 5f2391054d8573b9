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

MASK64 = (1 << 64) - 1


class Ways(Protocol):
    """A place, as a union asks it what is mounted below."""

    @property
    def path(self) -> Path:
        """Where it is."""
        ...

    @property
    def since(self) -> int:
        """When its namespace began, in seconds since 1970."""
        ...

    def below(self) -> Sequence[str]:
        """Names that are there because something is mounted on them, or below."""
        ...


def way_qid(path: Path) -> Qid:
    """The qid of a place that is only a way to what is mounted below it."""
    return Qid(QTDIR, 0, hash(path) & MASK64)


def way(path: Path, since: int) -> Stat:
    """Its stat: it has been there since its namespace began."""
    name = path[-1] if path else "/"
    mode, qid = DMDIR | 0o555, way_qid(path)
    return Stat(0, 0, qid, mode, since, since, 0, name, "lux9", "lux9", "lux9")


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
        for path in self._ways():
            have.setdefault(path[-1], way(path, self.place.since))
        return list(have.values())

    def _ways(self) -> list[Path]:
        return [(*self.place.path, name) for name in self.place.below()]

    def links(self) -> Maybe[Sequence[Entry]]:
        """The same, symbolic links as such."""
        none: dict[str, Entry] = {}
        got: Maybe[dict[str, Entry]] = none
        for listing in self.listings:
            got = after(got, partial(_merge_links, listing))
        ways = {path[-1]: links.entry(way_qid(path), path[-1]) for path in self._ways()}
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
