from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from lux9.tree import nodes
from tests.ninep.serving import LOOPS, Served
from tests.ninep.speaking import SEEN


@pytest.fixture(params=LOOPS)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """A server, on each kind of loop."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    with Served(request.param) as served:
        yield served


@pytest.fixture(autouse=True)
def proof(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that proves a message has to have seen it."""
    SEEN.clear()
    yield
    for mark in request.node.iter_markers("proves"):
        dialect, *messages = mark.args
        missing = [name for name in messages if (dialect, name) not in SEEN]
        assert not missing, f"{dialect}: {missing} were not sent or got"


@pytest.fixture(scope="module")
def one_time() -> Iterator[None]:
    """Times of files stand still: two trees that are compared are not made in two seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nodes, "time", SimpleNamespace(time=lambda: 1_000_000_000.0))
        yield
