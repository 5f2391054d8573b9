"""Who may come over the network, with which rights: the `[[user]]` tables of a manifest.

[[user]]
name = "ada"                             # of the certificate; `none`: whoever comes without one
capabilities = ["pci", "mem", "irq", "dma"]
bind = ["0000:00:1f.2"]                  # the functions that it sees; without it, with pci, all of them
namespace = ["bind '#s/ahci' /disks"]    # what it sees besides; ns(1)
connections = 4                          # at once; 16 when nothing is said
limits.fids = 256
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from ..errors import UserError
from ..kernel.users import CONNECTIONS, User
from .manifest import USERS
from .table import Table, line_of, read, toml

NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.@-]{0,62}")
FUNCTION = re.compile(r"[0-9a-f]{4}:[0-9a-f]{2}:[01][0-9a-f]\.[0-7]")
HEAD = re.compile(rf"\[\[ *{USERS} *\]\]")
FORM = '[[user]] and name = "NAME" below it'


def load_users(path: Path) -> dict[str, User]:
    """The users of a manifest file. Raises UserError with file, line, user and key."""
    return parse_users(read(path), str(path))


def parse_users(text: str, where: str) -> dict[str, User]:
    """Those of its text. Raises UserError."""
    tables: object = toml(text, where).get(USERS, [])
    if not isinstance(tables, list):
        raise UserError(
            f"{where}:{line_of(text, '', USERS)}: [{USERS}] is not a driver; write {FORM}"
        )
    users: dict[str, User] = {}
    for index, table in enumerate(cast("list[object]", tables)):
        if not isinstance(table, dict):
            raise UserError(f"{where}: {USERS} = {table!r}: write {FORM}")
        reader = UserReader(index, cast("dict[str, Any]", table), text, where)
        user = reader.user()
        if user.name in users:
            raise reader.wrong("name", f"there is a user {user.name!r} already")
        users[user.name] = user
    return users


class UserReader(Table):
    """One user; `index` counts them from 0."""

    keys = ("name", "capabilities", "bind", "namespace", "connections", "limits")

    def __init__(self, index: int, table: dict[str, Any], text: str, where: str) -> None:
        super().__init__(f"{USERS} {index + 1}", table, text, where)
        self.index = index

    def wrong(self, key: str, why: object) -> UserError:
        """An error about a key."""
        return UserError(f"{self.where}:{self._line(key)}: [[user]]: {why}")

    def _line(self, key: str) -> int:
        """The line of the key, or of the table's head; counted from 1."""
        lines = self.text.splitlines()
        heads = [n for n, line in enumerate(lines, 1) if HEAD.match(line.strip())]
        if self.index >= len(heads):  # written in line
            return line_of(self.text, "", USERS)
        head = heads[self.index]
        for number, line in enumerate(lines[head:], head + 1):
            words = line.strip()
            if re.match(rf'\[? *({USERS}\.)?"?{re.escape(key)}"?\s*[].=]', words):
                return number
            if words.startswith("[") and not words.startswith(f"[{USERS}."):
                break
        return head

    def user(self) -> User:
        """All of it."""
        self.known()
        name = self.text_of("name")
        if not NAME.fullmatch(name):
            raise self.wrong(
                "name", f"name {name!r}: write a certificate's name, or none for whoever has none"
            )
        return User(
            name,
            capabilities=self.capabilities(),
            bind=self.bind(),
            namespace=self.namespace(),
            limits=self.limits(),
            connections=self.connections(),
        )

    def bind(self) -> tuple[str, ...] | None:
        """The functions that it sees."""
        if "bind" not in self.table:
            return None
        return self.formed("bind", FUNCTION, "0000:00:1f.2 (lower-case hex)")

    def connections(self) -> int:
        """How many it may have at once."""
        value = self.table.get("connections", CONNECTIONS)
        if type(value) is not int or not 0 <= value <= 1000:
            raise self.wrong(
                "connections", f"connections = {value!r} is not a number from 0 to 1000"
            )
        return value
