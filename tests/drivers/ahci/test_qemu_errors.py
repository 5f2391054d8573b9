"""Media errors as QEMU's own device models tell them: not as the specification has it, before QEMU 8.1."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from lux9.drivers.ahci import commands
from lux9.drivers.ahci.commands import AtaError
from lux9.drivers.ahci.controller import Controller
from lux9.drivers.block import Disks
from lux9.machine.qemu import Board, Medium, Qemu
from tests.drivers.ahci.test_anywhere import SATA, SECTORS, Started
from tests.drivers.anywhere import on
from tests.drivers.conftest import LIMIT, run
from tests.machine.qemu.system import needs_qemu

pytestmark = needs_qemu

BAD = 1000
EIO = 5


@asynccontextmanager
async def disk_with_a_bad_sector(path: Path) -> AsyncGenerator[Started, None]:
    image = path / "bad.img"
    image.write_bytes(random.Random(0).randbytes(SECTORS * 512))
    rules = [
        {"event": "read_aio", "sector": BAD, "errno": EIO},
        {"event": "write_aio", "sector": BAD + 8, "errno": EIO},
    ]
    machine = Qemu(Board(media=[Medium(image, faults=rules)]))
    served = Disks("E", "ahci")
    async with (
        asyncio.timeout(LIMIT),
        on(machine, SATA) as rig,
        Controller(rig, served.add, served.remove) as controller,
    ):
        yield Started(rig, served, controller)


@pytest.mark.parametrize("spin", [0.0, 250e-6], ids=["interrupt", "polling"])
@pytest.mark.parametrize("moves", [commands.NCQ, commands.DMA_EXT], ids=["ncq", "dma"])
def test_one_command_fails_and_the_others_do_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moves: commands.Moves, spin: float
) -> None:
    monkeypatch.setattr(commands, "moves_of", lambda *_: moves)  # pyright: ignore

    async def test() -> None:
        async with disk_with_a_bad_sector(tmp_path) as s:
            image, disk = (tmp_path / "bad.img").read_bytes(), s.disk()
            s.controller.ports[0].spinner.longest = spin
            starts = range(BAD - 40, BAD + 40, 4)
            reads = [disk.read(lba, 4).map(bytes) for lba in starts]
            for lba, read in zip(starts, reads, strict=True):
                if lba == BAD:
                    with pytest.raises(AtaError, match=f"read of 4 sectors at {BAD} failed"):
                        await read
                else:
                    assert await read == image[lba * 512 : (lba + 4) * 512]
            with pytest.raises(AtaError, match=f"write of 4 sectors at {BAD + 8} failed"):
                await disk.write(BAD + 8, memoryview(bytes(2048)))
            assert await disk.read(0, 8).map(bytes) == image[:4096]
            assert disk.stats.counters["timeouts"] == 0

    run(test())
