"""Drivers that come from elsewhere: a stanza that names a user (`remote`) is driven by whoever comes as that.

Such a driver is not started here. It connects, claims the function, and creates its name in /srv; then it is watched,
mounted and cleared away as any other. When its connection ends it is waited for: what its clients ask is held as its
stanza says, and the next one that comes goes on where it was.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from ..errors import Busy, NotSupported, PermissionDenied
from ..kernel.dev.proc import Life
from ..kernel.kernel import Kernel
from ..kernel.process import Limits, Process
from ..kernel.services import Terms
from .server import Sip
from .spawn import ending

READY = 30.0  # seconds that a driver has to answer its first request
GONE = "its connection ended"


class Visitor:
    """A driver that is a connection; it answers to what `spawn.Child` does."""

    pid = 0

    def __init__(self, life: Life) -> None:
        self.life = life
        self.ended: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        life.over = self._over

    def _over(self) -> None:
        if not self.ended.done():
            self.ended.set_result(GONE)

    def signal(self, number: int) -> None:
        """There is one thing that can be done to it from here: to hang up."""
        if self.life.signal is not None and not self.ended.done():
            self.life.signal("kill")

    def limit(self, name: str, limits: Limits) -> None:
        """What its process may use is for its own host to say. Raises NotSupported."""
        raise NotSupported("its process is on another host")

    async def stop(self) -> str:
        """Hang up; how it ended."""
        self.signal(0)
        return await ending(self.ended)


class House(Protocol):
    """The launcher, as its visitors see it."""

    kernel: Kernel
    sips: list[Sip]

    def enter(self, sip: Sip, state: str, reason: str = "") -> None:
        """A new state, and an event of it."""
        ...

    def adopt(self, sip: Sip, visitor: Visitor) -> None:
        """Be told of its end."""
        ...

    def ready(self, sip: Sip) -> None:
        """It serves: mount it and watch over it."""
        ...

    def retire(self, sip: Sip) -> None:
        """Nobody waits for it any more."""
        ...


class Visitors:
    """Who may come, and what becomes of their places when they have gone."""

    def __init__(self, house: House) -> None:
        self.house = house
        services = house.kernel.services
        services.admit, services.came = self.admit, self.came

    def expect(self, sip: Sip, why: str = "") -> None:
        """From here on it may come. Those who use what it served wait for that as long as its stanza says."""
        posted = self.house.kernel.services.posted.get(sip.name)
        reason = f"waits for {sip.stanza.remote} to drive it"
        if posted is not None and posted.service.hold:
            hold = posted.service.hold
            sip.timer = asyncio.get_running_loop().call_later(hold, self._in_vain, sip)
            reason += f", and its clients {hold:g} s for that"
        self.house.enter(
            sip, "crashed" if why else "created", f"{why}; {reason}" if why else reason
        )

    def _in_vain(self, sip: Sip) -> None:
        sip.timer = None
        self.house.retire(sip)
        self.expect(sip)

    def admit(self, name: str, owner: Process) -> Terms:
        """Whether a process may post a service of that name, and on which terms. Raises PermissionDenied, Busy."""
        sip = next((sip for sip in self.house.sips if sip.name == name), None)
        if sip is None and owner.kind == "user":
            raise PermissionDenied(
                f"#s/{name}: nothing of that name is expected; a stanza [{name}] with "
                f'remote = "{owner.user}" in the manifest lets it come'
            )
        if sip is None:
            return Terms()
        self._welcome(sip, owner)
        life = self.house.kernel.lives[owner.number]
        timer, sip.timer = sip.timer, None
        if timer is not None:
            timer.cancel()
        sip.life, sip.child = life, Visitor(life)
        sip.isolation = f"elsewhere ({owner.user})"
        sip.verdict, sip.took, sip.pulled = "", 0.0, False
        sip.starts += 1
        sip.over.clear()
        self.house.enter(sip, "starting")
        self.house.adopt(sip, sip.child)
        asyncio.get_running_loop().call_later(READY, self._slow, sip, sip.child)
        return Terms(sip.stanza.hold, sip.stanza.repeats)

    def _welcome(self, sip: Sip, owner: Process) -> None:
        stanza, name = sip.stanza, sip.name
        if not stanza.remote:
            raise PermissionDenied(
                f'#s/{name}: {name} is started by this kernel; `remote = "{owner.user}"` in its '
                "stanza would let it be driven from elsewhere"
            )
        if owner.kind != "client" and owner.user != stanza.remote:
            raise PermissionDenied(
                f"#s/{name}: {owner.user} is not {stanza.remote}, who may drive it by its stanza"
            )
        if sip.running:
            raise Busy(f"#s/{name}: it is {sip.state}, {sip.isolation}")
        if sip.state == "stopped":
            raise Busy(f"#s/{name}: it was stopped; `lux9 sip start {name}` lets it come again")
        claims = self.house.kernel.hardware.bus.claims_of(owner)
        if sip.function and sip.function not in [claim.function.name for claim in claims]:
            raise PermissionDenied(
                f"#s/{name}: it is of whoever drives {sip.function}, and {owner.name} has not claimed that"
            )

    def came(self, name: str, owner: Process) -> None:
        """It answered: it serves."""
        for sip in self.house.sips:
            if sip.name == name and sip.state == "starting" and isinstance(sip.child, Visitor):
                self.house.ready(sip)

    def _slow(self, sip: Sip, child: Visitor) -> None:
        if sip.child is child and sip.state == "starting":
            sip.verdict = f"not ready after {READY:g} s"
            child.signal(0)
