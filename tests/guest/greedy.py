"""A driver that takes processes, memory and time, a file for each; what it got is what a read gives."""

from __future__ import annotations

import os
import signal
import time

from lux9.driver.environment import Environment, run
from lux9.tree import Dir, text

MOST = 1000
PIECE = 16 << 20  # bytes that each child takes
BUSY = 0.4  # seconds of processor time


class Greedy(Dir):
    """What it takes."""

    @text(0o444)
    def processes(self) -> str:
        """As many as it is let, which go away again: their number, and why there are no more."""
        children = list[int]()
        why = "no limit"
        try:
            while len(children) < MOST:
                children.append(os.fork() or _wait())
        except OSError as error:
            why = os.strerror(error.errno or 0)
        _end(children)
        return f"{len(children)} {why}\n"

    @text(0o444)
    def memory(self) -> str:
        """Each process no more than it may have, and all together too much: the signal that ended one."""
        children, status = list[int](), 0
        while not status and len(children) < MOST:
            ready, told = os.pipe()
            children.append(os.fork() or _eat(told))
            os.close(told)
            os.read(ready, 1)  # or its end
            os.close(ready)
            ended, status = os.waitpid(-1, os.WNOHANG)  # Linux may choose any of them
            children = [child for child in children if child != ended]
        _end(children)
        return f"{len(children)} {signal.Signals(os.WTERMSIG(status)).name}\n"

    @text(0o444)
    def busy(self) -> str:
        """The time of the clock, in seconds, that some of the processor's takes."""
        begun, end = time.monotonic(), time.process_time() + BUSY
        while time.process_time() < end:
            pass
        return f"{time.monotonic() - begun:.2f}\n"


def _end(children: list[int]) -> None:
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def _wait() -> int:
    signal.pause()
    os._exit(0)


def _eat(told: int) -> int:
    taken = bytearray(b"x") * PIECE
    os.write(told, taken[:1])
    return _wait()


async def main(environment: Environment) -> None:
    await environment.serve(Greedy())


if __name__ == "__main__":
    run(main)
