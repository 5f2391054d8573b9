"""Run everything, print it, and write it down."""

from __future__ import annotations

import json
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from lux9.cli import image

from . import floor, isolation
from .facts import facts

RESULTS = Path(__file__).parent / "results"
IMAGE, FILE = 256 << 20, 128 << 20  # bytes
CLIENT = f"{shlex.quote(sys.executable)} -m bench.client"
Figures = dict[str, float]


def served(folder: Path, what: str, *options: str) -> Figures:
    """What a client measures against `lux9 boot`."""
    command = [sys.executable, "-m", "lux9", "boot", "--disk", str(folder / "disk.img"), *options]
    done = subprocess.run(
        [*command, "--exec", f"{CLIENT} {what}"],
        stdout=subprocess.PIPE,
        check=True,
        cwd=RESULTS.parents[1],
    )
    figures: Figures = json.loads(done.stdout)
    return figures


def row(name: str, value: float, peer: str, base: float) -> None:
    """One line: the figure, the peer's, and their ratio."""
    print(f"  {name:46} {value:>12,.0f}   {value / base:>6.3f} of {base:,.0f} ({peer})", flush=True)


def measure(folder: Path, none: Path) -> dict[str, Figures]:
    """All figures of one layout, printed as they come."""
    bare = {d: floor.ping_pong(d) for d in (1, 32)}
    found = {"floor": {f"ping-pong/s, depth {d}": v for d, v in bare.items()}}
    found["registers"] = served(folder, "registers", "--manifest", str(none))
    for depth, (name, value) in zip(bare, found["registers"].items(), strict=True):
        row(name, value, "bare unix socket, Python", bare[depth])
    reads = {size: floor.preads(folder / "disk.img", size) for size in (4096, 131072)}
    found["floor"] |= {f"preadv/s of {size} bytes": v for size, v in reads.items()}
    for layout, options in (("isolated", ()), ("inside the kernel", ("--inside", "ahci"))):
        print(f" driver {layout}")
        found[layout] = served(folder, "disk", *options)
        for name, value in found[layout].items():
            base = reads[131072] * 131072 / 1e6 if "MB/s" in name else reads[4096]
            row(name, value, "preadv of the image", base)
    return found


def measure_qemu(folder: Path, none: Path) -> dict[str, Figures]:
    """The figures of the QEMU machine, beside a loop straight on qtest in the same run."""
    from . import qemu

    on, found = ("--machine", "qemu"), {"floor": qemu.floor(folder / "disk.img")}
    found["registers"] = served(folder, "registers", *on, "--manifest", str(none))
    for name, value in found["registers"].items():
        row(name, value, "bare qtest, one by one", found["floor"]["qtest round trips/s"])
    for layout, options in (("isolated", ()), ("inside the kernel", ("--inside", "ahci"))):
        print(f" driver {layout}")
        found[layout] = served(folder, "disk", *on, *options)
        for name, value in found[layout].items():
            depth = name.rpartition(" ")[2]
            if "4 KiB" in name:
                base = found["floor"][f"4 KiB reads/s, depth {depth}"]
                row(name, value, "bare loop on qtest", base)
    return found


def main(cores: Sequence[int]) -> None:
    """Both layouts, and a file of results."""
    about = facts()
    print(", ".join(f"{k} {v}" for k, v in about.items()))
    results: dict[str, object] = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": about,
    }
    with tempfile.TemporaryDirectory(prefix="lux9-bench-") as name:
        folder = Path(name)
        (folder / "source").mkdir()
        (folder / "source" / "big.bin").write_bytes(random.Random(9).randbytes(FILE))
        image.make(folder / "disk.img", folder / "source", IMAGE)
        none = folder / "none.toml"
        none.write_text("# no drivers\n")
        for layout, on in (("one core", cores[:1]), ("all cores", cores)):
            print(layout)
            os.sched_setaffinity(0, on)
            results[layout] = measure(folder, none)
            print(" isolation")
            results[f"{layout}, isolation"] = isolation.measure()
            if shutil.which("qemu-system-x86_64"):
                print(" QEMU")
                results[f"{layout}, QEMU"] = measure_qemu(folder, none)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "latest.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"written to {path}")


if __name__ == "__main__":
    main(sorted(os.sched_getaffinity(0)))
