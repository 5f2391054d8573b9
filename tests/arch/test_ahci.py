"""AHCI against examples: values that an ICH9 and QEMU's model of it show, structures as §4.2 draws them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, strategies as st

from lux9.arch import ahci
from lux9.arch.ahci import (
    CAP,
    HBA,
    VS,
    CommandHeader,
    CommandInfo,
    CommandList,
    CommandTable,
    CommandTableBase,
    Det,
    Icc,
    Ipm,
    Iss,
    Port,
    Prd,
    PrdBase,
    PrdCount,
    PxCMD,
    PxIE,
    PxIS,
    PxSCTL,
    PxSERR,
    PxSIG,
    PxSSTS,
    PxTFD,
    ReceivedFis,
    Spd,
    set_bits,
    table_size,
)
from lux9.arch.ata import Error, Signature, Status
from lux9.regs import U32, Register


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        # CAP of QEMU's ICH9: 6 ports, 32 slots, NCQ, 64-bit, AHCI only, 1.5 Gb/s
        (CAP.of(0xC0141F05), "s64a sncq iss=GEN1 sam ncs=0x1f np=0x5"),
        (VS.of(0x00010301), "mjr=0x1 mnr=0x301"),  # 1.3.1, as §3.1.5 codes it
        (PxSSTS.of(0x133), "ipm=ACTIVE spd=GEN3 det=ESTABLISHED"),
        (PxSSTS.of(0x001), "det=PRESENT"),
        (PxSCTL.of(0x301), "ipm=NO_PARTIAL_SLUMBER det=RESET"),
        (PxSIG.of(0x00000101), "sig=ATA"),
        (PxSIG.of(0xEB140101), "sig=ATAPI"),
        (PxTFD.of(0x0150), "err=0x1 cs2=0x5"),  # good status after reset
        (PxTFD.of(0x0441), "err=0x4 cs2=0x4 sts_err"),  # aborted
        (PxTFD.of(0x7F), "cs2=0x7 drq cs1=0x3 sts_err"),  # no device yet. §3.3.8
        (PxCMD.of(0x1000C017), "icc=ACTIVE cr fr fre pod sud st"),
        (PxSERR.of(0x04050000), "diag_x diag_w diag_n"),
        (PxIS.of(0x40000001), "tfes dhrs"),
        (PxIS.of(0x00400040), "prcs pcs"),
        (CommandInfo.of(0x00010045), "prdtl=0x1 w cfl=0x5"),
    ],
)
def test_a_known_value_reads_as_the_specification_says(value: Register, shown: str) -> None:
    assert value.shown() == shown


def test_where_things_are() -> None:
    assert HBA.port.offset + 5 * HBA.port.stride + Port.ci.offset == 0x3B8
    row = HBA.at(0x3B8)
    assert row is not None
    assert (row.name, row.access) == ("port[5].ci", "w1s")
    assert HBA.extent() == 0x1100
    assert Port.extent() == 0x80
    assert HBA.at(0x2C) is None  # reserved


def test_ie_enables_what_is_reports() -> None:
    """§3.3.6 follows §3.3.5 bit for bit."""
    assert [f.lo for f in PxIS.fields.values()] == [f.lo for f in PxIE.fields.values()]
    for status, enable in zip(PxIS.fields, PxIE.fields, strict=True):
        assert status[:-1] == enable[:-1]


def test_what_software_cannot_clear_in_is() -> None:
    """They follow PxSERR. §3.3.5"""
    assert PxIS.named & ~PxIS.events == PxIS(prcs=True, pcs=True, ufs=True).raw


def test_enumerations() -> None:
    sstatus = PxSSTS(ipm=Ipm.ACTIVE, spd=Spd.GEN2, det=Det.ESTABLISHED)
    assert sstatus.raw == 0x123
    assert PxCMD(icc=Icc.SLUMBER).raw == 0x60000000
    assert CAP.of(0x00300000).iss is Iss.GEN3
    assert PxSSTS.of(0x2).det == 2  # reserved


@given(st.integers(0, 0xFFFFFFFF))
def test_set_bits(mask: int) -> None:
    numbers = list(set_bits(mask))
    assert sum(1 << n for n in numbers) == mask
    assert numbers == sorted(numbers)


def test_a_command_header() -> None:
    """§4.2.2, figure 10: 5 dwords of FIS, a write, 3 PRDs, its table at 0x1_20000080."""
    packed = CommandHeader.pack(
        info=CommandInfo(cfl=5, w=True, prdtl=3),
        ctba=CommandTableBase.of(0x20000080),
        ctbau=U32.of(1),
    )
    assert packed == bytes.fromhex("45000300 00000000 80000020 01000000") + bytes(16)
    assert len(packed) == 32


def test_a_prd() -> None:
    """§4.2.3.3: 8 KiB at 0x1_00001000, with an interrupt."""
    packed = Prd.pack(dba=PrdBase.of(0x1000), dbau=U32.of(1), dbc=PrdCount(i=True, dbc=0x2000 - 1))
    assert packed == bytes.fromhex("00100000 01000000 00000000 ff1f0080")
    assert PrdCount(dbc=ahci.PRD_BYTES - 1).raw == 0x3FFFFF
    with pytest.raises(ValueError, match="does not fit"):
        PrdCount(dbc=ahci.PRD_BYTES)


@given(st.lists(st.binary(min_size=32, max_size=32), min_size=32, max_size=32))
def test_a_command_list_is_its_headers(raw: list[bytes]) -> None:
    slots = CommandList.over(b"".join(raw))
    for i, header in enumerate(raw):
        info, prdbc, ctba, ctbau = struct.unpack("<4I", header[:16])
        got = slots.header[i]
        assert got.info.read().raw == info
        assert got.prdbc.read().raw == prdbc
        assert got.ctba.read().raw == ctba
        assert got.ctbau.read().raw == ctbau
        assert got.info.read().prdtl == info >> 16


def test_a_command_table() -> None:
    table = CommandTable.over(bytearray(table_size(3)))
    table.cfis.write(b"\x27\x80")
    table.prdt[2].dbc.write(PrdCount(dbc=511))
    assert table_size(3) == 0x80 + 48
    assert table.prdt[2].base == 0xA0
    assert len(table.prdt) == 65535
    assert table.cfis.read()[:3] == b"\x27\x80\0"


def test_where_received_fises_lie() -> None:
    """§4.2.1, figure 8."""
    parts = {name: part.offset for name, part in ReceivedFis.parts.items()}
    assert parts == {"dsfis": 0x00, "psfis": 0x20, "rfis": 0x40, "sdbfs": 0x58}
    assert ReceivedFis.ufis.offset == 0x60
    assert ReceivedFis.extent() == 256


def test_a_received_fis() -> None:
    data = bytearray(256)
    data[0x40:0x54] = bytes.fromhex("34405000 01000040 00000000 08000000 00000000")
    rfis = ReceivedFis.over(data).rfis
    head = rfis.head.read()
    assert head.i
    assert Status.of(head.status).drdy
    assert Error.of(head.error).raw == 0
    assert rfis.lba() == 1
    assert rfis.count.read().count == 8


def test_signatures() -> None:
    assert PxSIG.of(0x96690101).sig is Signature.PORT_MULTIPLIER
    assert PxSIG.of(0x12345678).sig == 0x12345678


def test_limits_are_the_specification_s() -> None:
    assert (ahci.RESET_LIMIT, ahci.STOP_LIMIT, ahci.FIS_STOP_LIMIT) == (1.0, 0.5, 0.5)
    assert (ahci.COMRESET_HOLD, ahci.HANDOFF_BUSY, ahci.HANDOFF_LIMIT) == (0.001, 0.025, 2.0)
    assert ahci.PRD_BYTES == 4 * 1024 * 1024
