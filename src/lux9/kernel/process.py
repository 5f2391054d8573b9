"""The process table: who is on the other end of each connection, and what it may do.

A process is an identity, taken from the connection and never from what the client says: an inherited socket
is its SIP; a unix socket has peer credentials. It holds capabilities, limits and an arena; claims, interrupts
and buffers are kept by `hardware/` under its number and end with it.
"""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from enum import IntFlag

from ..errors import LimitReached, PermissionDenied
from ..machine.abstract import Arena
from .budget import Budget
from .recorder import Access
from .repeats import Repeats

RECENT = 256  # register accesses of each process that are kept for the report of a crash
KEPT = 16  # lines of what it gave back


class Cap(IntFlag):
    """Capabilities, one bit a kind of device."""

    MEM = 1 << 1
    IO = 1 << 2
    IRQ = 1 << 4
    DMA = 1 << 5
    PCI = 1 << 6

    @property
    def words(self) -> str:
        """`mem irq dma`, or `-`."""
        return " ".join(str(c.name).lower() for c in Cap if c in self) or "-"


ALL = Cap.MEM | Cap.IO | Cap.IRQ | Cap.DMA | Cap.PCI


@dataclass
class Limits:
    """What a process may hold at once. Bytes and counts."""

    arena: int = 32 << 20
    dma_bytes: int = 32 << 20
    dma_buffer: int = 16 << 20
    dma_buffers: int = 256
    fids: int = 4096
    pending: int = 1024
    inflight: int = 16 << 20
    messages: int = 100_000  # a second; 0 for any. Who sends more is made to wait
    memory: int = 1 << 30  # bytes of address space, the arena aside
    files: int = 64
    file_size: int = 16 << 20
    processes: int = 0  # that it may start; threads are free
    cpu: int = 0  # percent of one processor, where there is a cgroup; 0 for any


@dataclass
class Process:
    """One identity on one connection, or one SIP."""

    number: int
    name: str
    user: str
    caps: Cap = Cap(0)
    command: str = ""
    kind: str = "client"  # client, user (of the network), sip or kernel
    limits: Limits = field(default_factory=Limits)
    arena: Arena | None = None
    vaddr: int = 0  # where the library maps the arena
    used: Cap = Cap(0)  # the capabilities that it has made use of
    peak: int = 0  # bytes of DMA buffers that it had at most
    state: str = "running"
    started: float = field(default_factory=time.time)
    audited: Budget = field(default_factory=Budget, repr=False, compare=False)
    repeats: Repeats = field(default_factory=Repeats, repr=False, compare=False)
    recent: deque[Access] = field(default_factory=lambda: deque(maxlen=RECENT))
    # What it gave back before its end, for the same report: interrupts, and the steps that ended claims, a line each.
    unregistered: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))
    released: deque[str] = field(default_factory=lambda: deque(maxlen=KEPT))

    @property
    def confined(self) -> bool:
        """Whether it sees what it was given, and nothing else: a driver, or a user of the network."""
        return self.kind in ("sip", "user")

    def need(self, cap: Cap, what: str) -> None:
        """Refuse whoever lacks a capability. Raises PermissionDenied; the caller's file is audited by the server."""
        if cap not in self.caps:
            has = self.caps.words
            raise PermissionDenied(
                f"{what}: {self.name} lacks capability {cap.words} (has {has}); grant it in its manifest"
            )

    def within(self, what: str, value: int, limit: int) -> None:
        """Refuse what would go over a limit. Raises LimitReached."""
        if value > limit:
            remedy = "ask for less" if self.kind == "client" else "raise it in its manifest"
            raise LimitReached(f"{what} of {self.name} would be {value}, limit {limit}; {remedy}")
