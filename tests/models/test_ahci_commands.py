from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from lux9.arch.ahci import CommandInfo, PxCI, PxIS, PxSACT, PxTFD
from lux9.arch.ata import (
    Command,
    Feature,
    Identify,
    Log,
    NcqError,
    ata_text,
    h2d,
    h2d_control,
)
from lux9.models.ahci import Quirks
from lux9.models.disk import Disk
from lux9.models.pci import Fault

from .rig import DATA, FIS, HIGH, LIST, LOW, SIZE, Rig, image

SECTORS = 4096  # 2 MiB
LBA = 0x40
C = CommandInfo(c=True).raw


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    path = tmp_path_factory.mktemp("disk") / "d.img"
    return path, image(path, SECTORS)


@pytest.fixture
def disk(content: tuple[Path, bytes], tmp_path: Path) -> Iterator[Disk]:
    path = tmp_path / "d.img"
    path.write_bytes(content[1])
    disk = Disk(path)
    yield disk
    disk.close()


@pytest.fixture
def rig(disk: Disk) -> Rig:
    made = Rig(disk)
    made.start()
    return made


def test_identify(rig: Rig, disk: Disk) -> None:
    rig.do(h2d(Command.IDENTIFY_DEVICE), [(DATA, 512)])
    data = rig.data([(DATA, 512)])
    block = Identify.over(data)
    assert block.sectors() == SECTORS
    assert (block.sector_bytes(), block.depth()) == (512, 32)
    assert ata_text(block.model.read()) == "LUX9 DISK"
    assert ata_text(block.serial.read()) == disk.serial
    assert sum(data) % 256 == 0
    assert rig.prdbc() == 512
    assert rig.port.ci.read().ci == 0
    assert rig.port.tfd.read().raw == 0x50
    assert rig.ack() == PxIS(pss=True, dhrs=True)
    assert rig.fis.psfis.transfer.read().count == 512
    assert rig.fis.psfis.head.read().d
    assert rig.fis.rfis.head.read().status == 0x50
    assert rig.reports == []


@pytest.mark.parametrize(
    ("command", "device", "lba", "count"),
    [
        (Command.READ_DMA_EXT, LBA, 1000, 8),
        (Command.READ_DMA, LBA, 1000, 8),
        (Command.READ_SECTORS_EXT, LBA, 7, 3),
        (Command.READ_SECTORS, LBA, 7, 3),
        (Command.READ_MULTIPLE, LBA, 64, 40),
        (Command.READ_MULTIPLE_EXT, LBA, 64, 40),
        (Command.READ_DMA, LBA, 0, 0),  # 256
    ],
)
def test_reads(
    rig: Rig, content: tuple[Path, bytes], command: int, device: int, lba: int, count: int
) -> None:
    size = (count or 256) * 512
    prds = [(DATA, 1024), (HIGH + 2, 510), (DATA + 0x8000, size)]
    rig.do(h2d(command, lba, count, device=device), prds)
    assert rig.data(prds)[:size] == content[1][lba * 512 :][:size]
    assert rig.prdbc() == size
    assert rig.port.tfd.read().raw == 0x50
    done = rig.fis.rfis
    assert done.lba() == lba + (count or 256)
    assert done.count.read().count == 0
    assert rig.reports == []


def test_pio_setup_says_the_last_block(rig: Rig) -> None:
    rig.do(h2d(Command.READ_MULTIPLE_EXT, 0, 20, device=LBA), [(DATA, 20 * 512)])
    assert rig.fis.psfis.transfer.read().count == 4 * 512
    assert rig.fis.psfis.head.read().status == 0x58
    assert rig.fis.psfis.count.read().e_status == 0x50


@pytest.mark.parametrize(
    "command",
    [Command.WRITE_DMA_EXT, Command.WRITE_DMA, Command.WRITE_SECTORS, Command.WRITE_SECTORS_EXT,
     Command.WRITE_MULTIPLE, Command.WRITE_MULTIPLE_EXT, Command.WRITE_DMA_FUA_EXT],
)  # fmt: skip
def test_writes(rig: Rig, disk: Disk, command: int) -> None:
    prds = [(DATA, 512), (HIGH, 2048)]
    data = os.urandom(2560)
    rig.fill(prds, data)
    rig.do(h2d(command, 33, 5, device=LBA), prds, write=True)
    assert disk.path.read_bytes()[33 * 512 : 38 * 512] == data
    assert rig.prdbc() == 2560
    assert rig.port.ci.read().ci == 0
    pio = command in (Command.WRITE_SECTORS, Command.WRITE_SECTORS_EXT)
    assert rig.ack() == PxIS(pss=pio, dhrs=True)
    assert rig.reports == []


