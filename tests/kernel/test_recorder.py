"""What was done last, by name."""

from __future__ import annotations

from lux9.kernel.recorder import Access, Place, lines

AHCI = Place("0000:00:1f.2", 0x010601, 5)
OTHER = Place("0000:00:03.0", 0x020000, 0)


def told(*accesses: Access) -> list[str]:
    return list(lines(accesses))


def test_a_known_register_is_told_by_name_and_fields() -> None:
    assert told((AHCI, True, 0x118, 4, 0x11)) == [
        "0000:00:1f.2 bar5 write port[0].cmd = 0x11: fre st"
    ]


def test_a_run_begins_at_a_register() -> None:
    assert told((AHCI, False, 0x110, 44, -1)) == [
        "0000:00:1f.2 bar5 read  port[0].is and on, 44 bytes"
    ]


def test_what_nobody_declared_is_told_by_offset() -> None:
    assert told((OTHER, False, 0x8, 2, 0xBEEF), (OTHER, True, 0x10, 64, -1)) == [
        "0000:00:03.0 bar0 read  0x0008 = 0xbeef",
        "0000:00:03.0 bar0 write 0x0010 and on, 64 bytes",
    ]


def test_a_poll_is_told_once() -> None:
    poll: Access = (AHCI, False, 0x138, 4, 1)
    assert told(poll, poll, poll, (AHCI, False, 0x138, 4, 0)) == [
        "0000:00:1f.2 bar5 read  port[0].ci = 0x1  (3 times)",
        "0000:00:1f.2 bar5 read  port[0].ci = 0x0",
    ]
