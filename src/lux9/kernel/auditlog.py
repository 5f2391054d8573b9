"""The audit on disk: lines that only get more, each chained to the one before by a hash.

A line is a JSON object whose last member, `chain`, is the SHA-256 of the chain of the line before and of the line
without it. So an edit, a cut at the beginning or in the middle and a change of order show; that lines are missing at
the end shows against a chain that was noted elsewhere (`verify(paths, expect)`).

A thread writes, so that a slow disk keeps nobody waiting; what the kernel recorded is on its way to the file at
once, and a kernel that is killed loses no more than what the thread had in hand. A disk that is full stops the
log, not the machine: whole lines stay as they are, whoever runs the kernel is told, and when there is space again
the log goes on with the number of lines that are missing.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import queue
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

from ..errors import UserError

ROTATE = 16 << 20  # bytes from which a file is put aside
KEPT = 8  # files that were put aside
START = "0" * 64  # the chain before the first line


def chained(line: str, before: str) -> tuple[str, str]:
    """A JSON object as a line with its chain, and that chain."""
    chain = sha256(f"{before}{line}".encode()).hexdigest()
    return f'{line[:-1]}, "chain": "{chain}"}}\n', chain


def unchained(line: str) -> tuple[str, str]:
    """The object as it was, and the chain that the line bears. Raises ValueError."""
    head, mark, tail = line.rstrip("\n").rpartition(', "chain": "')
    if not mark or not tail.endswith('"}'):
        raise ValueError("no chain")
    return head + "}", tail[:-2]


class AuditLog:
    """The file that is written to, and those before it: `audit.jsonl`, `audit.jsonl.1` …, the newest first.

    `tell` hears, in the writing thread, why lines are lost; `lost` is how many, in all.
    """

    def __init__(self, path: Path, rotate: int = ROTATE) -> None:
        self.path, self.rotate = path, rotate
        self.tell: Callable[[str], object] = lambda text: None
        self.lost = self.missing = 0  # lines: in all; since the last one that was written
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.fd = self._open()
            self.chain, self.size = self._last()
        except OSError as error:
            raise UserError(f"{path}: the audit cannot be kept there: {error.strerror}") from None
        self.queue: queue.SimpleQueue[str | threading.Event | None] = queue.SimpleQueue()
        self.thread = threading.Thread(target=self._write, name="audit", daemon=True)
        self.thread.start()

    def _open(self) -> int:
        fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            self._take(fd)
        except (OSError, UserError):
            os.close(fd)
            raise
        return fd

    def _take(self, fd: int) -> None:
        """Make it ours alone. Raises UserError."""
        if not stat.S_ISREG(os.fstat(fd).st_mode):  # a device would be put aside like a file
            raise self._not_there("it is not a file")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise self._not_there("another kernel keeps its audit there") from None

    def _not_there(self, why: str) -> UserError:
        return UserError(f"{self.path}: {why}; name another file with --audit")

    def _last(self) -> tuple[str, int]:
        """The chain to go on from, and the file's size; half a line, from a crash, is ended.

        Raises UserError for a file that is somebody's, and has no line of an audit at its end.
        """
        size = os.fstat(self.fd).st_size
        tail = os.pread(self.fd, 65536, max(0, size - 65536))
        chain = next(_chains(tail), None)
        if size and chain is None:
            os.close(self.fd)
            raise self._not_there("it has something else in it than an audit")
        if tail and not tail.endswith(b"\n"):
            size += os.write(self.fd, b"\n")
        return chain or START, size

    def add(self, line: str) -> None:
        """One JSON object. Never waits."""
        self.queue.put(line)

    def sync(self) -> None:
        """Wait until what was added so far is written, or lost."""
        done = threading.Event()
        self.queue.put(done)
        done.wait(timeout=5.0)

    def _write(self) -> None:
        while (item := self.queue.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
            else:
                self._keep(item)

    def _keep(self, line: str) -> None:
        try:
            if not os.fstat(self.fd).st_nlink:
                self._anew()
            self._append([*self._gap(), line])
        except UserError as error:  # there is something else by now
            self._lose(str(error))
        except OSError as error:
            self._lose(str(error.strerror))
        if self.size >= self.rotate:
            with contextlib.suppress(OSError):  # it grows on, and is put aside after another line
                self._aside()

    def _gap(self) -> Iterator[str]:
        """A record of the lines that could not be written."""
        if self.missing:
            entry = {"time": round(time.time(), 6), "who": "kernel", "user": "", "what": "audit"}
            yield json.dumps(entry | {"target": "-", "verdict": "done", "missed": self.missing})

    def _append(self, lines: Sequence[str]) -> None:
        """Whole lines, or OSError."""
        out, chain = b"", self.chain
        for line in lines:
            text, chain = chained(line, chain)
            out += text.encode()
        left = out
        while left:
            left = left[os.write(self.fd, left) :]
        self.chain, self.size, self.missing = chain, self.size + len(out), 0

    def _lose(self, why: str) -> None:
        """A line that could not be written: nothing of it stays, and the first one is told of."""
        with contextlib.suppress(OSError):
            os.ftruncate(self.fd, self.size)
        self.lost += 1
        self.missing += 1
        if self.missing == 1:
            self.tell(f"{self.path}: the audit is not kept there any more: {why}")

    def _anew(self) -> None:
        """Somebody removed the file: go on in another. The chain goes on, too, so what is missing shows."""
        before, self.fd = self.fd, self._open()
        self.size = os.fstat(self.fd).st_size  # somebody may have put a file there
        os.close(before)
        self.tell(f"{self.path}: the audit was removed; it goes on in a new file")

    def _aside(self) -> None:
        """Put the file aside and begin another; the oldest goes. The chain goes on."""
        os.fsync(self.fd)
        for n in range(KEPT, 0, -1):
            older = numbered(self.path, n)
            if n == KEPT:
                older.unlink(missing_ok=True)
            elif older.exists():
                older.rename(numbered(self.path, n + 1))
        self.path.rename(numbered(self.path, 1))
        before, self.fd, self.size = self.fd, self._open(), 0
        os.close(before)

    def close(self) -> None:
        """Write what is left."""
        self.queue.put(None)
        self.thread.join(timeout=5.0)
        with contextlib.suppress(OSError):
            os.fsync(self.fd)
            os.close(self.fd)


def _chains(tail: bytes) -> Iterator[str]:
    """The chains of the lines at a file's end, the last one first."""
    for line in reversed(tail.decode(errors="replace").splitlines()):
        with contextlib.suppress(ValueError):
            yield unchained(line)[1]


