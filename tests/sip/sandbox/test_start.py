"""Programs in a sandbox: how they end, what they may start, and what they see."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from lux9.errors import UserError
from lux9.kernel.process import Limits
from lux9.sip.sandbox import bubblewrap, isolation
from lux9.sip.sandbox.level import Level
from lux9.sip.spawn import Child
from lux9.sip.stanza import Stanza
from tests.readable import readable

LIMIT = 30.0


class Ended(NamedTuple):
    """How a program fared."""

    why: str
    lines: list[str]
    refused: list[str]


def shell(script: str, **more: object) -> Stanza:
    return Stanza("t", command=("/bin/sh", "-c", script), **more)  # type: ignore[arg-type]  # any of its fields


def python(script: str, **more: object) -> Stanza:
    return Stanza("t", command=(sys.executable, "-c", script), **more)  # type: ignore[arg-type]


def ran(stanza: Stanza, then: Callable[[Child, str], None] = lambda child, line: None) -> Ended:
    """Run it to its end; `then` is called with each line that it prints."""
    lines: list[str] = []
    refused: list[str] = []

    async def main() -> str:
        child: Child

        def said(line: str) -> None:
            lines.append(line)
            then(child, line)

        child = isolation.start(
            Level.SANDBOX, stanza, {}, {}, said, lambda finding: refused.append(finding.target)
        )
        return await asyncio.wait_for(child.ended, LIMIT)

    return Ended(asyncio.run(main()), lines, refused)


def test_its_status_is_told() -> None:
    assert ran(shell("echo here; exit 7")) == Ended("exited with status 7", ["here"], [])


def test_the_signal_that_killed_it_is_told() -> None:
    def kill(child: Child, line: str) -> None:
        child.signal(signal.SIGKILL)

    script = "import time; print('up', flush=True); time.sleep(60)"
    assert ran(python(script), kill).why == "killed by SIGKILL"


def test_the_kernel_has_more_descriptors_than_select_knows() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as held:
        held.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4096)), hard))
        for _ in range(1100):
            held.callback(os.close, os.dup(0))
        assert ran(shell("echo here; exit 7")) == Ended("exited with status 7", ["here"], [])


@pytest.mark.parametrize(
    ("handler", "why"),
    [
        ("", "killed by SIGTERM"),
        ("s.signal(s.SIGTERM, lambda *_: sys.exit(5))", "exited with status 5"),
    ],
)
def test_a_signal_does_to_process_1_what_it_does_to_others(handler: str, why: str) -> None:
    """Without a handler, it ends at once: nobody waits until it is made to."""

    def end(child: Child, line: str) -> None:
        child.signal(signal.SIGTERM)

    script = f"import signal as s, sys, time\n{handler}\nprint('up', flush=True)\ntime.sleep(60)"
    assert ran(python(script), end).why == why


def test_two_ask_it_to_end_before_bubblewrap_told_who_it_is(tmp_path: Path) -> None:
    """Bubblewrap is not killed for that alone, and when it is, what it has cloned goes with it."""
    program = tmp_path / "bwrap"
    program.write_text("#!/bin/sh\nsleep 60 &\necho $!\nwait\n")  # it never tells
    program.chmod(0o755)

    async def main() -> None:
        lines: asyncio.Queue[str] = asyncio.Queue()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(bubblewrap, "PROGRAM", str(program))
            child = isolation.start(
                Level.SANDBOX, shell(""), {}, {}, lines.put_nowait, lambda finding: None
            )
        async with asyncio.timeout(LIMIT):
            clone = os.pidfd_open(int(await lines.get()))
            for number in (signal.SIGTERM, signal.SIGTERM):
                child.signal(number)
            assert os.waitid(os.P_PIDFD, child.pidfd, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None
            child.signal(signal.SIGKILL)
            assert await child.ended == "killed by SIGKILL"
            assert readable(clone, LIMIT)
            os.close(clone)

    asyncio.run(main())


def test_a_program_that_is_not_there() -> None:
    gone = Stanza("t", command=("/no/such/program",))
    ended = ran(gone)
    assert ended.why == "exited with status 1"
    assert "/no/such/program" not in ended.why
    assert any("No such file" in line for line in ended.lines)


def test_it_starts_others_only_where_its_manifest_says_so() -> None:
    script = "/bin/true && echo started; exit 0"
    refused = ran(shell(script))
    assert "started" not in refused.lines
    assert set(refused.refused) & {"fork", "vfork", "clone"}
    assert ran(shell(script, limits=Limits(processes=4))).lines == ["started"]


def test_its_limits_are_others_while_it_runs() -> None:
    """Those that the host's kernel keeps, and those that ours does."""

    def raise_it(child: Child, line: str) -> None:
        if line == "up":
            child.limit("processes", Limits(processes=2))
            child.limit("files", Limits(processes=2, files=9))
            child.signal(signal.SIGINT)

    script = (
        "import os, resource as r, signal as s\n"
        "s.pthread_sigmask(s.SIG_BLOCK, {s.SIGINT}); print('up', flush=True); s.sigwait({s.SIGINT})\n"
        "print(os.fork() and r.getrlimit(r.RLIMIT_NOFILE))"
    )
    ended = ran(python(script), raise_it)
    assert "(9, 9)" in ended.lines
    assert ended.refused == []


def test_threads_need_no_leave() -> None:
    script = "import threading as t; x = t.Thread(target=lambda: print('ran')); x.start(); x.join()"
    assert ran(python(script)) == Ended("exited with status 0", ["ran"], [])


def test_the_file_of_its_command_is_there_and_its_neighbour_is_not(tmp_path: Path) -> None:
    (tmp_path / "driver.py").write_text(
        "import pathlib, sys\nprint([p.name for p in pathlib.Path(sys.argv[0]).parent.iterdir()])\n"
    )
    (tmp_path / "secret").write_text("x")
    stanza = Stanza("t", command=(sys.executable, str(tmp_path / "driver.py")))
    assert ran(stanza).lines == ["['driver.py']"]


def test_what_the_manifest_lets_it_read_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "firmware").write_text("data\n")
    script = f"cat {tmp_path}/firmware; echo x > {tmp_path}/firmware"
    stanza = shell(script, read=(str(tmp_path),), limits=Limits(processes=4))
    ended = ran(stanza)
    assert ended.lines[0] == "data"
    assert "Read-only" in ended.lines[1]


def test_nothing_that_was_open_reaches_it(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("x")
    fd = os.open(tmp_path / "secret", os.O_RDONLY)
    os.set_inheritable(fd, True)
    try:
        script = "import os; print(sorted(int(n) for n in os.listdir('/proc/self/fd')))"
        assert ran(python(script)).lines == ["[0, 1, 2, 3]"]  # 3 is the folder itself
    finally:
        os.close(fd)


def test_limits_are_hard() -> None:
    script = (
        "import resource as r\n"
        "print(r.getrlimit(r.RLIMIT_NOFILE), r.getrlimit(r.RLIMIT_CORE), flush=True)\n"
        "r.setrlimit(r.RLIMIT_NOFILE, (4096, 4096))"
    )
    ended = ran(python(script))
    assert ended.lines[0] == "(64, 64) (0, 0)"
    assert ended.why == "exited with status 1"
    assert "not allowed to raise" in ended.lines[-1]


def test_without_bubblewrap_it_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(UserError, match="bwrap: cannot be started"):
        ran(shell("true"))
