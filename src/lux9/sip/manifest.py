"""What is started for which function or file, with which rights: a TOML file, a stanza a driver.

[ahci]
class = "01.06.01"                      # starts one for each function of that class,
ids = ["8086:2922"]                     # or with these numbers (vendor:device),
modalias = ["pci:v00008086d*"]          # or whose modalias fits: the closest stanza of all has it
module = "lux9.drivers.ahci"            # or: command = ["./mydriver", "-v"]
environment = {VERBOSE = "1"}
capabilities = ["pci", "mem", "irq", "dma"]
namespace = ["bind '#c' /dev"]          # what it sees besides; ns(1)
mount = "/dev"
restart = "on-crash max 5 in 60"        # or never (so it is when nothing is said), or always
hold = 10.0                             # seconds that clients wait for it to come back
repeats = true                          # a write whose answer was lost may be sent again
isolation = "process"                   # the least that it may run with: none, process or sandbox
dma = "protected"                       # not on a machine that lets a device write wherever it likes
remote = "disks"                        # not started here: this user drives it, from another host
read = ["/srv/firmware"]                # files of the host that it sees in its sandbox
limits.dma_bytes = 1048576

[ext4]
file = ["/dev/sd*/linux", "/dev/sd*/data"]   # starts one for the first that is there
magic = {at = 1080, bytes = "53 ef"}         # and has these bytes (hex) there
module = "lux9.fs.ext4"
mount = "/root"
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from ..errors import Lux9Error, UserError
from .policy import Restart, rule
from .sandbox.level import Level
from .stanza import Magic, Stanza as Stanza
from .table import Table, line_of, read, toml

CLASS = re.compile(r"[0-9a-f]{2}(\.[0-9a-f]{2}){0,2}")
IDS = re.compile(r"[0-9a-f]{4}:[0-9a-f]{4}")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}")
BUILT_IN = "drivers.toml"
DRIVERS = "drivers"  # `drivers = "built-in"`: those of the package besides, unless it has one of that name
USERS = "user"  # [[user]]: who may come over the network, and with which rights (`users.py`)
KEYS = (
    *(
        "class",
        "ids",
        "modalias",
        "file",
        "magic",
        "module",
        "command",
        "environment",
        "capabilities",
    ),
    *(
        "namespace",
        "mount",
        "restart",
        "hold",
        "repeats",
        "isolation",
        "dma",
        "remote",
        "read",
        "limits",
    ),
)


def built_in() -> list[Stanza]:
    """The drivers that come with the package."""
    return parse(resources.files("lux9.sip").joinpath(BUILT_IN).read_text(), BUILT_IN)


def load(path: Path) -> list[Stanza]:
    """A manifest file. Raises UserError with file, line, driver and key."""
    return parse(read(path), str(path))


def parse(text: str, where: str) -> list[Stanza]:
    """The stanzas of a manifest's text. Raises UserError."""
    table = toml(text, where)
    drivers = {name: stanza for name, stanza in table.items() if name not in (USERS, DRIVERS)}
    for name, stanza in drivers.items():
        if not isinstance(stanza, dict):
            raise UserError(
                f"{where}:{line_of(text, '', name)}: {name} = {stanza!r} is not a stanza; "
                f"write [{name}] and its keys below"
            )
    own = [Reader(name, stanza, text, where).stanza() for name, stanza in drivers.items()]
    others = _others(table.get(DRIVERS), text, where)
    return [*(other for other in others if other.name not in drivers), *own]


def _others(word: object, text: str, where: str) -> list[Stanza]:
    """Those that a manifest takes over from the package."""
    if word is None:
        return []
    if word != "built-in":
        line = line_of(text, "", DRIVERS)
        raise UserError(f'{where}:{line}: {DRIVERS} = {word!r}: write "built-in", or nothing')
    return built_in()


def absolute(path: str) -> bool:
    """Whether it can be where something is mounted: names are names, and none leads upwards."""
    return path.startswith("/") and ".." not in path.split("/") and "\0" not in path