def test_queued_reads_share_one_fis_and_one_interrupt(
    rig: Rig, content: tuple[Path, bytes]
) -> None:
    for slot in range(32):
        rig.ncq(slot, slot * 16, 8, [(DATA + slot * 4096, 4096)])
    edges = rig.host.edges
    rig.issue(*range(32), queued=True)
    for slot in range(32):
        assert rig.data([(DATA + slot * 4096, 4096)]) == content[1][slot * 16 * 512 :][:4096]
    assert (rig.port.ci.read().ci, rig.port.sact.read().ds) == (0, 0)
    assert rig.host.edges == edges + 1
    assert rig.ack() == PxIS(sdbs=True)
    assert rig.fis.sdbfs.act.read().raw == 0xFFFFFFFF
    assert rig.fis.sdbfs.head.read().i
    assert not rig.host.level()
    assert rig.reports == []


def test_nothing_is_done_before_the_write_is_answered(rig: Rig) -> None:
    rig.ncq(3, 0, 8, [(DATA, 4096)])
    rig.port.sact.set(PxSACT(ds=8))
    rig.port.ci.set(PxCI(ci=8))
    assert rig.port.ci.read().ci == 8
    assert rig.data([(DATA, 4096)]) == bytes(4096)
    rig.host.run()
    assert rig.port.ci.read().ci == 0


def test_queued_writes(rig: Rig, disk: Disk) -> None:
    data = os.urandom(8192)
    rig.fill([(HIGH + 6, 8192)], data)
    rig.ncq(31, 100, 16, [(HIGH + 6, 8192)], write=True)
    rig.issue(31, queued=True)
    assert disk.path.read_bytes()[100 * 512 : 116 * 512] == data
    assert rig.ack() == PxIS(sdbs=True)


def test_a_count_of_zero_is_65536(rig: Rig) -> None:
    rig.ncq(0, 0, 0, [(DATA, 4096)])
    rig.issue(0, queued=True)
    assert "sectors 0 to 65535" in rig.reports[-1]


# Errors


def failed(rig: Rig, error: int, events: PxIS) -> None:
    """The port stands still with this error."""
    tfd = rig.port.tfd.read()
    assert (tfd.sts_err, tfd.err) == (True, error)
    assert rig.ack() == events
    assert rig.host.reports


@pytest.mark.parametrize(
    ("lba", "count"), [(SECTORS, 1), (SECTORS - 1, 2), ((1 << 48) - 1, 1), (0, 4097)]
)
def test_past_the_end(rig: Rig, lba: int, count: int) -> None:
    rig.do(h2d(Command.READ_DMA_EXT, lba, count, device=LBA), [(DATA, 512 * count)], slot=5)
    failed(rig, 0x04, PxIS(tfes=True, dhrs=True))
    assert rig.port.ci.read().ci == 1 << 5  # the one that failed stays
    cmd = rig.port.cmd.read()
    assert (cmd.ccs, cmd.cr) == (5, True)


def test_the_list_stops_until_st_is_cleared(rig: Rig) -> None:
    rig.put(0, h2d(Command.READ_DMA_EXT, SECTORS, 1, device=LBA), [(DATA, 512)])
    rig.put(1, h2d(Command.READ_DMA_EXT, 1, 1, device=LBA), [(DATA, 512)])
    rig.issue(0, 1)
    assert rig.port.ci.read().ci == 3
    rig.issue(1)
    assert rig.port.ci.read().ci == 3
    rig.port.cmd.update(st=False)
    assert rig.port.ci.read().ci == 0
    cmd = rig.port.cmd.read()
    assert (cmd.cr, cmd.ccs, cmd.fr) == (False, 0, True)
    rig.port.cmd.update(st=True)
    rig.do(h2d(Command.READ_DMA_EXT, 1, 1, device=LBA), [(DATA, 512)])
    assert rig.port.tfd.read().raw == 0x50


