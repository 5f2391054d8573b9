"""File trees misused. Each line marked `bad` must be refused by both checkers; no other may be."""

from __future__ import annotations

from lux9.tree import Dir, text, verb


class Lamp(Dir):
    """A lamp"""

    @text(0o664)
    def ctl(self) -> str:
        """Whether it burns."""
        return "on\n"

    @verb(1)
    def set(self, state: str) -> None:
        """Turn it on or off."""


lamp = Lamp()
shown: str = lamp.ctl()
lamp.set("on")

lamp.set(1)  # bad: arguments are words
lamp.burn()  # bad: no such command
bytes_: bytes = lamp.ctl()  # bad: a text is a str


class Broken(Dir):
    """Declared wrong"""

    @text("0664")  # bad: a mode is a number
    def ctl(self) -> str:
        """Nothing."""
        return ""
