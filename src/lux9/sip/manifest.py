"""What is started for which function or file, with which rights: a TOML file, a stanza a driver.

[ahci]
class = "01.06.01"                      # starts one for each function of that class
module = "lux9.drivers.ahci"            # or: command = ["./mydriver", "-v"]
capabilities = ["pci", "mem", "irq", "dma"]
mount = "/dev"

[ext4]
file = ["/dev/sd*/linux", "/dev/sd*/data"]   # starts one for the first that is there
module = "lux9.fs.ext4"
mount = "/root"
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any, cast

from ..errors import UserError
from ..kernel.process import Cap, Limits

CLASS = re.compile(r"^[0-9a-f]{2}(\.[0-9a-f]{2}){0,2}$")
BUILT_IN = "drivers.toml"


@dataclass(frozen=True)
class Stanza:
    """One driver: what it is for, how it is started, what it may do, where it is mounted."""

    name: str
    classes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    module: str = ""
    command: tuple[str, ...] = ()
    capabilities: Cap = Cap(0)
    mount: str = ""
    limits: Limits = field(default_factory=Limits)

    @property
    def argv(self) -> list[str]:
        """What is run."""
        return list(self.command) or [sys.executable, "-m", self.module]

    def binds(self, class_text: str) -> bool:
        """Whether a function of class `01.06.01` is this driver's; a shorter class matches its subclasses."""
        return any((class_text + ".").startswith(c + ".") for c in self.classes)


def built_in() -> list[Stanza]:
    """The drivers that come with the package."""
    return parse(resources.files("lux9.sip").joinpath(BUILT_IN).read_text(), BUILT_IN)


def load(path: Path) -> list[Stanza]:
    """A manifest file. Raises UserError with file, driver and key."""
    try:
        return parse(path.read_text(), str(path))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text: {error.reason} at byte {error.start}") from None


def parse(text: str, where: str) -> list[Stanza]:
    """The stanzas of a manifest's text. Raises UserError."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"{where}: {error}") from None
    for name, stanza in table.items():
        if not isinstance(stanza, dict):
            raise UserError(
                f"{where}: {name} = {stanza!r} is not a stanza; write [{name}] and its keys below"
            )
    return [_stanza(name, stanza, f"{where}: [{name}]") for name, stanza in table.items()]


def _stanza(name: str, t: Mapping[str, Any], where: str) -> Stanza:
    known = ("class", "file", "module", "command", "capabilities", "mount", "limits")
    for key in t:
        if key not in known:
            raise UserError(f"{where}: unknown key {key!r}; known: {' '.join(known)}")
    if ("module" in t) == ("command" in t):
        raise UserError(f"{where}: name either a module or a command")
    classes = _texts(t, "class", where)
    for c in classes:
        if not CLASS.match(c):
            raise UserError(
                f"{where}: class {c!r} is not of the form 01, 01.06 or 01.06.01 (lower-case hex)"
            )
    mount = t.get("mount", "")
    if not isinstance(mount, str) or (mount and not mount.startswith("/")):
        raise UserError(f"{where}: mount {mount!r} is not an absolute path")
    return Stanza(
        name,
        classes,
        _texts(t, "file", where),
        "".join(_texts(t, "module", where)[:1]),
        _texts(t, "command", where),
        _caps(_texts(t, "capabilities", where), where),
        mount,
        _limits(t.get("limits", {}), where),
    )


def _texts(t: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    value = t.get(key, [])
    values = cast("list[Any]", value) if isinstance(value, list) else [value]
    if not all(isinstance(v, str) for v in values):
        raise UserError(f"{where}: {key} = {value!r}: write a string, or a list of strings")
    return tuple(values)


def _caps(words: tuple[str, ...], where: str) -> Cap:
    caps = Cap(0)
    for word in words:
        if word.upper() not in Cap.__members__:
            known = " ".join(name.lower() for name in Cap.__members__)
            raise UserError(f"{where}: unknown capability {word!r}; known: {known}")
        caps |= Cap[word.upper()]
    return caps


def _limits(given: object, where: str) -> Limits:
    known = Limits.__dataclass_fields__
    if not isinstance(given, dict):
        raise UserError(
            f"{where}: limits = {given!r}: write a table, as in limits.arena = 33554432"
        )
    t = cast("dict[str, Any]", given)
    for key, value in t.items():
        if key not in known:
            raise UserError(f"{where}: unknown limit {key!r}; known: {' '.join(known)}")
        if type(value) is not int or value < 0:
            raise UserError(f"{where}: limits.{key} = {value!r} is not a number of 0 or more")
    return Limits(**t)
