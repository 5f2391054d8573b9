"""The reader and the killer: `python -m soak.client FILE SHA256 ROUNDS`, with LUX9_ADDR set, within `lux9 boot`.

Each round reads the whole file; at a random moment of it the driver gets SIGKILL, or is reloaded. A hash that is
wrong, a read that fails, or a driver that hardly ever was ended, ends it with status 1.
"""

from __future__ import annotations

import hashlib
import os
import random
import sys
import threading
import time

from lux9.errors import Lux9Error
from lux9.ninep.client import Client

WAYS = ("kill", "reload")
SERVER = "/dev/sip/servers/ahci"
RUNNING = 30.0  # seconds that a driver has to come back


def copy(client: Client, path: str) -> tuple[str, float]:
    """Read a file whole: its hash, and the seconds it took."""
    start, digest = time.monotonic(), hashlib.sha256()
    with client.open(path) as f:
        for chunk in f.chunks():
            digest.update(chunk)
    return digest.hexdigest(), time.monotonic() - start


def status(client: Client) -> dict[str, str]:
    """The driver's status file."""
    lines = client.read(f"{SERVER}/status").decode().splitlines()
    return dict(line.split(": ", 1) for line in lines)


def strike(addr: str, way: str, after: float, struck: list[str]) -> None:
    """Wait a little, then end the driver; `struck` has what was done."""
    time.sleep(after)
    with Client.dial(addr) as client:
        try:
            client.write(f"{SERVER}/ctl", way.encode())
            struck.append(way)
        except Lux9Error as error:  # it is just being started: that counts as well
            print(f"{way}: {error}", file=sys.stderr)


def settled(client: Client) -> dict[str, str]:
    """Wait until the driver runs; its status. Raises TimeoutError."""
    end = time.monotonic() + RUNNING
    while (now := status(client))["state"] != "running":
        if time.monotonic() > end:
            raise TimeoutError(f"the driver is {now['state']} after {RUNNING:g} s")
        time.sleep(0.02)
    return now


def main(path: str, wanted: str, rounds: int) -> int:
    """All rounds; the exit status."""
    addr, chance, struck = os.environ["LUX9_ADDR"], random.Random(9), list[str]()
    with Client.dial(addr) as client:
        _, usual = copy(client, path)
        for n in range(1, rounds + 1):
            way = WAYS[n % len(WAYS)]
            after = chance.uniform(0, usual)
            striker = threading.Thread(target=strike, args=(addr, way, after, struck))
            striker.start()
            found, took = copy(client, path)
            striker.join()
            if found != wanted:
                print(f"round {n}: {way}: sha256 {found}, wanted {wanted}")
                return 1
            now = settled(client)
            print(
                f"round {n}: {way}: right in {took:.2f} s, restarts {now['restarts']}", flush=True
            )
        return told(len(struck), rounds, int(settled(client)["restarts"]))


def told(struck: int, rounds: int, restarts: int) -> int:
    """0 where the driver was ended and came back; two ends in one moment are one restart."""
    if struck >= rounds / 2 and restarts >= struck / 2:
        return 0
    print(f"of {rounds} times the driver was ended {struck} times, and came back {restarts} times")
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
