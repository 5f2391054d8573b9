"""The measuring client: `python -m bench.client WHAT`, with LUX9_ADDR set. Prints one JSON object of rates."""

from __future__ import annotations

import json
import os
import random
import sys
from collections import deque
from collections.abc import Callable
from functools import partial

from lux9.ninep.client import Client, File
from lux9.wire.messages import ORDWR
from lux9.wire.node import Bytes

from .timing import rate

DEPTHS = (1, 32)
BLOCK, LARGE = 4096, 131072
VERSION = 0x10  # offset of the AHCI version register in BAR 5


def registers(client: Client) -> dict[str, float]:
    """4-byte register reads a second of an AHCI controller that nobody else drives."""
    bdf = next(
        line.split()[0]
        for line in client.read("/dev/pci/bus").decode().splitlines()
        if "class=01.06.01" in line
    )
    with client.open(f"/dev/pci/{bdf}/bar5", ORDWR) as bar:
        return {
            f"register reads/s, depth {depth}": rate(
                partial(_reads, client, bar, 4, depth, lambda: VERSION)
            )
            for depth in DEPTHS
        }


def disk(client: Client) -> dict[str, float]:
    """Blocks a second and megabytes a second, of the disk and of a file on it."""
    out: dict[str, float] = {}
    for path in ("/dev/sdE0/data", "/root/big.bin"):
        with client.open(path) as f:
            size = client.stat(path).length
            for depth in DEPTHS:
                out |= _file(client, f, path, size, depth)
    return out


def _file(client: Client, f: File, path: str, size: int, depth: int) -> dict[str, float]:
    blocks, larges, turn = size // BLOCK, size // LARGE, iter(range(1 << 62))
    small = rate(lambda: _reads(client, f, BLOCK, depth, lambda: random.randrange(blocks) * BLOCK))
    large = rate(lambda: _reads(client, f, LARGE, depth, lambda: next(turn) % larges * LARGE))
    return {
        f"{path} 4 KiB reads/s, depth {depth}": small,
        f"{path} 128 KiB sequential MB/s, depth {depth}": large * LARGE / 1e6,
    }


def _reads(client: Client, f: File, size: int, depth: int, where: Callable[[], int]) -> int:
    """Sixty-four reads, `depth` of them on their way."""
    waiting = deque(f.submit(where(), size) for _ in range(depth))
    for _ in range(64 - depth):
        _take(client.wait(waiting.popleft()), size)
        waiting.append(f.submit(where(), size))
    for pending in waiting:
        _take(client.wait(pending), size)
    return 64


def _take(data: Bytes, size: int) -> None:
    assert len(data) == size, f"{len(data)} bytes came of {size}"


def main() -> None:
    """Measure what was asked for."""
    measure = {"registers": registers, "disk": disk}[sys.argv[1]]
    with Client.dial(os.environ["LUX9_ADDR"]) as client:
        json.dump(measure(client), sys.stdout)


if __name__ == "__main__":
    main()
