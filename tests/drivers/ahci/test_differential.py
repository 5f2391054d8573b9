"""The same work on sim and on QEMU: every register access recorded, and compared field by field by its declaration.

Two ports' accesses may come in any order between them, and a register that is waited for is read as often as it
takes: so the accesses of each register are compared, with repeated reads as one. What differs and may is in LEGIT,
with its reason; for anything else the model is wrong.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import groupby, zip_longest
from pathlib import Path
from typing import NamedTuple

import pytest

from lux9.arch import ahci, ich9, q35
from lux9.driver.poll import Spinner
from lux9.drivers.ahci.controller import Controller
from lux9.drivers.block import Disks
from lux9.errors import DeviceError
from lux9.machine.abstract import Machine
from lux9.machine.functions import scan
from lux9.machine.qemu import Board, Medium, Qemu
from lux9.machine.sim import q35 as sim_board
from lux9.models.disk import Disk
from lux9.regs import Block, Register
from tests.drivers.ahci.test_anywhere import SATA, Maker, Started
from tests.drivers.anywhere import Access, on
from tests.drivers.conftest import LIMIT, run
from tests.machine.qemu.system import needs_qemu

pytestmark = needs_qemu

# Register and field, as `port.clb` and `addr`, of the function's block; why QEMU's may differ
LEGIT: dict[tuple[str, str], str] = {
    ("port.clb", "clb"): "each machine has its arenas at its own addresses",
    ("port.fb", "fb"): "each machine has its arenas at its own addresses",
    (
        "port.tfd",
        "err",
    ): "of a sector that cannot be read ACS-3 says UNC, QEMU ABRT; and it keeps no error log",
    ("serial", "frame"): "QEMU has no serial interrupts; ICH9 §13.1.15 says 4 after reset",
    (
        "pciex_low",
        "enable",
    ): "the QEMU machine maps configuration space itself, before anybody looks",
    ("pciex_low", "addr"): "the QEMU machine maps configuration space itself, before anybody looks",
    ("smram", "base"): "sim has no system management RAM",
    ("0x9e", "raw"): "ESMRAMC, as smram",
    ("0x50", "raw"): "QEMU's own: the size of its extended TSEG, for its own firmware",
}


class Difference(NamedTuple):
    """A field that is not the same."""

    register: str
    field: str
    sim: int | str
    qemu: int | str


def fields(kind: type[Register], value: int) -> dict[str, int]:
    """What a value says; of a register without fields, all of it."""
    of = kind.of(value)
    return {name: int(getattr(of, name)) for name in kind.fields} or {"raw": value}


def plain(name: str) -> str:
    """`port[3].cmd` as `port.cmd`."""
    return "".join(part.partition("]")[2] if i else part for i, part in enumerate(name.split("[")))


def differences(block: type[Block], offset: int, sim: int, qemu: int) -> Iterator[Difference]:
    """The fields in which two values of a register differ, and may not."""
    row = block.at(offset)
    if row is None:
        if sim != qemu and (f"{offset:#x}", "raw") not in LEGIT:
            yield Difference(f"{offset:#x}", "raw", sim, qemu)
        return
    name, mine, theirs = plain(row.name), fields(row.kind, sim), fields(row.kind, qemu)
    for field, value in mine.items():
        if value != theirs[field] and (name, field) not in LEGIT:
            yield Difference(name, field, value, theirs[field])


def by_register(trace: Sequence[Access]) -> dict[int, list[Access]]:
    """The accesses of each register, a run of equal ones as one."""
    found: dict[int, list[Access]] = defaultdict(list)
    for access in trace:
        assert access.width == 4, f"an access of {access.width} bytes at {access.offset:#x}"
        found[access.offset].append(access)
    return {offset: [one for one, _ in groupby(each)] for offset, each in found.items()}


def compared(sim: Sequence[Access], qemu: Sequence[Access]) -> Iterator[Difference]:
    """All differences of two traces."""
    mine, theirs = by_register(sim), by_register(qemu)
    for offset in sorted(mine.keys() | theirs.keys()):
        row = ahci.HBA.at(offset)
        name = row.name if row else f"{offset:#x}"
        for a, b in zip_longest(mine.get(offset, []), theirs.get(offset, [])):
            if a is None or b is None or a.write != b.write:
                yield Difference(name, "access", str(a), str(b))
                break
            yield from differences(ahci.HBA, offset, a.value, b.value)


async def work(s: Started) -> None:
    """What the driver is asked to do: one command at a time, each ended by its interrupt."""
    disk = s.disk()
    for lba, count in ((0, 1), (8, 8), (100, 200)):
        await disk.read(lba, count)
        await disk.write(lba, memoryview(bytes(range(256)) * 2 * count))
    await disk.flush()


async def traced(name: str, path: Path) -> list[Access]:
    maker = Maker(name, path)
    async with maker.start() as s:  # one disk: two that come up at once take turns as it happens
        await s.sleepy()
        await work(s)
        rig = s.rig
    assert not rig.reports, rig.reports
    return rig.trace


def test_the_driver_does_and_sees_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        sim, qemu = await traced("sim", tmp_path), await traced("qemu", tmp_path)
        assert len(sim) > 300
        assert list(compared(sim, qemu)) == []

    # Looking before sleeping would leave it to time whether a command of the start interrupts
    monkeypatch.setattr(Spinner, "budget", 0.0)
    run(test())


async def failed(machine: Machine) -> list[Access]:
    """The accesses of a read that ends with a bad sector, up to the one that tells of it."""
    served = Disks("E", "ahci")
    async with (
        asyncio.timeout(LIMIT),
        on(machine, SATA) as rig,
        Controller(rig, served.add, served.remove) as controller,
    ):
        s = Started(rig, served, controller)
        await s.sleepy()
        before = len(rig.trace)
        with pytest.raises(DeviceError, match="sectors at 100 failed"):
            await s.disk().read(100, 1)
        trace = rig.trace[before:]
    tfd = ahci.HBA.port.offset + ahci.Port.tfd.offset
    end = next(n for n, access in enumerate(trace) if access.offset == tfd)
    return trace[: end + 1]


def test_a_bad_sector_is_told_the_same(tmp_path: Path) -> None:
    async def test() -> None:
        path = Maker("sim", tmp_path).image(0)
        rule: dict[str, object] = {"event": "read_aio", "sector": 100, "errno": 5, "once": False}
        disk = Disk(path)
        disk.fail(range(100, 101))
        sim = await failed(sim_board([disk]))
        qemu = await failed(Qemu(Board(media=[Medium(path, faults=[rule])])))
        assert list(compared(sim, qemu)) == []
        for trace in (sim, qemu):
            assert ahci.PxTFD.of(trace[-1].value).sts_err

    run(test())


def test_a_difference_is_found() -> None:
    """That the comparison can fail: a bit, a missing access, a read for a write."""
    first = Access(False, 5, ahci.HBA.cap.offset, 4, 0xC014_1F05)
    bit = first._replace(value=0xC014_1F04)
    assert [d.field for d in compared([first], [bit])] == ["np"]
    assert [d.field for d in compared([first], [])] == ["access"]
    assert [d.field for d in compared([first], [first._replace(write=True)])] == ["access"]
    clb = Access(True, 5, 0x180, 4, 0x1000)
    assert not list(compared([clb], [clb._replace(value=0x2000)]))


async def at_rest(machine: Machine, bdf: int) -> dict[int, int]:
    """A function's configuration space, by dwords."""
    return {at: machine.config_read(bdf, at, 4) for at in range(0, 256, 4)}


