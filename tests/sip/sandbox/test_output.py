"""What a driver prints: lines whole, long ones cut, and no more in a second than somebody could read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Coroutine

from lux9.sip.output import LONGEST, MOST, Output


def printing(work: Callable[[Output, int], Coroutine[None, None, None]]) -> list[str]:
    """The lines that come of it."""
    lines: list[str] = []

    async def main() -> None:
        ours, theirs = os.pipe()
        output = Output(ours, lines.append)
        try:
            await work(output, theirs)
        finally:
            os.close(theirs)
            output.close()

    asyncio.run(asyncio.wait_for(main(), 20))
    return lines


def test_pieces_of_a_line_are_joined_and_the_last_needs_no_end() -> None:
    async def work(output: Output, fd: int) -> None:
        for piece in (b"on", b"e\ntw", b"o\nthree"):
            os.write(fd, piece)
            await asyncio.sleep(0)
        output.drain()

    assert printing(work) == ["one", "two", "three"]


def test_a_line_without_an_end_is_cut() -> None:
    async def work(output: Output, fd: int) -> None:
        os.write(fd, b"y" * (2 * LONGEST + 5))
        output.drain()

    assert [len(line) for line in printing(work)] == [LONGEST, LONGEST, 5]


def test_a_terminal_is_not_steered() -> None:
    async def work(output: Output, fd: int) -> None:
        os.write(fd, b"\x1b[2J\0 a\tb\r\n\xc2\x9b1m caf\xc3\xa9\x7f")
        output.drain()

    assert printing(work) == [r"\x1b[2J\x00 a" "\tb", r"\x9b1m café\x7f"]


def test_who_prints_too_much_waits() -> None:
    written = 0

    async def work(output: Output, fd: int) -> None:
        nonlocal written
        os.set_blocking(fd, False)
        loop = asyncio.get_running_loop()
        end = loop.time() + 0.5
        while loop.time() < end:
            try:
                written += os.write(fd, b"z" * 4095 + b"\n")
            except BlockingIOError:
                await asyncio.sleep(0.001)

    printing(work)
    assert written < 3 * MOST  # two seconds may be touched, and the pipe's own room comes on top
