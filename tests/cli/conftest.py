"""A tree and a machine to run commands against, and the command line to run."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from lux9.cli import main
from lux9.kernel.kernel import Kernel
from lux9.machine.sim import q35
from lux9.ninep.default import VARIABLE
from tests.ninep.serving import LIMIT, Served

Run = Callable[..., Result]


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """`tests.ninep.rig.Top`, at the address that commands find."""
    with Served() as served:
        served.listen(tmp_path / "lux9.sock")
        monkeypatch.setenv(VARIABLE, f"unix!{tmp_path / 'lux9.sock'}")
        yield served


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a kernel on the simulated machine, with a disk and no drivers."""
    home = tmp_path_factory.mktemp("machine")
    disk = home / "disk.img"
    disk.write_bytes(bytes(1 << 20))
    path = home / "lux9.sock"
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def up() -> Kernel:
        kernel = Kernel(q35([disk]))
        await kernel.start()
        await kernel.listen(path)
        return kernel

    kernel = asyncio.run_coroutine_threadsafe(up(), loop).result(LIMIT)
    yield f"unix!{path}"
    asyncio.run_coroutine_threadsafe(kernel.stop(), loop).result(LIMIT)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(LIMIT)
    loop.close()


@pytest.fixture
def lux9() -> Run:
    """Run a command line; its result has output, stderr and exit_code."""

    def run(*args: str, stdin: bytes | None = None) -> Result:
        return CliRunner().invoke(main, list(args), input=stdin, prog_name="lux9")

    return run
