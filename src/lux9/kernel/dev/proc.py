"""#p: processes, what they hold, what they see, and how they are told. proc(3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from ...errors import NotSupported, PermissionDenied
from ...ninep.session import Session
from ...tree import Dir, entries, text, verb
from ..namespace import Group
from ..process import Process

SELF = "self"


@dataclass
class Life:
    """A process as the table knows it: who it is, what it sees, what it has open, how it is told."""

    process: Process
    group: Group
    files: Callable[[], Iterable[str]] = field(default=lambda: ())
    counts: Callable[[], tuple[int, int]] = field(default=lambda: (0, 0))  # requests, failed ones
    signal: Callable[[str], None] | None = None  # kill, stop, start, or a note's text
    session: Session | None = None  # of its connection
    throttled: Callable[[], int] = field(default=lambda: 0)  # times that it was made to wait

    def may_have(self, source: str) -> None:
        """Refuse a SIP a device that its manifest did not give it. Raises PermissionDenied."""
        if self.process.kind == "sip" and source not in {s.source for s in self.group.steps}:
            given = ", ".join(s.source for s in self.group.steps if s.source.startswith("#"))
            raise PermissionDenied(f"{source}: {self.process.name} was given {given} alone")


class ProcessDir(Dir):
    """One process."""

    def __init__(self, life: Life) -> None:
        self.life, self.process = life, life.process

    @text(0o444)
    def status(self) -> str:
        """`name:` `user:` `state:` `caps:` `fids:` `arena:`, a line each."""
        p = self.process
        arena = "-"
        if p.arena is not None:
            arena = f"vaddr={p.vaddr:#x} paddr={p.arena.bus:#x} size={p.arena.size}"
        fids = sum(1 for _ in self.life.files())
        return (
            f"name: {p.name}\nuser: {p.user}\nstate: {p.state}\ncaps: {p.caps.words}\n"
            f"fids: {fids}\narena: {arena}\n"
        )

    @text(0o664, write="change")
    def ns(self) -> str:
        """What it sees, a `bind` or `mount` line a step, as ns(1) prints and accepts them."""
        return str(self.life.group)

    def change(self, lines: str) -> None:
        """Take lines of ns(1)."""
        trial = self.life.group.copy()
        wanted = [line for line in lines.splitlines() if line.strip()]
        for line in wanted:  # all of them or none
            trial.do(line)
        for step in trial.steps:
            if step.source.startswith("#"):
                self.life.may_have(step.source)
        for line in wanted:
            self.life.group.do(line)

    @text(0o444)
    def fd(self) -> str:
        """Its open files, a line each: fid, mode, path."""
        return "".join(f"{line}\n" for line in self.life.files())

    @text(0o220)
    def ctl(self) -> str:
        """Takes the commands below."""
        return ""

    @text(0o220, write="post")
    def note(self) -> str:
        """A text for the process."""
        return ""

    def post(self, text: str) -> None:
        """Hand a note on."""
        self._tell(text.strip())

    @verb(0)
    def kill(self) -> None:
        """End it; whatever it held is quiesced."""
        self._tell("kill")

    @verb(0)
    def stop(self) -> None:
        """Suspend it."""
        self._tell("stop")

    @verb(0)
    def start(self) -> None:
        """Let it go on."""
        self._tell("start")

    def _tell(self, what: str) -> None:
        if self.life.signal is None:
            raise NotSupported(
                f"process {self.process.number} ({self.process.name}) takes no {what!r}"
            )
        self.life.signal(what)


class ProcDir(Dir):
    """All processes, or for a SIP itself alone."""

    def __init__(self, lives: Mapping[int, Life], process: Process) -> None:
        self.lives, self.process = lives, process

    @entries
    def processes(self) -> Mapping[str, Dir]:
        """A directory a process, by number."""
        shown = [n for n in self.lives if self._sees(n)]
        return {str(n): ProcessDir(self.lives[n]) for n in sorted(shown)}

    def child(self, name: str) -> Dir | None:
        """By number, or `self`."""
        number = self.process.number if name == SELF else int(name) if name.isdigit() else -1
        return (
            ProcessDir(self.lives[number]) if number in self.lives and self._sees(number) else None
        )

    def _sees(self, number: int) -> bool:
        return self.process.kind != "sip" or number == self.process.number
