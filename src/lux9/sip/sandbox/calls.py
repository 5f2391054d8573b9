"""The system calls that a driver may make: what a Python interpreter, its event loop and a driver's sockets need.

Nothing here reaches a device, another process or the network; the namespaces take care of what a path or a process
number means. Those of `WATCHED` are let pass, too, but looked at first, for the audit. Whatever is not in one of these
tables is refused and told.
"""

from __future__ import annotations

import errno
from typing import NamedTuple


class Named(NamedTuple):
    """A path in a call: the arguments of its directory, if any, its text and its open(2) flags; or `writes`."""

    directory: int | None
    path: int
    flags: int | None = None
    writes: bool = False


class Masked(NamedTuple):
    """A call that is allowed where `argument & mask == value`."""

    argument: int
    mask: int
    value: int


_ALLOWED = """
read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2
sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown
getsockname getpeername getsockopt setsockopt
close close_range fcntl timerfd_settime timerfd_gettime
epoll_ctl epoll_wait epoll_pwait epoll_pwait2 poll ppoll select pselect6
stat lstat fstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat
getdents getdents64 lseek getcwd chdir fchdir umask flock fsync fdatasync fadvise64 fchmod sendfile
munmap mprotect madvise msync mincore brk mlock munlock
exit futex futex_waitv set_robust_list get_robust_list set_tid_address gettid getpid getppid
wait4 waitid
rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack restart_syscall pause
clock_gettime clock_getres clock_nanosleep nanosleep gettimeofday time times getrusage getitimer setitimer alarm
getuid geteuid getgid getegid getgroups getresuid getresgid getpgrp getpgid getsid capget
getrandom uname sysinfo getcpu arch_prctl prctl rseq membarrier getrlimit setrlimit prlimit64
sched_yield sched_getaffinity sched_setaffinity sched_getparam sched_getscheduler
sched_get_priority_min sched_get_priority_max
"""
ALLOWED = _ALLOWED.split()

# A manifest's command is a program of its own: it is loaded over the one that set the sandbox up.
PROGRAM = ("execve",)
FORK = (
    "fork",
    "vfork",
    "clone",
)  # processes, where the manifest allows some; clone(2) makes threads, too

# ioctl(2) of an open file: whether it is a terminal, how much can be read, non-blocking, close-on-exec
WHOLE = 0xFFFF_FFFF
IOCTLS = [Masked(1, WHOLE, request) for request in (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)]

# Memory in small pieces is nobody's business; what a large one asks for is looked at.
PIECE = 1 << 20
SMALL = 0xFFFF_FFFF_FFFF_FFFF & ~(PIECE - 1)

PARTLY: dict[str, list[Masked]] = {
    "ioctl": IOCTLS,
    "mmap": [Masked(1, SMALL, 0)],
    "mremap": [Masked(2, SMALL, 0)],
}

# Libraries try these and do without; nobody needs to be told.
QUIET: dict[str, int] = {
    "clone3": errno.ENOSYS,  # its flags are in memory, which a filter cannot see: libc goes back to clone
    "io_uring_setup": errno.ENOSYS,
    "set_mempolicy": errno.ENOSYS,
    "get_mempolicy": errno.ENOSYS,
}

# Watched, by what is looked at. Rare calls all, or rare after the start: each waits for the kernel of lux9.
PATHS: dict[str, list[Named]] = {
    "open": [Named(None, 0, flags=1)],
    "openat": [Named(0, 1, flags=2)],
    "creat": [Named(None, 0, writes=True)],
    "execve": [Named(None, 0)],
    "truncate": [Named(None, 0, writes=True)],
    "mkdir": [Named(None, 0, writes=True)],
    "mkdirat": [Named(0, 1, writes=True)],
    "rmdir": [Named(None, 0, writes=True)],
    "unlink": [Named(None, 0, writes=True)],
    "unlinkat": [Named(0, 1, writes=True)],
    "rename": [Named(None, 0, writes=True), Named(None, 1, writes=True)],
    "renameat": [Named(0, 1, writes=True), Named(2, 3, writes=True)],
    "renameat2": [Named(0, 1, writes=True), Named(2, 3, writes=True)],
    "chmod": [Named(None, 0, writes=True)],
    "fchmodat": [Named(0, 1, writes=True)],
    "utimensat": [Named(0, 1, writes=True)],
}
FILES = (  # they make a file descriptor, as the opening ones do
    *("dup", "dup2", "dup3", "pipe", "pipe2", "socketpair", "eventfd", "eventfd2"),
    *("epoll_create", "epoll_create1", "timerfd_create", "signalfd4"),
)
OPENING = ("open", "openat", "creat", *FILES)
SIGNALS = ("kill", "tgkill")  # the process is the first argument
SIZES = {"ftruncate": (1,), "fallocate": (2, 3)}  # arguments whose sum is a file's size
GROWING = {"mmap": (1, None), "mremap": (2, 1)}  # arguments: bytes wanted, bytes that there are
ENDS = ("exit_group",)
WATCHED = frozenset([*PATHS, *FILES, *SIGNALS, *SIZES, *GROWING, *ENDS, *FORK]) - {*PROGRAM}
