"""ATA against examples: FISes byte for byte, IDENTIFY data word for word."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, strategies as st

from lux9.arch.ata import (
    D2H,
    H2D,
    SECTOR,
    Command,
    DmaSetup,
    Error,
    Fis,
    Identify,
    NcqError,
    PioSetup,
    SetDeviceBits,
    Signature,
    Status,
    ata_bytes,
    ata_text,
    h2d,
    h2d_control,
    identify_checksum,
)

LBA = st.integers(0, (1 << 48) - 1)
WORD = st.integers(0, 0xFFFF)
BYTE = st.integers(0, 0xFF)


def words(**values: int) -> bytearray:
    """IDENTIFY data with `w83=0x7400` and so on."""
    data = bytearray(512)
    for name, value in values.items():
        struct.pack_into("<H", data, 2 * int(name[1:]), value)
    return data


# --- commands ---------------------------------------------------------------------------------


def test_a_read_dma_ext() -> None:
    """SATA §10.5.5: 8 sectors at LBA 0x123456789abc."""
    fis = h2d(Command.READ_DMA_EXT, 0x123456789ABC, 8, device=0x40)
    assert fis == bytes.fromhex("27802500 bc9a7840 56341200 08000000 00000000")


def test_a_read_fpdma_queued() -> None:
    """The count is in features, the tag in count 7:3: tag 5, 0x1234 sectors, forced unit access."""
    fis = h2d(Command.READ_FPDMA_QUEUED, 1, 5 << 3, 0x1234, 0xC0)
    assert fis == bytes.fromhex("27806034 010000c0 00000012 28000000 00000000")


def test_a_software_reset() -> None:
    assert h2d_control(4) == bytes.fromhex("27000000 00000000 00000000 00000004 00000000")


@given(BYTE, LBA, WORD, WORD, BYTE, BYTE, st.integers(0, 15))
def test_the_fast_way_makes_what_the_declaration_reads(
    command: int, lba: int, count: int, features: int, device: int, control: int, pm: int
) -> None:
    fis = H2D.over(h2d(command, lba, count, features, device, control, pm))
    head = fis.head.read()
    assert (head.type, head.c, head.command, head.pm) == (Fis.REGISTER_H2D, True, command, pm)
    assert (fis.lba(), fis.features()) == (lba, features)
    assert fis.low.read().device == device
    assert (fis.count.read().count, fis.count.read().control) == (count, control)
    assert fis.aux.read().raw == 0


@pytest.mark.parametrize(
    "values", [{"lba": 1 << 48}, {"lba": -1}, {"count": 1 << 16}, {"features": 1 << 16}]
)
def test_what_does_not_fit_is_refused(values: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no FIS holds LBA"):
        h2d(Command.READ_DMA_EXT, **values)


def test_numbers_of_commands() -> None:
    known = {
        0x06: "DATA_SET_MANAGEMENT",
        0x20: "READ_SECTORS",
        0x25: "READ_DMA_EXT",
        0x2F: "READ_LOG_EXT",
        0x35: "WRITE_DMA_EXT",
        0x60: "READ_FPDMA_QUEUED",
        0x61: "WRITE_FPDMA_QUEUED",
        0xA0: "PACKET",
        0xA1: "IDENTIFY_PACKET_DEVICE",
        0xB0: "SMART",
        0xC8: "READ_DMA",
        0xCA: "WRITE_DMA",
        0xE0: "STANDBY_IMMEDIATE",
        0xE7: "FLUSH_CACHE",
        0xEA: "FLUSH_CACHE_EXT",
        0xEC: "IDENTIFY_DEVICE",
        0xEF: "SET_FEATURES",
    }
    assert {n: Command(n).name for n in known} == known


# --- what comes back --------------------------------------------------------------------------


def test_status_and_error() -> None:
    assert Status.of(0x50).shown() == "drdy dwe"
    assert Status.of(0x51).err
    assert Error.of(0x14).shown() == "idnf abrt"
    assert Error(unc=True).raw == 0x40


def test_a_d2h_with_an_error() -> None:
    fis = D2H.over(bytes.fromhex("34405140 bc9a7840 56341200 01000000 00000000"))
    head = fis.head.read()
    assert head.shown() == "error=0x40 status=0x51 i type=REGISTER_D2H"
    assert fis.lba() == 0x123456789ABC


def test_a_pio_setup() -> None:
    fis = PioSetup.over(bytes.fromhex("5f605800 00000040 00000000 01000050 00020000"))
    head = fis.head.read()
    assert (head.type, head.d, head.i, head.status) == (Fis.PIO_SETUP, True, True, 0x58)
    assert fis.count.read().e_status == 0x50
    assert fis.transfer.read().count == 512


def test_a_set_device_bits() -> None:
    fis = SetDeviceBits.over(bytes.fromhex("a1404000 05000000"))
    head = fis.head.read()
    assert (head.type, head.i, head.status_hi, head.status_lo) == (Fis.SET_DEVICE_BITS, True, 4, 0)
    assert fis.act.read().raw == 0b101


def test_a_dma_setup() -> None:
    fis = DmaSetup.over(
        bytes.fromhex("41a00000 07000000 00000000 00000000 00020000 00100000 00000000")
    )
    head = fis.head.read()
    assert (head.type, head.a, head.d, head.i) == (Fis.DMA_SETUP, True, True, False)
    assert (fis.buffer.read().raw, fis.offset.read().raw, fis.count.read().raw) == (7, 512, 4096)


@pytest.mark.parametrize(
    ("kind", "size"), [(H2D, 20), (D2H, 20), (PioSetup, 20), (DmaSetup, 28), (SetDeviceBits, 8)]
)
def test_sizes(kind: type[H2D], size: int) -> None:
    assert kind.extent() == size


def test_the_ncq_error_log() -> None:
    data = bytearray(512)
    data[:18] = bytes.fromhex("05004110 bc9a7840 56341200 08000b 4e 01 00")
    log = NcqError.over(data)
    head = log.head.read()
    assert (head.nq, head.tag, head.status, head.error) == (False, 5, 0x41, 0x10)
    assert log.lba() == 0x123456789ABC
    assert (log.count.read().count, log.count.read().key, log.count.read().asc) == (8, 0x0B, 0x4E)
    assert log.ascq.read().raw == 1
    assert NcqError.extent() == 512
    data[0] = 0x80
    assert log.head.read().nq


def test_signatures() -> None:
    assert {s.name: int(s) for s in Signature} == {
        "ATA": 0x00000101,
        "PORT_MULTIPLIER": 0x96690101,
        "ZAC": 0xABCD0101,
        "SEMB": 0xC33C0101,
        "ATAPI": 0xEB140101,
        "NONE": 0xFFFFFFFF,
    }


# --- IDENTIFY ---------------------------------------------------------------------------------


def test_text_is_swapped_in_words() -> None:
    assert ata_bytes("QEMU HARDDISK", 40) == b"EQUMH RADDSI K" + b" " * 26
    assert ata_text(b"EQUMH RADDSI K" + b"  " * 13) == "QEMU HARDDISK"
    assert ata_text(b"\0" * 20) == ""


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=20))
def test_text_both_ways(text: str) -> None:
    assert ata_text(ata_bytes(text, 20)) == text


@pytest.mark.parametrize(("text", "length"), [("x" * 21, 20), ("x", 3), ("é", 20)])
def test_text_that_does_not_fit(text: str, length: int) -> None:
    with pytest.raises(ValueError, match=r"does not fit|ordinal not in range"):
        ata_bytes(text, length)


@pytest.mark.parametrize(
    ("member", "word"),
    [
        *(("serial", 10), ("firmware", 23), ("model", 27), ("multiple", 47), ("caps", 49)),
        *(("valid", 53), ("sectors28", 60), ("queue", 75), ("sata", 76), ("sata_has", 78)),
        *(("major", 80), ("has1", 82), ("has2", 83), ("has3", 84), ("on1", 85), ("udma", 88)),
        *(("sectors48", 100), ("sector_size", 106), ("wwn", 108), ("sector_words", 117)),
        *(("security", 128), ("dsm", 169), ("alignment", 209), ("rotation", 217)),
        *(("extended", 230), ("integrity", 255)),
    ],
)
def test_members_lie_at_their_words(member: str, word: int) -> None:
    assert getattr(Identify, member).offset == 2 * word
    assert Identify.extent() == 512


def test_sectors() -> None:
    data = words(w60=0xFFFF, w61=0x0FFF)
    ident = Identify.over(data)
    assert ident.sectors() == 0x0FFFFFFF
    struct.pack_into("<Q", data, 200, 0x1_2345_6789)
    assert ident.sectors() == 0x0FFFFFFF  # no 48-bit commands
    struct.pack_into("<H", data, 166, 0x7400)
    assert ident.sectors() == 0x1_2345_6789
    struct.pack_into("<H", data, 166, 0xFFFF)  # bits 15:14 are not 01: the word says nothing
    assert ident.sectors() == 0x0FFFFFFF
    struct.pack_into("<H", data, 138, 1 << 3)
    struct.pack_into("<Q", data, 460, 0x2_0000_0000)
    assert ident.sectors() == 0x2_0000_0000


@pytest.mark.parametrize(
    ("values", "logical", "physical"),
    [
        ({}, SECTOR, SECTOR),
        ({"w106": 0x6003}, 512, 4096),  # advanced format: 8 logical sectors in one
        ({"w106": 0x5000, "w117": 2048}, 4096, 4096),
        ({"w106": 0x7001, "w117": 1024}, 2048, 4096),
        ({"w106": 0xFFFF, "w117": 2048}, 512, 512),  # says nothing
    ],
)
def test_sector_sizes(values: dict[str, int], logical: int, physical: int) -> None:
    ident = Identify.over(words(**values))
    assert (ident.sector_bytes(), ident.physical_bytes()) == (logical, physical)


@pytest.mark.parametrize(
    ("values", "depth"),
    [
        ({"w75": 31}, 1),
        ({"w75": 31, "w76": 0x0100}, 32),
        ({"w75": 0, "w76": 0x0106}, 1),
        ({"w75": 31, "w76": 0xFFFF}, 1),  # not Serial ATA
    ],
)
def test_queue_depth(values: dict[str, int], depth: int) -> None:
    assert Identify.over(words(**values)).depth() == depth


@given(st.binary(min_size=512, max_size=512))
def test_checksum(data: bytes) -> None:
    whole = data[:511] + bytes([identify_checksum(data)])
    assert sum(whole) % 256 == 0
