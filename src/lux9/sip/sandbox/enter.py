"""What runs first in a sandbox: set the limits, load the filter, hand its listener out, become the driver.

    python -m lux9.sip.sandbox.enter NAME=VALUE ... (--module MODULE | --command PROGRAM) ARGUMENT ...

NAME=VALUE are limits of setrlimit(2). On fd 6 is a message: the number of seccomp(2), and the filter. Bubblewrap could
load the filter, but not with a listener, and it is the listener that tells which call was refused.
"""

from __future__ import annotations

import array
import ctypes
import importlib
import itertools
import os
import resource
import runpy
import socket
import struct
import sys
from collections.abc import Sequence

CONTROL = 6
LIBRARY = "lux9.driver.environment"  # every driver's; before the filter, each of its many files costs less
NUMBER = struct.Struct("I")
MOST = 1 << 16  # bytes of the message
MAXIMUM = 1 << 20  # file descriptors
SET_MODE_FILTER, NEW_LISTENER = 1, 1 << 3  # linux/seccomp.h
INSTRUCTION = 8  # bytes of a struct sock_filter


class Program(ctypes.Structure):
    """struct sock_fprog: linux/filter.h."""

    _fields_ = (("len", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def main(argv: Sequence[str]) -> None:
    """Everything in its order; the last step does not come back before the driver ends."""
    limits = list(itertools.takewhile(lambda word: "=" in word, argv))
    kind, name, *rest = argv[len(limits) :]
    if kind == "--module":
        importlib.import_module(LIBRARY)
    _confine()
    for word in (
        limits
    ):  # after the listener was sent: a low limit of files also counts those in flight, of all
        _limit(*word.split("=", 1))
    if kind == "--command":
        try:
            os.execvp(name, [name, *rest])
        except OSError as error:
            sys.exit(f"{name}: cannot be started: {error.strerror}")
    sys.argv[1:] = rest
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _limit(name: str, value: str) -> None:
    resource.setrlimit(getattr(resource, f"RLIMIT_{name.upper()}"), (int(value), int(value)))


def _confine() -> None:
    """Load the filter and send its listener; from then on only what it allows can be done."""
    with socket.socket(fileno=CONTROL) as control:
        message = control.recv(MOST)
        listener = load(NUMBER.unpack_from(message)[0], message[NUMBER.size :])
        control.sendmsg(
            [b"listener"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))]
        )
    os.closerange(CONTROL, MAXIMUM)  # and whatever a shell left open to all that it starts


def load(number: int, program: bytes) -> int:
    """seccomp(2) with a listener; its file descriptor. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    wanted = Program(len(program) // INSTRUCTION, program)
    fd = libc.syscall(number, SET_MODE_FILTER, NEW_LISTENER, ctypes.byref(wanted))
    if fd < 0:
        raise OSError(ctypes.get_errno(), f"seccomp: {os.strerror(ctypes.get_errno())}")
    return int(fd)


if __name__ == "__main__":
    main(sys.argv[1:])
