"""A function over the kernel's files: what `function.Function` asks for, by reading and writing them.

    /dev/pci/BDF/{ctl,config,barN}     claims, windows
    /dev/dma                           buffers (buffers.py)
    /dev/irq/ctl, N                    interrupts: reading again is the acknowledgement

Register writes are posted: an error of one is raised at the next read, and names the write.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager, suppress
from typing import Protocol, Self

from ..errors import Disconnected, Lux9Error, NotFound, PermissionDenied, RemoteError
from ..ninep.client import Client, File
from ..pending import Maybe, Pending
from ..wire.messages import ORDWR, OREAD
from ..wire.node import Bytes
from .arena import Arena
from .buffers import PAGE, allocate
from .function import Bar, Dma, Irq, Kind

PCI = "/dev/pci"
_BAR = re.compile(r"^bar(\d): 0x([0-9a-f]+) (\d+)$", re.M)
_IRQ = re.compile(r"^irq: (\d+)$", re.M)


class Place(Protocol):
    """Where a function's files are, and the arena that its buffers lie in; none where no memory is shared."""

    client: Client

    @property
    def arena(self) -> Arena | None:
        """What the driver shares with its devices."""
        ...


class FileBar:
    """A BAR through its file."""

    def __init__(self, file: File, size: int) -> None:
        self.file, self.size = file, size

    def read(self, offset: int, width: int) -> int:
        """One access; the posted writes go before it."""
        return int.from_bytes(self.file.pread(offset, width), "little")

    def write(self, offset: int, width: int, value: int) -> None:
        """One access, posted."""
        self.file.post(offset, value.to_bytes(width, "little"))

    def read_bytes(self, offset: int, count: int) -> bytes:
        """A run of 4-byte accesses, in one round trip."""
        return self.file.pread(offset, count)

    def ask(self, offset: int, count: int) -> Maybe[bytes]:
        """The same: an answer from this host is not worth a turn of the loop."""
        return self.file.pread(offset, count)

    def post(self) -> None:
        """Send what is queued."""
        self.file.caller.flush()

    def pause(self, seconds: float) -> None:
        """As the connection does: another process's machine goes on by itself, ours has to be let."""
        self.file.client.pause(seconds)


class FarBar(FileBar):
    """The same through a network: a look is worth asking for ahead."""

    def ask(self, offset: int, count: int) -> Pending[bytes]:
        """Told later; an error of a write that was posted before is told with it."""
        return self.file.submit(offset, count).map(self._checked)

    def _checked(self, data: Bytes) -> bytes:
        self.file.caller.check()
        return bytes(data)


class FileConfig:
    """Configuration space through its file. Writes wait: they are rare, and their errors matter at once."""

    def __init__(self, file: File) -> None:
        self.file = file

    def read(self, offset: int, width: int) -> int:
        """One access."""
        return int.from_bytes(self.file.pread(offset, width), "little")

    def write(self, offset: int, width: int, value: int) -> None:
        """One access."""
        self.file.pwrite(offset, value.to_bytes(width, "little"))


class FileIrq:
    """An interrupt by its files. A read waits for it; when the handler is through, the next read is sent.

    Whatever the handler posted goes before that read, which is the acknowledgement: a level line is unmasked
    only when the device has been quieted.
    """

    def __init__(
        self,
        client: Client,
        number: int,
        kind: Kind,
        handler: Callable[[], None],
        failed: Callable[[Exception], None],
    ) -> None:
        self.client, self.number = client, number
        self.kind: Kind = kind
        self.handler, self.failed = handler, failed
        self.file = client.open(f"/dev/irq/{number}", OREAD)
        self.waiting: Pending[Bytes] | None = None
        self._wait()

    def _wait(self) -> None:
        self.waiting = self.file.submit(0, 64)
        self.waiting.then(self._arrived)

    def _arrived(self, answer: Pending[Bytes]) -> None:
        self.waiting = None
        try:
            ended = not len(answer.result())
            if not ended:
                self.handler()
        except Exception as error:  # of the handler or of the file: the driver decides
            self.failed(error)
            return
        if ended:
            self.failed(Disconnected(f"/dev/irq/{self.number} has ended"))
        elif self.file.fid >= 0:
            self._wait()

    def close(self) -> None:
        """No more of them."""
        if self.file.fid < 0:
            return
        if self.waiting is not None:
            self.waiting.cancel()
            self.waiting = None
        self.file.close()
        self.client.write("/dev/irq/ctl", f"unregister {self.number}".encode())


