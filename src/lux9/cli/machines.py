"""The one place that chooses a machine."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import UserError
from ..machine.abstract import Lack, Machine

SUFFIX = {"": 20, "K": 10, "M": 20, "G": 30}  # of a size; a bare number is MiB, as QEMU has it


@dataclass(frozen=True)
class Wanted:
    """A machine as the command line asks for it. What only one machine has is empty for the others."""

    disks: Sequence[str] = ()  # IMAGE or IMAGE:FORMAT
    read_only: bool = False
    cdroms: Sequence[str] = ()
    devices: Sequence[str] = ()
    drives: Sequence[str] = ()
    memory: str | None = None
    program: str | None = None
    kind: str | None = None
    keep_log: bool = False
    faults: Sequence[str] = ()
    seed: int = 0

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
