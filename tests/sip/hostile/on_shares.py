"""More than its share."""

from __future__ import annotations

import os
import subprocess
import threading
from functools import partial
from pathlib import Path

from lux9.tree import text
from tests.sip.hostile.tries import Attacks, Tries

TEMPORARY = Path("/tmp")
PLACES = ("/x", "/usr/x", "/dev/x", "/dev/shm/x", "/proc/x", "/var/x", "/etc/x", __file__)


class OnShares(Attacks):
    """More than its share."""

    @text(0o444)
    def fids(self) -> str:
        """Take all fids."""
        tries = Tries()
        tries.until("fids", lambda n: self.client.walk("/proc/self/status"))
        return str(tries)

    @text(0o444)
    def tags(self) -> str:
        """Wait for so many things that the kernel remembers nothing else."""
        tries = Tries()
        with self.environment.function() as function:
            function.interrupt(lambda: None)
            with self.client.open(f"/dev/irq/{self._line()}") as f:
                waiting = [f.submit(0, 64) for _ in range(4000)]
                self.client.caller.flush()
                tries("tags", partial(self.client.wait, waiting[-1]))
        return str(tries)

    def _line(self) -> str:
        said = self.client.read("/dev/irq/ctl").decode().splitlines()
        return next(line.split()[1].strip(":") for line in said if self.mine in line)

    @text(0o444)
    def buffers(self) -> str:
        """Allocate DMA memory until there is none."""
        tries = Tries()
        for size in (64, 16 << 20, 1 << 40):
            tries.until(f"of {size}", lambda n, size=size: self._alloc(f"size {size}"))  # type: ignore[misc]  # bound now
        tries("negative", partial(self._alloc, "size -1"))
        tries("aligned", partial(self._alloc, "size 1 align 3"))
        return str(tries)

    def _alloc(self, request: str) -> object:
        return self.tell(request, "/dev/dma/alloc")

    @text(0o444)
    def ram(self) -> str:
        """Eat memory."""
        tries, eaten = Tries(), list[bytearray]()
        tries.until("16 MiB pieces", lambda n: eaten.append(bytearray(b"x") * (16 << 20)), 1000)
        return str(tries)

    @text(0o444)
    def processes(self) -> str:
        """Fork, start programs, start threads."""
        tries, end = Tries(), threading.Event()
        tries("fork", lambda: os.fork() or os._exit(0))
        tries("spawn", lambda: os.posix_spawn("/bin/true", ["true"], {}))
        tries("subprocess", lambda: subprocess.run(["/bin/true"], check=True))
        tries("exec", lambda: os.execv("/bin/true", ["true"]))
        tries.until("threads", lambda n: threading.Thread(target=end.wait, daemon=True).start())
        end.set()
        return str(tries)

    @text(0o444)
    def forks(self) -> str:
        """As many processes as it is let, which stay."""
        tries = Tries()
        tries.until("forks", lambda n: os.fork() or threading.Event().wait())
        return str(tries)

    @text(0o444)
    def descriptors(self) -> str:
        """Open as many files as it is let, each in another way."""
        tries, have = Tries(), list[int]()
        tries.until("dup", lambda n: have.append(os.dup(0)))
        tries("open", lambda: os.open("/dev/null", os.O_RDONLY))
        tries("pipe", os.pipe)
        for fd in have:
            os.close(fd)
        return str(tries)

    @text(0o444)
    def disk(self) -> str:
        """Fill the host's disk, or its memory by way of files."""
        tries, chunk = Tries(), bytes(1 << 20)
        for place in PLACES:
            tries(place, partial(Path(place).write_bytes, b"x"))
        tries.until("MiB of /tmp", lambda n: (TEMPORARY / str(n)).write_bytes(chunk), 1000)
        for path in TEMPORARY.glob("[0-9]*"):
            path.unlink()
        with (TEMPORARY / "long").open("wb", buffering=0) as f:
            tries("a file of 1 TiB", lambda: os.ftruncate(f.fileno(), 1 << 40))
        tries("memfd", lambda: os.memfd_create("x"))
        return str(tries)
