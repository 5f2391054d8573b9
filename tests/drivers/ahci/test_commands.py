from __future__ import annotations

import pytest

from lux9.arch.ata import H2D, Command, Fis, Identify
from lux9.drivers.ahci import commands
from lux9.drivers.ahci.commands import DMA, DMA_EXT, NCQ, Request, move, standby


def test_a_queued_read_has_its_tag_in_the_count_and_its_count_in_the_features() -> None:
    fis = H2D.over(move(NCQ.read, 0x123456789ABC, 0x1234, 17))
    head = fis.head.read()
    assert (head.type, head.c, head.command) == (Fis.REGISTER_H2D, True, Command.READ_FPDMA_QUEUED)
    assert fis.lba() == 0x123456789ABC
    assert fis.features() == 0x1234
    assert fis.count.read().count == 17 << 3
    assert fis.low.read().device == 0x40


def test_a_write_of_48_bits() -> None:
    fis = H2D.over(move(DMA_EXT.write, 0x0000_8765_4321, 8, 3))
    assert fis.head.read().command == Command.WRITE_DMA_EXT
    assert (fis.lba(), fis.count.read().count, fis.features()) == (0x87654321, 8, 0)


def test_a_read_of_28_bits_has_the_top_of_its_address_in_device() -> None:
    fis = H2D.over(move(DMA.read, 0x0ABCDEF1, 256, 0))
    assert fis.head.read().command == Command.READ_DMA
    assert fis.lba() == 0xBCDEF1
    assert fis.low.read().device == 0x4A
    assert fis.count.read().count == 0  # 256


@pytest.mark.parametrize("moves", [NCQ, DMA_EXT])
def test_the_longest_command_is_a_count_of_zero(moves: commands.Moves) -> None:
    fis = H2D.over(move(moves.read, 0, 65536, 0))
    assert (fis.features() if moves is NCQ else fis.count.read().count) == 0


@pytest.mark.parametrize(
    ("seconds", "count"),
    [
        (0, 0),
        (1, 1),
        (5, 1),
        (6, 2),
        (1200, 240),
        (1201, 241),
        (1800, 241),
        (3600, 242),
        (1 << 30, 251),
    ],
)
def test_standby_rounds_up_to_what_the_timer_can_say(seconds: int, count: int) -> None:
    fis = H2D.over(standby(seconds))
    assert fis.head.read().command == Command.STANDBY
    assert fis.count.read().count == count


def words(**at: int) -> Identify:
    data = bytearray(512)
    for word, value in at.items():
        data[2 * int(word[1:]) : 2 * int(word[1:]) + 2] = value.to_bytes(2, "little")
    return Identify.over(bytes(data))


def test_the_best_way_that_device_and_hba_have() -> None:
    both = words(w76=1 << 8, w83=1 << 10)
    assert commands.moves_of(both, True) is NCQ
    assert commands.moves_of(both, False) is DMA_EXT
    assert commands.moves_of(words(w83=1 << 10), True) is DMA_EXT
    assert commands.moves_of(words(), True) is DMA


def test_how_a_cache_is_flushed() -> None:
    assert commands.flush_of(words(w83=0x3000)) is commands.FLUSH_EXT
    assert commands.flush_of(words(w83=0x1000)) is commands.FLUSH
    assert commands.flush_of(words()) is None


def test_a_request_names_itself() -> None:
    r = Request(NCQ.read, lambda r, e: None, lba=7, count=9)
    assert str(r) == "read of 9 sectors at 7"
    assert str(Request(commands.FLUSH_EXT, lambda r, e: None)) == "flush"
