"""9P2000.u and 9P2000.L on the wire: sizes and bytes as their documents have them, and every message both ways."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from fuzz.sessions import made

from lux9.errors import UserError
from lux9.wire import linux as l, messages as m, unix as u
from lux9.wire.codec import DecodeError, Dialect, Message
from lux9.wire.dialects import DIALECTS, LUX9, SPOKEN, choose, named
from lux9.wire.linux import LINUX
from lux9.wire.messages import P9, Qid
from lux9.wire.unix import UNIX

FILE, QFILE = Qid(0, 7, 2), "00 07000000 0200000000000000"
GOLDEN: list[tuple[Dialect, Message, str]] = [
    (
        UNIX,
        u.Tattach(0, 5, "me", "", 9),
        "19000000 68 0100 00000000 05000000 0200 6d65 0000 09000000",
    ),
    (UNIX, u.Rerror("no", 2), "0f000000 6b 0100 0200 6e6f 02000000"),
    (
        UNIX,
        u.Tcreate(1, "a", 0x1FF, 0, "b"),
        "16000000 72 0100 01000000 0100 61 ff010000 00 0100 62",
    ),
    (LINUX, l.Rlerror(2), "0b000000 07 0100 02000000"),
    (LINUX, l.Tlopen(1, 0o2001), "0f000000 0c 0100 01000000 01040000"),
    (LINUX, l.Rlopen(FILE, 8), "18000000 0d 0100" + QFILE + "08000000"),
    (
        LINUX,
        l.Tlcreate(1, "a", 1, 2, 3),
        "1a000000 0e 0100 01000000 0100 61 01000000 02000000 03000000",
    ),
    (LINUX, l.Tgetattr(1, 0x7FF), "13000000 18 0100 01000000 ff07000000000000"),
    (LINUX, l.Treaddir(1, 2, 3), "17000000 28 0100 01000000 0200000000000000 03000000"),
    (LINUX, l.Rreaddir(b"ab"), "0d000000 29 0100 02000000 6162"),
    (LINUX, l.Tfsync(1, 1), "0f000000 32 0100 01000000 01000000"),
    (LINUX, l.Rlock(1), "08000000 35 0100 01"),
    (LINUX, l.Tunlinkat(1, "a", 0x200), "12000000 4c 0100 01000000 0100 61 00020000"),
    (LINUX, l.Rreadlink("a"), "0a000000 17 0100 0100 61"),
]
SIZES = {l.Rgetattr: 160, l.Rstatfs: 67, l.Tsetattr: 67, l.Rxattrwalk: 15, l.Tlock: 38}
KINDS: list[tuple[Dialect, Any]] = [
    (d, cls) for d in (UNIX, LINUX, LUX9) for cls in d.types.values()
]
IDS = [f"{dialect.version}-{cls.__name__}" for dialect, cls in KINDS]


@pytest.mark.parametrize(("dialect", "message", "text"), GOLDEN, ids=lambda v: type(v).__name__)
def test_golden(dialect: Dialect, message: Message, text: str) -> None:
    data = bytes.fromhex(text)
    assert message.encode(1) == data
    assert dialect.decode(data) == (1, message)


@pytest.mark.parametrize("cls", SIZES, ids=lambda cls: cls.__name__)
def test_a_message_of_fixed_fields_has_its_size(cls: Any) -> None:
    values = [{"qid": FILE, "client_id": ""}.get(field, 0) for field in cls._fields]
    assert len(cls(*values).encode(0)) == SIZES[cls]


def test_an_entry_of_a_directory() -> None:
    data = bytes.fromhex(QFILE + "0900000000000000 08 0100 61")
    assert l.Entry(FILE, 9, 8, "a").put() == data
    assert l.Entry.get(memoryview(data), 0, len(data)) == (l.Entry(FILE, 9, 8, "a"), len(data))


@pytest.mark.parametrize(("dialect", "cls"), KINDS, ids=IDS)
def test_every_message_comes_back_and_every_prefix_is_refused(
    dialect: Dialect, cls: type[Message]
) -> None:
    rnd = random.Random(5)
    for _ in range(5):
        message = made(rnd, cls)
        data = bytes(message.encode(3))
        assert dialect.decode(data) == (3, message)
        for n in range(7, len(data)):
            with pytest.raises(DecodeError):
                dialect.decode(struct.pack("<I", n) + data[4:n])


def test_a_version_chooses() -> None:
    assert {version: choose(version) for version in SPOKEN} == SPOKEN
    assert choose("9P2000.other") is P9
    assert choose("9P2001") is None
    assert named("9P2000.L") is LINUX
    assert set(DIALECTS) == {"9P2000", "9P2000.u", "9P2000.L"}
    with pytest.raises(UserError, match=r"9P2000\.u"):
        named("9P2000.x")


def test_ours_is_all_of_linuxs_and_of_9p2000() -> None:
    assert set(LUX9.types) == set(LINUX.types) | set(P9.types)
    assert LUX9.types[m.Tattach.number] is m.Tattach
    assert LUX9.types[m.Rerror.number] is u.Rerror
