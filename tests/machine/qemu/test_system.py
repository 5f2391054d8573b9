"""The system on QEMU: disks, interrupts by lines and by messages, and what happens when QEMU or a part of it fails."""

from __future__ import annotations

import asyncio
import hashlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lux9.errors import RemoteError
from lux9.machine.qemu import Board, Medium
from lux9.ninep.client import Client
from lux9.wire.messages import ORDWR, OWRITE
from tests.machine.qemu.system import LIMIT, Booted, boot, disk, image, needs_qemu
from tests.machine.qemu.test_machine import EDU, RAISE, descriptors, run

pytestmark = needs_qemu
MIB = 1 << 20
GONE = ("no such device", "service is down")  # the driver's last word, or the kernel's after it


def function(client: Client, device: int) -> str:
    """The name of a function, from /dev/pci/bus."""
    lines = client.read("/dev/pci/bus").decode().splitlines()
    return next(line.split()[0] for line in lines if f"device=0x{device:04x}" in line)


@pytest.mark.parametrize("inside", [True, False], ids=["inside", "process"])
@pytest.mark.parametrize("kind", ["q35", "pc"])
def test_a_whole_disk_and_a_write(tmp_path: Path, kind: str, inside: bool) -> None:
    """On pc the disk is behind an AHCI controller on bus 0, whose line is the PIIX3's to route."""
    path = image(tmp_path)
    more = ["ahci,id=hba", "ide-hd,drive=disk,bus=hba.0"] if kind == "pc" else []
    drives = [f"if=none,id=disk,format=raw,file={path}"] if kind == "pc" else []
    board = Board(media=[] if kind == "pc" else [Medium(path)], devices=more, drives=drives).but(
        kind=kind
    )

    def work(client: Client) -> str:
        whole = client.read("/dev/sdE0/data")
        assert hashlib.sha256(whole).digest() == hashlib.sha256(path.read_bytes()).digest()
        with client.open("/dev/sdE0/data", ORDWR) as f:
            assert f.pwrite(1000, b"written" * 1000) == 7000
        client.write("/dev/sdE0/ctl", b"flush")
        return client.read("/dev/irq/ctl").decode()

    async def test() -> None:
        async with boot(tmp_path, board, inside=inside) as m:
            lines = await m.ask(work)
            assert path.read_bytes()[1000:8000] == b"written" * 1000
            assert lines.startswith(("irq 10:", "irq 11:", "irq 16:"))

    run(test)


def test_messages_are_counted(tmp_path: Path) -> None:
    """MSI from edu; MSI-X from e1000e, whose ICS raises the cause that IVAR gives vector 0."""
    ics, ims, ivar, rxq0 = 0xC8, 0xD0, 0xE4, 1 << 20

    def work(client: Client) -> None:
        for kind, device, fire in (
            ("msi", EDU, [(RAISE, 1)]),
            ("msix", 0x10D3, [(ivar, 8), (ims, rxq0), (ics, rxq0)]),
        ):
            name = function(client, device)
            client.write(f"/dev/pci/{name}/ctl", b"claim")
            with client.open("/dev/irq/ctl", ORDWR) as ctl:
                ctl.write(f"{kind} {name} 1 test".encode())
                number = int(ctl.read())
            client.write("/dev/dma/alloc", b"size 4096")  # who masters has an arena
            client.write(f"/dev/pci/{name}/ctl", b"master on")
            with client.open(f"/dev/pci/{name}/bar0", OWRITE) as bar:
                for offset, value in fire:
                    bar.pwrite(offset, value.to_bytes(4, "little"))
            with client.open(f"/dev/irq/{number}") as irq:
                assert irq.read(64) == f"irq {number}\n".encode()
            counters = client.read("/dev/irq/ctl").decode()
            assert f"irq {number}: test pending=0 delivered=1 dropped=0\n" in counters

    async def test() -> None:
        async with boot(tmp_path, Board(devices=["edu", "e1000e"])) as m:
            await m.ask(work)

    run(test)


