"""The system calls that a driver may make: what a Python interpreter, its event loop and a driver's sockets need.

Nothing here reaches a device, another process or the network; the namespaces take care of what a path or a process
number means. Whatever is not in one of these tables is refused and told.
"""

from __future__ import annotations

import errno
from typing import NamedTuple


class Masked(NamedTuple):
    """A call that is allowed where `argument & mask == value`."""

    argument: int
    mask: int
    value: int


_ALLOWED = """
read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2
sendto recvfrom sendmsg recvmsg sendmmsg recvmmsg shutdown
socketpair getsockname getpeername getsockopt setsockopt
close close_range dup dup2 dup3 fcntl pipe pipe2 eventfd eventfd2 timerfd_create timerfd_settime timerfd_gettime
epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 poll ppoll select pselect6 signalfd4
open openat creat stat lstat fstat newfstatat statx statfs fstatfs access faccessat faccessat2 readlink readlinkat
getdents getdents64 lseek getcwd chdir fchdir umask flock fsync fdatasync ftruncate truncate fallocate fadvise64
mkdir mkdirat rmdir unlink unlinkat rename renameat renameat2 utimensat chmod fchmod fchmodat sendfile
mmap munmap mprotect mremap madvise msync mincore brk mlock munlock
exit exit_group futex futex_waitv set_robust_list get_robust_list set_tid_address gettid getpid getppid
kill tgkill wait4 waitid
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
FORK = ("fork", "vfork", "clone")  # where the manifest allows processes

CLONE_THREAD = 0x10000  # linux/sched.h
THREAD = Masked(0, CLONE_THREAD, CLONE_THREAD)

# ioctl(2) of an open file: whether it is a terminal, how much can be read, non-blocking, close-on-exec
WHOLE = 0xFFFF_FFFF
IOCTLS = [Masked(1, WHOLE, request) for request in (0x5401, 0x541B, 0x5421, 0x5450, 0x5451)]

PARTLY: dict[str, list[Masked]] = {"clone": [THREAD], "ioctl": IOCTLS}

# Libraries try these and do without; nobody needs to be told.
QUIET: dict[str, int] = {
    "clone3": errno.ENOSYS,  # its flags are in memory, which a filter cannot see: libc goes back to clone
    "io_uring_setup": errno.ENOSYS,
    "set_mempolicy": errno.ENOSYS,
    "get_mempolicy": errno.ENOSYS,
}
