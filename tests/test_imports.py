"""Imports go one way only. `ALLOWED` is the whole graph: any other edge is a failure."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "lux9"

# Whom each layer may import, besides itself and the ground. A layer is the longest prefix of a
# module's name that stands here; a module that has none is a failure too.
GROUND = {"errors", "pending", "regs"}
BOARD = {"arch", "machine.abstract", "machine.functions", "machine.firmware", "machine.reset"}
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "pending": {"errors"},
    "regs": {"errors"},
    "arch": {"regs", "errors"},
    "regs_view": {"regs", "arch"},
    "wire": GROUND,
    "tree": GROUND | {"wire"},
    "ninep": GROUND | {"wire"},
    "machine.abstract": GROUND,
    "models": GROUND | {"arch", "machine.abstract"},
    # Over any machine: what there is, what firmware does, how a function is reset
    "machine.functions": GROUND | {"arch", "machine.abstract"},
    "machine.buses": GROUND | {"arch", "machine.abstract", "machine.functions"},
    "machine.routes": GROUND | {"arch", "machine.abstract", "machine.functions"},
    "machine.firmware": GROUND
    | {"arch", "machine.abstract", "machine.functions", "machine.buses", "machine.routes"},
    "machine.reset": GROUND | {"arch", "machine.abstract", "machine.functions", "machine.buses"},
    "machine.sectors": GROUND,
    "machine.images": GROUND,
    "machine.sim": GROUND | BOARD | {"models", "machine.sectors"},
    "machine.controllers": GROUND | {"arch", "machine.abstract", "machine.functions"},
    "machine.qemu": GROUND | BOARD | {"machine.controllers", "machine.sectors", "machine.images"},
    "machine.vfio": GROUND | BOARD,
    "kernel": GROUND
    | {"arch", "regs_view", "wire", "tree", "ninep", "machine.abstract", "machine.functions"},
    "keys": {"errors"},
    "sip": GROUND | {"wire", "tree", "ninep", "kernel", "driver"},
    "fuse": GROUND | {"wire", "ninep"},
    "": {"connection"},
    "connection": GROUND | {"arch", "wire", "ninep"},
    "repl": GROUND | {"arch", "regs_view", "wire", "connection"},
    "driver": GROUND | {"arch", "wire", "tree", "ninep"},
    "drivers": GROUND | {"arch", "wire", "tree", "driver"},
    "fs": GROUND | {"wire", "tree", "driver", "drivers"},
}
ANYTHING = {"cli", "__main__"}  # the one place that chooses a machine, and may see everything
EMPTY = {"machine"}  # a package's own __init__: it imports nothing of ours

# What is not ours: each library has one home, so that it can be replaced there.
OUTSIDE: dict[str, set[str]] = {
    "typing_extensions": {"*"},
    "cffi": {"fs", "sip"},
    "dissect": {"drivers"},
    "click": {"cli"},
    "rich": {"cli"},
    "uvloop": {"ninep", "driver", "cli"},
    "lux9_short": {"ninep"},
    "qemu": {"machine.qemu"},
    "mfusepy": {"fuse"},
    "fsspec": {"connection"},
    "cryptography": {"keys", "cli"},  # cli looks whether it is there
}

# wire is bytes in, messages out: whoever has no socket can use it all the same.
INPUT_OUTPUT = {
    *("asyncio", "ctypes", "fcntl", "io", "mmap", "multiprocessing", "os", "pathlib", "select"),
    *("selectors", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "threading"),
    *("time", "_thread"),
}

Edge = tuple[str, str]


def name_of(path: Path) -> str:
    """`kernel/dev/pci.py` is `kernel.dev.pci`; a package is its folder's name."""
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def layer_of(name: str) -> str | None:
    parts = name.split(".")
    prefixes = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((prefix for prefix in prefixes if prefix in ALLOWED or prefix in ANYTHING), None)


