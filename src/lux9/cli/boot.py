"""`lux9 boot`: bring a machine, its kernel and its drivers up, and serve."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from ..errors import UserError
from ..kernel.auditlog import AuditLog
from ..kernel.console import Console
from ..ninep import tcp
from ..ninep.address import Address, parse
from ..ninep.default import VARIABLE, default_path
from ..ninep.tcp import DEAD_AFTER, VARIABLE as DEAD_VARIABLE
from ..ninep.tls import config
from ..sip.policy import rule
from ..sip.sandbox.level import Level
from ..sip.stanza import Stanza
from .audit import default_log
from .machines import NAMES, Wanted, make
from .system import Net, System, private, run, with_ours_first

EXAMPLES = """
\b
Examples:
  lux9 boot --disk disk.img                    serve until Ctrl-C; in another terminal: lux9 ls /dev
  lux9 boot --disk d.img --exec 'lux9 lspci'   run one command against it, then take everything down
  lux9 boot --disk d.img --exec bash           a shell in which `lux9 cat` and the rest find this kernel
  lux9 boot --machine qemu --disk d.qcow2:qcow2 --device edu --exec 'lux9 lspci'
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--machine", type=click.Choice(NAMES), default="sim", show_default=True, help="What to run on."
)
@click.option(
    "--disk",
    "disks",
    multiple=True,
    metavar="IMG[:FORMAT]",
    type=click.Path(),
    help="A disk image, raw unless its format is given; may be repeated.",
)
@click.option("--read-only", is_flag=True, help="Disk images are not written.")
@click.option(
    "--manifest",
    type=click.Path(path_type=Path),
    help="Which drivers to start; else the built-in ones.",
)
@click.option(
    "--listen",
    multiple=True,
    metavar="ADDR",
    help="unix!PATH, else a socket of this user's; besides, tcp!HOST!PORT and tls!HOST!PORT. May be repeated.",
)
@click.option(
    "--keys",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The kernel's key file, for tls!.  [default: ~/.config/lux9/keys/host.pem]",
)
@click.option(
    "--trust-network",
    is_flag=True,
    help="Give everyone who reaches a tcp! port the rights that you have here.",
)
@click.option(
    "--dead-after",
    metavar="SECONDS",
    default=f"{DEAD_AFTER:g}",
    show_default=True,
    envvar=DEAD_VARIABLE,
    help="When a client of the network that gives no sign of life counts as gone.",
)
@click.option(
    "--exec",
    "command",
    metavar="CMD",
    help="Run a command with LUX9_ADDR set, then end with its status.",
)
@click.option(
    "--inside",
    multiple=True,
    metavar="NAME",
    help="Run that driver within the kernel: no isolation.",
)
@click.option(
    "--isolation",
    type=click.Choice([level.word for level in Level]),
    help="Of all drivers; else as far as this host can.",
)
@click.option(
    "--restart",
    metavar="RULE",
    help="Of all drivers: `never` (and nobody waits for one that has ended), `always` or "
    "`on-crash`, with `max N in SECONDS`.",
)
@click.option(
    "--audit",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Keep the audit there, too; without --exec it is kept in ~/.local/state/lux9.",
)
@click.option(
    "--learn",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Give drivers every right, and write the smallest manifest that the run needed.",
)
@click.option("-v", "--verbose", is_flag=True, help="With --exec: print the kernel's log too.")
@click.option(
    "--fault",
    "faults",
    multiple=True,
    metavar="RULE",
    help="`media where=100-107 times=0`; on sim `lost 00:1f.2 after=3`, `ones 00:1f.2 after=500` …, too.",
)
@click.option("--seed", type=int, default=0, help="sim: of faults that have a chance.")
@click.option("--cdrom", "cdroms", multiple=True, type=click.Path(), help="qemu: a CD image.")
@click.option(
    "--device",
    "devices",
    multiple=True,
    metavar="STR",
    help="A card: on sim `edu`, on qemu any -device of its.",
)
@click.option("--drive", "drives", multiple=True, metavar="STR", help="qemu: any -drive of its.")
@click.option("--memory", metavar="SIZE", help="qemu: of all arenas together.  [default: 1G]")
@click.option("--qemu", "program", metavar="PATH", help="qemu: the program.")
@click.option("--qemu-machine", "kind", type=click.Choice(["q35", "pc"]), help="qemu: the board.")
@click.option("--keep-log", is_flag=True, help="qemu: its command and messages, in qemu-PID.log.")
def boot(
    machine: str,
    manifest: Path | None,
    listen: tuple[str, ...],
    keys: Path | None,
    trust_network: bool,
    dead_after: str,
    command: str | None,
    inside: tuple[str, ...],
    isolation: str | None,
    restart: str | None,
    audit: Path | None,
    learn: Path | None,
    verbose: bool,
    **hardware: Any,
) -> None:
    """Serve a machine's hardware as files over 9P, with a driver for each function that has one."""
    from ..sip.manifest import built_in, load
    from ..sip.users import load_users

    stanzas = load(manifest) if manifest else built_in()
    for name in inside:
        if name not in [s.name for s in stanzas]:
            raise UserError(
                f"--inside {name}: no such driver; there are: {' '.join(s.name for s in stanzas)}"
            )
    if restart is not None:
        stanzas = _ruled(stanzas, restart)
    level = Level.parse(isolation, "--isolation") if isolation else None
    with contextlib.ExitStack() as undo:
        path, addresses = _where(listen, command, undo)
        net = Net(
            addresses,
            load_users(manifest) if manifest else {},
            _keys(addresses, keys),
            _trust(addresses, trust_network),
            tcp.dead_after(dead_after, "--dead-after"),
        )
        made = make(machine, Wanted(**hardware))
        console = Console(quiet=command is not None and not verbose)
        log = _log(audit, command is None, console)
        system = System(
            made,
            stanzas,
            path,
            inside=inside,
            isolation=level,
            console=console,
            log=log,
            learn=learn is not None,
            net=net,
        )
        status = run(_serve(system, command))
        if learn is not None:
            _keep(learn, system.launcher.learnt())
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