class FileFunction:
    """A PCI function, claimed by opening it as a context manager, released at its end."""

    def __init__(self, place: Place, bdf: str, failed: Callable[[Exception], None]) -> None:
        self.place, self.client, self.bdf, self.failed = place, place.client, bdf, failed
        self.path, self.far = f"{PCI}/{bdf}", place.arena is None
        self.undo = ExitStack()
        self._ctl = ""

    def __enter__(self) -> Self:
        with ExitStack() as undo:
            ctl = undo.enter_context(self.client.open(f"{self.path}/ctl", ORDWR))
            self.control = ctl
            self._say("claim")
            undo.callback(_quietly, lambda: self._say("release"))
            self._say("enable")
            self._ctl = self.client.read(f"{self.path}/ctl").decode()
            config = undo.enter_context(self.client.open(f"{self.path}/config", ORDWR))
            self.config = FileConfig(config)
            self.undo = undo.pop_all()
        return self

    def __exit__(self, *exc: object) -> None:
        self.undo.close()

    def _say(self, command: str) -> None:
        self.control.pwrite(0, command.encode())

    def bar(self, n: int) -> Bar:
        """Base address register `n`."""
        sizes = {int(i): int(size) for i, _, size in _BAR.findall(self._ctl)}
        if not sizes.get(n):
            raise NotFound(f"{self.bdf} has no BAR{n}; it has {sorted(sizes) or 'none'}")
        file = self.undo.enter_context(self.client.open(f"{self.path}/bar{n}", ORDWR))
        return (FarBar if self.far else FileBar)(file, sizes[n])

    def dma(self, size: int, align: int = PAGE) -> Dma:
        """A buffer of /dev/dma/alloc."""
        with self._given("dma"):
            return allocate(self.client, self.place.arena, size, align)

    def interrupt(self, handler: Callable[[], None], prefer: Kind = "intx") -> Irq:
        """Messages if they are preferred and the function has them, or the pin."""
        with self._given("irq"):
            kind, number = self._message(prefer) or ("intx", self._line())
        irq = FileIrq(self.client, number, kind, handler, self.failed)
        self.undo.callback(_quietly, irq.close)
        return irq

    @contextmanager
    def _given(self, room: str) -> Generator[None, None, None]:
        """A folder of /dev that whoever lacks its capability does not even see."""
        try:
            yield
        except RemoteError as error:
            if error.number != errno.ENOENT:
                raise
            why = f"there is no /dev/{room} here: its driver lacks capability {room}"
            raise PermissionDenied(f"{self.bdf}: {why}") from None

    def _message(self, prefer: Kind) -> tuple[Kind, int] | None:
        if prefer == "intx":
            return None
        with self.client.open("/dev/irq/ctl", ORDWR) as ctl:
            try:
                ctl.pwrite(0, f"{prefer} {self.bdf} 1 {self.bdf}".encode())
                return prefer, int(ctl.pread(0, 64).split()[0])
            except (Lux9Error, ValueError, IndexError):
                return None  # it has none, or none is left: the pin is always there

    def _line(self) -> int:
        """Register the line of the function's pin; shared, for lines are."""
        if (found := _IRQ.search(self._ctl)) is None:
            raise NotFound(f"{self.bdf} has no interrupt line: its ctl has no `irq:`")
        number = int(found[1])
        self.client.write("/dev/irq/ctl", f"register {number} {self.bdf} shared".encode())
        return number

    def master(self, on: bool) -> None:
        """Bus master on or off."""
        if on and self.far:
            with suppress(PermissionDenied):  # which the kernel says, too, and keeps in its audit
                self.dma(PAGE).free()  # a client's arena is made with its first buffer
        self._say(f"master {'on' if on else 'off'}")

    def pause(self, seconds: float) -> None:
        """As a BAR's."""
        self.client.pause(seconds)


def _quietly(step: Callable[[], None]) -> None:
    """A step of the end, when the kernel may be gone."""
    try:
        step()
    except Lux9Error:
        return
