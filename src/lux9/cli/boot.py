"""`lux9 boot`: bring a machine, its kernel and its drivers up, and serve."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import click

from ..errors import UserError
from ..kernel.auditlog import AuditLog
from ..kernel.console import Console
from ..ninep.outlet import stay_awake
from ..sip.policy import rule
from ..sip.sandbox.level import Level
from ..sip.stanza import Stanza
from .audit import default_log
from .machines import NAMES, Wanted, make
from .options import option, takes
from .reach import Reach
from .serving import serve
from .system import System, run

EXAMPLES = """
\b
Examples:
  lux9 boot --disk disk.img                    serve until Ctrl-C; in another terminal: lux9 ls /dev
  lux9 boot --disk d.img --exec 'lux9 lspci'   run one command against it, then take everything down
  lux9 boot --disk d.img --exec bash           a shell in which `lux9 cat` and the rest find this kernel
  lux9 boot --machine qemu --disk d.qcow2:qcow2 --device edu --exec 'lux9 lspci'
"""


@dataclass(frozen=True)
class Drivers:
    """Which drivers are started, and how, as the command line asks for it."""

    manifest: Path | None = option(
        None,
        "--manifest",
        type=click.Path(path_type=Path),
        help="Which drivers to start; else the built-in ones.",
    )
    inside: Sequence[str] = option(
        (),
        "--inside",
        multiple=True,
        metavar="NAME",
        help="Run that driver within the kernel: no isolation.",
    )
    isolation: str | None = option(
        None,
        "--isolation",
        type=click.Choice([level.word for level in Level]),
        help="Of all drivers; else as far as this host can.",
    )
    restart: str | None = option(
        None,
        "--restart",
        metavar="RULE",
        help="Of all drivers: `never` (and nobody waits for one that has ended), `always` or "
        "`on-crash`, with `max N in SECONDS`.",
    )
    learn: Path | None = option(
        None,
        "--learn",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help="Give drivers every right, and write the smallest manifest that the run needed.",
    )

    def stanzas(self) -> Sequence[Stanza]:
        """Their stanzas. Raises UserError."""
        from ..sip.manifest import built_in, load

        stanzas = load(self.manifest) if self.manifest else built_in()
        names = [s.name for s in stanzas]
        for name in self.inside:
            if name not in names:
                raise UserError(f"--inside {name}: no such driver; there are: {' '.join(names)}")
        return stanzas if self.restart is None else _ruled(stanzas, self.restart)

    @property
    def level(self) -> Level | None:
        """How far they are kept apart."""
        return Level.parse(self.isolation, "--isolation") if self.isolation else None


@dataclass(frozen=True)
class Session:
    """How long it goes on, and what is kept of it."""

    command: str | None = option(
        None,
        "--exec",
        metavar="CMD",
        help="Run a command with LUX9_ADDR set, then end with its status.",
    )
    audit: Path | None = option(
        None,
        "--audit",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Keep the audit there, too; without --exec it is kept in ~/.local/state/lux9.",
    )
    verbose: bool = option(
        False, "-v", "--verbose", is_flag=True, help="With --exec: print the kernel's log too."
    )

    def console(self) -> Console:
        """The kernel's log: a command's own output is not mixed with it unless that is asked for."""
        return Console(quiet=self.command is not None and not self.verbose)

    def log(self, console: Console) -> AuditLog | None:
        """Where the audit is kept: as asked, else for a kernel that stays in the user's state."""
        if self.audit is not None:
            return AuditLog(self.audit)
        if self.command is not None:
            return None
        try:
            return AuditLog(default_log())
        except UserError as error:  # nobody asked for it
            console.log(f"the audit is not kept on disk: {error}")
            return None


@click.command(epilog=EXAMPLES)
@click.option(
    "--machine", type=click.Choice(NAMES), default="sim", show_default=True, help="What to run on."
)
@takes(Wanted, Drivers, Reach, Session)
def boot(wanted: Wanted, drivers: Drivers, reach: Reach, session: Session, *, machine: str) -> None:
    """Serve a machine's hardware as files over 9P, with a driver for each function that has one."""
    from ..sip.users import load_users

    stanzas = drivers.stanzas()
    if drivers.learn is not None and not drivers.learn.absolute().parent.is_dir():
        raise UserError(f"{drivers.learn}: there is no such directory to write it in")
    with contextlib.ExitStack() as undo:
        stay_awake(reach.spin)
        path, addresses = reach.places(session.command is not None, undo)
        net = reach.net(addresses, load_users(drivers.manifest) if drivers.manifest else {})
        made, console = make(machine, wanted), session.console()
        log = session.log(console)
        system = System(
            made,
            stanzas,
            path,
            inside=drivers.inside,
            isolation=drivers.level,
            console=console,
            log=log,
            learn=drivers.learn is not None,
            net=net,
        )
        passing = session.command is not None and not reach.names_socket
        status = run(serve(system, session.command, path.parent if passing else None))
        if drivers.learn is not None:
            _keep(drivers.learn, system.launcher.learnt())
        if log is not None and log.lost:
            click.echo(
                f"lux9 boot: {log.path}: {log.lost} lines of the audit are missing", err=True
            )
    sys.exit(status)


def _ruled(stanzas: Sequence[Stanza], restart: str) -> list[Stanza]:
    """The stanzas with another rule of restart; with `never`, clients do not wait either."""
    asked = rule(restart)
    kept = asked.when != "never"
    return [replace(s, restart=asked, hold=s.hold if kept else 0.0) for s in stanzas]


def _keep(path: Path, manifest: str) -> None:
    """Write what was learnt."""
    try:
        path.write_text(manifest)
    except OSError as error:
        raise UserError(f"{path}: cannot be written: {error.strerror}") from None
