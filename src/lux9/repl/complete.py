"""Completion at the prompt. It follows declarations and lists directories; it never accesses a register.

So it evaluates nothing: an expression is followed step by step, through views, whose steps are free, and no
further. A field of a register is completed from the declaration, and not read.
"""

from __future__ import annotations

import ast
import builtins
import keyword
import re
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any, cast

from ..connection import RemoteTree
from .functions import FunctionView, Pci
from .views import BankView, BlockView, RegView

PATH = re.compile(r"\btree\s*/\s*([\"'])([^\"']*)$")
FUNCTION = re.compile(r"\bpci\[([\"'])([^\"']*)$")
MEMBER = re.compile(r"([A-Za-z_]\w*(?:\.\w+|\[[^][]+\])*)\.(\w*)$")
NAME = re.compile(r"(?<![.\w])([A-Za-z_]\w*)$")
FREE = {"regs", "config"}  # properties of a function that access nothing

Found = tuple[int, list[str]]  # where in the line what was begun begins, and what it may become


class Completer:
    """For a namespace."""

    def __init__(self, names: Mapping[str, Any]) -> None:
        self.names = names

    def complete(self, line: str) -> Found:
        """What the end of a line may become."""
        if match := PATH.search(line):
            return self._path(match.start(2), match[2])
        if match := FUNCTION.search(line):
            begun, pci = match[2], self.names.get("pci")
            there = pci.keys() if isinstance(pci, Pci) else []
            short = [name.removeprefix("0000:") for name in there]
            return match.start(2), [
                n + match[1] + "]" for n in [*there, *short] if n.startswith(begun)
            ]
        if match := MEMBER.search(line):
            return match.start(2), _fitting(members(self._follow(match[1])), match[2])
        if match := NAME.search(line):
            known = [*self.names, *keyword.kwlist, *dir(builtins)]
            return match.start(1), _fitting(known, match[1])
        return len(line), []

    def _path(self, at: int, begun: str) -> Found:
        tree = self.names.get("tree")
        above, slash, name = begun.rpartition("/")
        if not isinstance(tree, RemoteTree):
            return at, []
        try:
            found = tree.scandir("/" + above)
        except OSError:
            return at, []
        start = at + len(above) + len(slash)
        return start, [s.name + "/" * s.qid.is_dir for s in found if s.name.startswith(name)]

    def _follow(self, expression: str) -> Any:
        """What an expression stands for, where that can be told without an access; else None."""
        try:
            return self._step(ast.parse(expression, mode="eval").body)
        except (SyntaxError, LookupError, AttributeError, OSError):
            return None

    def _step(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Name):
            return self.names.get(node.id, getattr(builtins, node.id, None))
        if isinstance(node, ast.Attribute):
            return _member(self._step(node.value), node.attr)
        if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
            above, key = self._step(node.value), node.slice.value
            if isinstance(above, BankView) and isinstance(key, int):
                return above[key]
            if isinstance(above, Pci) and isinstance(key, str):
                return above[key]
        return None


def _member(above: Any, name: str) -> Any:
    if isinstance(above, BlockView | ModuleType) or (
        isinstance(above, FunctionView) and name in FREE
    ):
        return getattr(above, name)
    return None


def members(thing: Any) -> Iterable[str]:
    """What a thing has, as its type tells."""
    if thing is None:
        return []
    if isinstance(thing, BlockView | RegView | ModuleType):
        return dir(thing)
    return [*dir(cast("object", type(thing))), *getattr(thing, "__dict__", {})]


def _fitting(names: Iterable[str], begun: str) -> list[str]:
    hidden = begun.startswith("_")
    return sorted({n for n in names if n.startswith(begun) and (hidden or not n.startswith("_"))})
