"""A driver that does on its own connection what a test tells it to, right or wrong.

Serves one directory, by the name of its class: `do` takes a line and answers with what came of it. The rights
are those of the driver's stanza: what is refused, is refused to the driver.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack

from lux9.driver.environment import Environment, run
from lux9.driver.files import FileFunction
from lux9.driver.function import Dma
from lux9.errors import Lux9Error
from lux9.ninep.client import Client
from lux9.tree import Dir, entries, rpc
from lux9.wire import messages as m
from lux9.wire.codec import NOFID
from lux9.wire.messages import ORDWR, OREAD, OWRITE

PORT = 0x100  # of port 0, AHCI 1.3.1 §3.3
CLB, CLBU, FB, FBU, IS, CMD, TFD, SERR, CI = 0, 4, 8, 12, 0x10, 0x18, 0x20, 0x30, 0x38
FRE, ST, AE = 1 << 4, 1, 1 << 31
BSY_DRQ_ERR = 0x89
FIRST_FID = 1 << 20  # beyond what the library gives out


class Puppet(Dir):
    """The strings."""

    def __init__(self, env: Environment, stack: ExitStack) -> None:
        self.env, self.stack, self.client = env, stack, env.client
        self.function: FileFunction | None = None
        self.buffers: list[Dma] = []
        self.fids = FIRST_FID

    @rpc(0o600)
    def do(self, request: str) -> str:
        """A verb and its words."""
        verb, *words = request.split(" ")
        verbs: Mapping[str, Callable[..., str]] = {
            "claim": self.claim,
            "read": self.read,
            "write": self.write,
            "put": self.put,
            "ask": self.ask,
            "ls": self.ls,
            "attach": self.attach,
            "alloc": self.alloc,
            "peek": self.peek,
            "dma": self.dma,
        }
        try:
            return verbs[verb](*words)
        except Lux9Error as error:
            return f"refused: {error.message}"

    def claim(self) -> str:
        """Claim its function, with bus master."""
        self.function = self.stack.enter_context(self.env.function())
        self.function.master(True)
        return self.function.bdf

    def read(self, path: str, offset: str, count: str) -> str:
        """One read, in hex."""
        with self.client.open(path, OREAD) as f:
            return f.pread(int(offset, 0), int(count)).hex()

    def write(self, path: str, offset: str, data: str) -> str:
        """One write, of hex."""
        with self.client.open(path, OWRITE) as f:
            return str(f.pwrite(int(offset, 0), bytes.fromhex(data)))

    def put(self, path: str, *words: str) -> str:
        """A line to a ctl file."""
        return str(self.client.write(path, " ".join(words).encode()))

    def ask(self, path: str, *words: str) -> str:
        """A line to a file, and its answer."""
        with self.client.open(path, ORDWR) as f:
            return f.pread(f.pwrite(0, " ".join(words).encode()), 4096).decode()

    def ls(self, path: str) -> str:
        """The names in a directory."""
        return " ".join(sorted(stat.name for stat in self.client.ls(path)))

    def attach(self, device: str) -> str:
        """A device by its name."""
        self.fids += 1
        answer = self.client.wait(
            self.client.caller.submit(m.Tattach(self.fids, NOFID, "puppet", device))
        )
        return type(answer).__name__

    def alloc(self, size: str) -> str:
        """A buffer, filled with fives: its bus address."""
        assert self.function is not None
        buffer = self.function.dma(int(size))
        buffer.view[:] = b"\x55" * buffer.size
        self.buffers.append(buffer)
        return hex(buffer.bus)

    def peek(self, number: str) -> str:
        """What is in a buffer, a value for each that is there."""
        return " ".join(map(str, sorted(set(bytes(self.buffers[int(number)].view)))))

    def dma(self, address: str, count: str) -> str:
        """Let port 0 read sector 0 to an address: interrupt status, task file, and what is left to do."""
        assert self.function is not None
        memory = self.function.dma(4096)
        fill(memory, int(address, 0), int(count))
        return issue(self.client, f"/dev/pci/{self.function.bdf}/bar5", memory.bus)


def fill(memory: Dma, address: int, count: int) -> None:
    """A command list, a table and a PRDT of one entry. AHCI 1.3.1 §4.2."""
    table = memory.bus + 0x800
    fis = bytes((0x27, 0x80, 0xC8, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, count // 512))  # READ DMA
    memory.view[:16] = struct.pack("<IIQ", 5 | 1 << 16, 0, table)
    memory.view[0x800 : 0x800 + len(fis)] = fis
    memory.view[0x880:0x890] = struct.pack("<QII", address, 0, count - 1)


def issue(client: Client, bar: str, bus: int) -> str:
    """Start the port on those, issue slot 0 and wait for what comes of it."""
    with client.open(bar, ORDWR) as f:

        def get(at: int) -> int:
            return int.from_bytes(f.pread(at, 4), "little")

        def put(at: int, value: int) -> None:
            f.pwrite(at, value.to_bytes(4, "little"))

        def settled(true: Callable[[], bool]) -> None:
            end = time.monotonic() + 5
            while not true() and time.monotonic() < end:
                time.sleep(0.001)

        put(4, get(4) | AE)
        put(PORT + CMD, get(PORT + CMD) & ~ST)
        settled(lambda: not get(PORT + CMD) >> 15 & 1)
        for at, value in ((CLB, bus), (CLBU, bus >> 32), (FB, bus + 0x400), (FBU, bus >> 32)):
            put(PORT + at, value & 0xFFFFFFFF)
        put(PORT + CMD, get(PORT + CMD) | FRE)
        put(PORT + SERR, 0xFFFFFFFF)
        put(PORT + IS, 0xFFFFFFFF)
        settled(lambda: not get(PORT + TFD) & BSY_DRQ_ERR)
        put(PORT + CMD, get(PORT + CMD) | ST)
        put(PORT + CI, 1)
        settled(lambda: not get(PORT + CI) or bool(get(PORT + IS) >> 27))
        return f"{get(PORT + IS):#010x} {get(PORT + TFD):#06x} {get(PORT + CI):#x}"


class Stage(Dir):
    """Where the puppet hangs."""

    def __init__(self, name: str, puppet: Puppet) -> None:
        self.name, self.puppet = name, puppet

    @entries
    def puppets(self) -> Mapping[str, Dir]:
        """One."""
        return {self.name: self.puppet}


async def main(env: Environment) -> None:
    """Hang there until the kernel goes."""
    with ExitStack() as stack:
        await env.serve(Stage(env.variable("LUX9_FUNCTION"), Puppet(env, stack)))


if __name__ == "__main__":
    run(main)
