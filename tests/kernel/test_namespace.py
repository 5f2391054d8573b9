"""Namespaces: the steps that ns(1) prints, and what is seen through them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, cast

import pytest

from lux9.errors import ControlError, Lux9Error, NotFound, PermissionDenied, ServiceDown
from lux9.kernel.group import Group, split
from lux9.kernel.namespace import Namespace
from lux9.pending import Maybe, Pending, waits
from lux9.tree import Dir, Tree, entries, text
from lux9.wire.messages import OWRITE, Stat
from lux9.wire.node import Node


class Files(Dir):
    """Directories of files that say where they are from."""

    def __init__(self, name: str, *names: str) -> None:
        self.name, self.names = name, names

    @entries
    def files(self) -> Mapping[str, Dir]:
        """By name."""
        return {name: Leaf(f"{self.name}/{name}") for name in self.names}


class Leaf(Dir):
    """A directory with one file."""

    def __init__(self, where: str) -> None:
        self.where = where

    @text(0o444)
    def here(self) -> str:
        """Where this is."""
        return self.where


class Ailing:
    """A directory that can be walked to; it cannot be opened, or not be listed."""

    def __init__(self, node: Node, at: str) -> None:
        self.node, self.at = node, at

    def __getattr__(self, name: str) -> Any:
        return getattr(self.node, name)

    def open(self, mode: int) -> Any:
        if self.at == "open":
            raise ServiceDown("it is ill")
        return Ailing(cast(Any, self.node.open(mode)), self.at)

    def entries(self) -> Any:
        """Of what was opened."""
        failing: Pending[Any] = Pending()
        failing.fail(ServiceDown("it is ill"))
        return failing


class World:
    """Sources by name: some wait, some fail, some hang."""

    def __init__(self) -> None:
        self.trees = {
            "#/": Files("root"),
            "#a": Files("a", "x", "y"),
            "#b": Files("b", "y", "z"),
        }
        self.late: dict[str, Pending[Node]] = {}
        self.ailing: dict[str, str] = {}
        self.asked: list[str] = []

    def find(self, source: str) -> Maybe[Node]:
        self.asked.append(source)
        if source in self.late:
            return self.late[source]
        if source == "#secret":
            raise PermissionDenied(source)
        if source == "#down":
            raise ServiceDown(source)
        if source not in self.trees:
            raise NotFound(source)
        node = self.root(source)
        return cast(Any, Ailing(node, self.ailing[source])) if source in self.ailing else node

    def root(self, source: str) -> Node:
        return Tree(source).root(self.trees[source])

    def see(self, *steps: str) -> Seen:
        return Seen(Namespace(Group(["bind '#/' /", *steps]), self.find))


class Seen:
    """A namespace, walked as a server would."""

    def __init__(self, namespace: Namespace) -> None:
        self.namespace = namespace

    def node(self, path: str) -> Any:
        node: Any = self.namespace.root()
        for name in path.split("/"):
            node = node.walk(name) if name else node
        return node

    def ls(self, path: str) -> list[str]:
        return [stat.name for stat in self.node(path).open(0).entries()]

    def read(self, path: str) -> str:
        return bytes(self.node(path).open(0).read(0, 100)).decode()


@pytest.fixture
def world() -> World:
    return World()


# -- steps


def test_what_is_printed_is_accepted() -> None:
    lines = ["bind '#/' /", "bind -a '#a' /dev", "mount -b '#s/ahci' /dev", "bind '/a b' /c"]
    group = Group(lines)
    assert str(group).splitlines() == lines
    assert str(Group(str(group).splitlines())) == str(group)
    assert str(group.copy()) == str(group)


def test_a_copy_goes_its_own_way() -> None:
    group = Group(["bind '#a' /a"])
    group.copy().do("unmount /a")
    assert str(group) == "bind '#a' /a\n"


@pytest.mark.parametrize(
    "line",
    [
        "",
        "bind",
        "bind '#a'",
        "bind '#a' a",
        "bind -x '#a' /a",
        "mount a b c",
        "unmount",
        "eat '#a' /a",
        "bind '#a /a",
    ],
)
def test_lines_that_are_refused(line: str) -> None:
    group = Group()
    with pytest.raises(ControlError):
        group.do(line)
    assert str(group) == ""


def test_unmount() -> None:
    group = Group(["bind '#a' /d", "bind -a '#b' /d"])
    group.do("unmount '#a' /d")
    assert str(group) == "bind -a '#b' /d\n"
    group.do("unmount /d")
    assert str(group) == ""
    with pytest.raises(NotFound, match="nothing is mounted on /d"):
        group.do("unmount /d")


def test_a_bind_without_a_flag_stands_in_the_stead_of_all_before() -> None:
    group = Group(["bind '#a' /d", "bind -a '#b' /d", "bind '#c' /d"])
    assert str(group) == "bind '#c' /d\n"


def test_a_source_that_is_gone_is_forgotten() -> None:
    group = Group(["bind '#/' /", "mount -a '#s/x' /a", "mount -a '#s/x' /b"])
    group.forget("#s/x")
    assert str(group) == "bind '#/' /\n"


def test_paths_are_absolute() -> None:
    assert split("//a/./b/".replace("./", "")) == ("a", "b")
    with pytest.raises(ControlError, match="not an absolute path"):
        split("a/b")


# -- what is seen


def test_a_union_shows_each_name_once_and_the_first_counts(world: World) -> None:
    seen = world.see("bind '#a' /d", "bind -a '#b' /d")
    assert seen.ls("d") == ["x", "y", "z"]
    assert seen.read("d/y/here") == "a/y"
    assert seen.read("d/z/here") == "b/z"


@pytest.mark.parametrize("at", ["open", "entries"])
def test_a_member_that_fails_is_left_out_unless_all_do(world: World, at: str) -> None:
    seen = world.see("bind '#a' /d", "bind -a '#b' /d")
    world.ailing["#a"] = at
    assert now(seen.node("d").open(0).entries()) == ["y", "z"]
    world.ailing["#b"] = at
    with pytest.raises(ServiceDown, match="it is ill"):
        now(seen.node("d").open(0).entries())


def now(stats: Any) -> list[str]:
    """The names of a listing that has come."""
    come: list[Stat] = stats.result() if waits(stats) else stats
    return [stat.name for stat in come]


def test_before(world: World) -> None:
    seen = world.see("bind '#a' /d", "bind -b '#b' /d")
    assert seen.ls("d") == ["y", "z", "x"]
    assert seen.read("d/y/here") == "b/y"


def test_a_path_is_a_source_too(world: World) -> None:
    seen = world.see("bind '#a' /d", "bind /d/x /e")
    assert seen.read("e/here") == "a/x"
    assert seen.ls("") == ["d", "e"]


def test_a_mount_within_a_mount(world: World) -> None:
    seen = world.see("bind '#a' /d", "bind '#b' /d/x")
    assert seen.ls("d/x") == ["y", "z"]
    assert seen.read("d/x/y/here") == "b/y"
    assert seen.read("d/y/here") == "a/y"


def test_ways_to_mounts_are_directories(world: World) -> None:
    seen = world.see("bind '#a' /p/q/r")
    assert seen.ls("") == ["p"]
    assert seen.ls("p") == ["q"]
    assert seen.node("p/q").qid.is_dir
    assert seen.node("p/q").stat().name == "q"
    with pytest.raises(NotFound, match="/p/x"):
        seen.node("p/x")
    for act in ("create", "remove", "wstat"):
        with pytest.raises(PermissionDenied):
            getattr(seen.node("p"), act)(*{"create": ("f", 0, 0), "wstat": (None,)}.get(act, ()))


def test_a_way_is_as_old_as_its_namespace(world: World) -> None:
    before = int(time.time())
    seen = world.see("bind '#a' /far/off/a")
    for stat in (seen.node("/far").stat(), *seen.node("/far").open(0).entries()):
        assert before <= stat.mtime == stat.atime <= time.time()


def test_up_is_the_way_one_came(world: World) -> None:
    seen = world.see("bind '#a' /d", "bind /d/x /e")
    assert seen.node("e/..").shown == "/"
    assert seen.node("d/x/../..").shown == "/"
    assert seen.node("../../..").shown == "/"


def test_the_name_is_the_one_here(world: World) -> None:
    seen = world.see("bind '#a' /d")
    assert seen.node("d").stat().name == "d"
    assert seen.node("").stat().name == "/"


def test_a_source_that_is_not_there_is_passed_over(world: World) -> None:
    seen = world.see(
        "bind '#a' /d", "bind -a '#gone' /d", "bind -a '#down' /d", "bind -a '#secret' /d"
    )
    assert seen.ls("d") == ["x", "y"]
    world.trees["#gone"] = Files("gone", "new")
    assert seen.ls("d") == ["x", "y", "new"]


def test_a_refusal_is_told_where_nothing_else_is(world: World) -> None:
    seen = world.see("bind '#secret' /d")
    with pytest.raises(PermissionDenied):
        seen.node("d")
    assert seen.ls("") == ["d"]


def test_what_is_hidden_is_not_asked(world: World) -> None:
    """A service that hangs does not keep anybody from what is bound over its names."""
    world.late["#hangs"] = Pending()
    seen = world.see("bind '#a' /d", "bind '#b' /d/x")
    seen.namespace.group.do("bind -b '#hangs' /d")
    group = seen.namespace.group
    place = seen.namespace.at(("d", "x"), None, None)
    assert not isinstance(place, Pending)
    assert "#hangs" not in world.asked
    assert len(group.steps) == 4


def test_a_source_that_answers_late(world: World) -> None:
    late = world.late["#late"] = Pending()
    seen = world.see("bind '#a' /d", "bind -a '#late' /d")
    place: Pending[Any] = seen.node("d")
    assert not place.done
    world.trees["#late"] = Files("late", "l")
    late.resolve(world.root("#late"))
    listing: Any = place.result().open(0)
    assert [stat.name for stat in listing.entries()] == ["x", "y", "l"]


def test_a_source_that_fails_late(world: World) -> None:
    late = world.late["#late"] = Pending()
    place: Any = world.see("bind '#a' /d", "bind -a '#late' /d").node("d")
    late.fail(ServiceDown("gone"))
    listing: Any = place.result().open(0)
    assert [stat.name for stat in listing.entries()] == ["x", "y"]


def test_a_mount_point_is_neither_written_nor_removed(world: World) -> None:
    seen = world.see("bind '#a' /d")
    with pytest.raises(Lux9Error):
        seen.node("d").open(OWRITE)
    with pytest.raises(PermissionDenied, match="is a mount point; unmount it"):
        seen.node("d").remove()


@pytest.mark.parametrize(
    "lines",
    [
        ["bind /a /a"],
        ["bind -a /a/deeper /a"],
        ["bind /a /b", "bind -b /b /a"],
        ["bind /a /b", "bind /b/x /c", "bind /c /a"],
    ],
)
def test_a_bind_that_leads_back_to_itself_is_refused(lines: list[str]) -> None:
    group = Group(lines[:-1])
    with pytest.raises(ControlError, match="is reached through"):
        group.do(lines[-1])
    assert len(group.steps) == len(lines) - 1
