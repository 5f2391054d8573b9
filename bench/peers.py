"""The servers that are measured: ours on the real tree, diod, a minimal one in C, and aio9p. Each is a process.

All serve the same paths. Ours are the files of the embedded machine: a register file, with identity, claim and audit
as ever, and a DMA buffer for what is held in memory. diod serves files of the same sizes on tmpfs, aio9p the files in
memory of its own example, and the minimal server bytes of its own for any path.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from socket import AF_UNIX, SOCK_STREAM, socket
from types import MappingProxyType

from lux9.ninep.short import TURN, VARIABLE

FUNCTION = "dev/pci/0000:00:1f.2"  # the AHCI controller of the embedded machine
BAR, CONFIG = f"{FUNCTION}/bar5", f"{FUNCTION}/config"
BIG = 16 << 20  # bytes of the long file: the largest DMA buffer
THREADS = (1, 4, 16)  # of diod; 16 is its default
PATH = os.environ.get("PATH", "") + os.pathsep + "/usr/sbin"
SPIN = "100"  # microseconds
READY = 20.0  # seconds that a server may take to listen
LINUX, PLAIN = "9P2000.L", "9P2000"
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Peer:
    """A server that listens: its address, the dialect it is asked in, what is attached to."""

    name: str
    address: Path
    dialect: str
    aname: str = "/"

    @property
    def ours(self) -> bool:
        """It is what is measured, not what it is measured against."""
        return self.name.startswith("lux9")


def compiled(source: str, into: Path) -> Path:
    """A program of `bench/c`."""
    made = into / source
    command = ["gcc", "-O2", "-Wall", "-o", str(made), str(HERE / "c" / f"{source}.c")]
    subprocess.run(command, check=True)
    return made


def tree(top: Path) -> None:
    """The files that diod serves, as long as those that stand for them in ours."""
    (top / FUNCTION).mkdir(parents=True)
    for name in (BAR, CONFIG):
        (top / name).write_bytes(bytes(range(256)) * 16)
    (top / "big").write_bytes(bytes(range(256)) * (BIG >> 8))


class Servers:
    """All of them, started on the way in and ended on the way out. `on`: the processors that they may use."""

    def __init__(self, folder: Path, memory: Path, on: set[int]) -> None:
        self.folder, self.memory, self.on = folder, memory, on
        self.undo = ExitStack()
        self.peers: list[Peer] = []

    def __enter__(self) -> list[Peer]:
        with ExitStack() as undo:
            self.undo = undo
            self._start_all()
            self.undo = undo.pop_all()
        return self.peers

    def __exit__(self, *exc: object) -> None:
        self.undo.close()

    def _start_all(self) -> None:
        floor = self._socket("floor")
        self._start([str(compiled("floor", self.folder)), str(floor)], floor)
        self.peers.append(Peer("minimal C", floor, LINUX))
        for threads in THREADS if shutil.which("diod", path=PATH) else ():
            self._diod(threads)
        ours = self._boot("lux9")
        self.peers += [Peer("lux9", ours, LINUX), Peer("lux9, 9P2000", ours, PLAIN)]
        awake = self._boot("spin", "--spin", SPIN)
        self.peers += [
            Peer("lux9, --spin", awake, LINUX),
            Peer("lux9, --spin, 9P2000", awake, PLAIN),
        ]
        if TURN is not None:  # then there is something in C: what is it without?
            self.peers.append(Peer("lux9, all Python", self._boot("python", short="0"), LINUX))
        self._start_aio9p()

    def _boot(self, name: str, *options: str, short: str = "1") -> Path:
        """A kernel on the embedded machine, with no driver; `short`: whether the short ways may be in C."""
        where, none = self._socket(name), self.folder / "none.toml"
        none.write_text("# no drivers\n")
        audit = ["--audit", str(self.folder / f"{name}.audit")]
        boot = [sys.executable, "-m", "lux9", "boot", "--manifest", str(none), *audit]
        self._start([*boot, *options, "--listen", f"unix!{where}"], where, {VARIABLE: short})
        return where

    def _start_aio9p(self) -> None:
        other = self._socket("aio9p")
        self._start([sys.executable, "-m", "bench.aio9p_server", str(other)], other)
        self.peers.append(Peer("aio9p", other, PLAIN))

    def _diod(self, threads: int) -> None:
        where = self._socket(f"diod{threads}")
        program = shutil.which("diod", path=PATH) or "diod"
        options = ["-f", "-n", "-N", "-c", "/dev/null", "-L", str(self.folder / "diod.log")]
        served = ["-l", str(where), "-e", str(self.memory), f"--nwthreads={threads}"]
        self._start([program, *options, *served], where)
        plural = "s" if threads > 1 else ""
        self.peers.append(Peer(f"diod, {threads} thread{plural}", where, LINUX, str(self.memory)))

    def _socket(self, name: str) -> Path:
        path = self.folder / f"{name}.sock"
        path.unlink(missing_ok=True)
        return path

    def _start(
        self, command: list[str], listens: Path, env: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        log = self.undo.enter_context((self.folder / "servers.log").open("ab"))
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, self.on)
        try:
            server = subprocess.Popen(
                command,
                cwd=HERE.parent,
                env={**os.environ, **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        finally:
            os.sched_setaffinity(0, before)
        self.undo.callback(_end, server)
        end = time.monotonic() + READY
        while not _listens(listens):
            if server.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{command[0]} does not listen; see {log.name}")
            time.sleep(0.01)


def _end(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    try:
        server.wait(5)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _listens(path: Path) -> bool:
    with socket(AF_UNIX, SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
