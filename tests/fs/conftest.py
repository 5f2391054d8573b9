"""One source directory, and an image of it for each kind of file system, for the whole run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lux9.fs.blocks import ImageFile
from lux9.fs.volume import Volume
from tests.fs.images import KINDS, fill, make_image, mount


@pytest.fixture(scope="session")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fill(tmp_path_factory.mktemp("source"))


@pytest.fixture(scope="session", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="session")
def image(kind: str, source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_image(tmp_path_factory.mktemp("image") / f"{kind}.img", source, kind)


@pytest.fixture(scope="session")
def volume(image: Path) -> Iterator[Volume]:
    with ImageFile(image) as file, mount(file) as volume:
        yield volume


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A small ext4 image of its own, to be broken."""
    root = tmp_path / "root"
    (root / "dir").mkdir(parents=True)
    (root / "file").write_bytes(b"content" * 1000)
    (root / "dir" / "inner").write_text("inner")
    return make_image(tmp_path / "small.img", root, "ext4", "8M")
