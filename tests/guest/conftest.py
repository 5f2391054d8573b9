"""One guest for all tests that need one."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests.guest.guest import PARTS, Guest

OWN = ("loop", "ext4", "crc32c_generic")  # to compare with what Linux itself reads
COMPLAINTS = re.compile(r"BUG:|WARNING:|Oops|blocked for more than|general protection fault")


@pytest.fixture(scope="session")
def guest(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guest]:
    """It must not have made Linux complain when all tests are over."""
    if not (PARTS / "linux").exists():
        pytest.skip(f"there is no Linux for a guest; make {PARTS.name}/linux")
    with Guest(tmp_path_factory.mktemp("guest"), modules=OWN) as made:
        yield made
        said = made.run("/run/busybox dmesg").stdout
        assert not COMPLAINTS.search(said), said