def numbered(path: Path, n: int) -> Path:
    """`audit.jsonl.3`."""
    return path.with_name(f"{path.name}.{n}")


def files(path: Path) -> list[Path]:
    """A log's files, oldest first."""
    older = [numbered(path, n) for n in range(KEPT, 0, -1)]
    return [p for p in (*older, path) if p.exists()]


class Verdict(NamedTuple):
    """What `verify` found: how many lines are good, the last chain, and what is wrong."""

    lines: int
    chain: str
    faults: list[str]


def verify(paths: Sequence[Path], expect: str = "") -> Verdict:
    """Follow the chain through files, oldest first; `expect`: a chain that was noted and must occur."""
    good, before, seen = 0, _begun(paths), not expect
    faults: list[str] = []
    for where, line in _lines(paths):
        try:
            bare, chain = unchained(line)
            json.loads(bare)
        except ValueError:
            faults.append(f"{where}: not a record of the audit: {line[:60]!r}")
            continue
        right = not before or chained(bare, before)[1] == chain
        if not right:
            faults.append(
                f"{where}: the chain breaks: this line, or one before it, was changed or cut"
            )
        good, before = good + right, chain
        seen = seen or chain == expect
    if not seen:
        faults.append(f"the chain {expect} does not occur: lines were cut at the end")
    return Verdict(good, before, faults)


def _begun(paths: Sequence[Path]) -> str:
    """The chain before the first line. The oldest file that is kept may go on from one that is gone: then nothing."""
    return "" if paths and paths[0].suffix == f".{KEPT}" else START


def _lines(paths: Sequence[Path]) -> Iterator[tuple[str, str]]:
    for path in paths:
        with path.open(encoding="utf-8", errors="replace") as f:
            for n, line in enumerate(f, 1):
                if line.strip():
                    yield f"{path}:{n}", line
