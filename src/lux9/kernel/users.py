"""Who may come over the network, and what each may do: the rights that a manifest gives to names.

A name is a certificate's; `none` is whoever comes without one. A user sees an empty root and what is given to it,
like a driver, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .group import Group
from .process import Cap, Limits
from .rights import ROOMS

NONE = "none"
CONNECTIONS = 16


@dataclass(frozen=True)
class User:
    """One name's rights.

    `bind`: the functions that it sees; None, with the capability pci, is all of them. `namespace`: lines of ns(1),
    besides. `connections`: how many it may have at once.
    """

    name: str
    capabilities: Cap = Cap(0)
    bind: tuple[str, ...] | None = None
    namespace: tuple[str, ...] = ()
    limits: Limits = field(default_factory=Limits)
    connections: int = CONNECTIONS

    def group(self) -> Group:
        """What it sees."""
        steps = ["bind '#/' /"]
        if self.capabilities or self.namespace or self.bind:
            steps.append("bind '#p' /proc")
        if self.bind is not None:
            steps += [f"bind '#P/{name}' /dev/pci/{name}" for name in self.bind]
        elif Cap.PCI in self.capabilities:
            steps.append("bind '#P' /dev/pci")
        for caps, rooms in ROOMS.items():
            if caps & self.capabilities:
                steps += rooms
        return Group([*steps, *self.namespace])


Users = Mapping[str, User]
NOBODY: Users = {NONE: User(NONE)}  # a client without a name sees an empty root
