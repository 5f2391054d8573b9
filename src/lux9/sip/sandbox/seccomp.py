"""A filter of system calls made by libseccomp: from the tables of `calls` to the kernel's own program.

Ref: seccomp(2), seccomp_init(3), seccomp_rule_add(3), seccomp_export_bpf(3); libseccomp 2.5.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Any

import cffi

from ...errors import NotSupported
from .calls import ALLOWED, PARTLY, QUIET, Masked

DECLARATIONS = """
typedef void *scmp_filter_ctx;
struct scmp_arg_cmp { unsigned int arg; int op; uint64_t datum_a; uint64_t datum_b; };
scmp_filter_ctx seccomp_init(uint32_t def_action);
void seccomp_release(scmp_filter_ctx ctx);
int seccomp_attr_set(scmp_filter_ctx ctx, int attr, uint32_t value);
int seccomp_rule_add_array(scmp_filter_ctx ctx, uint32_t action, int syscall, unsigned int arg_cnt,
                           const struct scmp_arg_cmp *arg_array);
int seccomp_export_bpf(const scmp_filter_ctx ctx, int fd);
int seccomp_syscall_resolve_name(const char *name);
char *seccomp_syscall_resolve_num_arch(uint32_t arch_token, int num);
uint32_t seccomp_arch_native(void);
void free(void *ptr);
"""
LIBRARY = "libseccomp.so.2"
ALLOW, NOTIFY, ERRNO = 0x7FFF0000, 0x7FC00000, 0x00050000  # linux/seccomp.h: SECCOMP_RET_…
MASKED_EQ = 7  # enum scmp_compare
OPTIMIZE, TREE = 8, 2  # SCMP_FLTATR_CTL_OPTIMIZE: a binary search instead of a list


@cache
def _library() -> tuple[Any, Any]:
    ffi = cffi.FFI()
    ffi.cdef(DECLARATIONS)
    try:
        return ffi, ffi.dlopen(LIBRARY)
    except OSError:
        raise NotSupported(f"{LIBRARY} is missing; apt-get install libseccomp2") from None


@cache
def program() -> bytes:
    """The filter as struct sock_filter[].

    Whatever it does not allow waits until the listener has answered. Raises NotSupported without the library.
    """
    _, lib = _library()
    made = lib.seccomp_init(NOTIFY)
    if not made:
        raise NotSupported(f"{LIBRARY} cannot make a filter that notifies; 2.5 or later does")
    try:
        lib.seccomp_attr_set(made, OPTIMIZE, TREE)
        for name in ALLOWED:
            _rule(made, ALLOW, name)
        for name, cases in PARTLY.items():
            for case in cases:
                _rule(made, ALLOW, name, [case])
        for name, number in QUIET.items():
            _rule(made, ERRNO | number, name)
        return _exported(made)
    finally:
        lib.seccomp_release(made)


def _rule(made: object, action: int, name: str, cases: Sequence[Masked] = ()) -> None:
    """One rule; a name that this processor's Linux has no call for is left out."""
    ffi, lib = _library()
    number = number_of(name)
    if number < 0:
        return
    compared = ffi.new(
        "struct scmp_arg_cmp[]", [(c.argument, MASKED_EQ, c.mask, c.value) for c in cases]
    )
    failed = lib.seccomp_rule_add_array(made, action, number, len(cases), compared)
    assert not failed, f"{name}: {os.strerror(-failed)}"


def _exported(made: object) -> bytes:
    _, lib = _library()
    fd = os.memfd_create("seccomp", os.MFD_CLOEXEC)
    try:
        failed = lib.seccomp_export_bpf(made, fd)
        if failed:
            raise NotSupported(f"{LIBRARY} cannot write its filter: {os.strerror(-failed)}")
        return os.pread(fd, os.fstat(fd).st_size, 0)
    finally:
        os.close(fd)


def number_of(name: str) -> int:
    """A call's number on this processor; below 0 when it has none."""
    _, lib = _library()
    return int(lib.seccomp_syscall_resolve_name(name.encode()))


@lru_cache(1024)
def name_of(number: int) -> str:
    """`ptrace`, or the number when the library does not know it."""
    ffi, lib = _library()
    text = lib.seccomp_syscall_resolve_num_arch(lib.seccomp_arch_native(), number)
    if text == ffi.NULL:
        return str(number)
    try:
        name: bytes = ffi.string(text)
        return name.decode()
    finally:
        lib.free(text)
