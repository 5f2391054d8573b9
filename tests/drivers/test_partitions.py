from __future__ import annotations

import asyncio
import itertools
import struct
import zlib
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings, strategies as st

from lux9.drivers.partitions import LONGEST_CHAIN, Partition, Table, scan

SECTORS = 2000
LINUX = UUID("0fc63daf-8483-4772-8e79-3d69d8477de4")
ESP = UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b")
SWAP = UUID("0657fd6d-a4ab-43c4-84e5-0933c84b4f4f")
Entry = tuple[int, int, int]  # type, start, length


def table_of(disk: bytes | bytearray, size: int = 512, sectors: int = 0) -> Table:
    async def read(lba: int, count: int) -> bytes:
        assert (lba + count) * size <= len(disk), "read past the end"
        return bytes(disk[lba * size : (lba + count) * size])

    return asyncio.run(scan(read, sectors or len(disk) // size, size))


def mbr(entries: Sequence[Entry]) -> bytes:
    records = b"".join(struct.pack("<B3xB3xII", 0, *e) for e in entries)
    return bytes(446) + records.ljust(64, b"\0") + b"\x55\xaa"


def disk_of(sectors: dict[int, bytes], size: int = 512, count: int = SECTORS) -> bytearray:
    disk = bytearray(count * size)
    for lba, data in sectors.items():
        disk[lba * size : lba * size + len(data)] = data
    return disk


def gpt(
    parts: Sequence[tuple[UUID, int, int]], sector: int = 512, count: int = SECTORS, **wrong: int
) -> bytearray:
    """Both copies of a table; `wrong` changes fields of the primary header before its CRC is made."""
    array = b"".join(
        kind.bytes_le + uuid4().bytes_le + struct.pack("<QQQ72x", first, last, 0)
        for kind, first, last in parts
    ).ljust(128 * 128, b"\0")
    room = len(array) // sector
    disk = disk_of(
        {0: mbr([(0xEE, 1, count - 1)]), 2: array, count - 1 - room: array}, sector, count
    )
    for lba, other, at in ((1, count - 1, 2), (count - 1, 1, count - 1 - room)):
        fields = {"lba": lba, "entries": at, "many": 128, "each": 128, "size": 92}
        fields |= wrong if lba == 1 else {}
        head = header(fields, other, zlib.crc32(array))
        disk[lba * sector : lba * sector + len(head)] = head
    return disk


def header(f: dict[str, int], other: int, array_crc: int) -> bytes:
    def packed(crc: int) -> bytes:
        return struct.pack(
            "<8sIIIIQQQQ16sQIII", b"EFI PART", 0x10000, f["size"], crc, 0, f["lba"], other, 34,
            SECTORS - 34, bytes(16), f["entries"], f["many"], f["each"],
            array_crc,
        )  # fmt: skip

    return packed(zlib.crc32(packed(0)[: f["size"]]))


def test_a_gpt_is_read() -> None:
    table = table_of(
        gpt([(ESP, 40, 99), (LINUX, 100, 1099), (SWAP, 1100, 1199), (LINUX, 1200, 1200)])
    )
    assert table.scheme == "gpt"
    assert table.partitions == [
        Partition("esp", 40, 100),
        Partition("linux", 100, 1100),
        Partition("swap", 1100, 1200),
        Partition("linux2", 1200, 1201),
    ]
    assert table.problems == []


def test_a_gpt_on_a_disk_of_4096_byte_sectors() -> None:
    table = table_of(gpt([(LINUX, 100, 1099)], sector=4096), size=4096)
    assert table.partitions == [Partition("linux", 100, 1100)]
    assert table.problems == []


def test_an_unknown_type_is_a_part() -> None:
    assert table_of(gpt([(uuid4(), 50, 60)])).partitions == [Partition("part", 50, 61)]


def test_a_damaged_primary_is_read_from_the_backup() -> None:
    disk = gpt([(LINUX, 100, 199)])
    disk[512 + 40] ^= 1
    table = table_of(disk)
    assert table.partitions == [Partition("linux", 100, 200)]
    assert len(table.problems) == 1
    assert "primary GPT header at sector 1: CRC is" in table.problems[0]


def test_damaged_entries_are_read_from_the_backup() -> None:
    disk = gpt([(LINUX, 100, 199)])
    disk[2 * 512 + 32] ^= 1
    table = table_of(disk)
    assert table.partitions == [Partition("linux", 100, 200)]
    assert "CRC of its entries" in table.problems[0]


def test_two_damaged_headers_are_no_partitions_and_two_lines() -> None:
    disk = gpt([(LINUX, 100, 199)])
    disk[512:520] = disk[-512:-504] = b"NOT PART"
    table = table_of(disk)
    assert table.partitions == []
    assert ["primary" in table.problems[0], "backup" in table.problems[1]] == [True, True]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"lba": 7}, "it says that it is at sector 7"),
        ({"entries": 1 << 40}, "its entries would be at sector 1099511627776"),
        ({"entries": 0}, "its entries would be at sector 0"),
        ({"many": 1 << 31}, "2147483648 entries of 128"),
        ({"each": 100}, "128 entries of 100"),
        ({"each": 1 << 30}, "128 entries of 1073741824"),
        ({"size": 20}, "its size is 20"),
        ({"size": 5000}, "its size is 5000"),
    ],
)
def test_a_header_that_lies_with_a_right_crc(wrong: dict[str, int], says: str) -> None:
    table = table_of(gpt([(LINUX, 100, 199)], **wrong))
    assert says in table.problems[0]
    assert table.partitions == [Partition("linux", 100, 200)]


