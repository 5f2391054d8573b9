"""One disk for all, and kernels that tests share while they do no harm to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.running import Running, make_image


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image that nobody writes to."""
    return make_image(tmp_path_factory.mktemp("disk"))


@pytest.fixture(scope="module")
def running(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A kernel with a driver and a file system."""
    folder = tmp_path_factory.mktemp("running")
    with Running(folder, "--disk", str(disk), "--read-only") as made:
        yield made
