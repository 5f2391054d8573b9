"""A tree that a test may do anything to, and a connection to it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import lux9
from lux9 import RemoteTree
from tests.ninep.serving import Served


@pytest.fixture
def served() -> Iterator[Served]:
    """`tests.ninep.rig.Top`, served; `addr` is where."""
    with Served() as served:
        yield served


@pytest.fixture
def addr(served: Served, tmp_path: Path) -> str:
    """Where it is served."""
    served.listen(tmp_path / "s")
    return f"unix!{tmp_path / 's'}"


@pytest.fixture
def tree(addr: str) -> Iterator[RemoteTree]:
    """A connection to it."""
    with lux9.connect(addr) as tree:
        yield tree
