"""Certificates that count no more: a text file, a line each, which is read again when it has changed.

    SERIAL NAME DATE

in the directory of the kernel's own key file; `lux9 keys revoke` writes it.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import Lux9Error, text_of

NAME = "revoked"


class Revoked:
    """The file, and what was in it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.stamp: tuple[int, int, int] | None = None
        self.lines: dict[str, str] = {}  # serial: since when

    def since(self, serial: str) -> str | None:
        """When a certificate was revoked, or None. Raises Lux9Error when the file cannot be read."""
        try:
            status = self.path.stat()
            stamp = status.st_mtime_ns, status.st_size, status.st_ino
            if stamp != self.stamp:
                self.lines = dict(
                    _line(line) for line in self.path.read_text().splitlines() if line
                )
                self.stamp = stamp
        except FileNotFoundError:
            self.lines, self.stamp = {}, None
        except (OSError, UnicodeDecodeError) as error:  # nobody is let in who may be one of them
            raise Lux9Error(f"{self.path}: {text_of(error)}") from None
        return self.lines.get(serial)


def _line(line: str) -> tuple[str, str]:
    serial, _, rest = line.partition(" ")
    return serial.lower(), rest.rpartition(" ")[2]
