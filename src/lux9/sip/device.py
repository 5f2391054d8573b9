"""#i: the drivers as files. Made, started, stopped and looked at with echo and cat."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ..errors import PermissionDenied
from ..kernel.process import Process
from ..pending import Maybe, run
from ..tree import Dir, entries, stream, text, verb
from ..tree.handles import Answers, lines
from ..wire.node import Handle
from .serverdir import Keeper, ServerDir, shown


class ServersDir(Dir):
    """All drivers, each by number and by name."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper

    @entries
    def servers(self) -> Mapping[str, Dir]:
        """A directory a driver, by number and by name."""
        made = {sip: ServerDir(self.keeper, sip) for sip in self.keeper.sips}
        return {str(s.number): d for s, d in made.items()} | {s.name: d for s, d in made.items()}


class SipDir(Dir):
    """Software isolated processes: the drivers of this machine."""

    def __init__(self, keeper: Keeper, process: Process) -> None:
        if process.kind == "sip":
            raise PermissionDenied(
                f"#i: {process.name} is a driver; drivers do not steer each other"
            )
        self.keeper, self.process = keeper, process

    @stream(0o660)
    def clone(self, mode: int) -> Handle:
        """Opened, it makes a server: the open file is its ctl. A type's name sets its type.

        Closed, a server that was told nothing is gone again, as a connection of ip(3) is. One that was told something
        stays, for with `echo` each word has an open file of its own.
        """
        sip = self.keeper.create()
        made = ServerDir(self.keeper, sip)
        self.keeper.kernel.audit.record(self.process, "sip clone", sip.name, "allowed")

        def take(line: str) -> Maybe[str | None]:
            known = {stanza.name for stanza in self.keeper.stanzas}
            words = line.split()
            alone = len(words) == 1 and words[0] not in made.verbs
            return made.control(f"type {words[0]}" if alone and words[0] in known else line)

        return Answers(f"{sip.number}\n", lines(take), partial(self.keeper.forget, sip))

    @text(0o664)
    def ctl(self) -> str:
        """A line a driver, `%d %s %s`: number, name, state; takes the commands below."""
        return shown(self.keeper.sips)

    @text(0o444)
    def types(self) -> str:
        """A line a known type: name, what it binds to, the manifest that it is from."""
        return "".join(f"{s.name} {s.targets} {s.where or '-'}\n" for s in self.keeper.stanzas)

    @stream(0o444)
    def events(self, mode: int) -> Handle:
        """`%d NAME STATE reason` a line; whoever reads on past the end waits for more."""
        return self.keeper.events.follow()

    @entries
    def servers(self) -> Mapping[str, Dir]:
        """The drivers."""
        return {"servers": ServersDir(self.keeper)}

    @verb(0)
    def rescan(self) -> Maybe[None]:
        """Look for functions that came or went, and start the drivers of those that have none."""
        return run(self._rescan())

    async def _rescan(self) -> None:
        self.keeper.kernel.hardware.bus.look()
        await self.keeper.start_all()

    @verb(0)
    def dump(self) -> str:
        """The status, health and limits of all drivers; they can be read back."""
        return "\n".join(self._all(ServerDir(self.keeper, sip)) for sip in self.keeper.sips)

    def _all(self, d: ServerDir) -> str:
        files = {"health": d.health(), "claims": d.claims(), "limits": d.limits()}
        rest = "".join(f"{k}: {line}\n" for k, v in files.items() for line in v.splitlines())
        return d.status() + rest
