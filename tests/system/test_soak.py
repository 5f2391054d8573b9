"""A short soak: the driver is killed and reloaded under a reader that checks every byte."""

from __future__ import annotations

from pathlib import Path

import pytest
from soak.__main__ import soak


@pytest.mark.parametrize("machine", ["sim", "qemu"])
def test_no_byte_is_lost_whenever_the_driver_dies(tmp_path: Path, machine: str) -> None:
    assert soak(tmp_path, rounds=6, size=24, machine=machine) == 0
