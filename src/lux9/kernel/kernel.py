"""The kernel: a machine, the processes on it, and the tree that each of them sees.

    kernel = Kernel(machine)
    await kernel.start()
    await kernel.listen(Path("/run/lux9.sock"))

One event loop. Whoever connects becomes a process with an identity, capabilities and a namespace, and when the
connection ends, whatever it held is quiesced.
"""

from __future__ import annotations

import asyncio
import getpass
import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ..errors import NotFound, ProtocolError
from ..machine.abstract import Machine
from ..ninep.caller import Caller
from ..ninep.server import Connection, serve_socket, unix_socket
from ..ninep.session import Bounds, Session
from ..ninep.wires import DirectWire
from ..pending import Maybe, after, void
from ..tree import DirNode, Tree
from ..wire.node import Node
from ..wire.steady import changed
from .audit import Audit
from .auditlog import AuditLog
from .console import Console
from .crash import Report
from .dev.proc import Life
from .devices import DEVICES, STANDARD, Device
from .group import Group
from .hardware import Hardware
from .local import admit
from .namespace import Namespace
from .owner import Owner, bounds_of, files_of
from .process import Cap, Limits, Process
from .rights import absent, revoke
from .services import Services

VADDR, STRIDE = 0x2000_0000_0000, 1 << 32  # where arenas are mapped: a range for each process


class Server(Protocol):
    """Whatever lets clients in."""

    def close(self) -> None:
        """Let nobody in any more."""
        ...


