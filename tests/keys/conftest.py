"""An authority in a directory of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

from lux9.keys.authority import Authority
from lux9.keys.folder import Folder


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.init(Folder(tmp_path / "keys"), "lab")
