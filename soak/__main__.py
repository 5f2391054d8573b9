"""`python -m soak [--rounds N] [--size MiB]`: make an image, boot, read and kill."""

from __future__ import annotations

import argparse
import hashlib
import random
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from lux9.cli import image

ROUNDS, SIZE = 100, 256
SLACK = 32  # MiB of an image beside its file and an eighth of that
RULE = "always max 1000000 in 60"  # a driver that is killed over and over is not given up
HERE = Path(__file__).parents[1]


def soak(folder: Path, rounds: int, size: int, machine: str = "sim") -> int:
    """The client's exit status. `size` is the file's, in MiB."""
    source = folder / "source"
    source.mkdir()
    digest, chance = hashlib.sha256(), random.Random(9)
    with (source / "big.bin").open("wb") as f:
        for _ in range(size):
            chunk = chance.randbytes(1 << 20)
            digest.update(chunk)
            f.write(chunk)
    image.make(folder / "disk.img", source, size + size // 8 + SLACK << 20)
    client = [sys.executable, "-m", "soak.client", "/root/big.bin", digest.hexdigest(), str(rounds)]
    command = [sys.executable, "-m", "lux9", "boot", "--machine", machine, "-v"]
    command += ["--disk", str(folder / "disk.img"), "--restart", RULE, "--exec", shlex.join(client)]
    return subprocess.run(command, check=False, cwd=HERE).returncode


def main() -> int:
    """Parse the command line and go."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--size", type=int, default=SIZE, help="of the file, in MiB")
    parser.add_argument("--machine", default="sim", help="sim or qemu")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lux9-soak-") as name:
        return soak(Path(name), options.rounds, options.size, options.machine)


if __name__ == "__main__":
    sys.exit(main())
