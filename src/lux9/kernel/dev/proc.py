"""#p: processes, what they hold, what they see, and how they are told. proc(3)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial

from ...errors import ControlError, NotSupported, PermissionDenied
from ...ninep.session import Session
from ...pending import Maybe, after
from ...tree import Dir, entries, text, verb
from ...wire.numeral import numeral
from ..crash import Report
from ..group import Group, Step
from ..namespace import Namespace
from ..process import Cap, Process

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
    throttled: Callable[[], int] = field(default=lambda: 0)  # times that it asked too much
    paused: Callable[[], int] = field(default=lambda: 0)  # times that it did not read its answers
    bound: Callable[[], None] = field(default=lambda: None)  # its limits are others now
    over: Callable[[], None] | None = None  # told when it has ended and was cleared away
    report: Report | None = None  # of its end
    namespace: Namespace | None = None  # its group's paths, once it has attached

    def part(self) -> None:
        """Share its namespace with nobody from now on: it begins as a copy."""
        self.group = self.group.copy()
        if self.namespace is not None:
            self.namespace.group = self.group

    def may_have(self, source: str) -> None:
        """Refuse whoever is confined a device that the manifest did not give it. Raises PermissionDenied."""
        if not self.process.confined:
            return
        sources = [s.source for s in self.group.steps if s.source.startswith("#")]
        below = any(f"{source}/".startswith(f"{s}/") for s in sources)
        if source not in sources and (not below or ".." in source.split("/")):
            given = ", ".join(sources)
            raise PermissionDenied(f"{source}: {self.process.name} was given {given} alone")

    def there(self, trial: Group) -> Maybe[object]:
        """Walk to each path that a group to come binds and this one does not. Raises NotFound.

        Devices and services may come later; a path that does not exist is a slip, and would hide what it is bound to.
        """
        have = {str(step) for step in self.group.steps}
        if self.namespace is None:
            return None
        ns, got = Namespace(trial, self.namespace.find), None
        for step in trial.steps:
            if not step.source.startswith("#") and str(step) not in have:
                got = after(got, partial(_found, ns, step))
        return got


def _found(ns: Namespace, step: Step, _: object) -> Maybe[object]:
    return ns.source(step.source)


Drop = Callable[[Life, Cap], object]


class ProcessDir(Dir):
    """One process. `looker` is who looks; `drop` takes capabilities away."""

    def __init__(self, life: Life, looker: Process, drop: Drop) -> None:
        self.life, self.process, self.looker, self.drop_ = life, life.process, looker, drop

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

    def change(self, lines: str) -> Maybe[None]:
        """Take lines of ns(1)."""
        life, trial = self.life, self.life.group.copy()
        wanted = [line for line in lines.splitlines() if line.strip()]
        for line in wanted:  # all of them or none
            trial.do(line)
        for step in trial.steps:
            if step.source.startswith("#"):
                life.may_have(step.source)

        def do_all(_: object) -> None:
            for group in (life.group.copy(), life.group):  # another may have changed it meanwhile
                for line in wanted:
                    group.do(line)

        return after(life.there(trial), do_all)

    @text(0o664, write="call_it")
    def args(self) -> str:
        """Its command line; a client may write its own, whose first word names it, too."""
        return f"{self.process.command}\n"

    def call_it(self, line: str) -> None:
        """What a client says that it is."""
        self._own("its command line")
        words = line.split()
        if not words:
            raise ControlError("args: write a command line")
        self.process.name = words[0].rpartition("/")[2]
        self.process.command = " ".join(words)

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

    @verb(0)
    def rfork(self) -> None:
        """A client's own: share the namespace with nobody from now on; it begins as a copy."""
        self._own("its namespace")
        self.life.part()

    @verb(1, rest=True)
    def renounce(self, names: str) -> None:
        """A client's own: give up capabilities for as long as the connection lasts."""
        self._own("its capabilities")
        for name in names.split():
            if name.upper() not in Cap.__members__:
                known = " ".join(str(cap.name).lower() for cap in Cap)
                raise ControlError(f"renounce: {name!r} is no capability; there are: {known}")
        for name in names.split():
            self.drop_(self.life, Cap[name.upper()])

    def _own(self, what: str) -> None:
        if self.process is not self.looker or self.process.kind not in ("client", "user"):
            raise PermissionDenied(
                f"process {self.process.number} ({self.process.name}): {what} is changed by a client "
                "itself, in /proc/self"
            )

    def _tell(self, what: str) -> None:
        if self.life.signal is None:
            raise NotSupported(
                f"process {self.process.number} ({self.process.name}) takes no {what!r}"
            )
        self.life.signal(what)


class ProcDir(Dir):
    """All processes, or for whoever is confined itself alone."""

    def __init__(self, lives: Mapping[int, Life], process: Process, drop: Drop) -> None:
        self.lives, self.process, self.drop_ = lives, process, drop

    @entries
    def processes(self) -> Mapping[str, Dir]:
        """A directory a process, by number."""
        shown = [n for n in self.lives if self._sees(n)]
        return {str(n): self._dir(n) for n in sorted(shown)}

    def _dir(self, number: int) -> Dir:
        return ProcessDir(self.lives[number], self.process, self.drop_)

    def child(self, name: str) -> Dir | None:
        """By number, or `self`."""
        number = self.process.number if name == SELF else numeral(name)
        return self._dir(number) if number in self.lives and self._sees(number) else None

    def _sees(self, number: int) -> bool:
        return not self.process.confined or number == self.process.number
