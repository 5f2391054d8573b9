"""What the commands share that work on the served tree: the connection, paths, and how failures are told."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from ..errors import PLAN9, Disconnected, Lux9Error, UserError, number_of, plain, text_of
from ..ninep.client import Client
from ..ninep.default import default_address
from ..ninep.restore import Line
from ..wire.messages import DMAPPEND, DMDIR, DMEXCL, Stat
from . import reconnect, where

if TYPE_CHECKING:
    StrType = click.ParamType[str]
else:  # not generic in every click that will do
    StrType = click.ParamType

MODE = "rwxrwxrwx"


def dialled() -> Client:
    """A client of the running kernel. Raises UserError when there is none."""
    patience = reconnect()
    if not patience:
        return Client.dial(where())
    line = Line(where(), patience=patience, say=lambda text: click.echo(f"lux9: {text}", err=True))
    return Client.resuming(line)


def told(path: str, error: Lux9Error) -> str:
    """What went wrong with a path, and for a missing file where to look."""
    if isinstance(error, UserError):
        return str(error)
    text = text_of(error)
    if number_of(error) == errno.EISDIR:
        return f"{path}: file is a directory; `lux9 ls {path}` lists it"
    missing = text.removeprefix(PLAN9[errno.ENOENT]).removeprefix(": ")
    if number_of(error) != errno.ENOENT or missing not in path:  # what is missing is something else
        return text if path in text else f"{path}: {text}"
    above = path.rstrip("/").rpartition("/")[0] or "/"
    return f"{path}: file does not exist; `lux9 ls {above}` shows what is there"


def each(paths: Iterable[str], act: Callable[[str], object]) -> None:
    """Do it for each path; one that fails is told of, and the others are done. Ends with status 1 then."""
    context = click.get_current_context()
    command = context.command_path.removeprefix(context.find_root().command_path).strip()
    failed = False
    for path in paths:
        try:
            act(path)
        except Disconnected:
            raise  # the others would fail of the same
        except Lux9Error as error:
            click.echo(plain(f"lux9 {command}: {told(path, error)}"), err=True)
            failed = True
    if failed:
        raise click.exceptions.Exit(1)


def mode_of(stat: Stat) -> str:
    """`d-r-xr-xr-x`, as ls(1) of Plan 9 prints it: kind, exclusive use, permissions."""
    kind = "d" if stat.mode & DMDIR else "a" if stat.mode & DMAPPEND else "-"
    bits = (c if stat.mode >> (8 - i) & 1 else "-" for i, c in enumerate(MODE))
    return kind + ("l" if stat.mode & DMEXCL else "-") + "".join(bits)


def fields_of(path: str, stat: Stat) -> dict[str, Any]:
    """A stat for programs. Times in seconds since 1970, length in bytes."""
    return {
        "path": path,
        "name": stat.name,
        "directory": bool(stat.mode & DMDIR),
        "mode": f"{stat.mode & 0o777:04o}",
        "length": stat.length,
        "uid": stat.uid,
        "gid": stat.gid,
        "muid": stat.muid,
        "atime": stat.atime,
        "mtime": stat.mtime,
        "qid": {"type": stat.qid.type, "version": stat.qid.version, "path": stat.qid.path},
    }


def printed(value: object) -> None:
    """JSON on stdout."""
    click.echo(json.dumps(value, indent=2))


def columns(rows: list[tuple[str, ...]], right: frozenset[int] = frozenset()) -> Iterator[str]:
    """Rows with their columns aligned; those of `right` to the right. The last one is as wide as it is."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if i in right else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield " ".join(cells).rstrip()


class ServedPath(StrType):
    """A path of the served tree; completed from the tree itself, where one is served."""

    name = "path"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The files that the path may go on to."""
        above, slash, begun = incomplete.rpartition("/")
        addr = ctx.find_root().params.get("addr")
        try:
            with Client.dial(addr or default_address()) as client:
                stats = client.ls(above or "/")
        except (Lux9Error, OSError):
            return []
        found = [s for s in stats if s.name.startswith(begun)]
        return [CompletionItem(f"{above}{slash}{s.name}{'/' * s.qid.is_dir}") for s in found]


PATH = ServedPath()