def test_queued_errors_and_their_log(rig: Rig, disk: Disk) -> None:
    disk.fail(range(50, 60))
    rig.ncq(0, 0, 8, [(DATA, 4096)])
    rig.ncq(1, 48, 8, [(DATA + 4096, 4096)])
    rig.ncq(2, 100, 8, [(DATA + 8192, 4096)])
    rig.issue(0, 1, 2, queued=True)
    failed(rig, 0x40, PxIS(sdbs=True, tfes=True))
    assert rig.port.sact.read().ds == 0b110  # the first was done, the last given up
    assert rig.port.ci.read().ci == 0b100
    rig.port.cmd.update(st=False)
    assert rig.port.sact.read().ds == 0
    rig.port.cmd.update(st=True)
    rig.do(h2d(Command.READ_LOG_EXT, Log.NCQ_COMMAND_ERROR, 1), [(DATA, 512)])
    page = NcqError.over(rig.data([(DATA, 512)]))
    head = page.head.read()
    assert (head.nq, head.tag, head.status, head.error) == (False, 1, 0x41, 0x40)
    assert page.lba() == 50
    assert sum(rig.data([(DATA, 512)])) % 256 == 0
    rig.ncq(2, 100, 8, [(DATA, 4096)])
    rig.issue(2, queued=True)
    assert rig.port.sact.read().ds == 0
    rig.do(h2d(Command.READ_LOG_EXT, Log.NCQ_COMMAND_ERROR, 1), [(DATA, 512)])
    assert NcqError.over(rig.data([(DATA, 512)])).head.read().nq


def test_nothing_but_the_log_after_a_queued_error(rig: Rig) -> None:
    rig.ncq(0, SECTORS, 1, [(DATA, 512)])
    rig.issue(0, queued=True)
    for _ in range(2):
        rig.port.cmd.update(st=False)
        rig.port.cmd.update(st=True)
        rig.ack()
        rig.do(h2d(Command.READ_DMA_EXT, 0, 1, device=LBA), [(DATA, 512)])
        failed(rig, 0x04, PxIS(tfes=True, dhrs=True))
    rig.comreset()
    rig.port.cmd.update(st=True)
    rig.do(h2d(Command.READ_DMA_EXT, 0, 1, device=LBA), [(DATA, 512)])
    assert rig.port.tfd.read().raw == 0x50


def test_queue_errors_as_old_qemu(disk: Disk) -> None:
    rig = Rig(disk, Quirks(quiet_queue_errors=True))
    rig.start()
    rig.ncq(0, SECTORS, 1, [(DATA, 512)])
    rig.issue(0, queued=True)
    failed(rig, 0x04, PxIS(sdbs=True))


def test_media_error_has_its_lba(rig: Rig, disk: Disk) -> None:
    disk.fail(range(1005, 1006))
    rig.do(h2d(Command.READ_DMA_EXT, 1000, 8, device=LBA), [(DATA, 4096)])
    failed(rig, 0x40, PxIS(tfes=True, dhrs=True))
    assert rig.fis.rfis.lba() == 1005


def test_planned_media_error(rig: Rig) -> None:
    rig.host.media.append(range(10, 11))
    rig.ncq(0, 8, 8, [(DATA, 4096)])
    rig.issue(0, queued=True)
    failed(rig, 0x40, PxIS(tfes=True))


def test_a_file_cut_short(rig: Rig, disk: Disk) -> None:
    os.truncate(disk.path, 100 * 512)
    rig.do(h2d(Command.READ_DMA_EXT, 98, 4, device=LBA), [(DATA, 2048)])
    failed(rig, 0x40, PxIS(tfes=True, dhrs=True))
    assert rig.fis.rfis.lba() == 100


def test_read_only_disk(content: tuple[Path, bytes], tmp_path: Path) -> None:
    path = tmp_path / "d.img"
    path.write_bytes(content[1])
    rig = Rig(Disk(path, read_only=True))
    rig.start()
    rig.do(h2d(Command.WRITE_DMA_EXT, 0, 1, device=LBA), [(DATA, 512)], write=True)
    failed(rig, 0x04, PxIS(tfes=True, dhrs=True))
    assert path.read_bytes() == content[1]


@pytest.mark.parametrize(
    "command",
    [Command.NOP, Command.PACKET, Command.DEVICE_RESET, Command.SECURITY_ERASE_UNIT, 0xFF,
     Command.DOWNLOAD_MICROCODE, Command.SEND_FPDMA_QUEUED, Command.READ_DMA_QUEUED],
)  # fmt: skip
def test_aborted(rig: Rig, command: int) -> None:
    rig.do(h2d(command, device=LBA), [(DATA, 512)])
    assert rig.port.tfd.read().raw == 0x0441


def test_cylinders_are_refused(rig: Rig) -> None:
    rig.do(h2d(Command.READ_DMA, 1, 1), [(DATA, 512)])
    assert rig.port.tfd.read().raw == 0x0441


# PRDs


