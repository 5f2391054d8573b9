"""A kernel in a thread of its own, a disk driver on it with a client that reads and verifies all the time, and a
second controller on which a rogue may do as it likes."""

from __future__ import annotations

import asyncio
import json
import os
import random
import threading
import time
from collections.abc import Coroutine, Mapping
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

from lux9.cli.system import System
from lux9.kernel.process import ALL, Cap, Limits
from lux9.machine.abstract import Machine
from lux9.machine.qemu import Board, Medium, Qemu
from lux9.machine.sim import Sim
from lux9.models.ahci import Ahci
from lux9.models.disk import Disk
from lux9.models.q35 import HostBridge, Lpc
from lux9.ninep.client import Client
from lux9.sip.manifest import built_in
from lux9.sip.sandbox.level import Level
from lux9.sip.server import Sip
from lux9.sip.stanza import Stanza

T = TypeVar("T")
NEIGHBOUR, ROGUE = "0000:00:1f.2", "0000:00:03.0"
SIZE = 8 << 20  # bytes of the neighbour's disk
LIMIT = 30.0
TESTS = Path(__file__).parents[2]
PATH = os.pathsep.join(filter(None, [str(TESTS.parent), os.environ.get("PYTHONPATH")]))


class Neighbour(threading.Thread):
    """A client of the well-behaved driver. It verifies every byte that it reads, until it is told to stop."""

    def __init__(self, address: str, image: bytes) -> None:
        super().__init__(daemon=True)
        self.address, self.image = address, image
        self.reads, self.slowest = 0, 0.0
        self.failed: BaseException | None = None
        self.turn = threading.Condition()
        self.over = threading.Event()

    def run(self) -> None:
        rng = random.Random(1)
        try:
            with Client.dial(self.address) as client, client.open("/dev/sdE0/data") as f:
                while not self.over.is_set():
                    self._read(f, rng)
        except BaseException as error:  # told by whoever looks
            self.failed = error
        with self.turn:
            self.turn.notify_all()

    def _read(self, f: Any, rng: random.Random) -> None:
        offset, count = rng.randrange(SIZE - 65536), rng.randrange(1, 65536)
        start = time.monotonic()
        data = f.pread(offset, count)
        took = time.monotonic() - start
        assert data == self.image[offset : offset + count], f"{count} bytes at {offset} are wrong"
        with self.turn:
            self.reads += 1
            self.slowest = max(self.slowest, took)
            self.turn.notify_all()

    def goes_on(self, reads: int = 20) -> None:
        """Wait until it has read so much more; it has not failed, nor waited long for any of it."""
        with self.turn:
            wanted = self.reads + reads
            ok = self.turn.wait_for(lambda: self.failed or self.reads >= wanted, LIMIT)
            slowest, self.slowest = self.slowest, 0.0
        if self.failed is not None:
            raise self.failed
        assert ok, f"{self.reads} reads, {wanted} expected"
        assert slowest < 3.0, f"a read took {slowest:.1f} s"


def board(kind: str, path: Path) -> Machine:
    """A machine with the neighbour's controller and disk, and the rogue's; QEMU's rogue has no disk."""
    if kind == "qemu":
        return Qemu(Board("q35", media=[Medium(path / "good.img")], devices=["ahci,addr=3"]))
    (path / "bad.img").write_bytes(bytes(1 << 20))
    return Sim(
        [
            (0x00, HostBridge()),
            (0x03 << 3, Ahci({0: Disk(path / "bad.img")}, ports=1)),
            (0x1F << 3, Lpc()),
            (0x1F << 3 | 2, Ahci({0: Disk(path / "good.img")}, ports=1)),
        ]
    )


class Rig:
    """`with Rig(path, "sim") as rig`. All methods are called from the test's thread."""

    def __init__(self, path: Path, kind: str) -> None:
        self.path, self.kind = path, kind
        self.image = random.Random(7).randbytes(SIZE)
        (path / "good.img").write_bytes(self.image)
        self.machine = board(kind, path)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.system: System
        self.neighbour: Neighbour

    def __enter__(self) -> Rig:
        self.thread.start()
        self.system = System(self.machine, [], self.path / "sock", isolation=Level.SANDBOX)
        self.run(self.system.__aenter__())
        (ahci,) = (s for s in built_in() if s.name == "ahci")
        good = self.start(ahci, NEIGHBOUR)
        assert good.state == "running", (good.reason, list(good.output))
        self.neighbour = Neighbour(self.system.address, self.image)
        self.neighbour.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.neighbour.over.set()
        self.neighbour.join(LIMIT)
        self.run(self.system.__aexit__())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(LIMIT)
        self.loop.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """On the kernel's loop."""
        future: Future[T] = asyncio.run_coroutine_threadsafe(work, self.loop)
        return future.result(LIMIT)

    def start(self, stanza: Stanza, binding: str) -> Sip:
        """One more driver, started."""

        async def work() -> Sip:
            sip = self.system.launcher.create(stanza, binding)
            await self.system.launcher.start(sip)
            return sip

        return self.run(work())

    def rogue(
        self,
        caps: Cap = ALL,
        *,
        limits: Limits | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> Sip:
        """The rogue, with these rights alone."""
        stanza = Stanza(
            "rogue",
            module="tests.sip.hostile.rogue",
            capabilities=caps,
            mount="/rogue",
            limits=limits or Limits(),
            environment={**(environment or {}), "PYTHONPATH": PATH},
            read=(str(TESTS),),
        )
        sip = self.start(stanza, ROGUE)
        assert sip.state == "running", (sip.reason, list(sip.output))
        assert sip.isolation.startswith("sandbox")
        return sip

    def stop(self, sip: Sip) -> None:
        """End it, and wait until it is over."""
        self.run(self.system.launcher.stop(sip))

    def read(self, path: str) -> str:
        """What a client of its own reads."""
        with Client.dial(self.system.address) as client:
            return client.read(path).decode()

    def attack(self, name: str) -> list[str]:
        """Let the rogue do it; the lines that it answers."""
        return self.read(f"/rogue/{name}").splitlines()

    def audited(self, sip: Sip, verdict: str = "denied") -> list[dict[str, Any]]:
        """What the audit has of it."""
        assert sip.life is not None
        who = f"{sip.name}/{sip.life.process.number}"
        entries = [json.loads(line) for line in self.read("/dev/audit").splitlines()]
        return [e for e in entries if e.get("who") == who and e.get("verdict") == verdict]

    def over(self, sip: Sip) -> None:
        """Wait until it has ended."""
        self.run(asyncio.wait_for(sip.over.wait(), LIMIT))
