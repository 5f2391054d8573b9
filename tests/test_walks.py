"""What the tutorial and the README tell to type, typed; what they say will come, compared.

A page's `sh` blocks are typed into one shell, one after the other. A `text` block behind one is what it prints,
errors included; a block without one prints nothing. In it, `…` stands for anything.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "docs" / "tutorial.md", ROOT / "README.md"]
BLOCK = re.compile(r"^```sh\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
MARK = "@@@"  # printed after each block


class Step(NamedTuple):
    """Commands, and what they print."""

    typed: str
    printed: str


def steps(page: Path) -> list[Step]:
    return [Step(m[1], m[2] or "") for m in BLOCK.finditer(page.read_text())]


def type_in(commands: list[str], folder: Path) -> list[str]:
    """What each of the commands printed."""
    script = "".join(f"{command}echo {MARK}\n" for command in commands)
    place = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin:/usr/sbin:/sbin"}
    done = subprocess.run(
        ["bash"],
        input=script,
        cwd=folder,
        env=os.environ | place | {"XDG_RUNTIME_DIR": str(folder), "TERM": "dumb"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
        timeout=50,
    )
    return done.stdout.split(MARK + "\n")[:-1]


def like(expected: str) -> re.Pattern[str]:
    """`…` is anything: within its line, or whole lines where it has one to itself."""
    lines = [re.escape(line).replace("…", ".*") + "\n" for line in expected.splitlines()]
    return re.compile("".join("(?:.*\n)*" if line == ".*\n" else line for line in lines))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_is_typed_prints_what_is_shown(page: Path, tmp_path: Path) -> None:
    told = steps(page)
    printed = type_in([step.typed for step in told], tmp_path)
    assert len(printed) == len(told) > 3
    for step, output in zip(told, printed, strict=True):
        assert like(step.printed).fullmatch(output), f"{step.typed}printed\n{output}"