class Reader(Table):
    """One stanza."""

    keys = KEYS

    def stanza(self) -> Stanza:
        """All of it."""
        t = self.table
        self.known()
        if not NAME.fullmatch(self.name):
            raise self.wrong(
                "", f"{self.name!r} is no name: a letter, then at most 62 letters, digits and _.-"
            )
        if ("module" in t) + ("command" in t) not in ((0, 1) if "remote" in t else (1,)):
            raise self.wrong("command", "name either a module or a command")
        return Stanza(
            self.name,
            classes=self.formed("class", CLASS, "01, 01.06 or 01.06.01 (lower-case hex)"),
            ids=self.formed("ids", IDS, "8086:2922 (lower-case hex)"),
            modalias=self.texts("modalias"),
            files=self.texts("file"),
            magic=self.magic(),
            module=self.module(),
            command=self.command(),
            capabilities=self.capabilities(),
            mount=self.mount(),
            namespace=self.namespace(),
            environment=self.environment(),
            limits=self.limits(),
            restart=self.restart(),
            hold=self.hold(),
            repeats=self.flag("repeats"),
            isolation=self.isolation(),
            protected=self.protected(),
            remote=self.text_of("remote"),
            read=self.texts("read"),
            where=self.where,
        )

    def magic(self) -> Magic | None:
        """What a file has at a place, when it is what the driver serves."""
        like = 'magic = {at = 1080, bytes = "53 ef"}'
        table = self.table_of("magic", like)
        if not table:
            return None
        try:
            content = bytes.fromhex(table["bytes"])
            if (
                {*table} == {"at", "bytes"}
                and type(table["at"]) is int
                and table["at"] >= 0
                and content
            ):
                return Magic(table["at"], content)
        except (KeyError, TypeError, ValueError):
            pass
        raise self.wrong("magic", f"magic = {table!r}: write a place and bytes (hex), as in {like}")

    def mount(self) -> str:
        """Where it is mounted, or nothing."""
        mount = self.text_of("mount")
        if mount and not absolute(mount):
            raise self.wrong("mount", f"mount {mount!r} is not an absolute path without `..`")
        return mount

    def module(self) -> str:
        """What Python runs, where it is not a command."""
        module = self.text_of("module")
        if "module" in self.table and not module:
            raise self.wrong("module", "module = '': name a module, as lux9.drivers.ahci.main")
        return module

    def command(self) -> tuple[str, ...]:
        """A program and its arguments."""
        words = self.texts("command")
        if "command" in self.table and (not words or not words[0] or "\0" in "".join(words)):
            why = f"command = {self.table['command']!r}: name a program, then its arguments"
            raise self.wrong("command", why)
        return words

    def environment(self) -> dict[str, str]:
        """Variables."""
        table = self.table_of("environment", 'environment = {NAME = "value"}')
        for name, value in table.items():
            if not isinstance(value, str) or not name or "=" in name or "\0" in name + value:
                why = f"environment.{name} = {value!r}: write a string, to a name without `=`"
                raise self.wrong("environment", why)
        return table

    def restart(self) -> Restart:
        """When it is started again."""
        try:
            return rule(self.text_of("restart") or "never")
        except Lux9Error as error:
            raise self.wrong("restart", error) from None

    def hold(self) -> float:
        """How long its clients wait for it."""
        value = self.table.get("hold", 0.0)
        if type(value) not in (int, float) or not 0 <= value <= 3600:
            raise self.wrong("hold", f"hold = {value!r} is not a time of 0 to 3600 seconds")
        return float(value)

    def protected(self) -> bool:
        """Whether it runs only where its DMA is confined."""
        word = self.text_of("dma") or "unprotected"
        if word not in ("protected", "unprotected"):
            raise self.wrong("dma", f"dma {word!r} is neither protected nor unprotected")
        return word == "protected"

    def isolation(self) -> Level:
        """The least that it may run with."""
        word = self.text_of("isolation") or Level.NONE.word
        try:
            return Level.parse(word, "isolation")
        except UserError as error:
            raise self.wrong("isolation", error) from None
