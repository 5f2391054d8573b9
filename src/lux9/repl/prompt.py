"""The prompt itself: Python's own interpreter and readline, with our completion, display and short refusals."""

from __future__ import annotations

import builtins
import code
import contextlib
import readline
import sys
from pathlib import Path
from typing import Any, cast

from typing_extensions import override

from ..connection import RemotePath
from ..errors import Lux9Error
from .complete import Completer
from .names import Names, looked_at

LINES = 2000  # of history that are kept
REFUSALS = (
    OSError,
    Lux9Error,
    AttributeError,
    LookupError,
)  # told in a line: they say what is wrong


class Prompt(code.InteractiveConsole):
    """A console over what is offered."""

    def __init__(self, names: Names) -> None:
        self.names: dict[str, Any] = dict(names.values)
        super().__init__(self.names, "<lux9>")
        self.completer = Completer(self.names)
        self.found: list[str] = []
        self.typed = sys.stdin.isatty()

    @override
    def raw_input(self, prompt: str = "") -> str:
        """A line; what is not typed by somebody is not asked for."""
        try:
            return super().raw_input(prompt if self.typed else "")
        except EOFError:
            if self.typed:
                raise
            self._rest()
            raise SystemExit from None

    def _rest(self) -> None:
        """What the end of a text ends: a block without an empty line behind it, or half a line."""
        if not self.buffer:
            return
        source = "\n".join(self.buffer)
        self.resetbuffer()
        try:
            found = compile(f"{source}\n", self.filename, "single")
        except (SyntaxError, ValueError, OverflowError):
            self.showsyntaxerror(self.filename)
        else:
            self.runcode(found)

    @override
    def showtraceback(self) -> None:
        """A refusal in one line; a mistake of the program that was typed as Python tells it."""
        kind, error, trace = sys.exc_info()
        deep = trace is not None and trace.tb_next is not None and _is_ours(trace)
        if isinstance(error, REFUSALS) and deep and kind is not None:
            self.write(f"{kind.__name__}: {error}\n")
        else:
            super().showtraceback()

    def complete(self, text: str, state: int) -> str | None:
        """For readline: the `state`th of what `text` may become."""
        if state == 0:
            line = readline.get_line_buffer()[: readline.get_endidx()]
            at, found = self.completer.complete(line)
            kept = text[: max(0, at - readline.get_begidx())]
            self.found = [kept + name for name in found]
        return self.found[state] if state < len(self.found) else None

    def run(self, banner: str, history: Path) -> None:
        """Until Ctrl-D, or exit(), whose SystemExit it raises."""
        readline.set_completer(self.complete)
        readline.set_completer_delims(" \t\n=+-*,;(){}")
        readline.parse_and_bind("tab: complete")
        readline.set_auto_history(self.typed)
        with contextlib.suppress(OSError):
            readline.read_history_file(history)
        readline.set_history_length(LINES)
        shown, sys.displayhook = sys.displayhook, display
        try:
            self.interact(banner if self.typed else "", "")
        finally:
            sys.displayhook = shown
            self._keep(history)

    def _keep(self, history: Path) -> None:
        if not self.typed:
            return
        with contextlib.suppress(OSError):
            history.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            readline.write_history_file(history)


def _is_ours(trace: Any) -> bool:
    """Whether it was raised by lux9, and not by what was typed."""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return str(trace.tb_frame.f_globals.get("__name__", "")).startswith("lux9.")


def display(value: Any) -> None:
    """What the prompt prints of a value. `_` is the last one."""
    if value is None:
        return
    text = looked_at(value) if isinstance(value, RemotePath) else repr(value)
    if text:
        print(text)
    cast("Any", builtins)._ = value
