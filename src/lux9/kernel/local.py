"""A client of the kernel's unix socket: who it is."""

from __future__ import annotations

import asyncio
import os
import pwd
import socket
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from ..ninep.server import Connection
from .owner import Owner, files_of, hang_up
from .process import ALL, Cap

if TYPE_CHECKING:
    from .kernel import Kernel

CREDENTIALS = struct.Struct("3i")  # pid, uid, gid of unix(7)'s SO_PEERCRED


def admit(kernel: Kernel, made: Connection, transport: asyncio.Transport) -> Owner:
    """The identity of a unix socket's peer: what the host's kernel says of it."""
    sock = transport.get_extra_info("socket")
    raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
    pid, uid, _ = CREDENTIALS.unpack(raw)
    trusted = uid in (0, os.geteuid())
    life = kernel.process(
        _comm(pid), user=_user(uid), caps=ALL if trusted else Cap(0), command=f"pid {pid}"
    )
    life.signal = lambda what: hang_up(transport, what)
    life.files = lambda: files_of(made.session)
    return Owner(kernel, life, trusted)


def _comm(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "client"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
