"""The conformance table: request by request, three dialects, each cell the tests that prove it.

It is read from the marks `@proves(dialect, *messages)` in tests/ninep, without running them; the tests themselves see
to it that a mark is true (tests/ninep/conftest.py), and that none is missing (tests/ninep/test_conformance.py).
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path

TESTS = Path(__file__).parents[1] / "tests" / "ninep"
REFUSALS = {"9P2000": "Rerror", "9P2000.u": "Rerror", "9P2000.L": "Rlerror"}
Proofs = dict[tuple[str, str], list[str]]  # (dialect, message): tests


def wanted() -> dict[str, list[str]]:
    """What has to be proved: each dialect's requests, and its refusal."""
    from lux9.wire.dialects import DIALECTS

    return {
        version: [
            *(cls.__name__ for _, cls in sorted(dialect.types.items()) if is_request(cls)),
            REFUSALS[version],
        ]
        for version, dialect in DIALECTS.items()
    }


def is_request(cls: type) -> bool:
    """Its answer is the same without the first letter."""
    return cls.__name__.startswith("T")


def proofs() -> Proofs:
    """What is proved, and by which tests."""
    found: Proofs = defaultdict(list)
    for path in sorted(TESTS.glob("test_*.py")):
        for dialect, message, test in marks(ast.parse(path.read_text())):
            found[dialect, message].append(f"{path.stem}::{test}")
    return found


def marks(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """(dialect, message, test) of every mark in a module; a dialect may be a name of the module's."""
    names = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    classes = {None: tree.body} | {c.name: c.body for c in tree.body if isinstance(c, ast.ClassDef)}
    for name, body in classes.items():
        for test in body:
            if isinstance(test, ast.FunctionDef):
                shown = f"{name}.{test.name}" if name else test.name
                for dialect, message in _of(test, names):
                    yield dialect, message, shown


def _of(test: ast.FunctionDef, names: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    for mark in test.decorator_list:
        if isinstance(mark, ast.Call) and isinstance(mark.func, ast.Name):
            if mark.func.id != "proves":
                continue
            said = [names[a.id] if isinstance(a, ast.Name) else _text(a) for a in mark.args]
            for message in said[1:]:
                yield str(said[0]), str(message)


def _text(node: ast.expr) -> object:
    assert isinstance(node, ast.Constant), "a mark's messages are written out"
    return node.value