def outside(rig: Rig, fis: bytes, prds: list[tuple[int, int]], *, queued: bool = False) -> None:
    rig.put(4, fis, prds)
    rig.issue(4, queued=queued)
    assert rig.ack() == PxIS(hbfs=True)
    assert rig.port.cmd.read().cr
    assert rig.port.ci.read().ci == 1 << 4
    rig.port.cmd.update(st=False)
    assert rig.port.ci.read().ci == 0


def test_prd_outside_the_arena(rig: Rig) -> None:
    fis = h2d(Command.READ_DMA_EXT, 0, 2, device=LBA)
    outside(rig, fis, [(DATA, 512), (LOW + SIZE - 510, 512)])
    assert rig.data([(DATA, 512)]) == bytes(512)  # nothing was moved
    rig.port.cmd.update(st=True)
    outside(rig, h2d(Command.READ_FPDMA_QUEUED, 0, 4 << 3, 2, LBA), [(0, 1024)], queued=True)


def test_command_table_outside_the_arena(rig: Rig) -> None:
    rig.put(4, h2d(Command.IDENTIFY_DEVICE), [(DATA, 512)])
    rig.host.memory(LIST + 4 * 32 + 8, 4)[:] = (LOW + SIZE - 0x80).to_bytes(4, "little")
    rig.issue(4)
    assert rig.ack() == PxIS(hbfs=True)


def test_bus_master_off(rig: Rig) -> None:
    rig.ncq(0, 0, 8, [(DATA, 4096)])
    rig.port.sact.set(PxSACT(ds=1))
    rig.port.ci.set(PxCI(ci=1))
    rig.master(False)
    rig.host.run()
    assert rig.port.is_.read().hbfs
    assert rig.data([(DATA, 4096)]) == bytes(4096)
    assert any("DMA fault" in r for r in rig.reports)


def test_queued_commands_done_before_a_fault_are_told(rig: Rig) -> None:
    rig.ncq(0, 0, 8, [(DATA, 4096)])
    rig.ncq(1, 0, 8, [(0, 4096)])
    rig.issue(0, 1, queued=True)
    assert rig.ack() == PxIS(hbfs=True, sdbs=True)
    assert rig.port.sact.read().ds == 2


def test_a_read_that_overflows(rig: Rig, content: tuple[Path, bytes]) -> None:
    rig.do(h2d(Command.READ_DMA_EXT, 8, 2, device=LBA), [(DATA, 600)])
    assert rig.ack() == PxIS(ofs=True, dhrs=True)
    assert rig.prdbc() == 600
    assert rig.data([(DATA, 1024)]) == content[1][8 * 512 :][:600] + bytes(424)


def test_a_write_that_overflows_waits_for_ever(
    rig: Rig, disk: Disk, content: tuple[Path, bytes]
) -> None:
    rig.do(h2d(Command.WRITE_DMA_EXT, 8, 2, device=LBA), [(DATA, 512)], write=True)
    assert rig.ack() == PxIS(ofs=True)
    assert rig.port.tfd.read().drq
    assert rig.port.ci.read().ci == 1
    assert disk.path.read_bytes() == content[1]
    rig.comreset()
    assert rig.port.tfd.read().raw == 0x0130


def test_a_queued_command_that_overflows(rig: Rig) -> None:
    rig.ncq(0, 0, 8, [(DATA, 2048)])
    rig.issue(0, queued=True)
    assert rig.ack() == PxIS(ofs=True)
    assert rig.port.sact.read().ds == 1
    assert rig.data([(DATA, 4096)]) == bytes(4096)


def test_no_prds_at_all(rig: Rig) -> None:
    rig.do(h2d(Command.IDENTIFY_DEVICE))
    assert rig.ack() == PxIS(ofs=True, pss=True, dhrs=True)
    assert rig.prdbc() == 0


def test_prd_bits(rig: Rig, content: tuple[Path, bytes]) -> None:
    """I raises DPS; odd addresses and counts are reported, and bit 0 is ignored."""
    rig.put(0, h2d(Command.READ_DMA_EXT, 0, 1, device=LBA), [(DATA + 1, 511)])
    dbc = rig.host.memory(LOW + 0x10000 + 0x8C, 4)
    dbc[:] = (1 << 31 | 510).to_bytes(4, "little")
    rig.issue(0)
    assert rig.ack() == PxIS(dps=True, dhrs=True)
    assert rig.data([(DATA, 512)]) == content[1][:512]
    assert "must be even" in rig.reports[0]


