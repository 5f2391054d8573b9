"""Whatever software writes, the model answers, ends its work, and touches no memory but its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from lux9.arch.ahci import PxIS
from lux9.arch.ata import Command, h2d
from lux9.models.ahci import Ahci, Quirks
from lux9.models.disk import Disk

from .rig import DATA, FIS, LIST, LOW, SIZE, TABLES, Rig, image

LBA = 0x40
ADDRESSES = st.sampled_from([0, LOW, LIST, FIS, TABLES, DATA, LOW + SIZE - 64, LOW + SIZE, 1 << 40])
WORDS = (
    st.integers(0, 0xFFFFFFFF) | st.sampled_from([0, 1, 0x11, 0x16, 0x17, 0xFFFFFFFF]) | ADDRESSES
)
OFFSETS = st.integers(0, 0x1FF) | st.sampled_from(range(0x100, 0x140, 4)) | st.integers(0, 0xFFF)
WRITES = st.lists(
    st.tuples(OFFSETS, st.sampled_from([1, 2, 4, 4, 4, 8]), WORDS, st.booleans()), max_size=40
)
COMMANDS = st.sampled_from([*Command]) | st.integers(0, 255)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("abuse") / "d.img"
    image(path, 512)
    return path


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(writes=WRITES, running=st.booleans())
def test_any_writes(path: Path, writes: list[tuple[int, int, int, bool]], running: bool) -> None:
    disk = Disk(path)
    rig = Rig(disk, Quirks(firmware_owns=running, override=running))
    if running:
        rig.start()
    for offset, width, value, run in writes:
        rig.window.write(offset, width, value & ((1 << 8 * width) - 1))
        assert 0 <= rig.window.read(offset, width) < 1 << 8 * width
        if run:
            rig.host.run(rig.host.now + 1)
    rig.host.run(rig.host.now + 10)
    disk.close()


@settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    header=st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0x7FF), ADDRESSES),
    command=COMMANDS,
    head=st.sampled_from([0x8027, 0x0027, 0x8127]) | st.integers(0, 0xFFFF),
    fields=st.binary(min_size=17, max_size=17),
    prds=st.lists(st.tuples(ADDRESSES, st.integers(0, 0xFFFFFFFF)), max_size=8),
    active=st.integers(0, 3),
)
def test_any_command(
    path: Path,
    header: tuple[int, int, int],
    command: int,
    head: int,
    fields: bytes,
    prds: list[tuple[int, int]],
    active: int,
) -> None:
    disk = Disk(path)
    rig = Rig(disk)
    rig.start()
    entries, flags, where = header
    table = where if where not in (LIST, FIS) else TABLES  # else the test ruins its own rig
    prdtl = entries if entries % 3 == 0 else len(prds)
    words = (prdtl << 16 | flags, 0, table & 0xFFFFFFFF, table >> 32)
    rig.host.memory(LIST, 16)[:] = b"".join(w.to_bytes(4, "little") for w in words)
    fis = head.to_bytes(2, "little") + bytes([command]) + fields
    body = fis.ljust(0x80, b"\0") + b"".join(
        address.to_bytes(8, "little") + bytes(4) + dbc.to_bytes(4, "little")
        for address, dbc in prds
    )
    if table >= LOW and table + len(body) <= LOW + SIZE:
        rig.host.memory(table, len(body))[:] = body
    rig.window.write(0x134, 4, active)
    rig.issue(0)
    rig.port.cmd.update(st=False)
    rig.comreset()
    rig.start()
    rig.do(h2d(Command.IDENTIFY_DEVICE), [(DATA, 512)], slot=1)  # and it lives
    assert rig.port.tfd.read().raw == 0x50
    disk.close()


def test_close_lets_go_of_the_images(path: Path) -> None:
    disk = Disk(path)
    fn = Ahci({2: disk})
    fn.close()
    Disk(path).close()


def test_dps_of_a_queued_command(path: Path) -> None:
    disk = Disk(path)
    rig = Rig(disk)
    rig.start()
    rig.ncq(0, 0, 1, [(DATA, 512)])
    rig.host.memory(TABLES + 0x8C, 4)[:] = (1 << 31 | 511).to_bytes(4, "little")
    rig.issue(0, queued=True)
    assert rig.ack() == PxIS(dps=True, sdbs=True)
    disk.close()
