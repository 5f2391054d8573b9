"""Capabilities given and taken while their process runs.

What was opened under a capability that is taken goes stale, and what was had by it is given back: interrupts are
unregistered, functions stop reaching memory before its buffers go, claims end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..errors import Lux9Error, PermissionDenied, Stale
from .dev.proc import Life
from .group import Group, Path
from .hardware import Hardware
from .hardware.access import PORTS, BarFile
from .namespace import nothing, shown
from .process import ALL, Cap, Process

ROOMS: dict[Cap, tuple[str, ...]] = {  # what a capability puts into a SIP's namespace
    Cap.IRQ: ("bind '#I' /dev/irq",),
    Cap.DMA: ("bind '#D' /dev/dma",),
    Cap.MEM | Cap.IO: ("bind -a '#m' /dev",),
}
PLACES: dict[Path, Cap] = {("dev",): ALL} | {
    ("dev", str(cap.name).lower()): cap for cap in Cap
}  # what any of them shows
NEEDS = {"#I": Cap.IRQ, "#D": Cap.DMA, "#P": Cap.PCI}


def absent(process: Process, path: Path) -> Lux9Error:
    """What a process is told of a path where it sees nothing: which capability would have put something there."""
    wanted = PLACES.get(path, Cap(0))
    try:
        process.need(Cap(0) if wanted & process.caps else wanted, shown(path))
    except PermissionDenied as error:
        return error
    return nothing(path)


def grant(hardware: Hardware, life: Life, cap: Cap) -> None:
    """Give a capability: it holds from the next open on."""
    life.process.caps |= cap
    for caps, rooms in ROOMS.items():
        if caps & cap:
            _add(life.group, rooms)
    hardware.context.audit.record(life.process, "capability add", cap.words, "done")


def _add(group: Group, lines: tuple[str, ...]) -> None:
    have = str(group).splitlines()
    for line in lines:
        if str(Group([line]).steps[0]) not in have:
            group.do(line)


def revoke(hardware: Hardware, life: Life, cap: Cap) -> list[int]:
    """Take a capability, and everything that was had by it; the fids that went stale."""
    process = life.process
    _give_back(hardware, process, cap)
    process.caps &= ~cap
    for caps, rooms in ROOMS.items():
        if caps & cap and not caps & process.caps:
            for step in Group(rooms).steps:
                life.group.forget(step.source)
    stale = _stale(life, cap)
    text = " ".join(map(str, stale))
    hardware.context.audit.record(process, "capability remove", cap.words, "done", stale=text)
    return stale


def _stale(life: Life, cap: Cap) -> list[int]:
    """The open files that needed it, taken away."""
    session = life.session
    if session is None:
        return []
    gone = [n for n, f in session.fids.items() if _needs(f.node, f.handle) & cap]
    for n in gone:
        why = f"{life.process.name} has lost capability {cap.words}, under which it was opened"
        session.revoke(n, Stale(f"{session.fids[n].name}: {why}"))
    return gone


def _needs(node: Any, handle: Any) -> Cap:
    """What a file of a device asks for. A directory of several devices (a union) is nobody's."""
    members = list(_members(node))
    if len(members) != 1:
        return Cap(0)
    device, name = members[0].path[0], members[0].path[-1]
    if device == "#m":
        return {"mem": Cap.MEM, "io": Cap.IO}.get(name, Cap(0))
    if device == "#P" and isinstance(handle, BarFile):
        return Cap.PCI | (Cap.IO if handle.widths is PORTS else Cap.MEM)
    return NEEDS.get(device, Cap(0))


def _members(node: Any) -> Iterator[Any]:
    """The nodes of declared trees below a place."""
    if hasattr(node, "members"):
        for member in node.members:
            yield from _members(member)
    elif hasattr(node, "tree"):
        yield node


def _give_back(hardware: Hardware, process: Process, cap: Cap) -> None:
    if Cap.IRQ in cap:
        while numbers := hardware.irq.of(process):
            hardware.irq.unregister(process, numbers[0])
    if Cap.DMA in cap:
        _no_dma(hardware, process)
    if Cap.PCI in cap:
        for claim in hardware.bus.claims_of(process):
            hardware.bus.end(claim)


def _no_dma(hardware: Hardware, process: Process) -> None:
    """No function of its reaches memory any more; only then do the buffers go.

    A function that did is reset, so its claim ends: a driver that went on with it would take the registers'
    reset values for answers, as those of an AHCI port for commands that are done.
    """
    for claim in hardware.bus.claims_of(process):
        if claim.mastered:
            hardware.bus.end(claim)
    hardware.context.step(process, "revoke free", "dma", lambda: hardware.dma.take_back(process))