def test_many_prds(rig: Rig, content: tuple[Path, bytes]) -> None:
    rig.fn.ports[0].halted = False
    table = HIGH + 0x400000
    prds = [(DATA + 4 * i, 2) for i in range(0x2000)]  # 16 KiB by twos; more than one preadv takes
    rig.put(0, h2d(Command.READ_DMA_EXT, 5, 32, device=LBA), [])
    head = len(prds) << 16 | 5
    words = (head, 0, table & 0xFFFFFFFF, table >> 32)
    rig.host.memory(LIST, 16)[:] = b"".join(w.to_bytes(4, "little") for w in words)
    rig.host.memory(table, 20)[:] = h2d(Command.READ_DMA_EXT, 5, 32, device=LBA)
    for i, (address, size) in enumerate(prds):
        entry = address.to_bytes(8, "little") + bytes(4) + (size - 1).to_bytes(4, "little")
        rig.host.memory(table + 0x80 + 16 * i, 16)[:] = entry
    rig.issue(0)
    assert rig.data(prds) == content[1][5 * 512 : 37 * 512]


# The rest of the command set


def ok(rig: Rig, fis: bytes, data: int = 0, status: int = 0x50) -> None:
    rig.do(fis, [(DATA, data)] if data else [])
    assert rig.port.tfd.read().raw == status, rig.reports


def test_flush_features_power(rig: Rig) -> None:
    for command in (Command.FLUSH_CACHE, Command.FLUSH_CACHE_EXT):
        ok(rig, h2d(command))
    ok(rig, h2d(Command.CHECK_POWER_MODE))
    assert rig.fis.rfis.count.read().count == 0xFF
    ok(rig, h2d(Command.STANDBY_IMMEDIATE), status=0x40)
    ok(rig, h2d(Command.CHECK_POWER_MODE))
    assert rig.fis.rfis.count.read().count == 0
    ok(rig, h2d(Command.READ_DMA_EXT, 0, 1, device=LBA), 512)
    ok(rig, h2d(Command.CHECK_POWER_MODE))
    assert rig.fis.rfis.count.read().count == 0xFF
    ok(rig, h2d(Command.SET_FEATURES, features=Feature.DISABLE_WRITE_CACHE))
    ok(rig, h2d(Command.IDENTIFY_DEVICE), 512)
    assert not Identify.over(rig.data([(DATA, 512)])).on1.read().write_cache
    ok(rig, h2d(Command.SET_FEATURES, count=0x42, features=Feature.SET_TRANSFER_MODE))
    ok(rig, h2d(Command.IDENTIFY_DEVICE), 512)
    assert Identify.over(rig.data([(DATA, 512)])).udma.read().selected == 4
    rig.do(h2d(Command.SET_FEATURES, features=0x33))
    assert rig.port.tfd.read().raw == 0x0441


def test_native_max(rig: Rig) -> None:
    ok(rig, h2d(Command.READ_NATIVE_MAX_ADDRESS_EXT, device=LBA))
    assert rig.fis.rfis.lba() == SECTORS - 1
    ok(rig, h2d(Command.READ_NATIVE_MAX_ADDRESS, device=LBA))
    assert rig.fis.rfis.lba() == SECTORS - 1


def test_smart(rig: Rig) -> None:
    signature = 0xC24F00
    for what in (0xD0, 0xD1):
        ok(rig, h2d(Command.SMART, signature, 1, what), 512)
        assert sum(rig.data([(DATA, 512)])) % 256 == 0
    ok(rig, h2d(Command.SMART, signature, 0, 0xDA))
    assert rig.fis.rfis.lba() & 0xFFFF00 == signature
    ok(rig, h2d(Command.SMART, signature, 0, 0xD9))
    rig.do(h2d(Command.SMART, signature, 0, 0xDA))
    assert rig.port.tfd.read().raw == 0x0441


def test_set_multiple(rig: Rig) -> None:
    ok(rig, h2d(Command.SET_MULTIPLE_MODE, count=0))
    rig.do(h2d(Command.READ_MULTIPLE, 0, 1, device=LBA), [(DATA, 512)])
    assert rig.port.tfd.read().raw == 0x0441


def test_verify(rig: Rig, disk: Disk) -> None:
    ok(rig, h2d(Command.READ_VERIFY_SECTORS_EXT, 0, 100, device=LBA))
    disk.fail(range(99, 100))
    rig.do(h2d(Command.READ_VERIFY_SECTORS_EXT, 0, 100, device=LBA))
    failed(
        rig,
        0x40,
        PxIS(
            tfes=True,
            dhrs=True,
        ),
    )


