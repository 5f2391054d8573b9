"""What QEMU is asked to be: the board, its disks, whatever else is plugged in, as a list of options.

Media are given as `-blockdev` with JSON, so that no name needs escaping; `--device` and `--drive` are QEMU's own
words, passed on as they are.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from ...errors import UserError
from ..images import refuse_container
from .qtest import LIMIT

Kind = Literal["q35", "pc"]
PROGRAM = "qemu-system-x86_64"
NATIVE = (
    "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off"  # slots are PCI Express's own, not ACPI's
)
QUIET = "accel=tcg,pit=off,hpet=off,smm=off,vmport=off,max-ram-below-4g=2G"
SATA_PORTS, IDE_UNITS = 6, 2
FORMATS = ("raw", "qcow2", "qed", "vdi", "vhdx", "vmdk", "vpc", "luks", "null-co", "null-aio")
SIZE = 1 << 30


@dataclass(frozen=True)
class Medium:
    """A disk or a CD. `faults` are blkdebug's `inject-error` rules: its events, sectors and errnos."""

    path: Path
    format: str = "raw"
    read_only: bool = False
    cdrom: bool = False
    faults: Sequence[Mapping[str, object]] = ()

    @classmethod
    def parse(cls, text: str, *, read_only: bool = False, cdrom: bool = False) -> Medium:
        """`IMG` or `IMG:FORMAT`. Raises UserError for what is not there, or is of an unsaid format."""
        name, colon, format = text.rpartition(":")
        if not colon or format not in FORMATS:
            name, format = text, "raw"
            refuse_container(Path(name), "")
        path = Path(name)
        if not path.exists() and not format.startswith("null"):
            raise UserError(
                f"{name}: no such file; a disk is an image, or IMAGE:FORMAT ({', '.join(FORMATS)})"
            )
        return cls(path.absolute(), format, read_only or cdrom, cdrom)

    def options(self, name: str) -> list[str]:
        """QEMU's options that make it a drive of that name.

        No disk of QEMU's is read-only, so one that shall be has a snapshot over it, which is forgotten at the end.
        """
        if self.read_only and not self.cdrom:
            node = json.dumps(self._node(name)).replace(",", ",,")
            return ["-drive", f"if=none,id={name},snapshot=on,file=json:{node}"]
        node = json.dumps({**self._node(name), "node-name": name, "read-only": self.read_only})
        return ["-blockdev", node]

    @property
    def can_be_spoilt(self) -> bool:
        """Whether its faults can change while QEMU runs."""
        return not self.read_only and not self.cdrom and not self.format.startswith("null")

    def _node(self, name: str) -> dict[str, object]:
        """What the disk is made of. Faults are above the format: their sectors are the disk's, not the file's."""
        if self.format.startswith("null"):
            return {"driver": self.format, "size": SIZE, "read-zeroes": True}
        image: dict[str, object] = {"driver": "file", "filename": str(self.path)}
        if self.format != "raw":
            image = {"driver": self.format, "file": image}
        image["node-name"] = below(name)
        if self.faults:
            image = blkdebug(spoilt(name), image, self.faults)
        return {"driver": "raw", "file": image}


def below(name: str) -> str:
    """The node of the image, under the disk."""
    return f"{name}-file"


def spoilt(name: str) -> str:
    """The node between the two, where the disk has faults from the beginning."""
    return f"{name}-bad"


def blkdebug(name: str, image: object, faults: Sequence[Mapping[str, object]]) -> dict[str, object]:
    """A node of that name over an image, by its node or its name, with these faults."""
    rules = [dict(rule) for rule in faults]
    return {"driver": "blkdebug", "node-name": name, "image": image, "inject-error": rules}


def bad_sectors(
    *sectors: int, once: bool = False, number: int = errno.EIO
) -> list[dict[str, object]]:
    """Rules of a medium that cannot read or write these sectors, or only the first time."""
    return [
        {"event": "none", "sector": sector, "errno": number, "once": once} for sector in sectors
    ]


@dataclass(frozen=True)
class Board:
    """A machine for QEMU. `devices`, `drives` and `extra` are QEMU's strings."""

    kind: Kind = "q35"
    media: Sequence[Medium] = ()
    devices: Sequence[str] = ()
    drives: Sequence[str] = ()
    extra: Sequence[str] = ()
    memory: int = SIZE
    program: str = PROGRAM
    keep_log: bool = False
    limit: float = LIMIT  # seconds for an answer

    def but(self, **changes: Any) -> Board:
        """The same with other values."""
        return replace(self, **changes)

    @property
    def found(self) -> str | None:
        """Where QEMU is, or None."""
        return shutil.which(self.program)

    @property
    def bus(self) -> str:
        """QEMU's name of bus 0."""
        return "pci.0" if self.kind == "pc" else "pcie.0"

    def options(self) -> list[str]:
        """What makes the board; memory, sockets and the doorbell are not among it."""
        out = [
            "-machine",
            f"{self.kind},{QUIET}",
            "-nodefaults",
            "-no-user-config",
            "-display",
            "none",
        ]
        if self.kind == "q35":
            out += ["-global", NATIVE]
        for number, medium in enumerate(self.media):
            out += medium.options(f"disk{number}")
        for drive in self.drives:
            out += ["-drive", drive]
        for device in (*self._places(), *self.devices):
            out += ["-device", device]
        return [*out, *self.extra]

    def _places(self) -> Iterator[str]:
        """The media, in the order in which their controllers are found."""
        buses = self._ide() if self.kind == "pc" else self._sata()
        for number, medium in enumerate(self.media):
            controller, bus = next(buses)
            if controller:
                yield controller
            what = "ide-cd" if medium.cdrom else "ide-hd"
            # or QEMU stops the machine when the host's disk is full
            yield f"{what},drive=disk{number},{bus},werror=report"

    def _sata(self) -> Iterator[tuple[str, str]]:
        before = max(0, len(self.media) - 1) // SATA_PORTS  # the board's own is the last on its bus
        yield from islice(_further(), before * SATA_PORTS)
        yield from (("", f"bus=ide.{port}") for port in range(SATA_PORTS))

    def _ide(self) -> Iterator[tuple[str, str]]:
        yield from (("", f"bus=ide.{n // IDE_UNITS},unit={n % IDE_UNITS}") for n in range(4))
        yield from _further()


def _further() -> Iterator[tuple[str, str]]:
    """AHCI controllers, one after another, and their ports."""
    for n in range(1, 24):
        for port in range(SATA_PORTS):
            yield ("" if port else f"ahci,id=ahci{n}", f"bus=ahci{n}.{port}")
    raise UserError("no room for another disk: 23 further controllers are full")