def imports(text: str, name: str, package: bool) -> Iterator[str]:
    """Every module that the text imports, wherever in it; ours begin with a dot."""
    home = name.split(".") if package and name else name.split(".")[:-1]
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (absolute(alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield from (absolute(f"{node.module}.{alias.name}") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = home[: len(home) - node.level + 1] + (node.module or "").split(".")
            yield from ("." + ".".join(filter(None, [*base, alias.name])) for alias in node.names)


def absolute(name: str) -> str:
    return "." + name.partition(".")[2] if name.partition(".")[0] == "lux9" else name


def forbidden(name: str, target: str) -> bool:
    if layer_of(name) in ANYTHING:
        return False
    if not target.startswith("."):
        return outside_forbidden(name, target.partition(".")[0])
    if name in EMPTY:
        return True
    here, there = layer_of(name), layer_of(target[1:])
    return here is None or there is None or (here != there and there not in ALLOWED[here])


def outside_forbidden(name: str, library: str) -> bool:
    layer = layer_of(name)
    if library in sys.stdlib_module_names:
        return layer == "wire" and library in INPUT_OUTPUT
    homes = OUTSIDE.get(library, set())
    return "*" not in homes and layer not in homes


def violations(text: str, name: str, package: bool = False) -> list[str]:
    return [target for target in imports(text, name, package) if forbidden(name, target)]


@pytest.mark.parametrize("path", sorted(SOURCE.rglob("*.py")), ids=name_of)
def test_a_file_imports_only_what_its_layer_may(path: Path) -> None:
    name = name_of(path)
    assert not violations(path.read_text(), name, path.name == "__init__.py")
    assert name in EMPTY or layer_of(name) is not None, (
        f"{name} belongs to no layer: put it into ALLOWED"
    )


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("arch.ahci", "from ..pending import Pending"),
        ("arch.ahci", "import time\nfrom ..models import ahci"),
        ("wire.codec", "import socket"),
        ("wire.codec", "from asyncio import streams"),
        ("wire.codec", "def later():\n    import os"),
        ("wire.codec", "from ..ninep.client import Client"),
        ("models.ahci", "from ..kernel import process"),
        ("models.ahci", "from ..ninep.client import Client"),
        ("models.ahci", "from ..drivers.ahci import main"),
        ("kernel.dev.pci", "from ...machine.sim import Sim"),
        ("kernel.dev.pci", "from ...machine import sim"),
        ("kernel.dev.pci", "from ...models.pci import PciFunction"),
        ("kernel.server", "from ..sip import launcher"),
        ("kernel.server", "from ..drivers import block"),
        ("kernel.server", "from .. import cli"),
        ("kernel.server", "import lux9.cli.boot"),
        ("kernel.server", "from lux9 import driver"),
        ("kernel.server", "import click"),
        ("drivers.ahci.main", "from ...machine.abstract import Machine"),
        ("drivers.ahci.main", "from ...kernel.process import Cap"),
        ("tree", "from ..ninep import client"),
        ("ninep.server", "from ..tree import Dir"),
        ("sip.launcher", "from ..cli import boot"),
        ("nowhere", "from .errors import Lux9Error"),
        ("machine", "from .sim import Sim"),
    ],
)
def test_a_forbidden_edge_is_seen(name: str, text: str) -> None:
    assert violations(text, name, package=name in {"tree", "machine"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("arch.ahci", "from ..regs import Block, Register"),
        ("kernel.dev.pci", "from ...machine.abstract import Machine\nfrom ..process import Cap"),
        ("machine.sim", "from ...models.pci import PciFunction\nfrom ..abstract import Machine"),
        ("cli.boot", "from ..machine.sim import Sim\nimport click"),
        ("wire.codec", "import struct\nfrom ..errors import ProtocolError"),
        ("fs.ext4", "from cffi import FFI"),
    ],
)
def test_an_allowed_edge_is_let_pass(name: str, text: str) -> None:
    assert not violations(text, name, package=name == "machine.sim")


def test_the_graph_has_no_cycle() -> None:
    below: dict[str, set[str]] = {}

    def descend(layer: str, path: tuple[str, ...]) -> set[str]:
        assert layer not in path, " <- ".join([*path, layer])
        if layer not in below:
            steps = ALLOWED[layer]
            below[layer] = steps.union(*(descend(step, (*path, layer)) for step in steps))
        return below[layer]

    for layer in ALLOWED:
        descend(layer, ())
