"""The ext4 superblock: what it says, and whether what it says can be served.

Ref: ext4 Data Structures and Algorithms (kernel.org), "Super Block". All fields little endian; the
structure lies 1024 bytes from the start. The checks stand before libext2fs sees the image, so that a
refusal can say what was found and what to do.
"""

from __future__ import annotations

from collections.abc import Iterator

from ..errors import UserError
from ..regs import U16, U32, Block, Memory, Register, bit, ro
from .metadata import Metadata

OFFSET = 1024
SIZE = 1024
MAGIC = 0xEF53


class Refused(UserError):
    """The image cannot be served; the message says why, and what to do."""

    @property
    def message(self) -> str:
        """Just that: nobody gave a bad argument."""
        return str(self)


class State(Register, width=16):
    """File system state. s_state"""

    orphans: bool = bit(2)
    errors: bool = bit(1)
    valid: bool = bit(0)


class Incompat(Register, width=32):
    """Features without which the file system must not be read. s_feature_incompat"""

    casefold: bool = bit(17)
    encrypt: bool = bit(16)
    inline_data: bool = bit(15)
    large_dir: bool = bit(14)
    metadata_csum_seed: bool = bit(13)
    dirdata: bool = bit(12)
    ea_inode: bool = bit(10)
    flex_bg: bool = bit(9)
    mmp: bool = bit(8)
    has_64bit: bool = bit(7)
    extent: bool = bit(6)
    meta_bg: bool = bit(4)
    journal_dev: bool = bit(3)
    needs_recovery: bool = bit(2)
    filetype: bool = bit(1)
    compression: bool = bit(0)


SERVED = Incompat(
    casefold=True,
    encrypt=True,  # names and the files that are not encrypted; the others are refused one by one
    inline_data=True,
    large_dir=True,
    metadata_csum_seed=True,
    ea_inode=True,
    flex_bg=True,
    mmp=True,
    has_64bit=True,
    extent=True,
    meta_bg=True,
    filetype=True,
)


