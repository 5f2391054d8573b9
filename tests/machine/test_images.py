"""Images that are more than the disk's bytes are not taken for the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from lux9.cli.machines import Wanted, make
from lux9.errors import UserError
from lux9.machine.images import MAGICS, refuse_container
from lux9.machine.qemu.board import FORMATS, Medium


@pytest.fixture(params=MAGICS.items(), ids=[*MAGICS.values()])
def container(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Path, str]:
    """A file that begins as one of the format."""
    (at, magic), name = request.param
    path = tmp_path / "d.img"
    path.write_bytes((bytes(at) + magic).ljust(4096, b"\0"))
    return path, name


def test_a_container_is_not_taken_for_its_disk(container: tuple[Path, str]) -> None:
    path, name = container
    assert name in FORMATS
    with pytest.raises(UserError, match=f"is of the format {name}: write {path}:{name}; or"):
        Medium.parse(str(path))
    with pytest.raises(UserError, match=f"write --machine qemu --disk {path}:{name}; or"):
        make("sim", Wanted(disks=[str(path)]))


def test_whoever_says_what_it_is_is_believed(container: tuple[Path, str]) -> None:
    path, name = container
    assert Medium.parse(f"{path}:{name}").format == name
    assert Medium.parse(f"{path}:raw").format == "raw"
    make("sim", Wanted(disks=[f"{path}:raw"]))


def test_what_is_a_disk_or_cannot_be_read_is_for_others_to_tell(tmp_path: Path) -> None:
    disk = tmp_path / "d.img"
    disk.write_bytes(b"\xeb\x63\x90QFI\xfb")
    for path in (disk, tmp_path, tmp_path / "none", Path("/dev/null")):
        refuse_container(path, "")
