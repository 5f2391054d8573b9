"""#S: the controllers of all disk drivers in one file. sd(3)."""

from __future__ import annotations

from functools import partial
from typing import Any

from ...errors import Lux9Error
from ...pending import Maybe, Pending, after, waits
from ...tree import Dir, text
from ...wire.messages import OREAD
from ...wire.node import Handle, Node
from ..services import Services

CTL = "sdctl"
LARGE = 65536  # bytes of one driver's lines


class StorageDir(Dir):
    """What the drivers tell of their controllers, put together."""

    def __init__(self, services: Services) -> None:
        self.services = services

    def shows(self, name: str) -> bool:
        """There are disks, perhaps, once there are services."""
        return bool(self.services.posted)

    @text(0o444)
    def sdctl(self) -> Maybe[str]:
        """A line a controller: `sd%c %s %d units`."""
        whole: Maybe[str] = ""
        for posted in list(self.services.posted.values()):
            whole = after(whole, partial(_with, posted.root))
        return after(whole, lambda lines: "".join(sorted(lines.splitlines(keepends=True))))


def _with(root: Node, before: str) -> Maybe[str]:
    """The lines so far, and those of one service; one that has none, or is down, adds nothing."""
    try:
        told: Maybe[Any] = after(root.walk(CTL), _opened)
    except Lux9Error:
        return before
    if not waits(told):
        return before + bytes(told).decode(errors="replace")
    out: Pending[str] = Pending(told.cancel)
    told.then(
        lambda p: out.resolve(before + (bytes(p.result()).decode(errors="replace") if p.ok else ""))
    )
    return out


def _opened(node: Node) -> Maybe[Any]:
    opened: Maybe[Any] = node.open(OREAD)
    return after(opened, _read)


def _read(handle: Handle) -> Maybe[Any]:
    read: Maybe[Any] = handle.read(0, LARGE)
    return after(read, bytes)
