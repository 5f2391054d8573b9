"""Namespaces: what a process sees at which path.

A namespace is a list of steps, as ns(1) prints them, and a table made from it: at a path, what is bound or
mounted there, in order, and whether what lay there before still shows (a union). A step's source is a device
(`#P`), a posted service (`#s/ahci`) or a path. Sources are looked up when they are walked to, so a service that
comes back is there again, and each process meets devices under its own identity.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..errors import ControlError, IsADirectory, Lux9Error, NotFound, PermissionDenied, ServiceDown
from ..pending import Maybe, Pending, after
from ..wire import links
from ..wire.links import Attr
from ..wire.linux import Entry, Rstatfs
from ..wire.messages import DMDIR, QTDIR, Qid, Stat
from ..wire.node import Created, Listing, Node, Opened
from ..wire.steady import changed, steady

Path = tuple[str, ...]
Find = Callable[[str], Maybe[Node]]  # a source's root, for one process


def split(path: str) -> Path:
    """A path's names. Raises ControlError for one that is not absolute."""
    if not path.startswith("/"):
        raise ControlError(f"{path!r} is not an absolute path")
    return tuple(name for name in path.split("/") if name)


class Step:
    """One bind or mount."""

    __slots__ = ("flag", "source", "steady", "to", "verb")

    def __init__(self, verb: str, flag: str, source: str, to: Path) -> None:
        self.verb, self.flag, self.source, self.to = verb, flag, source, to
        self.steady = (
            len(source) == 2 and source[0] == "#"
        )  # a device's root; it says when it is another

    def __str__(self) -> str:
        flag = f"-{self.flag} " if self.flag else ""
        return f"{self.verb} {flag}{shlex.quote(self.source)} /{'/'.join(self.to)}"


class Group:
    """The steps that processes share. `-b` puts before what is there, `-a` after, no flag in its stead."""

    def __init__(self, steps: Sequence[str] = ()) -> None:
        self.steps: list[Step] = []
        self.table: dict[Path, list[Step]] = {}
        self.ways: dict[Path, list[str]] = {}
        for line in steps:
            self.do(line)

    def do(self, line: str) -> None:
        """One line of ns(1): `bind [-abc] SOURCE PATH`, `mount [-abc] SOURCE PATH`, `unmount [SOURCE] PATH`."""
        try:
            words = shlex.split(line, comments=False)
        except ValueError as error:
            raise ControlError(f"{line!r}: {error}") from None
        verb, args = (words[0], words[1:]) if words else ("", [])
        flags = args.pop(0)[1:] if args and args[0].startswith("-") else ""
        if verb in ("bind", "mount") and len(args) == 2 and set(flags) <= set("abc"):
            self.add(Step(verb, flags.replace("c", "")[:1], args[0], split(args[1])))
        elif verb == "unmount" and 1 <= len(args) <= 2:
            self.drop(split(args[-1]), args[0] if len(args) == 2 else None)
        elif verb != "cd":
            raise ControlError(
                f"{line.strip()!r}: write bind|mount [-a|-b] SOURCE PATH or unmount PATH"
            )

    def add(self, step: Step) -> None:
        """One more step. Raises ControlError for one that would lead back to itself."""
        if self._leads(step.source, step, set()):
            raise ControlError(
                f"{step}: {step.source} is reached through /{'/'.join(step.to)} itself"
            )
        if not step.flag:
            self.steps = [s for s in self.steps if s.to != step.to]
        self.steps.append(step)
        self._make()

    def _leads(self, source: str, to: Step, seen: set[str]) -> bool:
        """Whether a walk to a path goes through a step: sources are looked up when they are walked to."""
        if source.startswith("#") or source in seen:
            return False
        seen.add(source)
        path = split(source)
        through = [s for s in (*self.steps, to) if s.to and path[: len(s.to)] == s.to]
        return any(s is to or self._leads(s.source, to, seen) for s in through)

    def drop(self, to: Path, source: str | None) -> None:
        """Undo what was bound to a path, or one of it."""
        kept = [s for s in self.steps if s.to != to or (source is not None and s.source != source)]
        if len(kept) == len(self.steps):
            raise NotFound(f"nothing is mounted on /{'/'.join(to)}")
        self.steps = kept
        self._make()

    def forget(self, source: str) -> None:
        """Undo every step of a source that is gone."""
        self.steps = [s for s in self.steps if s.source != source]
        self._make()

    def _make(self) -> None:
        self.table = {}
        for step in self.steps:
            at = self.table.setdefault(step.to, [])
            at.insert(0, step) if step.flag == "b" else at.append(step)
        ways = {(to[:n], to[n]) for to in self.table for n in range(len(to))}
        self.ways = {}
        for path, name in sorted(ways):
            self.ways.setdefault(path, []).append(name)
        changed()

    def below(self, path: Path) -> Sequence[str]:
        """Names in a directory that are there because something is mounted on them, or below."""
        return self.ways.get(path, ())

    def copy(self) -> Group:
        """The same steps, to go its own way."""
        return Group([str(step) for step in self.steps])

    def __str__(self) -> str:
        return "".join(f"{step}\n" for step in self.steps)


