"""The parts of `make bench` that can be wrong without being slow."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from bench import floor
from bench.facts import facts
from bench.timing import rate
from tests.system.running import boot


def test_a_rate_is_of_what_was_done() -> None:
    done = list[int]()

    def work() -> int:
        done.append(10)
        return 10

    assert rate(work, 0.03) > 0
    assert len(done) > 3


def test_what_is_told_of_the_machine() -> None:
    about = facts()
    assert about
    assert json.loads(json.dumps(about)) == about


def test_reads_of_the_image_are_counted(tmp_path: Path) -> None:
    image = tmp_path / "d.img"
    image.write_bytes(bytes(1 << 20))
    assert floor.preads(image, 4096) > 0


def test_a_ping_comes_back() -> None:
    assert floor.ping_pong(1) > 0


def test_the_measuring_client(tmp_path: Path) -> None:
    """It finds the controller and reads a register of it, at both depths."""
    none = tmp_path / "none.toml"
    none.write_text("# no drivers\n")
    done = boot(f"{sys.executable} -m bench.client registers", "--manifest", str(none))
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert list(figures) == ["register reads/s, depth 1", "register reads/s, depth 32"]
    assert all(value > 100 for value in figures.values())
