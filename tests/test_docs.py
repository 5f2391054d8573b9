"""The manual says what the code does: names resolve, nothing is left out, and what it tells to type works."""

from __future__ import annotations

import importlib
import pkgutil
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import lux9
from docs import gen
from lux9.cli import COMMANDS
from lux9.tree import Dir, synopsis

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").rglob("*.md"))
SERVERS = ("lux9.kernel", "lux9.sip", "lux9.drivers")
DEVICES = [page for page in PAGES if page.parent.name == "devices" and page.stem != "index"]


def trees(page: Path) -> list[type[Dir]]:
    """The directory classes whose synopsis a page shows."""
    found = (m[2].split() for m in gen.PLACEHOLDER.finditer(page.read_text()) if m[1] == "tree")
    return [gen.load(where) for _, where in found]


def served() -> Iterator[type[Dir]]:
    """Every directory class that the kernel and the drivers declare."""
    for package in SERVERS:
        found = pkgutil.walk_packages(importlib.import_module(package).__path__, package + ".")
        for module in found:
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    yield from (cls for cls in below(Dir) if cls.__module__.startswith(SERVERS))


def below(cls: type[Dir]) -> Iterator[type[Dir]]:
    for sub in cls.__subclasses__():
        yield sub
        yield from below(sub)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT / "docs")))
def test_a_page_expands_whole(page: Path) -> None:
    text = gen.expand(page.read_text())
    assert not re.search(r"^\{\{", text, re.MULTILINE), "a placeholder that gen.py does not know"


@pytest.mark.parametrize("page", DEVICES, ids=lambda page: page.stem)
def test_a_synopsis_is_the_tree(page: Path) -> None:
    lines = gen.expand(page.read_text()).splitlines()
    for cls in trees(page):
        for line in synopsis(cls, "    "):
            assert line in lines


@pytest.mark.parametrize("page", DEVICES, ids=lambda page: page.stem)
def test_every_file_and_verb_has_a_line(page: Path) -> None:
    for cls in trees(page):
        entries = [(entry.name, entry.doc) for entry in (*cls.table.values(), *cls.dynamic)]
        verbs = [(verb.name, verb.doc) for verb in cls.verbs.values()]
        assert not [name for name, doc in entries + verbs if not doc], "files without a docstring"


def test_every_directory_has_a_page() -> None:
    shown = {cls for page in DEVICES for cls in trees(page)}
    files = {cls for cls in served() if cls.table or cls.verbs}
    missing = {f"{cls.__module__}:{cls.__qualname__}" for cls in files - shown}
    assert not missing, "directories that no page in docs/devices shows"


def test_every_command_has_a_page() -> None:
    pages = {page.stem for page in PAGES if page.parent.name == "commands"} - {"index"}
    assert pages == set(COMMANDS)


def test_an_unknown_name_stops_the_build() -> None:
    with pytest.raises(KeyError):
        gen.expand("{{ nonsense a }}")
    with pytest.raises(AttributeError):
        gen.expand("{{ tree /dev lux9.tree:Nothing }}")


def test_the_packaged_version_is_the_programs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == lux9.__version__
