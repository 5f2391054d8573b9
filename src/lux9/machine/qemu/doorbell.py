"""Messages as eventfds: QEMU's ivshmem-doorbell device, and the server that it wants, which is us.

Every peer of that device has a number and an eventfd for each of its vectors; a write of `peer << 16 | vector` to
the device's doorbell register makes that eventfd ready. We are peer 0, so a function whose message address is
the doorbell, and whose data is a vector, tells us of each of its messages: nothing is polled.

The server's protocol: 8 bytes little-endian a message, a descriptor beside some. Version, the client's own
number, -1 with the shared memory, then for each peer its number once a vector, with the eventfd. All of it is
written before QEMU starts, and lies in the socket until it is read. Ref: QEMU, docs/specs/ivshmem-spec.
"""

from __future__ import annotations

import array
import os
import socket
import struct

from ...errors import LimitReached
from ..abstract import Bdf, Message

VERSION, SERVER, CLIENT = 0, 0, 1  # of the protocol; our number as a peer; QEMU's
MEMORY = -1
PAGE = 4096
FIRST, COUNT = 32, 64  # numbers that the kernel knows them by
REGISTERS = (
    0xAFFF_0000  # of BAR0: between RAM, 2 GiB at most below, and everything that firmware places
)
DOORBELL = 0x0C
BDF = 0x1E << 3  # where the device is plugged in; nobody else sees it


class Doorbell:
    """The eventfds, and who was given which."""

    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.server = ours
        memory = os.memfd_create("ivshmem", os.MFD_CLOEXEC)
        os.ftruncate(memory, PAGE)
        self.events = [os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK) for _ in range(COUNT)]
        self.owner: dict[int, Bdf] = {}
        self._tell(VERSION)
        self._tell(CLIENT)
        self._tell(MEMORY, memory)
        for event in self.events:
            self._tell(SERVER, event)
        os.close(memory)

    def _tell(self, number: int, fd: int | None = None) -> None:
        with_it = (
            [] if fd is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))]
        )
        self.server.sendmsg([struct.pack("<q", number)], with_it)

    def options(self, bus: str) -> list[str]:
        """QEMU's options for the device on that bus; it inherits `theirs`."""
        return [
            "-chardev",
            f"socket,id=doorbell,fd={self.theirs.fileno()}",
            "-device",
            f"ivshmem-doorbell,chardev=doorbell,vectors={COUNT},bus={bus},addr={BDF >> 3:x}.0",
        ]

    def give(self, bdf: Bdf, count: int) -> list[Message]:
        """Consecutive numbers, aligned so that a function can put its vector into the low bits."""
        align = 1 << max(count - 1, 0).bit_length()
        for first in range(0, COUNT + 1 - count, align):
            if count > 0 and not any(n in self.owner for n in range(first, first + count)):
                vectors = range(first, first + count)
                self.owner.update(dict.fromkeys(vectors, bdf))
                for vector in vectors:
                    self.count(vector)  # what came for whoever had it before
                return [Message(FIRST + n, REGISTERS + DOORBELL, SERVER << 16 | n) for n in vectors]
        free = COUNT - len(self.owner)
        raise LimitReached(f"{count} message vectors in a row: {free} of {COUNT} are free")

    def free(self, bdf: Bdf) -> None:
        """Take back all of a function's."""
        for n in [n for n, owner in self.owner.items() if owner == bdf]:
            del self.owner[n]

    def count(self, vector: int) -> int:
        """How many messages came since the last time."""
        try:
            return os.eventfd_read(self.events[vector])
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Give all of it back."""
        self.server.close()
        self.theirs.close()
        for event in self.events:
            os.close(event)
        self.events.clear()