def test_a_bad_sector_is_an_error_with_its_place_and_the_disk_goes_on(tmp_path: Path) -> None:
    rules: list[dict[str, object]] = [
        {"event": "read_aio", "sector": 100, "errno": 5, "once": False},
        {"event": "write_aio", "sector": 200, "errno": 5, "once": False},
    ]

    def work(client: Client, data: bytes) -> None:
        with client.open("/dev/sdE0/data", ORDWR) as f:
            assert f.pread(96 * 512, 4096) == data[96 * 512 : 100 * 512]
            with pytest.raises(RemoteError, match="read of 4 sectors at 100 failed at sector 100:"):
                f.pread(100 * 512, 2048)
            assert f.pread(0, 4096) == data[:4096]
            with pytest.raises(RemoteError, match="write of 8 sectors at 197 failed at sector 200"):
                f.pwrite(197 * 512, bytes(4096))
            assert f.pwrite(300 * 512, bytes(4096)) == 4096
            assert f.pread(197 * 512, 2048) == bytes(1536) + data[200 * 512 : 201 * 512]
        assert "errors: 3\n" in client.read("/dev/sdE0/stats").decode()

    async def test() -> None:
        async with boot(tmp_path, Board(media=[disk(tmp_path, 0, *rules)])) as m:
            await m.ask(lambda c: work(c, (tmp_path / "0.img").read_bytes()))

    run(test)


def until_it_fails(path: str, began: Callable[[], None]) -> Callable[[Client], tuple[str, float]]:
    """Read again and again; the error, and how long the read took that got it."""

    def work(client: Client) -> tuple[str, float]:
        with client.open(path) as f:
            while True:
                before = time.monotonic()
                try:
                    f.pread(0, MIB)
                except RemoteError as error:
                    return str(error), time.monotonic() - before
                began()

    return work


async def failing(m: Booted, path: str, fault: Callable[[], object]) -> tuple[str, float]:
    """A client that reads all the time, and what it gets when the fault comes."""
    loop = asyncio.get_running_loop()
    reads = asyncio.Event()
    client = until_it_fails(path, lambda: None if loop.is_closed() else void(loop, reads))
    reader = asyncio.ensure_future(m.ask(client))
    await reads.wait()
    got = fault()
    if asyncio.iscoroutine(got):
        await got
    return await reader


def void(loop: asyncio.AbstractEventLoop, reads: asyncio.Event) -> None:
    loop.call_soon_threadsafe(reads.set)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (signal.SIGKILL, "QEMU was killed by SIGKILL"),
        (signal.SIGSTOP, "QEMU did not answer for 0.5 s"),
    ],
    ids=["killed", "stopped"],
)
def test_qemu_ends_in_the_middle_of_a_read(
    tmp_path: Path, number: signal.Signals, words: str, capfd: pytest.CaptureFixture[str]
) -> None:
    async def test() -> None:
        before = descriptors()
        async with boot(tmp_path, Board(media=[disk(tmp_path)], limit=0.5)) as m:
            pid = m.pid
            error, took = await failing(m, "/dev/sdE0/data", lambda: os.kill(pid, number))
            assert error.startswith(GONE), error
            assert took < 5.0
            await m.sip().over.wait()
            assert words in m.log
            assert f"went with QEMU: {words}" in m.log, "not by what we did to it then"
            assert await m.read("/dev/sysname")
            async with asyncio.timeout(LIMIT):
                while await m.read("/dev/pci/bus"):  # with no rescan
                    await asyncio.sleep(0)
            assert "allocations: 0\n" in await m.read("/dev/dma/ctl")
            assert m.sip().state == "stopped", "and is not started for what is not there any more"
            assert "its function was pulled out" in m.log
        assert not Path(f"/proc/{pid}").exists()
        assert not descriptors() - before

    run(test)


def test_a_controller_is_pulled_out_in_the_middle_of_a_read(tmp_path: Path) -> None:
    board = Board(
        media=[disk(tmp_path, 1)],
        drives=[f"if=none,id=x,format=raw,file={image(tmp_path)}"],
        devices=[
            "pcie-root-port,id=rp,slot=1",
            "ahci,id=hba,bus=rp",
            "ide-hd,drive=x,bus=hba.0",
        ],
    )

    async def test() -> None:
        async with boot(tmp_path, board) as m:
            pulled = m.sip_for("0000:01:00.0")
            path = "/dev/sdF0/data" if "1" in pulled.name else "/dev/sdE0/data"
            error, took = await failing(m, path, lambda: m.machine.unplug("hba"))
            assert error.startswith(GONE), error
            assert took < 5.0
            await pulled.over.wait()
            other = "/dev/sdE0/data" if path == "/dev/sdF0/data" else "/dev/sdF0/data"
            assert len(await m.ask(lambda c: c.read(other))) == 8192 * 512, "the other disk works"
            await m.ask(lambda c: c.write("/dev/pci/ctl", b"rescan"))
            assert "0000:01:00.0" not in await m.read("/dev/pci/bus")

    run(test)
