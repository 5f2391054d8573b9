"""One disk for all, and kernels that tests share while they do no harm to them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine.qemu.system import needs_qemu
from tests.system.running import Running, make_image


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image that nobody writes to."""
    return make_image(tmp_path_factory.mktemp("disk"))


both = pytest.fixture(scope="module", params=["sim", pytest.param("qemu", marks=needs_qemu)])


@both
def machine_name(request: pytest.FixtureRequest) -> str:
    """For `--machine`: a test that has this fixture, or one made of it, runs on both."""
    return str(request.param)


@pytest.fixture(scope="module")
def either(
    disk: Path, machine_name: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    """As `running`, on each machine."""
    options = ("--machine", machine_name, "--disk", str(disk), "--read-only")
    with Running(tmp_path_factory.mktemp("either"), *options) as made:
        yield made


@pytest.fixture(scope="module")
def running(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A kernel with a driver and a file system."""
    folder = tmp_path_factory.mktemp("running")
    with Running(folder, "--disk", str(disk), "--read-only") as made:
        yield made