class Superblock(Block):
    """The fields that are looked at before the library opens the image."""

    inodes_count = ro(0x00, U32)
    blocks_count_lo = ro(0x04, U32)
    reserved_lo = ro(0x08, U32)
    free_blocks_lo = ro(0x0C, U32)
    free_inodes = ro(0x10, U32)
    first_data_block = ro(0x14, U32)
    log_block_size = ro(0x18, U32)
    log_cluster_size = ro(0x1C, U32)  # that of a block, but for bigalloc
    blocks_per_group = ro(0x20, U32)
    magic = ro(0x38, U16)
    state = ro(0x3A, State)
    rev_level = ro(0x4C, U32)
    feature_incompat = ro(0x60, Incompat)
    blocks_count_hi = ro(0x150, U32)
    reserved_hi = ro(0x154, U32)
    free_blocks_hi = ro(0x158, U32)
    error_count = ro(0x194, U32)
    overhead = ro(0x248, U32)  # clusters of the file system's own; mke2fs of old left it 0

    @property
    def block_size(self) -> int:
        """Bytes a block."""
        return 1024 << self.log_block_size.read().raw

    @property
    def blocks(self) -> int:
        """Blocks in the file system."""
        return self._wide(self.blocks_count_lo.read().raw, self.blocks_count_hi.read().raw)

    @property
    def room(self) -> int:
        """Blocks that files may have: what Linux's statfs(2) tells, unless it was mounted with minixdf."""
        ratio = max(0, self.log_cluster_size.read().raw - self.log_block_size.read().raw)
        return max(self.free, self.blocks - (self.overhead.read().raw << ratio))

    @property
    def free(self) -> int:
        """Blocks that are free."""
        return self._wide(self.free_blocks_lo.read().raw, self.free_blocks_hi.read().raw)

    @property
    def available(self) -> int:
        """Those of them that are not kept for root."""
        reserved = self._wide(self.reserved_lo.read().raw, self.reserved_hi.read().raw)
        return max(0, self.free - reserved)

    def _wide(self, low: int, high: int) -> int:
        return low | high << 32 if self.feature_incompat.read().has_64bit else low

    @property
    def groups(self) -> int:
        """Block groups, the last one short."""
        per = self.blocks_per_group.read().raw
        return -(-(self.blocks - self.first_data_block.read().raw) // per)


SIGNS: tuple[tuple[int, bytes, str], ...] = (  # offset, bytes there, what it is
    (0, b"XFSB", "an XFS file system"),
    (0, b"hsqs", "a squashfs"),
    (0, b"LUKS\xba\xbe", "a LUKS volume: open it first"),
    (0, b"QFI\xfb", "a qcow2 image: convert it with `qemu-img convert -O raw`"),
    (0, b"\x1f\x8b", "gzip data: unpack it first"),
    (3, b"NTFS    ", "an NTFS"),
    (0x36, b"FAT", "a FAT file system"),
    (0x52, b"FAT32", "a FAT file system"),
    (0x218, b"LVM2 001", "an LVM physical volume"),
    (0x200, b"EFI PART", "a whole disk with a GPT: name one of its partitions"),
    (0x8001, b"CD001", "an ISO 9660 image"),
    (0x10040, b"_BHRfS_M", "a btrfs"),
    (0xFF6, b"SWAPSPACE2", "swap space"),
    (0x1FE, b"\x55\xaa", "a boot sector, perhaps a whole disk: name one of its partitions"),
)


def read_superblock(device: Metadata) -> Superblock:
    """The superblock of an ext2, ext3 or ext4 image that can be served. Raises Refused."""
    if (size := device.size) < OFFSET + SIZE:
        raise Refused(f"{size} bytes are too few for a file system" if size else "empty")
    sb = Superblock(Memory(device.read(OFFSET, SIZE)), name="superblock")
    if (magic := sb.magic.read().raw) != MAGIC:
        raise Refused(
            f"not ext4: the magic at byte {OFFSET + 0x38} is {magic:#06x}, not {MAGIC:#06x}; "
            f"this is {_what_is(device)}"
        )
    for why in _objections(sb, device.size):
        raise Refused(why)
    return sb


def _what_is(device: Metadata) -> str:
    head = device.read(0, min(0x10400, device.size))
    for offset, sign, what in SIGNS:
        if head[offset : offset + len(sign)] == sign:
            return what
    return "something unknown" if any(head) else "all zeros"


def _objections(sb: Superblock, size: int) -> Iterator[str]:
    """Why the file system cannot be served, worst first."""
    incompat = sb.feature_incompat.read()
    if incompat.journal_dev:
        yield "an external journal, not a file system; name the device that holds the file system"
    if sb.rev_level.read().raw > 1:
        yield f"revision {sb.rev_level.read().raw} is unknown; revisions 0 and 1 are served"
    if unknown := _names(incompat.raw & ~SERVED.raw & ~Incompat(needs_recovery=True).raw):
        yield f"feature {', '.join(unknown)} is not supported"
    if sb.log_block_size.read().raw > 6:
        yield f"blocks of 2^{10 + sb.log_block_size.read().raw} bytes are too large. Run `e2fsck -f IMG`"
    if incompat.needs_recovery:
        yield (
            "the journal holds changes that are not in place yet (needs_recovery): the image was not "
            "unmounted. Run `e2fsck -f IMG` to replay it, then mount again"
        )
    if (state := sb.state.read()).errors:
        yield f"marked as having errors ({sb.error_count.read().raw} recorded). Run `e2fsck -f IMG`"
    yield from _truncation(sb, size)
    if not state.valid and not incompat.needs_recovery:
        yield "was not unmounted cleanly. Run `e2fsck -f IMG`"


def _truncation(sb: Superblock, size: int) -> Iterator[str]:
    total = sb.blocks * sb.block_size
    if total == 0:
        yield "has no blocks. Run `e2fsck -f IMG`"
    elif size < total:
        yield (
            f"truncated: {sb.blocks} blocks of {sb.block_size} bytes are {total} bytes, "
            f"there are {size}. Copy the image again"
        )


def _names(bits: int) -> list[str]:
    """The features that are set, by name where they have one."""
    known = {name: f for name, f in Incompat.fields.items() if bits & f.span}
    rest = bits & ~sum(f.span for f in known.values())
    names = sorted(known, key=lambda name: known[name].lo)
    return [*names, *(f"{1 << n:#x}" for n in range(32) if rest >> n & 1)]
