"""Several directories at one place, listed as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from ..pending import Maybe, after, gather, rescued
from ..wire import links
from ..wire.linux import Entry
from ..wire.messages import DMDIR, QTDIR, Qid, Stat
from ..wire.node import Listing
from .group import Path

MASK64 = (1 << 64) - 1
T = TypeVar("T")
U = TypeVar("U")
E = TypeVar("E", Stat, Entry)


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


def those(items: Sequence[U], ask: Callable[[U], Maybe[T]]) -> Maybe[list[T]]:
    """What they answer, but for those that fail: a union shows what there is. Raises the first error when all do."""
    errors: list[Exception] = []

    def one(item: U) -> Maybe[T | None]:
        answer: Maybe[Any] = rescued(lambda: ask(item), errors.append)
        return answer

    def some(got: list[T | None]) -> list[T]:
        have = [answer for answer in got if answer is not None]
        if errors and not have:
            raise errors[0]
        return have

    return after(gather(items, one), some)


class Union:
    """An open union: each member's entries, the first of a name counts, then what is only mounted."""

    def __init__(self, place: Ways, listings: Sequence[Listing]) -> None:
        self.place, self.listings = place, listings

    def entries(self) -> Maybe[Sequence[Stat]]:
        """All of them."""
        return after(those(self.listings, _entries), self._merged)

    def _merged(self, lists: list[Sequence[Stat]]) -> list[Stat]:
        ways = [way(path, self.place.since) for path in self._ways()]
        return _firsts([*lists, ways])

    def links(self) -> Maybe[Sequence[Entry]]:
        """The same, symbolic links as such."""
        return after(those(self.listings, links.links), self._merged_links)

    def _merged_links(self, lists: list[Sequence[Entry]]) -> list[Entry]:
        ways = [links.entry(way_qid(path), path[-1]) for path in self._ways()]
        return _firsts([*lists, ways])

    def _ways(self) -> list[Path]:
        return [(*self.place.path, name) for name in self.place.below()]

    def close(self) -> None:
        """Each of them."""
        for listing in self.listings:
            listing.close()


def _entries(listing: Listing) -> Maybe[Sequence[Stat]]:
    return listing.entries()


def _firsts(lists: Sequence[Sequence[E]]) -> list[E]:
    """The first of each name, in their order."""
    names: dict[str, E] = {}
    for entries in lists:
        for entry in entries:
            names.setdefault(entry.name, entry)
    return list(names.values())