def _where(
    listen: Sequence[str], command: str | None, undo: contextlib.ExitStack
) -> tuple[Path, list[Address]]:
    """The socket as asked, else for a command a place of its own, else the user's; and what else to listen on."""
    asked = [parse(text) for text in listen]
    paths = [Path(a.where) for a in asked if a.kind == "unix"]
    if len(paths) > 1 or any(a.kind == "fd" for a in asked):
        raise UserError(f"--listen {' '.join(listen)}: one unix!PATH, and any of tcp!HOST!PORT")
    if not paths and command is not None:
        place = undo.enter_context(tempfile.TemporaryDirectory(prefix="lux9-"))
        paths = [Path(place) / "lux9.sock"]
    return paths[0] if paths else private(default_path()), [a for a in asked if a.on_network]


def _trust(addresses: Sequence[Address], trust: bool) -> bool:
    if trust and not any(a.kind == "tcp" for a in addresses):
        raise UserError(
            "--trust-network: nothing listens on a tcp! address; add --listen tcp!HOST!PORT"
        )
    return trust


def _keys(addresses: Sequence[Address], keys: Path | None) -> Path | None:
    """The key file, where it is needed. Raises UserError."""
    if not any(a.kind == "tls" for a in addresses):
        if keys is not None:
            raise UserError(
                f"--keys {keys}: nothing listens on a tls! address; add --listen tls!HOST!PORT"
            )
        return None
    found = keys or config() / "keys" / "host.pem"
    if not found.exists():
        raise UserError(
            f"no key file {found}; `lux9 keys init` makes one, or name another with --keys"
        )
    return found


def _log(asked: Path | None, lasting: bool, console: Console) -> AuditLog | None:
    """Where the audit is kept: as asked, else for a kernel that stays in the user's state."""
    if asked is not None:
        return AuditLog(asked)
    if not lasting:
        return None
    try:
        return AuditLog(default_log())
    except UserError as error:  # nobody asked for it
        console.log(f"the audit is not kept on disk: {error}")
        return None


async def _serve(system: System, command: str | None) -> int:
    """Until a signal, or the command's end; the exit status."""
    stopped: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, _stop, stopped, number)
    up = asyncio.ensure_future(system.__aenter__())
    either: set[asyncio.Future[Any]] = {up, stopped}
    await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
    if not up.done():  # asked to end while coming up
        up.cancel()
        await asyncio.wait([up])
        return stopped.result()
    await up
    try:
        _complain(system, command is not None)
        if command is None:
            system.kernel.console.log(f"listening on {system.address}; Ctrl-C ends it")
            return await stopped
        return await _execute(system, command, stopped)
    finally:
        await system.__aexit__()


def _stop(stopped: asyncio.Future[int], number: int) -> None:
    if not stopped.done():
        stopped.set_result(0 if number == signal.SIGTERM else 128 + number)


def _complain(system: System, quiet: bool) -> None:
    """What a quiet console kept to itself and the user has to know: whom he lets in, a driver that did not start."""
    for line in system.kernel.warnings:
        if quiet:
            click.echo(f"lux9 boot: {line}", err=True)
    for sip in system.launcher.sips:
        if quiet and not sip.running and sip.state != "created":
            said = f" ({sip.output[-1]})" if sip.output else ""
            click.echo(
                f"lux9 boot: {sip.name} does not serve {sip.binding}: {sip.reason}{said}", err=True
            )

    for (name, path), why in system.launcher.binder.passed.items():
        if quiet:
            click.echo(f"lux9 boot: {name} is not started for {path}: {why}", err=True)


async def _execute(system: System, command: str, stopped: asyncio.Future[int]) -> int:
    """Run the user's command; a signal to us ends it, too."""
    env = os.environ | {
        VARIABLE: system.address,
        "PATH": with_ours_first(os.environ.get("PATH", os.defpath)),
    }
    child = await asyncio.create_subprocess_shell(command, env=env)
    ended = asyncio.ensure_future(child.wait())
    await asyncio.wait([ended, stopped], return_when=asyncio.FIRST_COMPLETED)
    if not ended.done():
        await _end(child, ended)
        return stopped.result() or 128 + signal.SIGTERM
    return _status(ended.result())


async def _end(child: asyncio.subprocess.Process, ended: asyncio.Future[int]) -> None:
    child.terminate()
    with contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(asyncio.shield(ended), 3.0)
    if not ended.done():
        child.kill()
        await ended


def _status(code: int) -> int:
    """A shell's way to say that a command was killed."""
    return 128 - code if code < 0 else code
