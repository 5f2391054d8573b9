"""What is not a file system that can be served is refused, in words that say what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from lux9.fs.blocks import ImageFile
from lux9.fs.metadata import Metadata
from lux9.fs.superblock import Incompat, Refused, Superblock, read_superblock
from tests.fs.images import debugfs, flip, here, listing, make_image, mount, node, patch, tool

SB = 1024
INCOMPAT = SB + Superblock.feature_incompat.offset
STATE = SB + Superblock.state.offset


def superblock(file: ImageFile) -> Superblock:
    device = Metadata(file)
    return here(device.attempt(lambda: read_superblock(device)))


def refusal(image: Path) -> str:
    with ImageFile(image) as file, pytest.raises(Refused) as caught:
        mount(file).close()
    return str(caught.value)


def add_features(image: Path, features: Incompat) -> None:
    old = int.from_bytes(image.read_bytes()[INCOMPAT : INCOMPAT + 4], "little")
    patch(image, INCOMPAT, (old | features.raw).to_bytes(4, "little"))


def test_a_good_one(small: Path) -> None:
    with ImageFile(small) as file:
        sb = superblock(file)
        assert sb.blocks * sb.block_size == file.size == 8 << 20
        assert sb.feature_incompat.read().extent


@pytest.mark.parametrize(
    ("data", "says"),
    {
        b"": "empty",
        b"x" * 1500: "1500 bytes are too few",
        bytes(100_000): "magic at byte 1080 is 0x0000, not 0xef53; this is all zeros",
        b"XFSB" + bytes(100_000): "an XFS file system",
        bytes(510) + b"\x55\xaa" + bytes(4096): "a boot sector.*name one of its partitions",
        bytes(512) + b"EFI PART" + bytes(4096): "a whole disk with a GPT",
        b"\x01" * 100_000: "0x0101, not 0xef53; this is something unknown",
        bytes(0x10040) + b"_BHRfS_M" + bytes(9000): "a btrfs",
    }.items(),
)
def test_not_ext4(tmp_path: Path, data: bytes, says: str) -> None:
    image = tmp_path / "other"
    image.write_bytes(data)
    with ImageFile(image) as file, pytest.raises(Refused, match=says):
        superblock(file)


def test_a_dirty_journal(small: Path) -> None:
    debugfs(small, "feature +needs_recovery")
    assert "needs_recovery" in refusal(small)
    assert "`e2fsck -f IMG`" in refusal(small)
    tool("e2fsck", "-fy", str(small))
    with ImageFile(small) as file, mount(file) as volume:
        assert "file" in listing(node(volume)), "what the message said helps"


def test_marked_with_errors(small: Path) -> None:
    debugfs(small, "set_super_value state 2", "set_super_value error_count 7")
    assert "errors (7 recorded). Run `e2fsck -f IMG`" in refusal(small)


def test_not_unmounted(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    image = make_image(tmp_path / "ext2.img", tmp_path / "root", "ext2-1k", "4M")
    debugfs(image, "set_super_value state 0")
    assert "not unmounted cleanly" in refusal(image)


def test_unknown_features_by_name(small: Path) -> None:
    add_features(small, Incompat(compression=True, dirdata=True))
    patch(small, INCOMPAT + 3, b"\x40")
    assert "feature compression, dirdata, 0x40000000 is not supported" in refusal(small)


def test_a_journal_device(tmp_path: Path) -> None:
    image = tmp_path / "journal"
    tool("mke2fs", "-q", "-F", "-O", "journal_dev", "-b", "1024", str(image), "4M")
    assert "an external journal" in refusal(image)


def test_truncated(small: Path) -> None:
    with small.open("r+b") as f:
        f.truncate((8 << 20) - 1)
    assert "8388608 bytes, there are 8388607" in refusal(small)


def test_blocks_too_large(small: Path) -> None:
    patch(small, SB + Superblock.log_block_size.offset, b"\x07")
    assert "2^17" in refusal(small)


def test_a_broken_superblock_checksum(small: Path) -> None:
    flip(small, SB + 0x78)
    assert "superblock checksum" in refusal(small).lower()


def test_broken_group_descriptors(small: Path) -> None:
    block = read_block_size(small)
    flip(small, max(block, 2048) + 8)
    assert "block group 0 fails its checksum" in refusal(small)


def read_block_size(image: Path) -> int:
    with ImageFile(image) as file:
        return superblock(file).block_size


@pytest.mark.parametrize("offset", range(0, 0x60, 4))
def test_nonsense_in_the_superblock_is_refused_or_served(small: Path, offset: int) -> None:
    """No value of a field may do more than that."""
    debugfs(small, "feature -metadata_csum")
    for value in (b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x07\0\0\0", b"\0\0\0\x80"):
        patch(small, SB + offset, value)
        with ImageFile(small) as file:
            try:
                with mount(file) as volume:
                    listing(node(volume))
            except Refused:
                pass