@pytest.mark.parametrize(
    ("bdf", "block"),
    [(0, q35.HostBridge), (ich9.LPC_BDF, ich9.Lpc), (SATA, q35.SataConfig), (SATA + 1, Block)],
    ids=["host bridge", "LPC", "SATA", "SMBus"],
)
def test_configuration_space_is_the_same(bdf: int, block: type[Block]) -> None:
    async def test() -> None:
        found: list[dict[int, int]] = []
        for machine in (sim_board([]), Qemu(Board())):
            await machine.start(lambda n, up: None, lambda about, text: None)
            found.append(await at_rest(machine, bdf))
            await machine.close()
        sim, qemu = (b"".join(v.to_bytes(4, "little") for v in each.values()) for each in found)
        assert list(declared(block, sim, qemu)) == []

    run(test())


def declared(block: type[Block], sim: bytes, qemu: bytes) -> Iterator[Difference]:
    """Differences of two images, register by register, and byte by byte where none is declared."""
    at = 0
    while at < len(sim):
        row = block.at(at)
        size = row.kind.size if row and row.offset == at else 1
        mine, theirs = (int.from_bytes(each[at : at + size], "little") for each in (sim, qemu))
        yield from differences(block, at, mine, theirs)
        at += size


def test_registers_after_an_hba_reset_are_the_same() -> None:
    async def test() -> None:
        found: list[list[int]] = []
        for machine in (sim_board([]), Qemu(Board())):
            await machine.start(lambda n, up: None, lambda about, text: None)
            machine.config_write(SATA, 4, 2, 7)
            bar = next(f for f in scan(machine) if f.bdf == SATA).bar(5)
            assert bar is not None
            assert machine.reset(SATA)
            found.append([machine.mem_read(bar.address + at, 4) for at in range(0, bar.size, 4)])
            await machine.close()
        for n, (sim, qemu) in enumerate(zip(*found, strict=True)):
            assert list(differences(ahci.HBA, 4 * n, sim, qemu)) == []

    run(test())


def test_every_legitimate_difference_is_of_a_register_that_there_is() -> None:
    names = {
        (plain(row.name), field)
        for block in (ahci.HBA, ich9.Lpc, q35.HostBridge)
        for at in range(0x200)
        if (row := block.at(at)) is not None
        for field in row.kind.fields
    }
    assert {(name, field) for name, field in LEGIT if not name.startswith("0x")} <= names
