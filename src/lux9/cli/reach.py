"""Where a kernel is reached: the socket of this host, and what it listens on besides."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from ..errors import UserError
from ..kernel.users import Users
from ..ninep import tcp
from ..ninep.address import Address, parse
from ..ninep.default import default_path
from ..ninep.tcp import DEAD_AFTER, VARIABLE
from ..ninep.tls import config
from .options import option
from .system import Net, private


@dataclass(frozen=True)
class Reach:
    """Where to listen, and for whom, as the command line asks for it."""

    listen: Sequence[str] = option(
        (),
        "--listen",
        multiple=True,
        metavar="ADDR",
        help="unix!PATH, else a socket of this user's; besides, tcp!HOST!PORT and tls!HOST!PORT. May be repeated.",
    )
    keys: Path | None = option(
        None,
        "--keys",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The kernel's key file, for tls!.  [default: ~/.config/lux9/keys/host.pem]",
    )
    trust_network: bool = option(
        False,
        "--trust-network",
        is_flag=True,
        help="Give everyone who reaches a tcp! port the rights that you have here.",
    )
    dead_after: str = option(
        f"{DEAD_AFTER:g}",
        "--dead-after",
        metavar="SECONDS",
        show_default=True,
        envvar=VARIABLE,
        help="When a client of the network that gives no sign of life counts as gone.",
    )

    spin: int = option(
        0,
        "--spin",
        type=click.IntRange(0, 1000),
        metavar="MICROSECONDS",
        show_default=True,
        help="Stay awake so long for a client's next request: sooner answers, for a processor that is busier.",
    )

    @property
    def names_socket(self) -> bool:
        """Whether it says where the socket is to be."""
        return any(parse(text).kind == "unix" for text in self.listen)

    def places(self, passing: bool, undo: contextlib.ExitStack) -> tuple[Path, list[Address]]:
        """The socket, and what else to listen on; `passing`: the socket's place goes with `undo`.

        Raises UserError.
        """
        asked = [parse(text) for text in self.listen]
        paths = [Path(a.where) for a in asked if a.kind == "unix"]
        if len(paths) > 1 or any(a.kind == "fd" for a in asked):
            raise UserError(
                f"--listen {' '.join(self.listen)}: one unix!PATH, and any of tcp!HOST!PORT"
            )
        if not paths and passing:
            place = undo.enter_context(tempfile.TemporaryDirectory(prefix="lux9-"))
            paths = [Path(place) / "lux9.sock"]
        return paths[0] if paths else private(default_path()), [a for a in asked if a.on_network]

    def net(self, addresses: Sequence[Address], users: Users) -> Net:
        """What the kernel is told of the network. Raises UserError for what does not fit together."""
        if self.trust_network and not any(a.kind == "tcp" for a in addresses):
            raise UserError(
                "--trust-network: nothing listens on a tcp! address; add --listen tcp!HOST!PORT"
            )
        return Net(
            addresses,
            users,
            self._keys(addresses),
            self.trust_network,
            tcp.dead_after(self.dead_after, "--dead-after"),
        )

    def _keys(self, addresses: Sequence[Address]) -> Path | None:
        """The key file, where it is needed. Raises UserError."""
        if not any(a.kind == "tls" for a in addresses):
            if self.keys is not None:
                raise UserError(
                    f"--keys {self.keys}: nothing listens on a tls! address; add --listen tls!HOST!PORT"
                )
            return None
        found = self.keys or config() / "keys" / "host.pem"
        if not found.exists():
            raise UserError(
                f"no key file {found}; `lux9 keys init` makes one, or name another with --keys"
            )
        return found
