"""Small drivers for the tests of their life: what one does is its first argument, its instance's file the second."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from lux9.driver.environment import Environment, run
from lux9.tree import Dir, raw, text
from lux9.wire.messages import OREAD


class Words:
    """A word that can be read and written; it is lost when the driver ends."""

    def __init__(self, words: bytearray) -> None:
        self.words = words

    def pread(self, count: int, offset: int) -> bytes:
        return bytes(self.words[offset : offset + count])

    def pwrite(self, data: memoryview, offset: int) -> int:
        self.words[offset : offset + len(data)] = data
        return len(data)


class Small(Dir):
    """What the drivers serve."""

    def __init__(self, env: Environment, version: str) -> None:
        self.env, self.words, self.told = env, bytearray(b"nothing"), version

    @text(0o444)
    def version(self) -> str:
        """What was in its file when it started."""
        return self.told

    @raw(0o666)
    def word(self) -> Words:
        """What was written to it last."""
        return Words(self.words)

    @text(0o444)
    def spin(self) -> str:
        """Nothing: reading it, the driver loops forever."""
        while True:
            pass

    @text(0o444)
    def leave(self) -> str:
        """It ends, of its own will."""
        asyncio.get_running_loop().call_soon(self.env.end)
        return ""

    @text(0o444)
    def flood(self) -> str:
        """It asks the kernel as fast as it can; how many requests."""
        for _ in range(60):
            self.env.client.read("/proc/self/status")
        return "60\n"


async def main(env: Environment) -> None:
    what, path = sys.argv[1], Path(sys.argv[2])
    print(f"{what} begins", flush=True)
    if what == "fails":
        raise SystemExit(3)
    if what == "slow":
        await asyncio.sleep(3600)
    if what == "claims":
        with (
            env.function() as function,
            env.client.open(f"/dev/pci/{function.bdf}/bar5", OREAD) as f,
        ):
            print(f"reads {f.pread(0, 4).hex()}", flush=True)
            await env.serve(Small(env, path.read_text()))
    else:
        await env.serve(Small(env, path.read_text()))


run(main)
