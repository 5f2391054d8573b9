"""`lux9 demo`: the main job, step by step, each line read from the tree that it speaks of."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import signal
import sys
import tempfile
from collections.abc import Generator
from pathlib import Path

import click

from ..errors import UserError
from ..ninep.client import Client
from .system import System, run

SIZE = 64 << 20  # bytes of the image
BIG = 8 << 20  # of the file whose hash is compared
EXAMPLES = """
\b
Examples:
  lux9 demo                 the whole chain on the embedded machine
  lux9 demo --keep DIR      leave the disk image in DIR, to go on with: lux9 boot --disk DIR/disk.img
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--keep", type=click.Path(path_type=Path), metavar="DIR", help="Leave the image there."
)
@click.option("-v", "--verbose", is_flag=True, help="Print the kernel's log too.")
def demo(keep: Path | None, verbose: bool) -> None:
    """Find a disk controller through files, drive it, mount the ext4 on its disk, and read a file."""
    with _folder(keep) as folder:
        sources = _sources(folder / "source")
        from . import image

        image.make(folder / "disk.img", folder / "source", SIZE)
        status = run(_demo(folder, sources, verbose))
    sys.exit(status)


@contextlib.contextmanager
def _folder(keep: Path | None) -> Generator[Path, None, None]:
    if keep is not None:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep
        return
    with tempfile.TemporaryDirectory(prefix="lux9-demo-") as name:
        yield Path(name)


def _sources(folder: Path) -> dict[str, bytes]:
    """The files that the image is made of."""
    files = {
        "hello.txt": b"Hello from an ext4 file system, read by a driver in a process of its own.\n",
        "big.bin": random.Random(9).randbytes(BIG),
    }
    folder.mkdir(exist_ok=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)
    return files


async def _demo(folder: Path, sources: dict[str, bytes], verbose: bool) -> int:
    """The status: as a shell tells it when a signal ended it."""
    from ..kernel.console import Console
    from ..sip.manifest import built_in
    from .machines import Wanted, make

    with tempfile.TemporaryDirectory(prefix="lux9-") as place:
        console = Console(quiet=not verbose)
        machine = make("sim", Wanted([str(folder / "disk.img")]))
        system = System(machine, built_in(), Path(place) / "lux9.sock", console=console)
        stop: list[int] = []
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stop.append, number)
        async with system:
            right = await asyncio.to_thread(_show, system.address, sources, stop)
        return 128 + stop[0] if stop else int(not right)


def _show(address: str, sources: dict[str, bytes], stop: list[int]) -> bool:
    """The steps; whether every hash was right."""
    with Client.dial(address) as client:
        for step in (_function, _claim, _buffers, _interrupts, _disk, _partitions, _mounts):
            if stop:
                return False
            step(client)
        results = [_file(client, name, data) for name, data in sources.items()]
        _counters(client)
    right = all(results)
    say(
        "done" if right else "FAILED",
        "every byte came through the chain" if right else "a hash is wrong",
    )
    return right


def say(what: str, text: str) -> None:
    """A step and what was read."""
    head, *more = text.rstrip("\n").split("\n")
    click.echo(f"{click.style(f'{what:>12}', bold=True)}  {head}")
    for line in more:
        click.echo(f"{'':12}  {line}")


def _bdf(client: Client) -> str:
    """The first AHCI controller on the bus."""
    for line in client.read("/dev/pci/bus").decode().splitlines():
        if "class=01.06.01" in line:
            return line.split()[0]
    raise UserError("/dev/pci/bus lists no function of class 01.06.01")


def _lines(client: Client, path: str, *heads: str) -> str:
    """The lines of a file that begin with one of these words."""
    text = client.read(path).decode()
    return "\n".join(line for line in text.splitlines() if not heads or line.startswith(heads))


def _function(client: Client) -> None:
    bdf = _bdf(client)
    say("function", _lines(client, "/dev/pci/bus", bdf))
    say("BAR", _lines(client, f"/dev/pci/{bdf}/ctl", "class", "bar"))


def _claim(client: Client) -> None:
    say("claimed by", _lines(client, f"/dev/pci/{_bdf(client)}/ctl", "owner", "command"))


def _audited(client: Client, what: str) -> list[dict[str, object]]:
    """What the audit has of one kind."""
    entries = [json.loads(line) for line in client.read("/dev/audit").splitlines()]
    return [entry for entry in entries if entry["what"] == what]


def _buffers(client: Client) -> None:
    lines = [
        f"{e['target']}: paddr {e['paddr']:#x}, handle {e['handle']}"
        for e in _audited(client, "dma alloc")
        if e["verdict"] == "allowed"
    ]
    say("DMA buffers", "\n".join(lines))
    say("", _lines(client, "/dev/dma/ctl", "allocations", "total"))


def _interrupts(client: Client) -> None:
    say("line", client.read("/dev/irq/ctl").decode())


def _stats(client: Client) -> dict[str, str]:
    text = client.read("/dev/sdE0/stats").decode()
    return dict(line.split(": ", 1) for line in text.splitlines() if ": " in line)


def _disk(client: Client) -> None:
    say("disk", _lines(client, "/dev/sdE0/ctl", "inquiry", "geometry"))
    before = _stats(client)
    with client.open("/dev/sdE0/data") as f:
        sector = f.pread(0, 512)
    after = _stats(client)
    issued = int(after["reads"]) - int(before["reads"])
    say(
        "READ",
        f"sector 0: {issued} command issued, {len(sector)} bytes, ends {sector[-2:].hex(' ')}",
    )


def _partitions(client: Client) -> None:
    say("partitions", _lines(client, "/dev/sdE0/ctl", "part"))


def _mounts(client: Client) -> None:
    say("mounted", client.read("/dev/mounts").decode())
    say("/root", " ".join(stat.name for stat in client.ls("/root")))


def _file(client: Client, name: str, source: bytes) -> bool:
    """Read a file through the whole chain and compare its hash with the source's."""
    with client.open(f"/root/{name}") as f:
        data = b"".join(f.chunks())
    if len(data) < 200:
        say(name, data.decode())
    read, wanted = hashlib.sha256(data).hexdigest(), hashlib.sha256(source).hexdigest()
    say(
        f"{name}",
        f"{len(data)} bytes, sha256 {read}\n{'source':>{len(str(len(data))) + 6}}, sha256 {wanted}",
    )
    return read == wanted


def _counters(client: Client) -> None:
    say("interrupts", client.read("/dev/irq/ctl").decode())
    say(
        "counters",
        _lines(client, "/dev/sdE0/stats", "reads", "read bytes", "interrupts", "polled", "errors"),
    )