def test_entries_that_lie_are_dropped_and_the_rest_is_kept() -> None:
    table = table_of(
        gpt(
            [
                (LINUX, 100, 199),
                (SWAP, 150, 160),
                (ESP, 300, 299),
                (LINUX, 400, 5000),
                (SWAP, 500, 600),
            ]
        )
    )
    assert table.partitions == [Partition("linux", 100, 200), Partition("swap", 500, 601)]
    assert len(table.problems) == 3
    assert "GPT entry 2" in table.problems[0]
    assert "overlaps GPT entry 1, sectors 100 to 200" in table.problems[0]
    assert "no length" in table.problems[1]
    assert "the disk ends at 2000" in table.problems[2]


def test_an_mbr_is_read() -> None:
    table = table_of(
        disk_of({0: mbr([(0x0C, 10, 90), (0x83, 100, 400), (0x39, 500, 10), (0x82, 600, 5)])})
    )
    assert table.scheme == "mbr"
    assert [p.name for p in table.partitions] == ["dos", "linux", "plan9", "swap"]
    assert table.partitions[1] == Partition("linux", 100, 500)


def test_logical_partitions_are_found_through_the_chain() -> None:
    disk = disk_of(
        {
            0: mbr([(0x83, 10, 90), (0x05, 100, 900)]),
            100: mbr([(0x83, 2, 50), (0x05, 200, 100)]),
            300: mbr([(0x82, 2, 60), (0x05, 300, 100)]),
            400: mbr([(0x83, 2, 70)]),
        }
    )
    table = table_of(disk)
    assert table.partitions == [
        Partition("linux", 10, 100),
        Partition("linux2", 102, 152),
        Partition("swap", 302, 362),
        Partition("linux3", 402, 472),
    ]
    assert table.problems == []


def test_a_chain_that_comes_back_to_itself_ends() -> None:
    disk = disk_of(
        {
            0: mbr([(0x05, 100, 900)]),
            100: mbr([(0x83, 2, 50), (0x05, 100, 100)]),
            200: mbr([(0x83, 2, 50), (0x05, 0, 100)]),
        }
    )
    table = table_of(disk)
    assert [p.start for p in table.partitions] == [102, 202]
    assert "come back to sector 100" in table.problems[0]


def test_a_chain_without_end_is_cut() -> None:
    links = {100 + i: mbr([(0x05, i + 1, 1)]) for i in range(LONGEST_CHAIN + 50)}
    table = table_of(disk_of({0: mbr([(0x05, 100, 900)]), **links}))
    assert len(table.problems) == 1


def test_a_chain_into_nothing_is_told() -> None:
    far = table_of(disk_of({0: mbr([(0x83, 1, 9), (0x05, 1 << 30, 5)])}))
    assert "sector 1073741824 of 2000" in far.problems[0]
    empty = table_of(disk_of({0: mbr([(0x83, 1, 9), (0x05, 100, 5)])}))
    assert "sector 100 is no extended record" in empty.problems[0]
    assert far.partitions == empty.partitions == [Partition("linux", 1, 10)]


def test_no_table_is_no_partitions_and_no_complaint() -> None:
    for disk in (bytes(512 * 64), disk_of({2: b"\x53\xef"}), disk_of({0: mbr([])})):
        table = table_of(disk)
        assert (table.partitions, table.problems) == ([], [])


def test_a_boot_sector_of_a_file_system_is_no_table() -> None:
    sector = bytearray(mbr([]))
    sector[:11] = b"\xeb\x3c\x90MSDOS5.0"
    sector[446:510] = b"Non-system disk or disk error, replace and strike any key".ljust(64, b"!")
    assert table_of(disk_of({0: bytes(sector)})) == Table()


def test_a_disk_of_one_sector() -> None:
    assert table_of(mbr([(0x83, 0, 1)])) == Table()


@settings(max_examples=100, deadline=None)
@given(st.binary(min_size=64, max_size=64), st.binary(min_size=64, max_size=64))
def test_any_records_give_partitions_that_are_on_the_disk_and_apart(a: bytes, b: bytes) -> None:
    first = bytearray(bytes(446) + a + b"\x55\xaa")
    second = bytes(446) + b + b"\x55\xaa"
    first[446] = first[462] = first[478] = first[494] = 0
    first[450] = 0x05
    first[454:458] = (100).to_bytes(4, "little")
    table = table_of(disk_of({0: bytes(first), 100: second}))
    kept = sorted(table.partitions, key=lambda p: p.start)
    assert all(0 < p.start < p.end <= SECTORS for p in kept)
    assert all(p.end <= q.start for p, q in itertools.pairwise(kept))
    assert len({p.name for p in kept}) == len(kept)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 16383), st.binary(min_size=1, max_size=64))
def test_a_gpt_with_rubbish_written_over_it_harms_nobody(at: int, rubbish: bytes) -> None:
    disk = gpt([(LINUX, 100, 199), (SWAP, 300, 399)])
    disk[512 + at : 512 + at + len(rubbish)] = rubbish
    for p in table_of(disk).partitions:
        assert 0 < p.start < p.end <= SECTORS
