"""The directory of an authority.

    authority.pem     its own key and certificate
    NAME.pem          a key file: key, certificate, the authority's certificate; what its holder is given
    issued            SERIAL KIND NAME UNTIL HOSTS, a line for every certificate that was made
    revoked           SERIAL NAME DATE, a line for each that counts no more; the kernel looks there

All of it is the user's alone: directory 0700, files 0600. No file is ever written over.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from ..errors import UserError

ISSUED, REVOKED, AUTHORITY = "issued", "revoked", "authority"
DAY = 86_400
DATE = "%Y-%m-%d"


class Issued(NamedTuple):
    """One certificate that was made. `until`: seconds since 1970; `revoked`: since when, or nothing."""

    serial: str
    kind: str  # host or user
    name: str
    until: int
    hosts: tuple[str, ...] = ()
    revoked: str = ""

    @property
    def state(self) -> str:
        """Whether it counts, in words."""
        if self.revoked:
            return f"revoked {self.revoked}"
        days = int((self.until - time.time()) // DAY)
        return "expired" if days < 0 else f"{days} days left" if days else "less than a day left"

    @property
    def counts(self) -> bool:
        """Whether it does."""
        return not self.revoked and self.until > time.time()


def date(seconds: float) -> str:
    """A day, in UTC."""
    return time.strftime(DATE, time.gmtime(seconds))


class Folder:
    """One of them, which may not be there yet."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def file(self, name: str) -> Path:
        """Where a name's key file is."""
        return self.path / f"{name}.pem"

    def make(self) -> None:
        """The directory. Raises UserError."""
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.path.chmod(0o700)
        except OSError as error:
            raise UserError(f"{self.path}: cannot be made: {error.strerror}") from None

    def keep(self, path: Path, text: str) -> None:
        """A new file, whole or not at all. Raises UserError when there is one."""
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(text)
        except FileExistsError:
            raise UserError(f"{path}: is there already, and is not written over") from None
        except OSError as error:
            path.unlink(missing_ok=True)
            raise UserError(f"{path}: cannot be written: {error.strerror}") from None

    def note(self, name: str, words: Iterable[str]) -> None:
        """One more line of `issued` or `revoked`."""
        path = self.path / name
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(" ".join(words) + "\n")
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}") from None

    def lines(self, name: str) -> Iterator[list[str]]:
        """The words of the lines of one of them."""
        try:
            text = (self.path / name).read_text()
        except FileNotFoundError:
            return
        except OSError as error:
            raise UserError(f"{self.path / name}: {error.strerror}") from None
        yield from (line.split() for line in text.splitlines() if line.strip())

    def issued(self) -> list[Issued]:
        """All certificates that were made, in their order. Raises UserError."""
        gone = {words[0]: words[-1] for words in self.lines(REVOKED)}
        return [self._issued(words, gone.get(words[0], "")) for words in self.lines(ISSUED)]

    def _issued(self, words: list[str], revoked: str) -> Issued:
        try:
            serial, kind, name, until, *hosts = words
            return Issued(serial, kind, name, int(until), tuple(hosts), revoked)
        except ValueError:
            raise UserError(
                f"{self.path / ISSUED}: {' '.join(words)!r}: not SERIAL KIND NAME UNTIL HOSTS"
            ) from None
