from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.ninep.serving import LOOPS, Served


@pytest.fixture(params=LOOPS)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    """A server, on each kind of loop."""
    if request.param == "uvloop":
        pytest.importorskip("uvloop")
    with Served(request.param) as served:
        yield served