def test_trim(rig: Rig, disk: Disk, content: tuple[Path, bytes]) -> None:
    ranges = [(8, 8), (1024, 16)]
    data = b"".join((lba | n << 48).to_bytes(8, "little") for lba, n in ranges).ljust(512, b"\0")
    rig.fill([(DATA, 512)], data)
    rig.do(
        h2d(Command.DATA_SET_MANAGEMENT, 0, 1, features=1, device=LBA), [(DATA, 512)], write=True
    )
    assert rig.port.tfd.read().raw == 0x50
    after = disk.path.read_bytes()
    assert len(after) == len(content[1])
    assert after[: 8 * 512] == content[1][: 8 * 512]
    assert after[16 * 512 : 1024 * 512] == content[1][16 * 512 : 1024 * 512]
    rig.fill([(DATA, 8)], (SECTORS | 1 << 48).to_bytes(8, "little"))
    rig.do(
        h2d(Command.DATA_SET_MANAGEMENT, 0, 1, features=1, device=LBA), [(DATA, 512)], write=True
    )
    assert rig.port.tfd.read().raw == 0x0441


def aborted(rig: Rig, fis: bytes, **how: bool) -> None:
    rig.port.cmd.update(st=False)
    rig.port.cmd.update(st=True)
    rig.do(fis, [(DATA, 1 << 16)], **how)
    assert rig.port.tfd.read().raw == 0x0441


def test_a_trim_of_too_much(rig: Rig) -> None:
    aborted(rig, h2d(Command.DATA_SET_MANAGEMENT, 0, 9, 1, LBA), write=True)
    aborted(rig, h2d(Command.DATA_SET_MANAGEMENT, 0, 1, 2, LBA), write=True)


def test_logs(rig: Rig) -> None:
    ok(rig, h2d(Command.READ_LOG_EXT, Log.DIRECTORY, 1), 512)
    page = rig.data([(DATA, 512)])
    assert (page[:2], page[0x20:0x22]) == (b"\1\0", b"\1\0")
    for lba, count in ((Log.DEVICE_STATISTICS, 1), (Log.DIRECTORY, 2), (1 << 8 | Log.DIRECTORY, 1)):
        aborted(rig, h2d(Command.READ_LOG_EXT, lba, count))


def test_more_refusals(rig: Rig) -> None:
    for fis in (
        h2d(Command.SMART, 0xC24F00, 0, 0xEE),
        h2d(Command.SET_FEATURES, count=0x18, features=3),
        h2d(Command.SET_MULTIPLE_MODE, count=32),
        h2d(Command.NCQ_QUEUE_MANAGEMENT),
    ):
        aborted(rig, fis)


def test_accepted_with_nothing_to_do(rig: Rig) -> None:
    ok(rig, h2d(Command.SET_FEATURES, features=Feature.ENABLE_READ_LOOK_AHEAD))
    ok(rig, h2d(Command.SET_FEATURES, features=Feature.ENABLE_WRITE_CACHE))
    ok(rig, h2d(Command.SMART, 0xC24F00, 0xF1, 0xD2))
    ok(rig, h2d(Command.SEEK))
    rig.do(h2d(Command.EXECUTE_DEVICE_DIAGNOSTIC))
    assert rig.port.tfd.read().raw == 0x0150
    assert rig.fis.rfis.lba() == 1


