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
SLACK = 32  # MiB of an image beside its file


def soak(folder: Path, rounds: int, size: int) -> int:
    """The client's exit status."""
    source = folder / "source"
    source.mkdir()
    digest, chance = hashlib.sha256(), random.Random(9)
    with (source / "big.bin").open("wb") as f:
        for _ in range(size):
            chunk = chance.randbytes(1 << 20)
            digest.update(chunk)
            f.write(chunk)
    image.make(folder / "disk.img", source, size + SLACK << 20)
    manifest = folder / "soak.toml"
    manifest.write_text(_unlimited())
    client = [sys.executable, "-m", "soak.client", "/root/big.bin", digest.hexdigest(), str(rounds)]
    command = [sys.executable, "-m", "lux9", "boot", "--disk", str(folder / "disk.img")]
    command += ["--manifest", str(manifest), "-v", "--exec", shlex.join(client)]
    return subprocess.run(command, check=False).returncode


def _unlimited() -> str:
    """The built-in manifest, but a driver that is killed over and over is not given up."""
    text = (Path(image.__file__).parents[1] / "sip" / "drivers.toml").read_text()
    lines = (line for line in text.splitlines() if not line.startswith("restart"))
    return "\n".join(
        f'{line}\nrestart = "always max 1000000 in 60"' if line.startswith("[") else line
        for line in lines
    )


def main() -> int:
    """Parse the command line and go."""
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--size", type=int, default=SIZE, help="of the file, in MiB")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lux9-soak-") as name:
        return soak(Path(name), options.rounds, options.size)


if __name__ == "__main__":
    sys.exit(main())
