"""The kernel's own devices, and the namespace that shows them in their places."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..tree import Dir
from .dev.cons import ConsDir
from .dev.dma import DmaDir
from .dev.irq import IrqDir
from .dev.mem import MemDir
from .dev.mnt import MountDir
from .dev.pci import PciDir
from .dev.proc import Life, ProcDir
from .dev.srv import SrvDir
from .dev.storage import StorageDir
from .process import Cap

if TYPE_CHECKING:
    from .kernel import Kernel

STANDARD = (
    "bind '#/' /",
    "bind '#c' /dev",
    "bind -a '#m' /dev",
    "bind -a '#M' /dev",
    "bind -a '#S' /dev",
    "bind '#I' /dev/irq",
    "bind '#D' /dev/dma",
    "bind '#P' /dev/pci",
    "bind '#p' /proc",
    "bind '#s' /srv",
)


class RootDir(Dir):
    """#/: the top of the tree; everything in it is mounted there."""


Make = Callable[["Kernel", Life], Dir]
Device = tuple[str, Cap, Make]  # name; capabilities, one of which is asked for; the tree
DEVICES: dict[str, Device] = {
    "/": ("root", Cap(0), lambda k, life: RootDir()),
    "c": ("cons", Cap(0), lambda k, life: ConsDir(k, life.process)),
    "M": ("mnt", Cap(0), lambda k, life: MountDir(k.mounts)),
    "p": ("proc", Cap(0), lambda k, life: ProcDir(k.lives, life.process, k.drop)),
    "s": ("srv", Cap(0), lambda k, life: SrvDir(k.services, life.process)),
    "S": ("storage", Cap(0), lambda k, life: StorageDir(k.services)),
    "m": ("mem", Cap.MEM | Cap.IO, lambda k, life: MemDir(k.hardware, life.process)),
    "I": ("irq", Cap.IRQ, lambda k, life: IrqDir(k.hardware, life.process)),
    "D": ("dma", Cap.DMA, lambda k, life: DmaDir(k.hardware, life.process)),
    "P": ("pci", Cap.PCI, lambda k, life: PciDir(k.hardware, life.process)),
}
