"""The embedded machine: `Sim`, a board of models, and `q35`, the board with its chips and disks."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from typing import Union

from ...errors import UserError
from ...models.ahci import Ahci
from ...models.cards import card
from ...models.disk import Disk
from ...models.pci import PciFunction
from ...models.q35 import HostBridge, Lpc, Smbus
from .faults import Plan, Rule
from .sim import Sim

__all__ = ["Plan", "Rule", "Sim", "q35"]

Image = Union[str, "os.PathLike[str]", Disk]
PORTS = 6  # of one controller
SATA = 0x1F << 3 | 2
FURTHER = range(3 << 3, 24 << 3, 8)  # where controllers for more than six disks go

MOST = PORTS * (1 + len(FURTHER))


def q35(
    disks: Sequence[Image] = (),
    *,
    devices: Sequence[str] = (),
    read_only: bool = False,
    plan: Plan | None = None,
    virtual: bool = False,
) -> Sim:
    """The board: host bridge, LPC, SMBus, and an AHCI controller at 0000:00:1f.2 with `disks` on its ports.

    A disk is the path of a raw image, or an open `Disk`. More than six go to further controllers. `devices` are
    cards of `models.cards`, such as `edu`. Raises UserError for an image that cannot be a disk; images opened
    until then are closed.
    """
    if len(disks) > MOST:
        raise UserError(f"{len(disks)} disks: the board has room for {MOST}")
    with ExitStack() as undo:
        opened = [_open(disk, read_only, undo) for disk in disks]
        chips: list[tuple[int, PciFunction]] = [
            (0x00, HostBridge()),
            (0x1F << 3, Lpc()),
            *_controllers(opened),
            (0x1F << 3 | 3, Smbus()),
        ]
        for text in devices:
            chips.append(card(text, [devfn for devfn, _ in chips]))
        sim = Sim(chips, plan=plan, virtual=virtual)
        undo.pop_all()
    return sim


def _open(disk: Image, read_only: bool, undo: ExitStack) -> Disk:
    if isinstance(disk, Disk):
        return disk
    opened = Disk(disk, read_only=read_only)
    undo.callback(opened.close)
    return opened


def _controllers(disks: Sequence[Disk]) -> Iterator[tuple[int, PciFunction]]:
    groups = [disks[n : n + PORTS] for n in range(0, len(disks), PORTS)] or [()]
    places = sorted(
        [SATA, *FURTHER][: len(groups)]
    )  # the first disks on the first controller of the bus
    for place, group in zip(places, groups, strict=True):
        yield place, Ahci(dict(enumerate(group)), ports=PORTS)