class Namespace:
    """A group's paths as one process meets them."""

    def __init__(self, group: Group, find: Find) -> None:
        self.group, self.find = group, find

    def root(self) -> Maybe[Node]:
        """The node of /."""
        return self.at((), None, None)

    def at(self, path: Path, base: Node | None, parent: Place | None) -> Maybe[Node]:
        """What is seen at a path, given what the directory above has there (None: nothing)."""
        steps = self.group.table.get(path, [])
        if any(not step.flag for step in steps):
            base = None  # something stands in its stead
        members: list[Node] = [base] if base is not None else []
        return after(self._gather(steps, members), lambda got: self._place(path, got, parent))

    def _place(self, path: Path, members: list[Node], parent: Place | None) -> Node:
        if not members and not self.group.below(path) and path:
            raise NotFound("/" + "/".join(path))
        return Place(self, path, members, parent)

    def _gather(self, steps: Sequence[Step], members: list[Node]) -> Maybe[list[Node]]:
        """The roots of the steps' sources, those that answer, in their order."""
        if not steps:
            return members
        step, rest = steps[0], steps[1:]
        try:
            found = self._source(step.source)
        except (NotFound, ServiceDown):
            return self._gather(rest, members)  # a union shows what there is
        except PermissionDenied:
            if not step.flag:
                raise  # nothing else is there: say why
            return self._gather(rest, members)

        def with_it(node: Node | None) -> Maybe[list[Node]]:
            return self._gather(rest, _with(members, node, step))

        return _eventually(found, with_it) if isinstance(found, Pending) else with_it(found)

    def _source(self, source: str) -> Maybe[Node]:
        if source.startswith("#"):
            return self.find(source)
        node: Maybe[Any] = self.root()
        for name in split(source):
            node = after(node, partial(_walk, name))
        return node


def alone(node: Node) -> Place:
    """A file as a root: nothing is above it, whatever it is in."""
    return Place(Namespace(Group(), _nothing), (), [node], None)


def _nothing(source: str) -> Node:
    raise NotFound(source)


def _walk(name: str, node: Node) -> Maybe[Node]:
    return node.walk(name)


def _look(name: str, node: Node) -> Maybe[Node]:
    return links.look(node, name)


def _with(members: list[Node], node: Node | None, step: Step) -> list[Node]:
    if node is None:
        return members
    return [node, *members] if step.flag == "b" else [*members, node]


def _eventually(
    found: Pending[Node], then: Callable[[Node | None], Maybe[list[Node]]]
) -> Pending[list[Node]]:
    """Go on with the node, or with None when it cannot be had."""
    out: Pending[list[Node]] = Pending(found.cancel)

    def settled(p: Pending[Node]) -> None:
        try:
            node: Node | None = p.result()
        except Lux9Error:
            node = None
        got = then(node)
        if isinstance(got, Pending):
            got.then(out.take)
        else:
            out.resolve(got)

    found.then(settled)
    return out


