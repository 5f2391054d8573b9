"""Both checkers refuse the marked lines of `tests/typing`, and no others: what the declarations promise."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = sorted((ROOT / "tests" / "typing").glob("*.py"))
Lines = set[tuple[str, int]]


def marked() -> Lines:
    return {
        (path.name, number)
        for path in FILES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if "# bad: " in line
    }


def run(*command: str) -> str:
    """A checker's output; it must have found something."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr
    return done.stdout


def test_mypy_refuses_the_marked_lines_alone() -> None:
    out = run("mypy", "--no-error-summary", "--no-pretty", "--output=json", *map(str, FILES))
    found = [json.loads(line) for line in out.splitlines()]
    assert {
        (Path(e["file"]).name, e["line"]) for e in found if e["severity"] == "error"
    } == marked()


@pytest.mark.timeout(120)
def test_pyright_refuses_the_marked_lines_alone(tmp_path: Path) -> None:
    for path in FILES:  # pyright's own settings leave the folder out: check a copy
        shutil.copy(path, tmp_path)
    settings = {
        "extraPaths": [str(ROOT / "src")],
        "typeCheckingMode": "strict",
        "pythonVersion": "3.11",
    }
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(settings))
    found = json.loads(run("pyright", "--outputjson", "-p", str(tmp_path)))["generalDiagnostics"]
    lines = {(Path(e["file"]).name, e["range"]["start"]["line"] + 1) for e in found}
    assert lines == marked()
