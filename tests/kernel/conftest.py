"""A board with gadgets, started, for each test; its loop does not run unless a test runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.kernel.hardware.board import Board


@pytest.fixture
def board() -> Iterator[Board]:
    with asyncio.Runner() as runner:
        made = Board(runner.get_loop())
        runner.run(made.hw.start())
        yield made
        runner.run(made.sim.close())
