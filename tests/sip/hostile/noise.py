"""Noise, silence, and messages that are none."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import struct
import time

from lux9.driver.environment import CLIENT_FD, SERVICE_FD
from lux9.tree import text
from lux9.wire.messages import ORDWR, OREAD
from tests.sip.hostile.tries import Attacks


class Noise(Attacks):
    """Noise, silence, and messages that are none."""

    @text(0o444)
    def flood(self) -> str:
        """Ask as fast as it goes, for a while."""
        end, asked = time.monotonic() + 2.0, 0
        with self.client.open("/proc/self/status") as f:
            while time.monotonic() < end:
                waiting = [f.submit(0, 512) for _ in range(256)]
                self.client.wait(waiting[-1])
                asked += len(waiting)
        return f"flood: {asked} and no more\n"

    @text(0o444)
    def refusals(self) -> str:
        """Be refused as fast as it goes: each is worth a line of the audit."""
        end, asked = time.monotonic() + 2.0, 0
        with self.client.open("/dev/mem", ORDWR) as f:
            while time.monotonic() < end:
                waiting = [f.submit(0xFEE0_0000, 4) for _ in range(256)]
                try:
                    self.client.wait(waiting[-1])
                except Exception:
                    asked += len(waiting)
        return f"refusals: {asked} and no more\n"

    @text(0o444)
    def peeping(self) -> str:
        """Open files of the host as fast as it goes, each worth a look of the kernel's."""
        end, tried = time.monotonic() + 2.0, 0
        while time.monotonic() < end:
            try:
                os.open("/etc/shadow", os.O_RDONLY)
            except OSError:
                tried += 1
        return f"peeping: {tried} and no more\n"

    @text(0o444)
    def chatter(self) -> str:
        """Print more than anybody can read, and a line without an end."""
        end, printed = time.monotonic() + 2.0, 0
        while time.monotonic() < end:
            printed += os.write(1, b"x" * 4000 + b"\n" * 96)
        for _ in range(64):
            printed += os.write(1, b"y" * 4096)
        return f"chatter: {printed} and no more\n"

    @text(0o444)
    def deaf(self) -> str:
        """Ask for megabytes and take no answer."""
        handle = self.client.open("/dev/dma/alloc", ORDWR)
        handle.write(b"size 4194304")
        number = handle.read().decode().split("handle:")[1].strip()
        f = self.client.open(f"/dev/dma/{number}", OREAD)
        self.kept.append(f)
        asyncio.get_running_loop().remove_reader(CLIENT_FD)
        with socket.socket(fileno=os.dup(CLIENT_FD)) as raw:
            sent = 0
            try:
                for tag in range(20000):
                    request = struct.pack("<IBHIQI", 23, 116, 2000 + tag, f.fid, 0, 1 << 20)
                    sent += raw.send(request, socket.MSG_DONTWAIT)
            except BlockingIOError:
                return f"deaf: {sent} bytes and no more\n"
        return f"deaf: DONE {sent} bytes\n"

    @text(0o444)
    def nonsense(self) -> str:
        """Speak nonsense to the kernel."""
        with socket.socket(fileno=os.dup(CLIENT_FD)) as raw:
            raw.send(random.Random(3).randbytes(4096), socket.MSG_DONTWAIT)
        return self.client.read("/proc/self/status").decode()

    @text(0o444)
    def garbage(self) -> str:
        """Answer the mounted service's clients with random bytes."""
        return self._answer(random.Random(4).randbytes(4096))

    @text(0o444)
    def oversize(self) -> str:
        """Answer with a message of 4 GiB."""
        return self._answer(struct.pack("<IBH", 0xFFFF_FFFF, 117, 0))

    @text(0o444)
    def stranger(self) -> str:
        """Answer what was never asked."""
        return self._answer(struct.pack("<IBHI", 11, 117, 999, 0))

    @text(0o444)
    def mismatch(self) -> str:
        """Answer all tags with the wrong message."""
        return self._answer(b"".join(struct.pack("<IBH", 7, 121, tag) for tag in range(64)))

    def _answer(self, data: bytes) -> str:
        os.write(SERVICE_FD, data)
        return "garbage: sent and no more\n"

    @text(0o444)
    def silence(self) -> str:
        """Never answer."""
        while True:
            time.sleep(60)
