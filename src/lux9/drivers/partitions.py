"""Partition tables, read by dissect.volume's structures and believed by nobody.

GPT (UEFI 2.10 §5.3) and MBR with its chain of extended records. An entry that lies (past the end, of no
length, over another one, a chain that comes back to itself) is dropped and told; the rest is kept. A GPT
whose primary header is damaged is read from its backup. No table is no partitions, and no complaint.
"""

from __future__ import annotations

import zlib
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple
from uuid import UUID

from .tables import c_gpt, c_mbr, kind_of

Read = Callable[[int, int], Awaitable[bytes]]  # (first sector, sectors)

EXTENDED = {0x05, 0x0F, 0x85}
PROTECTIVE = 0xEE
MBR_NAMES = {
    **dict.fromkeys((0x01, 0x04, 0x06, 0x0B, 0x0C, 0x0E), "dos"),
    0x07: "ntfs",
    0x39: "plan9",
    0x82: "swap",
    0x83: "linux",
    0x8E: "lvm",
    0xFD: "raid",
    0xA5: "freebsd",
    0xA6: "openbsd",
    0xA9: "netbsd",
    0xEF: "esp",
}
GPT_NAMES = {
    UUID("0fc63daf-8483-4772-8e79-3d69d8477de4"): "linux",
    UUID("4f68bce3-e8cd-4db1-96e7-fbcaf984b709"): "linux",  # the root of an x86-64 system
    UUID("933ac7e1-2eb4-4f13-b844-0e14e2aef915"): "home",
    UUID("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f"): "swap",
    UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b"): "esp",
    UUID("21686148-6449-6e6f-744e-656564454649"): "bios",
    UUID("ebd0a0a2-b9e5-4433-87c0-68b6b72699c7"): "dos",
    UUID("e3c9e316-0b5c-4db8-817d-f92df00215ae"): "msr",
    UUID("c91818f9-8025-47af-89d2-f030d7000c2c"): "plan9",
    UUID("e6d6d379-f507-44c2-a23c-238f2a3df928"): "lvm",
    UUID("a19d880f-05fc-4d3b-a006-743f0f84911e"): "raid",
    UUID("516e7cb4-6ecf-11d6-8ff8-00022d09712b"): "freebsd",
}
UNUSED = UUID(int=0)
LONGEST_CHAIN = 128  # extended records; fdisk makes no more than 60 logical partitions
MOST_ENTRIES = 1024  # of a GPT; the usual table has 128
HEADER = 92  # bytes of a GPT header that every revision has


class Partition(NamedTuple):
    """Sectors `start` to `end`, the end not included."""

    name: str
    start: int
    end: int


class Candidate(NamedTuple):
    """What a table claims, not yet believed."""

    label: str  # for messages: `GPT entry 3`
    name: str
    kind: str
    start: int
    end: int


@dataclass
class Table:
    """What a disk's table says: the scheme (`gpt`, `mbr` or none), what was kept, what was wrong."""

    scheme: str = ""
    partitions: list[Partition] = field(default_factory=list[Partition])
    problems: list[str] = field(default_factory=list[str])


async def scan(read: Read, sectors: int, sector_size: int = 512) -> Table:
    """The partitions of a disk of that many sectors. Raises what `read` raises."""
    table = Table()
    if sectors < 2:
        return table
    first = await read(0, 1)
    entries = mbr_entries(first)
    if entries is None:
        return table
    reader = _Reader(read, sectors, sector_size, table)
    if any(e.type == PROTECTIVE for e in entries):
        found = await reader.gpt()
    else:
        table.scheme = "mbr"
        found = await reader.mbr(entries)
    table.partitions = believe(found, sectors, table.problems)
    return table


class MbrEntry(NamedTuple):
    """A record of a master or extended boot record; start and length in sectors."""

    number: int
    type: int
    start: int
    length: int


def mbr_entries(sector: bytes) -> list[MbrEntry] | None:
    """The four records of a boot record that are in use; None when the sector is not one."""
    record: Any = c_mbr.mbr_s(sector[:512])
    if record.bootsig != 0xAA55 or any(p.bootable & 0x7F for p in record.part):
        return None  # a file system's boot sector has code or a label where the records would be
    parts = enumerate(record.part)
    return [MbrEntry(i + 1, p.type, p.sector_ofs, p.sector_size) for i, p in parts if p.type]


