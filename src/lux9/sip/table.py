"""A manifest's text, and the values in one of its tables: whatever is wrong is told with file, line and key."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from ..errors import Lux9Error, UserError
from ..kernel.group import Group
from ..kernel.process import Cap, Limits

QUOTES = str.maketrans("", "", "\"'")
MOST = 1 << 62  # of a limit: two of them together are still a number of the host's


def read(path: Path) -> str:
    """A manifest's text. Raises UserError."""
    try:
        return path.read_text()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None


def toml(text: str, where: str) -> dict[str, Any]:
    """What a manifest's text says. Raises UserError."""
    try:
        return tomllib.loads(text)
    except ValueError as error:  # a TOMLDecodeError, or a number of too many digits
        raise UserError(f"{where}: {error}") from None


def line_of(text: str, name: str, key: str) -> int:
    """The line of a stanza's key, or of its head when the key is not found; counted from 1."""
    head, within = 1, not name
    for number, line in enumerate(text.splitlines(), 1):
        words = line.strip()
        if words.startswith("["):
            heading = words.strip("[] ").partition("]")[0].strip().translate(QUOTES)
            within = f"{heading}.".startswith(f"{name}.")
            head = number if heading == name else head
            if within and heading == f"{name}.{key}":
                return number
        elif within and re.match(rf'"?{re.escape(key)}"?\s*[.=]', words):
            return number
    return head


def capability(word: str) -> Cap:
    """A capability by its name. Raises UserError."""
    found = Cap.__members__.get(word.upper())
    if found is None:
        known = " ".join(name.lower() for name in Cap.__members__)
        raise UserError(f"unknown capability {word!r}; known: {known}")
    return found


def limit(key: str, value: object) -> int:
    """A limit's value, for a key that there is. Raises UserError."""
    known = Limits.__dataclass_fields__
    if key not in known:
        raise UserError(f"unknown limit {key!r}; known: {' '.join(known)}")
    if type(value) is not int or not 0 <= value <= MOST:
        raise UserError(f"limits.{key} = {value!r} is not a number from 0 to {MOST}")
    return value


class Table:
    """One table of a manifest, and what all kinds of them have. `keys`: what it may have at all."""

    keys: tuple[str, ...] = ()

    def __init__(self, name: str, table: Mapping[str, Any], text: str, where: str) -> None:
        self.name, self.table, self.text, self.where = name, table, text, where

    def wrong(self, key: str, why: object) -> UserError:
        """An error about a key."""
        line = line_of(self.text, self.name, key)
        return UserError(f"{self.where}:{line}: [{self.name}]: {why}")

    def known(self) -> None:
        """Refuse what it does not have."""
        for key in self.table:
            if key not in self.keys:
                raise self.wrong(key, f"unknown key {key!r}; known: {' '.join(self.keys)}")

    def texts(self, key: str) -> tuple[str, ...]:
        """A string, or a list of strings."""
        value: object = self.table.get(key, [])
        values = cast("list[object]", value) if isinstance(value, list) else [value]
        if not all(isinstance(v, str) for v in values):
            raise self.wrong(key, f"{key} = {value!r}: write a string, or a list of strings")
        return tuple(str(v) for v in values)

    def text_of(self, key: str) -> str:
        """A string."""
        value = self.table.get(key, "")
        if not isinstance(value, str):
            raise self.wrong(key, f"{key} = {value!r}: write a string")
        return value

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self.table.get(key, False)
        if not isinstance(value, bool):
            raise self.wrong(key, f"{key} = {value!r}: write true or false")
        return value

    def formed(self, key: str, form: re.Pattern[str], like: str) -> tuple[str, ...]:
        """Strings of one form."""
        values = self.texts(key)
        for value in values:
            if not form.fullmatch(value):
                raise self.wrong(key, f"{key} {value!r} is not of the form {like}")
        return values

    def table_of(self, key: str, like: str) -> dict[str, Any]:
        """A table."""
        value = self.table.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, f"{key} = {value!r}: write a table, as in {like}")
        return cast("dict[str, Any]", value)

    def capabilities(self) -> Cap:
        """What it may use."""
        caps = Cap(0)
        for word in self.texts("capabilities"):
            try:
                caps |= capability(word)
            except UserError as error:
                raise self.wrong("capabilities", error) from None
        return caps

    def namespace(self) -> tuple[str, ...]:
        """Steps that ns(1) understands."""
        lines = self.texts("namespace")
        try:
            Group(lines)
        except Lux9Error as error:
            raise self.wrong("namespace", f"namespace: {error}") from None
        return lines

    def limits(self) -> Limits:
        """What it may hold at once."""
        table = self.table_of("limits", "limits.arena = 33554432")
        try:
            return Limits(**{key: limit(key, value) for key, value in table.items()})
        except UserError as error:
            raise self.wrong("limits", error) from None
