"""Registers, engines, the link, interrupts, resets, hot plug, the firmware's ownership."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lux9.arch.ahci import (
    BOHC,
    GHC,
    HBA,
    DetControl,
    Port,
    PxCI,
    PxIE,
    PxIS,
    PxSACT,
    PxSCTL,
    PxSERR,
)
from lux9.arch.ata import Command, h2d, h2d_control
from lux9.errors import Busy, NotFound
from lux9.models.ahci import Ahci, Quirks
from lux9.models.disk import Disk
from lux9.models.pci import Fault

from .rig import DATA, FIS, LIST, Rig, image

MSI, SATA = 0x80, 0xA8


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    image(tmp_path / "d.img")
    disk = Disk(tmp_path / "d.img")
    yield disk
    disk.close()


@pytest.fixture
def rig(disk: Disk) -> Rig:
    return Rig(disk)


def test_what_qemu_has_after_reset(rig: Rig) -> None:
    """CAP, GHC, IS, PI, VS, CAP2 and BOHC of an ICH9; ports with and without a disk."""
    generic = {o: rig.window.read(o, 4) for o in (0, 4, 8, 0xC, 0x10, 0x14, 0x24, 0x28)}
    assert generic == {
        0: 0xC0141F05, 4: 0x80000000, 8: 0, 0xC: 0x3F, 0x10: 0x00010000, 0x14: 0, 0x24: 0, 0x28: 0,
    }  # fmt: skip
    port = {o: rig.window.read(0x100 + o, 4) for o in range(0, 0x40, 4)}
    assert port == dict.fromkeys(range(0, 0x40, 4), 0) | {
        0x18: 6, 0x20: 0x7F, 0x24: 0xFFFFFFFF, 0x28: 0x113,
    }  # fmt: skip
    assert rig.window.read(0x1A8, 4) == 0
    assert rig.window.read(0x400, 4) == 0  # no seventh port
    assert rig.reports == []


def test_identity_and_capabilities(rig: Rig) -> None:
    read = rig.fn.config_read
    assert read(0, 4) == 0x29228086
    assert read(8, 4) == 0x01060102
    assert (read(0x34, 1), read(MSI, 2), read(SATA, 4)) == (MSI, 0xA805, 0x00100012)
    assert (read(MSI + 2, 2), read(SATA + 4, 4)) == (0x80, 0x48)
    assert (read(0x3D, 1), read(0x90, 1)) == (1, 0x40)
    rig.fn.config_write(0x24, 4, 0xFFFFFFFF)
    rig.fn.config_write(0x20, 4, 0xFFFFFFFF)
    assert (read(0x24, 4), read(0x20, 4)) == (0xFFFFF000, 0xFFFFFFE1)


# Accesses of odd shapes


def test_a_quadword_is_two_registers(rig: Rig) -> None:
    rig.window.write(0x100, 8, 0x1_2345_6400)
    assert (rig.window.read(0x100, 4), rig.window.read(0x104, 4)) == (0x23456400, 1)
    assert rig.window.read(0x100, 8) == 0x1_2345_6400


def test_parts_are_read_but_not_written(rig: Rig) -> None:
    assert rig.window.read(0x02, 2) == 0xC014
    assert rig.window.read(0x01, 1) == 0x1F
    rig.window.write(0x100, 1, 0xFF)
    assert rig.window.read(0x100, 4) == 0
    assert "4 bytes at once" in rig.reports[0]


@pytest.mark.parametrize(("offset", "width"), [(0x102, 4), (0x101, 2), (0x104, 8), (0x103, 4)])
def test_misaligned(rig: Rig, offset: int, width: int) -> None:
    assert rig.window.read(offset, width) == (1 << 8 * width) - 1
    rig.window.write(offset, width, 0)
    assert len(rig.reports) == 2


def test_read_only_and_reserved(rig: Rig) -> None:
    rig.window.write(0x00, 4, 0)
    rig.window.write(0x120, 4, 0)
    rig.window.write(0x70, 4, 1)
    rig.window.write(0x400, 4, 1)
    assert len(rig.reports) == 4
    assert rig.window.read(0, 4) == 0xC0141F05
    rig.window.write(0x100, 4, 0xFFFFFFFF)
    rig.window.write(0x108, 4, 0xFFFFFFFF)
    rig.window.write(0x114, 4, 0xFFFFFFFF)
    got = [rig.window.read(o, 4) for o in (0x100, 0x108, 0x114)]
    assert got == [0xFFFFFC00, 0xFFFFFF00, 0xFDC000FF]


def test_index_and_data(rig: Rig) -> None:
    rig.fn.bar_write(4, 0x10, 4, 0x10F)
    assert rig.fn.bar_read(4, 0x10, 4) == 0x10C
    rig.fn.bar_write(4, 0x14, 4, 7)
    assert rig.window.read(0x10C, 4) == 7
    assert rig.fn.bar_read(4, 0x14, 4) == 7
    assert rig.fn.bar_read(4, 0, 4) == 0


# Engines


def test_signature_comes_when_fises_can(rig: Rig) -> None:
    rig.addresses()
    rig.port.cmd.update(fre=True)
    cmd = rig.port.cmd.read()
    assert (cmd.fr, cmd.cr) == (True, False)
    assert rig.port.tfd.read().raw == 0x0130
    assert rig.port.sig.read().raw == 0x0101
    assert rig.port.is_.read() == PxIS(dhrs=True)
    assert rig.fis.rfis.head.read().raw & 0xFF == 0x34
    assert (rig.fis.rfis.lba(), rig.fis.rfis.count.read().count) == (1, 1)
    rig.ack()
    rig.port.cmd.update(fre=False)
    assert not rig.port.cmd.read().fr
    rig.port.cmd.update(fre=True)
    assert rig.port.is_.read() == PxIS()  # said once


def test_st_runs_and_stops(rig: Rig) -> None:
    rig.start()
    assert rig.port.cmd.read().cr
    rig.port.cmd.update(st=False)
    assert not rig.port.cmd.read().cr
    assert rig.reports == []


def test_st_without_fre_is_refused(rig: Rig) -> None:
    rig.addresses()
    rig.port.cmd.update(st=True)
    assert rig.port.cmd.read().raw == 6
    assert "before FRE" in rig.reports[0]
    rig.port.cmd.update(fre=True, st=True)
    assert rig.port.cmd.read().cr


def test_fre_cannot_go_before_st(rig: Rig) -> None:
    rig.start()
    rig.port.cmd.update(fre=False)
    assert rig.port.cmd.read().fr
    assert "FRE cleared" in rig.reports[0]
    rig.port.cmd.update(fre=False, st=False)
    assert rig.port.cmd.read().fr  # ST first, says the specification
    rig.port.cmd.update(fre=False)
    assert not rig.port.cmd.read().fr


def test_engines_do_not_start_on_bad_addresses(rig: Rig) -> None:
    rig.port.cmd.update(fre=True)
    assert not rig.port.cmd.read().fre
    rig.addresses()
    rig.window.write(0x104, 4, 0x7)
    rig.port.cmd.update(fre=True, st=True)
    cmd = rig.port.cmd.read()
    assert (cmd.fr, cmd.st, cmd.cr) == (True, False, False)
    assert any("clb is 0x7" in r for r in rig.reports)


def test_slots_need_st(rig: Rig) -> None:
    rig.port.ci.set(PxCI(ci=1))
    rig.port.sact.set(PxSACT(ds=1))
    assert (rig.port.ci.read().ci, rig.port.sact.read().ds) == (0, 0)
    assert len(rig.reports) == 2


def test_the_list_is_taken_when_st_is_set(rig: Rig) -> None:
    rig.start()
    rig.window.write(0x100, 4, 0)
    rig.do(h2d(Command.IDENTIFY_DEVICE), [(DATA, 512)])
    assert rig.port.tfd.read().raw == 0x50


def test_command_list_override(disk: Disk, rig: Rig) -> None:
    rig.start()
    rig.port.cmd.update(clo=True)
    assert "CAP.SCLO is 0" in rig.reports[0]
    rig = Rig(disk, Quirks(override=True))
    assert rig.hba.cap.read().sclo
    rig.start()
    rig.do(h2d(Command.WRITE_DMA_EXT, 0, 2, device=0x40), [(DATA, 512)], write=True)
    assert rig.port.tfd.read().drq
    rig.port.cmd.update(clo=True)
    assert "while ST is set" in rig.reports[-1]
    rig.port.cmd.update(st=False)
    rig.port.cmd.update(clo=True)
    assert not rig.port.tfd.read().drq
    assert not rig.port.cmd.read().clo


def test_a_port_without_a_disk_waits(rig: Rig) -> None:
    port = rig.hba.port[1]
    rig.window.write(0x180, 4, LIST)
    rig.window.write(0x188, 4, FIS)
    port.cmd.update(fre=True)
    port.cmd.update(st=True)
    port.ci.set(PxCI(ci=1))
    rig.host.run()
    assert port.ci.read().ci == 1
    assert (port.tfd.read().raw, port.sig.read().raw) == (0x7F, 0xFFFFFFFF)


# Interrupts


def test_level(rig: Rig) -> None:
    rig.start(interrupts=False)
    rig.do(h2d(Command.FLUSH_CACHE))
    assert not rig.host.level()
    rig.port.ie.write(PxIE(dhre=True))
    assert rig.hba.is_.read().ips == 1
    assert not rig.host.level()
    rig.hba.ghc.update(ie=True)
    assert rig.host.level()
    rig.hba.is_.clear(rig.hba.is_.read())
    assert rig.host.level()  # the port has not been asked
    rig.port.is_.clear(PxIS(dhrs=True))
    assert not rig.host.level()
    assert rig.hba.is_.read().ips == 0  # QEMU: IS follows the ports


def test_is_that_sticks(disk: Disk) -> None:
    rig = Rig(disk, Quirks(sticky_is=True))
    rig.start()
    rig.do(h2d(Command.FLUSH_CACHE))
    rig.port.is_.clear(PxIS(dhrs=True))
    assert rig.host.level()
    rig.hba.is_.clear(rig.hba.is_.read())
    assert not rig.host.level()


def test_ie_off_takes_it_back(rig: Rig) -> None:
    rig.start()
    rig.do(h2d(Command.FLUSH_CACHE))
    rig.hba.ghc.update(ie=False)
    assert not rig.host.level()
    rig.hba.ghc.update(ie=True)
    rig.port.ie.write(PxIE())
    assert not rig.host.level()


def test_messages(rig: Rig) -> None:
    rig.start()
    rig.fn.config_write(MSI + 4, 4, 0xFEE00000)
    rig.fn.config_write(MSI + 12, 2, 0x42)
    rig.fn.config_write(MSI + 2, 2, 1)
    rig.do(h2d(Command.FLUSH_CACHE))
    assert rig.host.messages == [(0xFEE00000, 0x42)]
    assert not rig.host.level()
    rig.ack()
    rig.do(h2d(Command.FLUSH_CACHE))
    assert len(rig.host.messages) == 2


# Reset


def test_hba_reset(rig: Rig) -> None:
    rig.start()
    rig.do(h2d(Command.FLUSH_CACHE))
    rig.hba.ghc.write(GHC(ae=True, hr=True))
    assert rig.hba.ghc.read().raw == 0x80000000
    assert not rig.host.level()
    assert rig.port.cmd.read().raw == 6
    assert (rig.port.ie.read().raw, rig.port.is_.read().raw) == (0, 0)
    assert rig.port.tfd.read().raw == 0x7F
    assert rig.window.read(0x100, 4) == LIST  # addresses stay: §10.4.3
    rig.start()
    rig.do(h2d(Command.IDENTIFY_DEVICE), [(DATA, 512)])
    assert rig.port.tfd.read().raw == 0x50


def test_slow_hba_reset(rig: Rig) -> None:
    rig.host.faults[Fault.SLOW] = [0.5]
    rig.hba.ghc.write(GHC(ae=True, hr=True))
    assert rig.hba.ghc.read().hr
    rig.host.run(0.4)
    assert rig.hba.ghc.read().hr
    rig.host.run(0.5)
    assert not rig.hba.ghc.read().hr


def test_function_reset(rig: Rig) -> None:
    rig.start()
    rig.do(h2d(Command.FLUSH_CACHE))
    rig.fn.reset()
    assert not rig.host.level()
    assert rig.window.read(0x100, 4) == 0
    assert rig.port.cmd.read().raw == 6
    assert rig.fn.config_read(4, 2) == 0


def test_comreset(rig: Rig) -> None:
    rig.start()
    rig.ncq(0, 0, 8, [(0, 4096)])
    rig.issue(0, queued=True)
    rig.ack()
    rig.port.cmd.update(st=False)
    rig.port.sctl.write(PxSCTL(det=DetControl.RESET))
    assert rig.port.ssts.read().det == 3
    rig.port.sctl.write(PxSCTL())
    assert rig.port.tfd.read().raw == 0x0130
    assert rig.port.sig.read().raw == 0x0101
    assert rig.port.sact.read().ds == 0
    assert rig.ack() == PxIS(dhrs=True)


def test_slow_comreset(rig: Rig) -> None:
    rig.start()
    rig.port.cmd.update(st=False)
    rig.host.faults[Fault.SLOW] = [0.5]
    rig.port.sctl.write(PxSCTL(det=DetControl.RESET))
    rig.port.sctl.write(PxSCTL())
    assert rig.port.tfd.read().bsy
    rig.port.cmd.update(fre=False)
    rig.port.cmd.update(fre=True)  # does not hurry it
    assert rig.port.tfd.read().bsy
    rig.host.run(0.5)
    assert rig.port.tfd.read().raw == 0x0130


def test_slow_stop(rig: Rig) -> None:
    rig.start()
    rig.host.faults[Fault.SLOW] = [0.2]
    rig.port.cmd.update(st=False)
    assert rig.port.cmd.read().cr
    rig.comreset()
    rig.host.run(0.2)
    assert not rig.port.cmd.read().cr


def test_offline(rig: Rig) -> None:
    rig.start()
    rig.port.sctl.write(PxSCTL(det=DetControl.DISABLE))
    assert "while ST is set" in rig.reports[0]
    assert rig.port.ssts.read().raw == 4
    rig.issue(0)
    assert rig.port.ci.read().ci == 1
    rig.port.cmd.update(st=False)
    rig.port.sctl.write(PxSCTL())
    assert rig.port.ssts.read().raw == 0x113


def test_a_reset_ends_a_software_reset(rig: Rig) -> None:
    rig.start()
    rig.do(h2d_control(4))
    rig.comreset()
    rig.ack()
    rig.port.cmd.update(st=True)
    rig.do(h2d_control(0))
    assert rig.ack() == PxIS()


# Disks that come and go


def test_insert(disk: Disk) -> None:
    rig = Rig()
    rig.start()
    assert rig.port.ssts.read().raw == 0
    rig.fn.insert(0, disk)
    assert rig.port.ssts.read().raw == 0x113
    assert rig.port.is_.read() == PxIS(pcs=True, prcs=True, dhrs=True)
    assert rig.port.serr.read() == PxSERR(diag_x=True, diag_n=True)
    assert rig.host.level()
    assert rig.ack().pcs
    assert rig.port.is_.read() == PxIS(pcs=True, prcs=True)  # as long as PxSERR has them
    rig.port.serr.clear(PxSERR(diag_x=True))
    assert rig.port.is_.read() == PxIS(prcs=True)
    rig.port.serr.clear(rig.port.serr.read())
    assert not rig.host.level()
    rig.do(h2d(Command.IDENTIFY_DEVICE), [(DATA, 512)])
    assert rig.port.tfd.read().raw == 0x50
    with pytest.raises(Busy):
        rig.fn.insert(0, disk)


def test_eject(rig: Rig, disk: Disk) -> None:
    rig.start()
    rig.host.faults[Fault.LATE] = [1.0]
    rig.ncq(0, 0, 8, [(DATA, 4096)])
    rig.issue(0, queued=True)
    assert rig.fn.disks == {0: disk}
    assert rig.fn.eject(0) is disk
    assert rig.fn.disks == {}
    rig.host.run(1.0)
    assert (rig.port.ci.read().ci, rig.port.sact.read().ds) == (1, 1)
    assert rig.data([(DATA, 4096)]) == bytes(4096)
    assert rig.port.is_.read() == PxIS(prcs=True)
    assert (rig.port.ssts.read().raw, rig.port.tfd.read().raw) == (0, 0x7F)
    with pytest.raises(NotFound):
        rig.fn.eject(0)
    rig.fn.insert(0, disk)
    assert rig.port.sact.read().ds == 1  # only software clears it. §3.3.13


# Firmware


def test_handoff(disk: Disk) -> None:
    rig = Rig(disk, Quirks(firmware_owns=True, firmware_time=1.5))
    assert rig.hba.cap2.read().boh
    assert rig.hba.bohc.read() == BOHC(bos=True)
    rig.hba.bohc.update(oos=True)
    assert rig.hba.bohc.read() == BOHC(bos=True, oos=True, bb=True, ooc=True)
    rig.host.run(1.0)
    assert rig.hba.bohc.read().bb
    rig.host.run(1.5)
    assert rig.hba.bohc.read() == BOHC(oos=True, ooc=True)
    rig.hba.bohc.write(BOHC(oos=True, ooc=True))
    assert rig.hba.bohc.read() == BOHC(oos=True)
    rig.hba.ghc.write(GHC(ae=True, hr=True))
    assert rig.hba.bohc.read() == BOHC(oos=True)


def test_no_handoff(rig: Rig) -> None:
    rig.hba.bohc.write(BOHC(oos=True))
    assert rig.hba.bohc.read() == BOHC()
    assert rig.reports


def test_another_number_of_ports() -> None:
    fn = Ahci(ports=2)
    assert (fn.bar_read(5, 0, 4) & 0x1F, fn.bar_read(5, 0xC, 4)) == (1, 3)
    assert HBA.port.offset + 2 * HBA.port.stride not in fn.regs.cells
    assert fn.regs.cells[HBA.port.offset + Port.cmd.offset].raw == 6
