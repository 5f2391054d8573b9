"""PCI against examples: headers, BARs, capability lists that are as they should be and that are not."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from lux9.arch import pci
from lux9.arch.pci import (
    BarIo,
    BarMem,
    BarType,
    CapId,
    ClassCode,
    Command,
    ExtCapId,
    Found,
    Header0,
    Header1,
    Layout,
    Msi32,
    Msi64,
    MsiControl,
    Msix,
    MsixControl,
    Pcie,
    PcieCaps,
    Pin,
    PortType,
    Sata,
    Status,
    bar_address,
    bar_size,
    bdf,
    bdf_text,
    capabilities,
    capability_block,
    class_name,
    extended_capabilities,
    find_capability,
    prog_name,
)
from lux9.regs import Memory
from lux9.regs_view import dump

# QEMU's ICH9 AHCI at 00:1f.2, as `lspci -xxx` prints it after firmware
ICH9 = bytes.fromhex(
    "86802229 07051000 02010601 00008000"
    "00000000 00000000 00000000 00000000"
    "41c00000 0010bffe 00000000 f41a0011"
    "00000000 80000000 00000000 0a010000"
) + bytes(192)


def config(**caps: int) -> bytearray:
    """Configuration space with a capability list: `at_40=0x5005` is id 5 at 0x40, next 0x50."""
    data = bytearray(ICH9)
    for name, word in caps.items():
        at = int(name[3:], 16)
        data[at : at + 2] = word.to_bytes(2, "little")
    data[0x34] = min((int(n[3:], 16) for n in caps), default=0)
    return data


def test_an_ahci_controller() -> None:
    header = Header0.over(ICH9)
    assert (header.vendor.read().raw, header.device.read().raw) == (0x8086, 0x2922)
    assert header.command.read() == Command(
        io=True, mem=True, master=True, serr=True, intx_disable=True
    )
    assert header.status.read() == Status(cap_list=True)
    cls = header.cls.read()
    assert (cls.base, cls.sub, cls.prog, cls.revision, cls.code) == (1, 6, 1, 2, 0x010601)
    assert header.header_type.read().multi
    assert header.header_type.read().layout is Layout.GENERAL
    assert header.cap.read().raw == 0x80
    assert header.line.read().raw == 10
    assert header.pin.read().pin is Pin.INTA
    assert (header.subvendor.read().raw, header.subdevice.read().raw) == (0x1AF4, 0x1100)


def test_its_bars() -> None:
    header = Header0.over(ICH9)
    four, five = header.bar[4].word.read(), header.bar[5].word.read()
    assert four.io
    assert bar_address(four.raw) == 0xC040
    assert BarIo.of(four.raw).addr << 2 == 0xC040
    assert (five.io, five.type, bar_address(five.raw)) == (False, BarType.MEM32, 0xFEBF1000)


def test_a_bar_s_address() -> None:
    assert (
        bar_address(BarMem(type=BarType.MEM64, prefetch=True).raw | 0xE0000000, 0x12)
        == 0x12_E0000000
    )
    assert bar_address(0xE0000000, 0x12) == 0xE0000000  # the next is a BAR of its own


@pytest.mark.parametrize(
    ("probe", "upper", "size"),
    [
        (0x00000000, 0, 0),
        (0xFFFFF000, 0, 0x1000),
        (0xFFFFFFF0, 0, 16),
        (0x80000000, 0, 1 << 31),
        (0xFFFFC004, 0xFFFFFFFF, 0x4000),
        (0x0000000C, 0xFFFFFFFE, 1 << 33),
        (0xFFFFFFE1, 0, 32),
        (0x0000FFE1, 0, 32),  # a device that wires the upper 16 bits to zero. §6.2.5.1
        (0x00000001, 0, 0),
    ],
)
def test_a_bar_s_size(probe: int, upper: int, size: int) -> None:
    assert bar_size(probe, upper) == size


@given(st.integers(4, 62))
def test_every_size_is_told(exponent: int) -> None:
    size = 1 << exponent
    mask = -size & (1 << 64) - 1
    assert bar_size(mask & 0xFFFFFFF0 | 4, mask >> 32) == size


def test_headers_have_their_registers_where_they_are() -> None:
    assert Header0.extent() == Header1.extent() == 64
    assert (Header1.secondary.offset, Header1.control.offset) == (0x19, 0x3E)
    assert (Header0.pin.offset, Header1.pin.offset) == (0x3D, 0x3D)
    assert Header1.at(0x1E) == (0x1E, "secondary_status", pci.SecondaryStatus, "w1c", False)


# --- capability lists -------------------------------------------------------------------------


def test_a_list_in_its_order() -> None:
    space = Memory(config(at_80=0xA805, at_a8=0x0012))  # as ICH9 has it: MSI, then SATA
    assert list(capabilities(space)) == [Found(0x80, CapId.MSI), Found(0xA8, CapId.SATA)]
    assert find_capability(space, CapId.SATA) == 0xA8
    assert find_capability(space, CapId.MSI_X) is None


def test_no_list_where_status_says_so() -> None:
    data = config(at_80=0x0005)
    data[6] = 0
    assert list(capabilities(Memory(data))) == []


def test_a_circle_is_cut() -> None:
    space = Memory(config(at_40=0x5005, at_50=0x6001, at_60=0x5010))
    assert [c.offset for c in capabilities(space)] == [0x40, 0x50, 0x60]


def test_a_capability_that_points_at_itself() -> None:
    assert [c.offset for c in capabilities(Memory(config(at_40=0x4005)))] == [0x40]


def test_a_pointer_into_the_header_ends_the_list() -> None:
    assert [c.offset for c in capabilities(Memory(config(at_40=0x1005)))] == [0x40]


def test_low_bits_of_pointers_are_reserved() -> None:
    data = config(at_40=0x5305, at_50=0x0001)
    data[0x34] |= 3
    assert [c.offset for c in capabilities(Memory(data))] == [0x40, 0x50]


def test_all_ones_are_no_list() -> None:
    assert list(capabilities(Memory(b"\xff" * 256))) == []


def test_an_id_that_nobody_knows() -> None:
    found = list(capabilities(Memory(config(at_40=0x00EE))))
    assert found == [Found(0x40, 0xEE)]
    assert type(capability_block(Memory(bytearray(256)), found[0])) is pci.Capability


@given(st.binary(min_size=256, max_size=256))
def test_no_configuration_space_hangs_it(data: bytes) -> None:
    found = list(capabilities(Memory(data)))
    assert len({c.offset for c in found}) == len(found) <= 48
    assert all(0x40 <= c.offset <= 0xFC for c in found)


@given(st.dictionaries(st.integers(0x40, 0x3FF), st.integers(0, 0xFFFFFFFF)))
def test_nor_an_extended_one(dwords: dict[int, int]) -> None:
    dwords.setdefault(0x40, 0x10010001)
    space = extended(**{f"at_{4 * at:x}": value for at, value in dwords.items()})
    found = list(extended_capabilities(space))
    assert len({c.offset for c in found}) == len(found)
    assert all(0x100 <= c.offset <= 0xFFC for c in found)


def extended(**caps: int) -> Memory:
    memory = Memory(bytearray(4096))
    for name, word in caps.items():
        memory.write(int(name[3:], 16), 4, word)
    return memory


def test_extended_capabilities() -> None:
    space = extended(at_100=0x14010001, at_140=0x00010003)
    assert list(extended_capabilities(space)) == [
        Found(0x100, ExtCapId.AER),
        Found(0x140, ExtCapId.SERIAL),
    ]
    assert list(extended_capabilities(extended())) == []
    assert list(extended_capabilities(Memory(b"\xff" * 4096))) == []
    circle = extended(at_100=0x20010001, at_200=0x10010003)
    assert [c.offset for c in extended_capabilities(circle)] == [0x100, 0x200]


def test_msi_of_both_widths() -> None:
    narrow = Memory(config(at_80=0x0005))
    wide = Memory(config(at_80=0x0005))
    wide.write(0x82, 2, MsiControl(wide=True, wanted=3).raw)
    found = Found(0x80, CapId.MSI)
    assert type(capability_block(narrow, found)) is Msi32
    block = capability_block(wide, found)
    assert type(block) is Msi64
    assert block.control.read().wanted == 3
    assert (Msi32.data.offset, Msi64.data.offset) == (0x08, 0x0C)
    assert (Msi32.mask.offset, Msi64.mask.offset) == (0x0C, 0x10)


def test_a_dump_ends_where_the_structure_does() -> None:
    space = Memory(config(at_80=0x0005))
    block = Msi64(space, 0x80)
    assert [line.split()[1] for line in dump(block)] == [
        "head",
        "control",
        "address",
        "upper",
        "data",
    ]
    block.control.update(maskable=True)
    assert list(dump(block))[-1].split()[1] == "pending"


@pytest.mark.parametrize(
    ("caps", "last"),
    [
        (PcieCaps(version=1, type=PortType.ENDPOINT), "linksta"),
        (PcieCaps(version=1, type=PortType.ROOT_PORT, slot=True), "rootsta"),
        (PcieCaps(version=2, type=PortType.ENDPOINT), "linksta2"),
        (PcieCaps(version=2, type=PortType.ROOT_ENDPOINT), "devsta2"),
        (PcieCaps(version=2, type=PortType.DOWNSTREAM, slot=True), "slotsta2"),
    ],
)
def test_what_a_pcie_function_has(caps: PcieCaps, last: str) -> None:
    space = Memory(bytearray(256))
    space.write(0x42, 2, caps.raw)
    assert list(dump(Pcie(space, 0x40)))[-1].split()[1] == last


def test_msix() -> None:
    space = Memory(config(at_40=0x0011))
    space.write(0x42, 2, MsixControl(enable=True, last=64).raw)
    space.write(0x44, 4, 0x2003)
    space.write(0x48, 4, 0x3003)
    block = capability_block(space, Found(0x40, CapId.MSI_X))
    assert isinstance(block, Msix)
    assert block.control.read().last + 1 == 65
    table = block.table.read()
    assert (table.bir, table.at) == (3, 0x2000)
    assert block.pba.read().at == 0x3000
    assert pci.MsixTable.entry.stride == pci.MsixEntry.extent() == 16


def test_the_sata_capability_of_ich9() -> None:
    """Revision 1.0; the index-data pair is in BAR 4 at 0x10."""
    space = Memory(config(at_a8=0x0012))
    space.write(0xAA, 2, 0x0010)
    space.write(0xAC, 4, 0x00000048)
    block = capability_block(space, Found(0xA8, CapId.SATA))
    assert isinstance(block, Sata)
    assert (block.revision.read().major, block.revision.read().minor) == (1, 0)
    place = block.place.read()
    assert (place.bar, place.offset * 4) == (8, 0x10)  # 8: the BAR at 0x20


# --- names ------------------------------------------------------------------------------------


def test_addresses_of_functions() -> None:
    assert bdf("0000:00:1f.2") == 0x00FA
    assert bdf("00:1f.2") == 0x00FA
    assert bdf("0000:3A:00.7") == 0x3A07
    assert bdf("0001:00:00.0") == 1 << 16
    assert bdf_text(0x00FA) == "0000:00:1f.2"


@given(st.integers(0, 0xFFFFFFFF))
def test_addresses_both_ways(number: int) -> None:
    assert bdf(bdf_text(number)) == number


@pytest.mark.parametrize(
    "text",
    ["", "0000:00:1f", "0000:00:20.0", "0000:00:1f.8", "0:0:1f.2", "0000:00:1f.2 ", "٠٠:1f.2"],
)
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(ValueError, match="is no PCI function; one is written 0000"):
        bdf(text)


def test_class_names() -> None:
    assert class_name(ClassCode.of(0x01060102).code) == "SATA controller"
    assert prog_name(0x010601) == "AHCI 1.0"
    assert class_name(0x060400) == "PCI bridge"
    assert class_name(0x067700) == "Bridge"  # the base class
    assert class_name(0x420000) == "Class 4200"
    assert prog_name(0x420000) == ""