def test_write_through(rig: Rig, disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[int] = []
    monkeypatch.setattr(disk, "flush", lambda: flushed.append(1))
    rig.do(h2d(Command.WRITE_DMA_FUA_EXT, 0, 1, device=LBA), [(DATA, 512)], write=True)
    rig.put(0, h2d(Command.WRITE_FPDMA_QUEUED, 0, 0, 1, 0xC0), [(DATA, 512)], write=True)
    rig.issue(0, queued=True)
    assert len(flushed) == 2
    rig.do(h2d(Command.SET_FEATURES, features=Feature.DISABLE_WRITE_CACHE))
    rig.do(h2d(Command.WRITE_DMA_EXT, 0, 1, device=LBA), [(DATA, 512)], write=True)
    assert len(flushed) == 4


def broken(*_: object) -> int:
    raise OSError(5, "Input/output error")


def test_the_host_s_own_errors(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the host's disk cannot do is a media error, or a command that is aborted; the reason is told."""
    monkeypatch.setattr(os, "preadv", broken)
    monkeypatch.setattr(os, "pwritev", broken)
    monkeypatch.setattr(os, "fdatasync", broken)
    rig.do(h2d(Command.READ_DMA_EXT, 5, 1, device=LBA), [(DATA, 512)])
    failed(rig, 0x40, PxIS(tfes=True, dhrs=True))
    aborted(rig, h2d(Command.WRITE_DMA_EXT, 5, 1, device=LBA), write=True)
    aborted(rig, h2d(Command.FLUSH_CACHE))
    assert "Input/output error" in rig.reports[-1]


def test_fises_that_cannot_be_put_down(rig: Rig) -> None:
    rig.port.cmd.update(st=False)
    rig.port.cmd.update(fre=False)
    rig.window.write(0x108, 4, 0)
    rig.window.write(0x10C, 4, HIGH >> 32)
    rig.port.cmd.update(fre=True)
    rig.port.cmd.update(st=True)
    rig.ack()
    del rig.host.arenas[HIGH]
    rig.ncq(0, 0, 8, [(DATA, 4096)])
    rig.issue(0, queued=True)
    assert rig.ack() == PxIS(hbfs=True)
    assert rig.port.sact.read().ds == 1


# FISes that nobody should send


def test_wrong_length(rig: Rig) -> None:
    rig.put(0, h2d(Command.IDENTIFY_DEVICE), [(DATA, 512)], cfl=2)
    rig.issue(0)
    assert rig.ack() == PxIS(ifs=True)
    assert "2 dwords" in rig.reports[0]


def test_not_a_command_fis(rig: Rig) -> None:
    rig.put(0, bytes([0x34, 0x80]) + bytes(18), [(DATA, 512)])
    rig.put(1, h2d(Command.IDENTIFY_DEVICE, pm=1), [(DATA, 512)])
    rig.issue(0, 1)
    assert len(rig.reports) == 2
    assert rig.ack() == PxIS()
    assert rig.port.ci.read().ci == 0


def test_odd_tags_and_directions_are_told(rig: Rig) -> None:
    rig.ncq(0, 0, 8, [(DATA, 4096)], tag=3)
    rig.issue(0, queued=True)
    assert "tag 3" in rig.reports[-1]
    rig.put(1, h2d(Command.READ_DMA_EXT, 0, 1, device=LBA), [(DATA, 512)], write=True)
    rig.issue(1)
    assert "W is 1" in rig.reports[-1]


def test_software_reset(rig: Rig) -> None:
    rig.put(0, h2d_control(4), flags=C)
    rig.issue(0)
    assert rig.ack() == PxIS()
    assert rig.port.ci.read().ci == 0
    rig.do(h2d_control(0))
    assert rig.port.tfd.read().raw == 0x0130
    assert rig.port.sig.read().raw == 0x101
    assert rig.ack() == PxIS(dhrs=True)
    ok(rig, h2d(Command.IDENTIFY_DEVICE), 512)


def test_software_reset_without_c(rig: Rig) -> None:
    rig.do(h2d_control(4))
    assert "without C" in rig.reports[0]
    rig.do(h2d(Command.IDENTIFY_DEVICE), slot=1)
    assert rig.port.ci.read().ci == 1
    rig.port.cmd.update(st=False)
    rig.port.cmd.update(st=True)
    ok(rig, h2d(Command.IDENTIFY_DEVICE), 512)


def test_a_list_that_runs_on(disk: Disk) -> None:
    """As on QEMU: the others are done, and the slot that failed is free once ST was cleared."""
    rig = Rig(disk, Quirks(runs_on=True))
    rig.start()
    rig.put(0, h2d(Command.READ_DMA_EXT, SECTORS, 1, device=LBA), [(DATA, 512)])
    rig.put(1, h2d(Command.READ_DMA_EXT, 1, 1, device=LBA), [(DATA, 512)])
    rig.issue(0, 1)
    assert rig.port.ci.read().ci == 1
    rig.port.cmd.update(st=False)
    rig.port.cmd.update(st=True)
    ok(rig, h2d(Command.IDENTIFY_DEVICE), 512)
    assert rig.port.ci.read().ci == 0


def test_late_work_after_a_reset_does_nothing(rig: Rig) -> None:
    rig.host.faults[Fault.LATE] = [1.0]
    rig.ncq(0, 0, 8, [(DATA, 4096)])
    rig.issue(0, queued=True)
    assert rig.port.ci.read().ci == 1
    rig.comreset()
    rig.ack()
    rig.host.run(2.0)
    assert rig.data([(DATA, 4096)]) == bytes(4096)
    assert rig.ack() == PxIS()


def test_late_work(rig: Rig, content: tuple[Path, bytes]) -> None:
    rig.host.faults[Fault.LATE] = [1.0]
    rig.ncq(0, 0, 8, [(DATA, 4096)])
    rig.issue(0, queued=True)
    rig.host.run(1.0)
    assert rig.data([(DATA, 4096)]) == content[1][:4096]


# Any shape


@st.composite
def shapes(draw: st.DrawFn) -> tuple[int, int, list[int]]:
    """An LBA, a count, and the even lengths of PRDs that hold it, the last perhaps too long."""
    count = draw(st.integers(1, 64))
    lba = draw(st.integers(0, SECTORS - count))
    cuts = (
        draw(st.lists(st.integers(1, count * 256 - 1), max_size=12, unique=True)) if count else []
    )
    edges = [0, *sorted(2 * c for c in cuts), count * 512]
    sizes = [b - a for a, b in pairwise(edges)]
    sizes[-1] += 2 * draw(st.integers(0, 64))
    return lba, count, sizes


def laid_out(sizes: list[int], gaps: int) -> list[tuple[int, int]]:
    """PRDs of these lengths, in turn in low and high memory, `gaps` bytes apart."""
    at = {False: DATA, True: HIGH}
    prds: list[tuple[int, int]] = []
    for i, size in enumerate(sizes):
        prds.append((at[bool(i % 2)], size))
        at[bool(i % 2)] += size + 2 * gaps
    return prds


@settings(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(shape=shapes(), gaps=st.integers(0, 100), slot=st.integers(0, 31), queued=st.booleans())
def test_any_read(
    rig: Rig,
    content: tuple[Path, bytes],
    shape: tuple[int, int, list[int]],
    gaps: int,
    slot: int,
    queued: bool,
) -> None:
    lba, count, sizes = shape
    prds = laid_out(sizes, gaps)
    rig.fill(prds, b"\xa5" * sum(sizes))
    if queued:
        rig.ncq(slot, lba, count, prds)
    else:
        rig.put(slot, h2d(Command.READ_DMA_EXT, lba, count, device=LBA), prds)
    rig.issue(slot, queued=queued)
    data = rig.data(prds)
    assert data[: count * 512] == content[1][lba * 512 : (lba + count) * 512]
    assert set(data[count * 512 :]) <= {0xA5}
    assert rig.port.tfd.read() == PxTFD.of(0x50)
    assert (rig.port.ci.read().ci, rig.port.sact.read().ds) == (0, 0)
    assert rig.reports == []


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    shape=shapes(),
    gaps=st.integers(0, 100),
    queued=st.booleans(),
    seed=st.binary(min_size=8, max_size=8),
)
def test_any_write(
    rig: Rig, disk: Disk, shape: tuple[int, int, list[int]], gaps: int, queued: bool, seed: bytes
) -> None:
    lba, count, sizes = shape
    prds = laid_out(sizes, gaps)
    before = disk.path.read_bytes()
    data = (seed * (sum(sizes) // 8 + 1))[: sum(sizes)]
    rig.fill(prds, data)
    if queued:
        rig.ncq(0, lba, count, prds, write=True)
    else:
        rig.put(0, h2d(Command.WRITE_DMA_EXT, lba, count, device=LBA), prds, write=True)
    rig.issue(0, queued=queued)
    after = disk.path.read_bytes()
    start, end = lba * 512, (lba + count) * 512
    assert after == before[:start] + data[: count * 512] + before[end:]
    assert rig.reports == []


def test_received_fises_go_nowhere_else(rig: Rig) -> None:
    area = rig.host.memory(FIS, 256)
    area[:] = b"\xcc" * 256
    rig.ncq(0, 0, 8, [(DATA, 4096)])
    rig.issue(0, queued=True)
    assert {i for i in range(256) if area[i] != 0xCC} <= set(range(0x58, 0x60))


def test_much_work_lets_others_have_their_turn(rig: Rig, content: tuple[Path, bytes]) -> None:
    """Four commands of 1 MiB: the adapter comes back to the list, and both halves are told."""
    for slot in range(4):
        rig.ncq(slot, 0, 2048, [(HIGH + (slot << 20), 1 << 20)])
    rig.port.sact.set(PxSACT(ds=15))
    rig.port.ci.set(PxCI(ci=15))
    turns = rig.host.turns
    rig.host.run()
    assert rig.host.turns == turns + 2
    assert (rig.port.ci.read().ci, rig.port.sact.read().ds) == (0, 0)
    assert rig.data([(HIGH + (3 << 20), 1 << 20)]) == content[1][: 1 << 20]
    assert rig.fis.sdbfs.act.read().raw == 0b1100
