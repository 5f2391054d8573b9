"""Attacks on the host."""

from __future__ import annotations

import ctypes
import os
import socket
from functools import partial
from pathlib import Path

from lux9.tree import text
from tests.sip.hostile.tries import Attacks, Tries, only

PTRACE = 101
CALLS = (  # of x86-64; what a driver has no business with
    *(("ptrace", PTRACE), ("process_vm_readv", 310), ("bpf", 321), ("mount", 165)),
    *(("unshare", 272), ("setns", 308), ("keyctl", 250), ("perf_event_open", 298)),
    *(("userfaultfd", 323), ("kexec_load", 246), ("init_module", 175), ("iopl", 172)),
    *(("ioperm", 173), ("reboot", 169), ("personality", 135), ("open_by_handle_at", 304)),
    *(("chroot", 161), ("pivot_root", 155), ("memfd_create", 319), ("pidfd_open", 434)),
    *(("pidfd_getfd", 438), ("swapon", 167), ("seccomp", 317), ("mknodat", 259)),
)
FAMILIES = (
    *(socket.AF_INET, socket.AF_INET6, socket.AF_UNIX, socket.AF_NETLINK, socket.AF_PACKET),
)
FILES = (
    *(
        "/etc/passwd",
        "/etc/shadow",
        "/root/.bashrc",
        "/home",
        "/var",
        "/sys/kernel",
        "/run",
        "/boot",
    ),
    *(
        "/dev/mem",
        "/dev/kmsg",
        "/dev/vda",
        "/dev/sda",
        "/dev/tty",
        "/proc/2/environ",
        "/proc/bus/pci",
    ),
)
SETTINGS = ("sys/kernel/core_pattern", "sys/vm/drop_caches", "sysrq-trigger", "bus/x")


class OnHost(Attacks):
    """Attacks on the host."""

    @text(0o444)
    def host(self) -> str:
        """Open files of the host; the settings are opened for writing, and no more is tried."""
        tries = Tries()
        for path in [*FILES, *self.words("ROGUE_FILES")]:
            tries(path, partial(_look, path))
        tries("/proc/kcore", lambda: only(_look("/proc/kcore")))
        for path in SETTINGS:
            tries(f"write {path}", partial(os.open, f"/proc/{path}", os.O_WRONLY))
        return str(tries)

    @text(0o444)
    def network(self) -> str:
        """Reach the network, or another program on this host."""
        tries = Tries()
        for family in FAMILIES:
            tries(family.name, partial(socket.socket, family, socket.SOCK_DGRAM))
        tries("resolve", lambda: socket.getaddrinfo("localhost.example", 80))
        return str(tries)

    @text(0o444)
    def others(self) -> str:
        """Find, signal and trace other processes; make calls that no driver makes."""
        tries = Tries()
        seen = [p.name for p in Path("/proc").iterdir() if p.name.isdigit() and p.name != "1"]
        tries("other processes", lambda: only(seen))
        for pid in self.words("ROGUE_PIDS"):
            tries(f"kill {pid}", partial(os.kill, int(pid), 0))
        for name, number in CALLS:
            tries(name, partial(call, number))
        return str(tries)

    @text(0o444)
    def trespass(self) -> str:
        """Make calls that are refused, without end."""
        while True:
            try:
                call(PTRACE)
            except OSError:
                continue


def call(number: int) -> int:
    """A system call, by number, all arguments 0. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)
    got: int = libc.syscall(number, 0, 0, 0, 0, 0, 0)
    if got < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return got


def _look(path: str) -> bytes:
    """Something of a file, or that there is such a folder."""
    fd = os.open(path, os.O_RDONLY)
    try:
        return b"folder" if Path(path).is_dir() else os.read(fd, 1)
    finally:
        os.close(fd)
