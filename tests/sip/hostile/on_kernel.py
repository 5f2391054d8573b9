"""Attacks on the kernel's files and on what others hold."""

from __future__ import annotations

import mmap
import os
from functools import partial
from pathlib import Path

from lux9.driver.environment import ARENA_FD
from lux9.tree import text
from lux9.wire.messages import ORDWR
from tests.sip.hostile.tries import OTHER, OTHER_LINE, Attacks, Tries, only


class OnKernel(Attacks):
    """Attacks on the kernel's files and on what others hold."""

    @text(0o444)
    def devices(self) -> str:
        """Open every device without the capability."""
        tries = Tries()
        paths = ["mem", "io", "irq/ctl", "irq/11", "dma/alloc", "dma/1", "pci/bus", "sip/ctl"]
        paths += [f"pci/{OTHER}/config", f"pci/{OTHER}/bar5", "audit", "cons", "sdE0/data"]
        for path in paths:
            tries(path, partial(self.client.open, f"/dev/{path}"))
        tries("service", partial(self.client.open, "/srv/ahci"))
        for char in "mIDPicsMS":
            tries(f"#{char}", partial(self._attach, f"#{char}"))
        for line in ("bind '#m' /dev", "bind -a '#P' /dev/pci", "mount '#s/ahci' /dev"):
            tries(line, partial(self.tell, line, "/proc/self/ns"))
        return str(tries)

    def _attach(self, name: str) -> object:
        return self.client.wait(self.client.caller.attach(name))

    @text(0o444)
    def memory(self) -> str:
        """Read and write RAM, interrupt controllers and another function's BAR through /dev/mem."""
        tries = Tries()
        self.claim()
        with self.client.open("/dev/mem", ORDWR) as mem:
            for address in self.addresses():
                tries(f"read {address:#x}", partial(mem.pread, address, 4))
                tries(f"write {address:#x}", partial(mem.pwrite, address, bytes(4)))
        return str(tries)

    @text(0o444)
    def config(self) -> str:
        """Move a BAR, enable bus master without DMA, rewrite an MSI address."""
        tries = Tries()
        self.claim()
        with self.client.open(f"/dev/pci/{self.mine}/config", ORDWR) as space:
            before = space.pread(0x24, 4)
            tries(
                "move BAR 5", lambda: space.pwrite(0x24, self.addresses()[0].to_bytes(4, "little"))
            )
            tries("bus master", lambda: space.pwrite(4, b"\x07\x00"))
            tries("MSI address", lambda: space.pwrite(0x84, b"\x00\x10\xe0\xfe"))
            tries("MSI enable", lambda: space.pwrite(0x82, b"\x01\x00"))
            tries("BAR 5 moved", lambda: only(space.pread(0x24, 4) != before))
            tries("is master", lambda: only(space.pread(4, 1)[0] & 4))
            tries("MSI is on", lambda: only(space.pread(0x82, 1)[0] & 1))
            tries("line", lambda: space.pwrite(0x3C, b"\x05"))
        tries("master on", partial(self.tell, "master on", f"/dev/pci/{self.mine}/ctl"))
        tries("other's ctl", partial(self.tell, "reset", f"/dev/pci/{OTHER}/ctl"))
        return str(tries)

    @text(0o444)
    def arenas(self) -> str:
        """Map another's arena, or change the size of the own one under the kernel's feet."""
        tries = Tries()
        links = [
            str(path.readlink()) for path in Path("/proc/self/fd").iterdir() if path.is_symlink()
        ]
        tries("other memfds", lambda: only([link for link in links if "memfd" in link][1:]))
        tries("shrink", lambda: os.ftruncate(ARENA_FD, 4096))
        tries("grow", lambda: os.ftruncate(ARENA_FD, 1 << 40))
        tries("beyond", lambda: mmap.mmap(ARENA_FD, os.fstat(ARENA_FD).st_size + 4096))
        for handle in range(1, 12):
            tries(f"dma/{handle}", partial(self.client.open, f"/dev/dma/{handle}"))
            tries(f"free {handle}", partial(self.tell, f"free {handle}", "/dev/dma/ctl"))
        return str(tries)

    @text(0o444)
    def lines(self) -> str:
        """Register another's line, or its messages, or listen to it."""
        tries = Tries()
        commands = [f"register {OTHER_LINE} rogue", f"register {OTHER_LINE} rogue shared"]
        commands += [f"unregister {OTHER_LINE}", f"msi {OTHER} 1 rogue", f"msix {OTHER} 1 rogue"]
        commands += [
            "register 9 rogue",
            "register 40 rogue",
            "register -1 rogue",
            "register 999 rogue",
        ]
        for command in commands:
            tries(command, partial(self.tell, command, "/dev/irq/ctl"))
        tries("listen", lambda: self.client.open(f"/dev/irq/{OTHER_LINE}").pread(0, 64))
        return str(tries)