class _Reader:
    def __init__(self, read: Read, sectors: int, sector_size: int, table: Table) -> None:
        self.read, self.sectors, self.sector_size, self.table = read, sectors, sector_size, table

    def problem(self, text: str) -> None:
        self.table.problems.append(text)

    async def mbr(self, entries: list[MbrEntry]) -> list[Candidate]:
        found: list[Candidate] = []
        for e in entries:
            if e.type in EXTENDED:
                found += await self.chain(e.start)
            else:
                found.append(_mbr_candidate(f"MBR entry {e.number}", e, 0))
        return found

    async def chain(self, base: int) -> list[Candidate]:
        """The logical partitions: each record's own is relative to it, its link to the first record."""
        found: list[Candidate] = []
        seen: set[int] = set()
        at: int | None = base
        while at is not None:
            if at in seen or len(seen) == LONGEST_CHAIN:
                self.problem(f"the extended records come back to sector {at}: the rest is dropped")
                break
            seen.add(at)
            at = await self._record(base, at, found)
        return found

    async def _record(self, base: int, at: int, found: list[Candidate]) -> int | None:
        """Take one extended record; where the next is."""
        if not 0 < at < self.sectors:
            self.problem(f"an extended record would be at sector {at} of {self.sectors}: dropped")
            return None
        entries = mbr_entries(await self.read(at, 1))
        if entries is None:
            self.problem(f"sector {at} is no extended record: the chain ends there")
            return None
        link: int | None = None
        for e in entries:
            if e.type in EXTENDED:
                link = base + e.start
            else:
                found.append(_mbr_candidate(f"logical partition in sector {at}", e, at))
        return link

    async def gpt(self) -> list[Candidate]:
        for where, lba in (("primary", 1), ("backup", self.sectors - 1)):
            wrong = await self._gpt_at(lba)
            if isinstance(wrong, list):
                self.table.scheme = "gpt"
                return wrong
            self.problem(f"{where} GPT header at sector {lba}: {wrong}")
        return []

    async def _gpt_at(self, lba: int) -> list[Candidate] | str:
        """The entries of the header at a sector, or what is wrong with it."""
        sector = await self.read(lba, 1)
        header: Any = c_gpt.GPT_HEADER(sector[:512])
        if wrong := self._wrong(header, sector, lba):
            return wrong
        size = header.partition_table_count * header.partition_entry_size
        count = -(-size // self.sector_size)
        if not 0 < header.lba_partition_array < self.sectors - count:
            return f"its entries would be at sector {header.lba_partition_array} of {self.sectors}"
        raw = (await self.read(header.lba_partition_array, count))[:size]
        if (crc := zlib.crc32(raw)) != header.partition_table_crc:
            return (
                f"CRC of its entries is {crc:#010x}, header says {header.partition_table_crc:#010x}"
            )
        return list(_gpt_entries(raw, header.partition_entry_size))

    def _wrong(self, header: Any, sector: bytes, lba: int) -> str:
        if header.signature != b"EFI PART":
            return f"signature is {bytes(header.signature)!r}, not b'EFI PART'"
        if not HEADER <= header.header_size <= self.sector_size:
            return f"its size is {header.header_size}"
        crc = zlib.crc32(sector[:16] + bytes(4) + sector[20 : header.header_size])
        if crc != header.crc32:
            return f"CRC is {crc:#010x}, it says {header.crc32:#010x}"
        if header.current_lba != lba:
            return f"it says that it is at sector {header.current_lba}"
        size, count = header.partition_entry_size, header.partition_table_count
        if size < 128 or size % 8 or size > 4096 or count > MOST_ENTRIES:
            return f"it has {count} entries of {size} bytes"
        return ""


def _mbr_candidate(label: str, e: MbrEntry, base: int) -> Candidate:
    name, kind = MBR_NAMES.get(e.type, "part"), kind_of(e.type)
    return Candidate(label, name, kind, base + e.start, base + e.start + e.length)


def _gpt_entries(raw: bytes, size: int) -> Iterator[Candidate]:
    for i in range(len(raw) // size):
        entry: Any = c_gpt.GPT_PARTITION(raw[i * size : i * size + 128])
        kind = UUID(bytes_le=bytes(entry.type_guid))
        if kind != UNUSED:
            name, text = GPT_NAMES.get(kind, "part"), kind_of(kind)
            yield Candidate(f"GPT entry {i + 1}", name, text, entry.first_lba, entry.last_lba + 1)


def believe(found: list[Candidate], sectors: int, problems: list[str]) -> list[Partition]:
    """The candidates that can be true, named; each of the others gives a line of `problems`."""
    kept: list[Candidate] = []
    for c in found:
        if (wrong := _lie(c, sectors, kept)) is None:
            kept.append(c)
        else:
            problems.append(f"{c.label} ({c.kind}), sectors {c.start} to {c.end}: {wrong}; dropped")
    return list(_named(kept))


def _lie(c: Candidate, sectors: int, kept: list[Candidate]) -> str | None:
    if c.end <= c.start:
        return "it has no length"
    if c.start == 0:
        return "it would begin on the table itself"
    if c.end > sectors:
        return f"the disk ends at {sectors}"
    for other in kept:
        if c.start < other.end and other.start < c.end:
            return f"it overlaps {other.label}, sectors {other.start} to {other.end}"
    return None


def _named(kept: list[Candidate]) -> Iterator[Partition]:
    """The first of a name has it plain, the second is `linux2`."""
    seen: dict[str, int] = {}
    for c in kept:
        n = seen[c.name] = seen.get(c.name, 0) + 1
        yield Partition(c.name if n == 1 else f"{c.name}{n}", c.start, c.end)