class Place:
    """A file or directory at a path of a namespace: one node, or a union of several directories."""

    __slots__ = ("members", "ns", "parent", "path")

    def __init__(
        self, ns: Namespace, path: Path, members: list[Node], parent: Place | None
    ) -> None:
        self.ns, self.path, self.members, self.parent = ns, path, members, parent

    @property
    def shown(self) -> str:
        """The path in words."""
        return "/" + "/".join(self.path)

    @property
    def qid(self) -> Qid:
        """The first member's; a place that is only a way to mounts has one made from its path."""
        if self.members:
            return self.members[0].qid
        return Qid(QTDIR, 0, hash(self.path) & 0xFFFFFFFFFFFFFFFF)

    def steady(self, name: str) -> bool:
        """What one member says; a step onto devices' roots stays, whatever lies beneath."""
        if not name:
            return not self.members or steady(self.members[0])
        path, group = (*self.path, name), self.ns.group
        bound = group.table.get(path, ())
        if any(not step.flag for step in bound):
            return all(step.steady for step in bound)
        alone = len(self.members) == 1 and not bound and not group.below(path)
        return name == ".." or (alone and steady(self.members[0], name))

    def walk(self, name: str) -> Maybe[Node]:
        """The first member that has the name, with what is mounted there."""
        return self._step(name, _walk)

    def look(self, name: str) -> Maybe[Node]:
        """The same, a symbolic link itself."""
        return self._step(name, _look)

    def _step(self, name: str, step: Callable[[str, Node], Maybe[Node]]) -> Maybe[Node]:
        if name == "..":
            return self.parent or self
        path = (*self.path, name)
        table, members = self.ns.group.table, self.members
        if any(not bound.flag for bound in table.get(path, ())):
            return self.ns.at(path, None, self)  # what it hides is not asked for: it may not answer
        if len(members) == 1 and path not in table and not self.ns.group.below(path):
            try:
                found = step(name, members[0])
                return after(found, lambda node: Place(self.ns, path, [node], self))
            except NotFound:
                raise NotFound("/" + "/".join(path)) from None  # by the name that it has here
        return after(_first(members, name, step), lambda node: self.ns.at(path, node, self))

    def target(self) -> Maybe[str]:
        """What a symbolic link says."""
        return links.target(self.members[0]) if self.members else links.target(self)

    def attr(self) -> Maybe[Attr]:
        """The first member's."""
        return links.attr(self.members[0]) if self.members else after(self.stat(), links.attr_of)

    def statfs(self) -> Maybe[Rstatfs]:
        """The first member's."""
        return links.statfs(self.members[0]) if self.members else links.NO_SPACE

    def stat(self) -> Maybe[Stat]:
        """The first member's, under the name that it has here."""
        name = self.path[-1] if self.path else "/"
        if not self.members:
            return _way(name, self.qid)
        return after(self.members[0].stat(), lambda stat: stat.but(name=name))

    def open(self, mode: int) -> Maybe[Opened]:
        """A file's handle as it is; a directory's members together."""
        if not self.qid.is_dir:
            return self.members[0].open(mode)
        if mode & 3:
            raise IsADirectory(f"{self.shown} can only be read")
        if len(self.members) == 1 and not self.ns.group.below(self.path):
            return self.members[0].open(mode)
        return after(_open_all(self.members, mode), lambda all_: Union(self, all_))

    def create(self, name: str, perm: int, mode: int) -> Maybe[Created]:
        """In the first member; a union's others are not asked."""
        if not self.members:
            raise PermissionDenied(f"{self.shown} is only a way to what is mounted below it")
        made: Maybe[Any] = self.members[0].create(name, perm, mode)
        path = (*self.path, name)
        return after(made, lambda got: (Place(self.ns, path, [got[0]], self), got[1]))

    def remove(self) -> Maybe[None]:
        """The first member."""
        if not self.members or self.path in self.ns.group.table:
            raise PermissionDenied(f"{self.shown} is a mount point; unmount it")
        return self.members[0].remove()

    def wstat(self, stat: Stat) -> Maybe[None]:
        """The first member."""
        if not self.members:
            raise PermissionDenied(f"{self.shown} cannot be changed")
        return self.members[0].wstat(stat)


def _way(name: str, qid: Qid) -> Stat:
    return Stat(0, 0, qid, DMDIR | 0o555, 0, 0, 0, name, "lux9", "lux9", "lux9")


Walk = Callable[[str, Node], Maybe[Node]]


def _first(members: Sequence[Node], name: str, step: Walk) -> Maybe[Node | None]:
    """The node of that name in the first member that has one, or None."""
    for i, member in enumerate(members):
        try:
            found = step(name, member)
        except (NotFound, ServiceDown):
            continue
        return (
            _or_next(found, members[i + 1 :], name, step) if isinstance(found, Pending) else found
        )
    return None


def _or_next(
    found: Pending[Node], rest: Sequence[Node], name: str, step: Walk
) -> Pending[Node | None]:
    out: Pending[Node | None] = Pending(found.cancel)

    def settled(p: Pending[Node]) -> None:
        try:
            out.resolve(p.result())
        except Lux9Error:
            got = _first(rest, name, step)
            if isinstance(got, Pending):
                got.then(out.take)
            else:
                out.resolve(got)

    found.then(settled)
    return out


def _open_all(members: Sequence[Node], mode: int) -> Maybe[list[Listing]]:
    got: Maybe[list[Any]] = []
    for member in members:
        got = after(got, partial(_open_one, member, mode))
    return got


def _open_one(member: Node, mode: int, have: list[Any]) -> Maybe[list[Any]]:
    opened: Maybe[Any] = member.open(mode)
    return after(opened, lambda listing: [*have, listing])


class Union:
    """An open union: each member's entries, the first of a name counts, then what is only mounted."""

    def __init__(self, place: Place, listings: Sequence[Listing]) -> None:
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
            have.setdefault(name, _way(name, qid))
        return list(have.values())

    def _ways(self) -> list[tuple[str, Qid]]:
        at, below = self.place.path, self.place.ns.group.below(self.place.path)
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
