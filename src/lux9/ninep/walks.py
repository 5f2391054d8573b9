"""Walking a served tree name by name, now or as the answers come (walk(5))."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from ..errors import BadArgument, Lux9Error, NotADirectory
from ..pending import Maybe, Pending
from ..wire.links import look
from ..wire.messages import MAXWELEM, Qid
from ..wire.node import Node
from ..wire.steady import steady


class Steps(NamedTuple):
    """The file, or None and why the walk ended early; the qids; whether each step stays (`wire.steady`)."""

    node: Node | None
    qids: tuple[Qid, ...]
    steady: bool
    error: Lux9Error | None = None


def check_names(names: Sequence[str]) -> None:
    """Refuse what cannot be a walk's names."""
    if len(names) > MAXWELEM:
        raise BadArgument(f"{len(names)} names in a walk; {MAXWELEM} at most")
    for name in names:
        check_name(name)


def check_name(name: str) -> None:
    """Refuse what cannot be one name."""
    if not name or "/" in name:
        raise BadArgument(f"{name!r} is not a file name")


def steps(
    node: Node, names: Sequence[str], linked: bool = False, qids: tuple[Qid, ...] = ()
) -> Maybe[Steps]:
    """Walk. A first name that fails is an error; a later one ends the walk and tells how far it came.

    `linked`: a symbolic link is found itself, and ends the walk as any file does; else where it leads.
    """
    qid = qids[-1] if qids else node.qid
    stays = not qids  # what had to be waited for is not kept
    for i, name in enumerate(names):
        try:
            found = _step(node, qid, name, linked)
        except Lux9Error as error:
            if not qids:
                raise
            return Steps(None, qids, False, error)
        if isinstance(found, Pending):
            return _later(found, names[i + 1 :], linked, qids)
        stays = stays and steady(node, name)
        node, qid = found, found.qid
        qids = (*qids, qid)
    return Steps(node, qids, stays)


def _step(node: Node, qid: Qid, name: str, linked: bool) -> Maybe[Node]:
    if not qid.is_dir:  # not even `..`: walk(5) starts from directories only
        raise NotADirectory(f"{name!r} is asked of a file")
    if linked:
        return node if name == "." else look(node, name)  # a readdir shows it: programs walk to it
    return node.walk(name)


def _later(
    found: Pending[Node], rest: Sequence[str], linked: bool, qids: tuple[Qid, ...]
) -> Pending[Steps]:
    """The rest of a walk whose next step has to be waited for."""
    out: Pending[Steps] = Pending(found.cancel)

    def settled(p: Pending[Node]) -> None:
        try:
            node = p.result()
            out.follow(steps(node, rest, linked, (*qids, node.qid)))
        except Exception as error:
            if qids and isinstance(error, Lux9Error):
                out.resolve(Steps(None, qids, False, error))
            else:
                out.fail(error)

    found.then(settled)
    return out