class Kernel:
    """A machine, shared out among processes."""

    console: Console
    audit: Audit
    hardware: Hardware
    services: Services
    lives: dict[int, Life]

    def __init__(
        self, machine: Machine, console: Console | None = None, log: AuditLog | None = None
    ) -> None:
        self.machine, self.user = machine, getpass.getuser()
        self.console = console or Console()
        self.audit = Audit(log=log)
        self.hardware = Hardware(machine, self.audit, self.console.log)
        self.services = Services(self._broke)
        self.lives = {}
        self.standard = Group(STANDARD)
        self.devices: dict[str, Device] = {}
        self.trees: dict[str, Tree] = {}
        for char, device in DEVICES.items():
            self.add_device(char, device)
        self.roots: dict[tuple[int, str], DirNode] = {}
        self.connections: set[Connection] = set()
        self.servers: list[Server] = []
        self.listening: list[str] = []  # where, and who may come
        self.warnings: list[str] = []  # what its owner has to read, even where the console is quiet
        self.sockets: list[Path] = []
        self.last = 0

    async def start(self) -> None:
        """Bring the machine up."""
        loop = asyncio.get_running_loop()
        self.audit.later = loop.call_later
        if self.audit.log is not None:
            self.audit.log.tell = lambda text: loop.call_soon_threadsafe(self.console.log, text)
        await self.hardware.start()
        self.console.log(f"machine {self.machine.name}: {len(self.hardware.functions)} functions")

    async def stop(self) -> None:
        """End every connection and process, then the machine. Leaves no socket behind."""
        for server in self.servers:
            server.close()
        for path in self.sockets:
            path.unlink(missing_ok=True)
        self.services.close()
        for connection in list(self.connections):
            connection.close()
        await asyncio.sleep(0)  # let connection_lost be told
        for life in list(self.lives.values()):
            self.end(life.process)
        await self.machine.close()
        self.audit.close()

    def add_device(self, char: str, device: Device) -> None:
        """One more device: its root is `#char`."""
        self.devices[char] = device
        self.trees[char] = Tree(f"#{char}", self.user, self.user)

    def drivers(self) -> str:
        """What /dev/drivers lists."""
        return "".join(f"#{char} {name}\n" for char, (name, _, _) in self.devices.items())

    # -- processes

    def process(
        self,
        name: str,
        *,
        user: str = "",
        caps: Cap = Cap(0),
        kind: str = "client",
        command: str = "",
        limits: Limits | None = None,
        group: Group | None = None,
    ) -> Life:
        """A new entry in the process table."""
        self.last += 1
        process = Process(
            self.last, name, user or self.user, caps, command, kind, limits or Limits()
        )
        process.vaddr = VADDR + process.number * STRIDE
        life = Life(process, self.standard if group is None else group)
        self.lives[process.number] = life
        return life

    def end(self, process: Process) -> Report:
        """Quiesce what a process held and forget it; the report of its end."""
        life = self.lives.pop(process.number, None)
        report = Report(self.hardware, process, life.counts() if life else (0, 0))
        if life is None:
            return report
        report.quiesced = self.hardware.end(process)
        self.audit.end(process)
        self.forget_roots(process)
        life.report = report
        if life.over is not None:
            life.over()
        return report

    def forget_roots(self, process: Process) -> None:
        """Its devices are made anew: it has other rights than before."""
        for char in self.devices:
            self.roots.pop((process.number, char), None)
        changed()

    # -- what a process sees

    def namespace(self, life: Life) -> Namespace:
        """The paths of a process's group, under its identity."""
        if life.namespace is None:
            life.namespace = Namespace(
                life.group, partial(self.find, life), partial(absent, life.process)
            )
        return life.namespace

    def drop(self, life: Life, cap: Cap) -> None:
        """Take capabilities from a process, and what it had by them."""
        revoke(self.hardware, life, cap)
        self.forget_roots(life.process)

    def find(self, life: Life, source: str) -> Maybe[Node]:
        """The node of `#P`, `#s/ahci` or `#P/0000:00:1f.2` for a process. Raises NotFound."""
        char, path = source[1:2], [name for name in source[2:].split("/") if name]
        if char == "s" and path:
            node: Maybe[Any] = self.services.find(path.pop(0))
        else:
            node = self._device(life, char)
        for name in path:
            node = after(node, partial(_walk, name))
        return node

    def _device(self, life: Life, char: str) -> Node:
        if char not in self.devices:
            raise NotFound(f"#{char}: no such device; /dev/drivers lists them")
        root = self.roots.get((life.process.number, char))
        if root is None:
            _, caps, make = self.devices[char]
            if caps and not caps & life.process.caps:
                life.process.need(caps, f"#{char}")
            root = self.trees[char].root(make(self, life))
            self.roots[life.process.number, char] = root
        return root

    def mounts(self) -> str:
        """The lines of #M: where, from which process, requests, bytes, waiting."""
        where: dict[str, list[str]] = {}
        for step in self.standard.steps:
            if step.source.startswith("#s/"):
                name = step.source[3:].partition("/")[0]
                where.setdefault(name, []).append("/" + "/".join(step.to))
        return "".join(
            f"{path} {posted.line}\n"
            for name, posted in self.services.posted.items()
            for path in where.get(name, ["-"])
        )

    # -- connections

    async def listen(self, path: Path) -> None:
        """Serve users of this host on a unix socket of mode 0600. Raises UserError."""
        sock = unix_socket(path)
        loop = asyncio.get_running_loop()
        self.servers.append(await loop.create_unix_server(self._client, sock=sock))
        self.sockets.append(path)
        self.listening.append(f"unix!{path} user {self.user}, with all rights")

    def _client(self) -> Connection:
        return self.known(lambda made: partial(admit, self, made))

    def known(
        self,
        owner: Callable[[Connection], Callable[[asyncio.Transport], Owner]],
        bounds: Bounds | None = None,
        lost: Callable[[Connection], object] = void,
    ) -> Connection:
        """A connection that `stop` closes, and whose end ends its process; `lost` is told before."""

        def who(transport: asyncio.Transport) -> Owner:
            return owner(made)(transport)

        def ended(connection: Connection) -> None:
            lost(connection)
            self._lost(connection)

        made = Connection(who, bounds, lost=ended)
        self.connections.add(made)
        return made

    async def serve(self, sock: socket.socket, life: Life) -> Connection:
        """Serve one connected socket as a process: a SIP's fd 3."""
        bounds = bounds_of(life.process.limits)
        owner = Owner(self, life, trusted=True)
        made = await serve_socket(sock, lambda: self.known(lambda _: lambda _: owner, bounds))
        self.holds(life, made)
        return made

    def holds(self, life: Life, made: Connection) -> None:
        """Where /proc finds what a process has open, and how much it asks for."""
        life.files = lambda: files_of(made.session)
        life.counts = lambda: (made.session.requests, made.session.errors)
        life.session, life.throttled = made.session, lambda: made.meter.waits
        life.paused = lambda: made.pauses
        life.bound = lambda: made.bound(bounds_of(life.process.limits))

    def _broke(self, name: str, owner: Process, error: ProtocolError) -> None:
        """A driver's service does not speak 9P."""
        self.audit.record(owner, "service", f"#s/{name}", "denied", error=error.message)

    def _lost(self, connection: Connection) -> None:
        self.connections.discard(connection)
        owner = connection.session.owner
        if isinstance(owner, Owner) and owner.life.process.kind != "sip":
            self.end(owner.life.process)

    def join(self, life: Life) -> Caller:
        """A client of the kernel within its own process: calls instead of a socket."""
        caller = Caller()
        wire = DirectWire(caller, self.machine.pump)
        loop = asyncio.get_running_loop()
        session = Session(
            Owner(self, life, trusted=True), lambda: void(loop.call_soon(wire.deliver))
        )
        wire.session = session
        life.files = lambda: files_of(session)
        life.counts = lambda: (session.requests, session.errors)
        life.session = session
        return caller


def _walk(name: str, node: Node) -> Maybe[Node]:
    return node.walk(name)
