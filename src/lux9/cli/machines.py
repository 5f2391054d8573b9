"""The one place that chooses a machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from ..errors import UserError
from ..machine.abstract import Lack, Machine
from ..machine.images import refuse_container
from .options import option

SUFFIX = {"": 20, "K": 10, "M": 20, "G": 30}  # of a size; a bare number is MiB, as QEMU has it


@dataclass(frozen=True)
class Wanted:
    """A machine as the command line asks for it. What only one machine has is empty for the others."""

    disks: Sequence[str] = option(
        (),
        "--disk",
        multiple=True,
        metavar="IMG[:FORMAT]",
        type=click.Path(),
        help="A disk image, raw unless its format is given; may be repeated.",
    )
    read_only: bool = option(
        False, "--read-only", is_flag=True, help="Disk images are not written."
    )
    devices: Sequence[str] = option(
        (),
        "--device",
        multiple=True,
        metavar="STR",
        help="A card: on sim `edu`, on qemu any -device of its.",
    )
    faults: Sequence[str] = option(
        (),
        "--fault",
        multiple=True,
        metavar="RULE",
        help="`media where=100-107 times=0`; on sim `lost 00:1f.2 after=3`, `ones 00:1f.2 after=500` …, too.",
    )
    seed: int = option(0, "--seed", help="sim: of faults that have a chance.")
    cdroms: Sequence[str] = option(
        (), "--cdrom", multiple=True, type=click.Path(), help="qemu: a CD image."
    )
    drives: Sequence[str] = option(
        (), "--drive", multiple=True, metavar="STR", help="qemu: any -drive of its."
    )
    memory: str | None = option(
        None, "--memory", metavar="SIZE", help="qemu: of all arenas together.  [default: 1G]"
    )
    program: str | None = option(None, "--qemu", metavar="PATH", help="qemu: the program.")
    kind: str | None = option(
        None, "--qemu-machine", type=click.Choice(["q35", "pc"]), help="qemu: the board."
    )
    keep_log: bool = option(
        False, "--keep-log", is_flag=True, help="qemu: its command and messages, in qemu-PID.log."
    )

    def only_qemu(self) -> list[str]:
        """The options given that the QEMU machine alone has."""
        given = {
            "--cdrom": self.cdroms,
            "--drive": self.drives,
            "--memory": self.memory,
            "--qemu": self.program,
            "--qemu-machine": self.kind,
            "--keep-log": self.keep_log,
        }
        return [option for option, value in given.items() if value]


def make(name: str, wanted: Wanted) -> Machine:
    """The machine of that name, ready to be started. Raises UserError with what is in the way."""
    if name not in MACHINES:
        raise UserError(f"there is no machine {name!r}; there are: {' '.join(MACHINES)}")
    machine = MACHINES[name](wanted)
    if lacks := machine.why_not():
        raise UserError("; ".join(f"{lack.what}: {lack.remedy}" for lack in lacks))
    return machine


def lacks(name: str) -> list[Lack]:
    """What this host lacks for a machine, with nothing plugged in."""
    return MACHINES[name](Wanted()).why_not()


def _sim(wanted: Wanted) -> Machine:
    from ..machine.sim import Plan, Rule, q35

    if options := wanted.only_qemu():
        raise UserError(f"{options[0]}: only with --machine qemu")
    disks = [Path(_raw(disk)) for disk in wanted.disks]
    plan = Plan([Rule.parse(fault) for fault in wanted.faults], wanted.seed)
    return q35(disks, devices=wanted.devices, read_only=wanted.read_only, plan=plan)


def _raw(disk: str) -> str:
    """The file of a disk for the embedded machine, which has one format."""
    path, colon, format = disk.rpartition(":")
    if not colon or Path(disk).exists():
        refuse_container(Path(disk), "--machine qemu --disk ")
        return disk
    if format != "raw":
        raise UserError(f"{disk}: the embedded machine reads raw images; use --machine qemu")
    return path


def _qemu(wanted: Wanted) -> Machine:
    from ..machine.qemu import Board, Medium, Qemu
    from ..machine.qemu.media import rules

    faults = [rule for fault in wanted.faults for rule in rules(fault)]
    disks = [
        replace(Medium.parse(disk, read_only=wanted.read_only), faults=faults)
        for disk in wanted.disks
    ]
    cds = [Medium.parse(cd, cdrom=True) for cd in wanted.cdroms]
    board = Board(
        "pc" if wanted.kind == "pc" else "q35",
        media=[*disks, *cds],
        devices=wanted.devices,
        drives=wanted.drives,
        keep_log=wanted.keep_log,
    )
    if wanted.memory:
        board = board.but(memory=size(wanted.memory))
    return Qemu(board.but(program=wanted.program) if wanted.program else board)


def size(text: str) -> int:
    """Bytes of `512`, `512M` or `2G`. Raises UserError."""
    match = re.fullmatch(r"(\d+)([KMG]?)", text)
    if match is None:
        raise UserError(f"--memory {text}: write 512M or 2G")
    return int(match[1]) << SUFFIX[match[2]]


MACHINES: dict[str, Callable[[Wanted], Machine]] = {"sim": _sim, "qemu": _qemu}
NAMES = tuple(MACHINES)
