"""The main path, whole: client, kernel, driver, model, image; the driver within and in a process of its own."""

from __future__ import annotations

import asyncio
import hashlib
import random
import signal
import threading
import time
from pathlib import Path

import pytest

from lux9.errors import RemoteError
from lux9.ninep.client import Client
from lux9.wire.messages import ORDWR
from tests.drivers.conftest import run
from tests.drivers.machine import LIMIT, boot, image
from tests.machine.qemu.system import needs_qemu

SAID = r"i/o error: sdE0: read of 8 sectors at 100 failed at sector 100: Status\("
machines = pytest.mark.parametrize("on", ["sim", pytest.param("qemu", marks=needs_qemu)])
both = pytest.mark.parametrize("inside", [True, False], ids=["inside", "process"])


@machines
@both
def test_random_reads_of_four_clients_at_once(tmp_path: Path, inside: bool, on: str) -> None:
    def work(client: Client, seed: int, data: bytes) -> None:
        rng = random.Random(seed)
        with client.open("/dev/sdE0/data") as f:
            for _ in range(60):
                offset, count = rng.randrange(len(data)), rng.randrange(1, 40000)
                assert f.pread(offset, count) == data[offset : offset + count]

    async def test() -> None:
        async with boot(tmp_path, on=on, inside=inside) as m:
            data = (tmp_path / "0.img").read_bytes()
            each = (m.ask(lambda c, n=n: work(c, n, data)) for n in range(4))  # type: ignore[misc]  # n is bound now
            await asyncio.gather(*each)

    run(test())


@machines
@both
def test_the_whole_disk_and_its_length(tmp_path: Path, inside: bool, on: str) -> None:
    async def test() -> None:
        async with boot(tmp_path, on=on, inside=inside) as m:
            whole = await m.ask(lambda c: c.read("/dev/sdE0/data"))
            image = (tmp_path / "0.img").read_bytes()
            assert hashlib.sha256(whole).digest() == hashlib.sha256(image).digest()
            assert (await m.ask(lambda c: c.stat("/dev/sdE0/data"))).length == len(image)
            assert (await m.read("/dev/sdctl")).startswith("sdE ahci 0000:00:1f.2 1 units")

    run(test())


@machines
@both
def test_writes_of_any_length_reach_the_image(tmp_path: Path, inside: bool, on: str) -> None:
    def work(client: Client, shadow: bytearray) -> None:
        rng = random.Random(5)
        with client.open("/dev/sdE0/data", ORDWR) as f:
            for _ in range(30):
                offset, count = rng.randrange(1 << 20), rng.randrange(1, 30000)
                data = rng.randbytes(count)
                assert f.pwrite(offset, data) == count
                shadow[offset : offset + count] = data
            client.write("/dev/sdE0/ctl", b"flush")

    async def test() -> None:
        async with boot(tmp_path, on=on, inside=inside) as m:
            shadow = bytearray((tmp_path / "0.img").read_bytes())
            await m.ask(lambda c: work(c, shadow))
            assert (tmp_path / "0.img").read_bytes() == shadow

    run(test())


@machines
@both
def test_a_bad_sector_is_an_error_with_its_place(tmp_path: Path, inside: bool, on: str) -> None:
    async def test() -> None:
        async with boot(tmp_path, on=on, inside=inside, bad=range(100, 103)) as m:

            def work(client: Client) -> None:
                with client.open("/dev/sdE0/data") as f:
                    assert len(f.pread(96 * 512, 4096)) == 4 * 512
                    with pytest.raises(RemoteError, match=SAID):
                        f.pread(100 * 512, 4096)
                    assert len(f.pread(0, 4096)) == 4096

            await m.ask(work)
            assert "errors: 2\n" in await m.read("/dev/sdE0/stats")

    run(test())


@both
def test_a_disk_goes_and_another_comes(tmp_path: Path, inside: bool) -> None:
    async def test() -> None:
        async with boot(tmp_path, inside=inside) as m:
            with await asyncio.to_thread(Client.dial, m.address) as client:
                f = await asyncio.to_thread(client.open, "/dev/sdE0/data")
                m.model.ports[0].eject().close()
                await m.until("/dev/sdctl", lambda text: text.endswith(" 0 units\n"))
                with pytest.raises(RemoteError, match=r"^media or partition has changed"):
                    await asyncio.to_thread(f.pread, 0, 512)
            m.model.ports[1].insert(image(tmp_path, 7))
            await m.until("/dev/sdctl", lambda text: text.endswith(" 1 units\n"))
            assert (
                await m.ask(lambda c: c.read("/dev/sdE1/data")) == (tmp_path / "7.img").read_bytes()
            )

    run(test())


@machines
def test_a_driver_that_is_killed_in_the_middle_of_a_read(tmp_path: Path, on: str) -> None:
    async def test() -> None:
        async with boot(tmp_path, on=on, inside=False) as m:
            reading = threading.Event()

            def reads(client: Client) -> float:
                with client.open("/dev/sdE0/data") as f:
                    f.pread(0, 512)
                    reading.set()
                    while True:
                        before = time.monotonic()
                        try:
                            f.pread(0, 1 << 20)
                        except RemoteError:
                            return time.monotonic() - before

            reader = asyncio.ensure_future(m.ask(reads))
            assert await asyncio.to_thread(reading.wait, LIMIT)
            assert m.sip.child is not None
            m.sip.child.signal(signal.SIGKILL)
            assert await reader < 1.0
            await m.sip.over.wait()
            assert "owner: -\n" in await m.read("/dev/pci/0000:00:1f.2/ctl")
            command = await m.ask(lambda c: _command(c))
            assert not command & 4, "bus master is on after death"
            assert "allocations: 0\n" in await m.read("/dev/dma/ctl")
            assert await m.launcher.start(m.sip)
            data = await m.ask(lambda c: c.read("/dev/sdE0/data"))
            assert data == (tmp_path / "0.img").read_bytes()

    run(test())


def _command(client: Client) -> int:
    with client.open("/dev/pci/0000:00:1f.2/config") as f:
        return int.from_bytes(f.pread(4, 2), "little")


@machines
def test_a_driver_that_is_asked_to_end_undoes_what_it_did(tmp_path: Path, on: str) -> None:
    def registers(client: Client) -> tuple[int, int]:
        with client.open("/dev/pci/0000:00:1f.2/bar5", ORDWR) as bar:
            ghc, cmd = (int.from_bytes(bar.pread(at, 4), "little") for at in (0x04, 0x118))
        return ghc & 2, cmd & 1  # GHC.IE, PxCMD.ST

    async def test() -> None:
        async with boot(tmp_path, on=on, inside=False, disks=2) as m:
            await m.launcher.stop(m.sip)
            assert m.sip.state == "stopped"
            assert m.sip.last_exit == "exited with status 0"
            assert await m.ask(registers) == (0, 0)

    run(test())


@machines
def test_six_disks_fit_into_the_arena(tmp_path: Path, on: str) -> None:
    async def test() -> None:
        async with boot(tmp_path, on=on, inside=True, disks=6) as m:
            for n in range(6):
                got = await m.ask(lambda c, n=n: c.read(f"/dev/sdE{n}/data"))  # type: ignore[misc]  # n is bound now
                assert got == (tmp_path / f"{n}.img").read_bytes()

    run(test())
