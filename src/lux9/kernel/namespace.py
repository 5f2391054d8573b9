"""Namespaces: what a process sees at which path.

A namespace is a list of steps, as ns(1) prints them, and a table made from it: at a path, what is bound or
mounted there, in order, and whether what lay there before still shows (a union). A step's source is a device
(`#P`), a posted service (`#s/ahci`) or a path. Sources are looked up when they are walked to, so a service that
comes back is there again, and each process meets devices under its own identity.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ..errors import IsADirectory, Lux9Error, NotFound, PermissionDenied, ServiceDown
from ..pending import Maybe, Pending, after
from ..wire import links
from ..wire.links import Attr
from ..wire.linux import Rstatfs
from ..wire.messages import Qid, Stat
from ..wire.node import Created, Node, Opened
from ..wire.steady import steady
from .group import Group, Path, Step, split
from .union import Union, those, way, way_qid

Find = Callable[[str], Maybe[Node]]  # a source's root, for one process


def nothing(path: Path) -> Lux9Error:
    """What is said of a path where nothing is."""
    return NotFound(shown(path))


def shown(path: Path) -> str:
    """A path in words."""
    return "/" + "/".join(path)


class Namespace:
    """A group's paths as one process meets them. `absent`: what it is told of a path where nothing is."""

    def __init__(
        self, group: Group, find: Find, absent: Callable[[Path], Lux9Error] = nothing
    ) -> None:
        self.group, self.find, self.absent = group, find, absent

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
            raise self.absent(path)
        return Place(self, path, members, parent)

    def _gather(self, steps: Sequence[Step], members: list[Node]) -> Maybe[list[Node]]:
        """The roots of the steps' sources, those that answer, in their order."""
        if not steps:
            return members
        step, rest = steps[0], steps[1:]
        try:
            found = self.source(step.source)
        except (NotFound, ServiceDown):
            return self._gather(rest, members)  # a union shows what there is
        except PermissionDenied:
            if not step.flag:
                raise  # nothing else is there: say why
            return self._gather(rest, members)

        def with_it(node: Node | None) -> Maybe[list[Node]]:
            return self._gather(rest, _with(members, node, step))

        return _eventually(found, with_it) if isinstance(found, Pending) else with_it(found)

    def source(self, source: str) -> Maybe[Node]:
        """What a step's source is now: a device, a service or a path. Raises NotFound."""
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
        return shown(self.path)

    @property
    def qid(self) -> Qid:
        """The first member's; a place that is only a way to mounts has one made from its path."""
        if self.members:
            return self.members[0].qid
        return way_qid(self.path)

    @property
    def since(self) -> int:
        """When its namespace began."""
        return self.ns.group.started

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

    def below(self) -> Sequence[str]:
        """Names in it that are there because something is mounted on them, or below."""
        return self.ns.group.below(self.path)

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
                raise self.ns.absent(path) from None  # by the name that it has here
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
        if not self.members:
            return way(self.path, self.since)
        name = self.path[-1] if self.path else "/"
        return after(self.members[0].stat(), lambda stat: stat.but(name=name))

    def open(self, mode: int) -> Maybe[Opened]:
        """A file's handle as it is; a directory's members together."""
        if not self.qid.is_dir:
            return self.members[0].open(mode)
        if mode & 3:
            raise IsADirectory(f"{self.shown} can only be read")
        if len(self.members) == 1 and not self.below():
            return self.members[0].open(mode)

        def opened(member: Node) -> Maybe[Any]:
            return member.open(mode)

        return after(those(self.members, opened), lambda all_: Union(self, all_))

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
