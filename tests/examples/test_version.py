"""The manual's smallest driver, on each machine, as the manual has it started."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lux9.machine.qemu.board import PROGRAM
from tests.system.running import LIMIT, LUX9

ROOT = Path(__file__).parents[2]
MANIFEST = "examples/version/version.toml"


@pytest.mark.parametrize("machine", ["sim", "qemu"])
def test_it_serves_the_version(machine: str) -> None:
    if machine == "qemu" and shutil.which(PROGRAM) is None:
        pytest.skip(f"{PROGRAM} is not there")
    command = "lux9 cat /dev/version/version"
    done = subprocess.run(
        [*LUX9, "boot", "--machine", machine, "--manifest", MANIFEST, "--exec", command],
        cwd=ROOT,
        env=os.environ,
        capture_output=True,
        text=True,
        timeout=LIMIT,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("1.0\n", "", 0)
