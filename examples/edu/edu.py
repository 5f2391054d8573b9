"""A driver for QEMU's educational device with the Python library; it serves what the device can do as files.

    lux9 boot --device edu --manifest examples/edu/edu.toml --exec 'lux9 ls /dev/edu'

    /dev/edu/id          what the device says that it is
    /dev/edu/factorial   write 10, read 3628800 on the same open file
    /dev/edu/echo        write a text, read it back: it went through the device's own memory by DMA

The kernel starts it for each 1234:11e8, with that function in $LUX9_FUNCTION, and mounts what it serves.
"""

from __future__ import annotations

import asyncio

from lux9.arch import edu as arch
from lux9.arch.edu import Cause, DmaCommand, Edu, Status
from lux9.driver import Environment, Function, run
from lux9.errors import BadArgument
from lux9.pending import Pending, arrived, run as pending
from lux9.regs import U32, U64
from lux9.tree import Dir, rpc, text

LIMIT = 5.0  # seconds that the device may take
ROOM = 1024  # bytes of a text


class EduDir(Dir):
    """What the device can do, as files."""

    def __init__(self, function: Function) -> None:
        self.regs = Edu(function.bar(arch.BAR))
        self.buffer = function.dma(4096)
        self.turn = asyncio.Lock()  # one request at a time: there is one of everything
        self.interrupted: asyncio.Queue[Cause] = asyncio.Queue()
        function.master(True)
        function.interrupt(self.interrupt, prefer="msi")
        self.regs.status.write(Status(irq=True))

    def interrupt(self) -> None:
        """Make the device let go of its line, and wake who waits."""
        cause = self.regs.irq_status.read()
        self.regs.irq_ack.write(U32.of(cause.raw))
        self.interrupted.put_nowait(cause)

    @text(0o444)
    def id(self) -> str:
        """What the device says that it is."""
        return f"{self.regs.id.read().raw:08x}\n"

    @rpc(0o666)
    def factorial(self, request: str) -> Pending[str]:
        """Write n, read n! modulo 2^32."""
        if not request.strip().isdecimal():
            raise BadArgument(f"{request.strip()!r} is not a number")
        return pending(self._factorial(int(request)))

    async def _factorial(self, n: int) -> str:
        async with self.turn:
            self.regs.factorial.write(U32.of(n & 0xFFFF_FFFF))
            await self._done()
            return f"{self.regs.factorial.read().raw}\n"

    @rpc(0o666)
    def echo(self, request: str) -> Pending[str]:
        """Write a text, read it back: it went through the device."""
        if len(request.encode()) > ROOM:
            raise BadArgument(f"a text of {len(request.encode())} bytes; the most is {ROOM}")
        return pending(self._echo(request.encode()))

    async def _echo(self, data: bytes) -> str:
        async with self.turn:
            self.buffer.view[: len(data)] = data
            self.buffer.for_device(0, len(data))  # which says nothing new where memory is shared
            await self._dma(self.buffer.bus, arch.BUFFER, len(data), DmaCommand())
            back = self.buffer.bus + ROOM
            await self._dma(arch.BUFFER, back, len(data), DmaCommand(to_memory=True))
            await arrived(self.buffer.for_cpu(ROOM, len(data)))
            return bytes(self.buffer.view[ROOM : ROOM + len(data)]).decode()

    async def _dma(self, source: int, destination: int, count: int, how: DmaCommand) -> None:
        self.regs.source.write(U64.of(source))
        self.regs.destination.write(U64.of(destination))
        self.regs.count.write(U64.of(count))
        self.regs.command.write(how.replace(run=True, irq=True))
        await self._done()

    async def _done(self) -> None:
        async with asyncio.timeout(LIMIT):
            await self.interrupted.get()


async def main(env: Environment) -> None:
    """Claim the function and serve until the kernel goes."""
    with env.function() as function:
        await env.serve(EduDir(function), "edu")


if __name__ == "__main__":
    run(main)
