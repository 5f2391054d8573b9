"""What people see of the declarations: dumps, trace lines, the manual's tables."""

from __future__ import annotations

import pytest

from lux9.arch.ahci import HBA, ReceivedFis
from lux9.arch.pci import Header0, Header1
from lux9.regs import U32, Block, Memory, Register, banks, bit, bits, octets, ro, rw, wo
from lux9.regs_view import comments, dump, explain, table


class Level(Register, width=32):
    """How full. Cask 1.0 §2"""

    level: int = bits(11, 4)  # tenths of a litre
    wet: bool = bit(0, w1c=True)  # it rained | or leaked


class Tap(Block, size=4):
    flow = ro(0, U32)  # drops a second


class Cask(Block, size=0x40):
    """A cask. Cask 1.0 §1"""

    level = rw(0x00, Level)
    pour = wo(0x04, U32)
    drain = ro(0x08, U32, effect=True)  # reading empties it
    label = octets(0x0C, 4)  # what is in it
    tap = banks(0x10, 4, 3, Tap, lambda cask: range(cask.level.read().level))
    rain = ro(0x30, U32, when=lambda cask: cask.level.read().wet)


class Words:
    """A window without octets that fails where a dump has no business."""

    def __init__(self, **forbidden: int) -> None:
        self.memory, self.reads = Memory(bytearray(0x40)), list[int]()

    def read(self, offset: int, width: int) -> int:
        assert offset not in (4, 8), (
            "a dump reads no register that cannot be, or changes when it is"
        )
        assert not 0xC <= offset < 0x10, "nor octets of a device"
        self.reads.append(offset)
        return self.memory.read(offset, width)

    def write(self, offset: int, width: int, value: int) -> None:
        raise AssertionError("a dump writes nothing")


def test_a_dump_reads_only_what_is_free_to_read() -> None:
    window = Words()
    window.memory.write(0, 4, Level(level=2, wet=True).raw)
    window.memory.write(0x14, 4, 9)
    assert list(dump(Cask(window))) == [
        "0x0000 level       0x00000021 level=0x2 wet",
        "0x0010 tap[0].flow 0x00000000",
        "0x0014 tap[1].flow 0x00000009",
        "0x0030 rain        0x00000000",
    ]


def test_a_dump_of_memory_has_octets_too() -> None:
    data = bytearray(0x40)
    data[0xC:0x10] = b"wine"
    assert "0x000c label 77 69 6e 65" in list(dump(Cask(Memory(data))))
    assert "0x000c label 4 zero bytes" in list(dump(Cask(Memory(bytearray(0x40)))))


def test_a_dump_of_what_the_caller_says_is_there() -> None:
    lines = list(dump(Cask(Words()), {"tap": [2]}))
    assert [line.split()[1] for line in lines] == ["level", "tap[2].flow"]


def test_offsets_are_from_the_block() -> None:
    assert next(dump(Cask(Memory(bytearray(0x80)), 0x40))).startswith("0x0000 level")


def test_a_dump_of_an_hba_has_the_ports_that_are_implemented() -> None:
    data = bytearray(HBA.extent())
    Memory(data).write(0x0C, 4, 0b101)
    names = {line.split()[1].partition(".")[0] for line in dump(HBA(Memory(data)))}
    assert {"port[0]", "port[2]"} < names
    assert "port[1]" not in names


@pytest.mark.parametrize(
    ("block", "access", "text"),
    [
        (HBA, (0x118, 4, 0x10017), "port[0].cmd = 0x10017: cps fre pod sud st"),
        (HBA, (0x128, 4, 0x113), "port[0].ssts = 0x113: ipm=ACTIVE spd=GEN1 det=ESTABLISHED"),
        (HBA, (0x138, 4, 0x80000001), "port[0].ci = 0x80000001"),
        (HBA, (0x119, 1, 0x80), "port[0].cmd[15:8] = 0x80: cr"),
        (HBA, (0x11A, 2, 0x0001), "port[0].cmd[31:16] = 0x1: cps"),
        (HBA, (0x100, 8, 0x1_23456400), "port[0].clb = 0x23456400; port[0].clbu = 0x1"),
        (HBA, (0x2C, 4, 7), "0x2c = 0x7"),
        (HBA, (0x28, 8, 0x5_00000002), "bohc = 0x2: oos; 0x2c = 0x5"),
        (HBA, (0x40000, 4, 1), "0x40000 = 0x1"),
        (Header0, (0, 4, 0x29228086), "vendor = 0x8086; device = 0x2922"),
        (Header0, (4, 2, 6), "command = 0x6: master mem"),
        (
            ReceivedFis,
            (0x40, 4, 0x00504034),
            "rfis.head = 0x504034: status=0x50 i type=REGISTER_D2H",
        ),
    ],
)
def test_a_trace_line(block: type[Block], access: tuple[int, int, int], text: str) -> None:
    assert explain(block, *access) == text


def test_comments_are_the_manual_s_words() -> None:
    assert comments(Level) == {"level": "tenths of a litre", "wet": "it rained | or leaked"}
    assert comments(Header1)["vendor"] == "who made it"  # of a base


def test_a_block_made_at_run_time_has_no_comments() -> None:
    assert comments(type("Made", (Block,), {"a": ro(0, U32)})) == {}


def test_the_manual_s_table() -> None:
    assert (
        table(Cask)
        == """\
### Cask

A cask. Cask 1.0 §1

| offset | name | bytes | access | what |
| --- | --- | --- | --- | --- |
| `0x000` | level | 4 | rw | How full |
| `0x004` | pour | 4 | wo |  |
| `0x008` | drain | 4 | ro | reading empties it |
| `0x00c` | label | 4 | rw | what is in it |
| `0x010` | tap[3] | 12 |  | 3 × [Tap](#tap), 0x4 apart |
| `0x030` | rain | 4 | ro |  |

### Tap

| offset | name | bytes | access | what |
| --- | --- | --- | --- | --- |
| `0x000` | flow | 4 | ro | drops a second |

#### Level

How full. Cask 1.0 §2

| bits | name | what |
| --- | --- | --- |
| 11:4 | level | tenths of a litre |
| 0 | wet | it rained \\| or leaked; one clears |

"""
    )


@pytest.mark.parametrize("block", [HBA, ReceivedFis, Header0, Header1])
def test_a_table_has_every_register_and_every_named_bit(block: type[Block]) -> None:
    text = table(block)
    for row in block.rows(counts={"port": 1}):
        assert f" {row.name.rpartition('.')[2]} |" in text
        for name in row.kind.fields:
            assert f" {name.rstrip('_')} |" in text
