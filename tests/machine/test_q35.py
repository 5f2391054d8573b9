"""The board as it is sold: its chips, its disks, and the way an interrupt of the controller takes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lux9.arch import ahci, pci as arch
from lux9.errors import UserError
from lux9.machine import functions
from lux9.machine.sim import Sim, q35
from lux9.models.ahci import Ahci
from lux9.models.disk import Disk

SATA = 0xFA


def images(folder: Path, count: int) -> list[Path]:
    paths = [folder / f"{n}.img" for n in range(count)]
    for path in paths:
        path.write_bytes(bytes(1 << 20))
    return paths


def closed(disk: Disk) -> bool:
    return disk.fd < 0


def test_its_chips() -> None:
    sim = q35()
    asyncio.run(sim.start(lambda line, asserted: None, lambda about, text: None))
    found = {f.name: (f.vendor, f.device, f.code, f.irq) for f in functions.scan(sim)}
    assert found == {
        "0000:00:00.0": (0x8086, 0x29C0, 0x060000, 0),
        "0000:00:1f.0": (0x8086, 0x2918, 0x060100, 0),
        "0000:00:1f.2": (0x8086, 0x2922, 0x010601, 11),
        "0000:00:1f.3": (0x8086, 0x2930, 0x0C0500, 11),
    }


def test_the_controller_answers_at_bar_5() -> None:
    sim = q35()
    asyncio.run(sim.start(lambda line, asserted: None, lambda about, text: None))
    (sata,) = [f for f in sim.known if f.bdf == SATA]
    bar = sata.bar(5)
    assert bar is not None
    at = bar.address + ahci.HBA.vs.offset
    assert sim.mem_read(at, 4) == 0xFFFF_FFFF, "it answers though memory is off"
    sim.config_write(SATA, arch.Header.command.offset, 2, arch.Command(mem=True).raw)
    assert sim.mem_read(at, 4) == 0x0001_0000


def test_an_interrupt_of_the_controller_shows_as_11_and_16() -> None:
    sim, told = q35(), list[tuple[int, bool]]()
    asyncio.run(sim.start(lambda n, up: told.append((n, up)), lambda about, text: None))
    fn = sim.function(SATA)
    assert fn is not None
    fn.set_irq(True)
    assert told == [(11, True), (16, True)]


def test_disks_fill_the_ports_and_then_further_controllers(tmp_path: Path) -> None:
    sim = q35(images(tmp_path, 8))
    controllers = [fn for fn in sim.bus.walk() if isinstance(fn, Ahci)]
    assert [(c.devfn, sorted(c.disks)) for c in controllers] == [
        (0x18, [0, 1, 2, 3, 4, 5]),
        (SATA, [0, 1]),
    ]
    asyncio.run(sim.close())
    assert all(closed(d) for c in controllers for d in c.disks.values())


def test_an_open_disk_is_taken_as_it_is(tmp_path: Path) -> None:
    disk = Disk(images(tmp_path, 1)[0], read_only=True)
    sim = q35([disk])
    fn = sim.function(SATA)
    assert isinstance(fn, Ahci)
    assert fn.disks == {0: disk}
    asyncio.run(sim.close())


def test_an_image_that_cannot_be_a_disk_leaves_nothing_open(
    tmp_path: Path,
) -> None:
    good = images(tmp_path, 1)[0]
    with pytest.raises(UserError):
        q35([good, tmp_path / "missing.img"])
    disk = Disk(good)  # a lock that was left behind would refuse this
    disk.close()


def test_too_many_disks() -> None:
    with pytest.raises(UserError, match="room for"):
        q35(["x"] * 1000)


def test_a_board_of_ones_own() -> None:
    sim = Sim([(SATA, Ahci())])
    assert sim.config_read(SATA, 0, 4) == 0x2922_8086
