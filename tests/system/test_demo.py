"""`lux9 demo`: the chain step by step, as it was read; and nothing is left of it."""

from __future__ import annotations

import hashlib
import re
import signal
import subprocess
from pathlib import Path

from tests.system.running import LIMIT, LUX9, environment, lux9

STEPS = (
    *("function", "BAR", "claimed by", "DMA buffers", "line", "disk", "READ", "partitions"),
    *("mounted", "/root", "hello.txt", "big.bin", "interrupts", "counters", "done"),
)


def test_the_chain_step_by_step(tmp_path: Path) -> None:
    done = lux9("demo", "--keep", str(tmp_path / "kept"))
    assert (done.returncode, done.stderr) == (0, "")
    heads = [line[:12].strip() for line in done.stdout.splitlines()]
    assert list(dict.fromkeys(head for head in heads if head)) == list(STEPS)
    for fact in (
        r"function  0000:00:1f\.2 vendor=0x8086 device=0x2922 class=01\.06\.01 irq=\d+$",
        r"bar5: 0x[0-9a-f]+ 4096$",
        r"DMA buffers  .*paddr 0x[0-9a-f]+, handle \d+$",
        r"READ  sector 0: 1 command issued, 512 bytes, ends 55 aa$",
        r"partitions  part linux 2048 \d+$",
        r"interrupts  irq \d+: 0000:00:1f\.2 pending=\d+ delivered=[1-9]\d* dropped=0$",
    ):
        assert re.search(fact, done.stdout, re.MULTILINE), fact
    for path in (tmp_path / "kept" / "source").iterdir():
        assert done.stdout.count(hashlib.sha256(path.read_bytes()).hexdigest()) == 2


def test_a_signal_ends_it_and_nothing_is_left(tmp_path: Path) -> None:
    env = environment(TMPDIR=str(tmp_path))
    with subprocess.Popen([*LUX9, "demo"], stdout=subprocess.PIPE, env=env, text=True) as process:
        assert process.stdout is not None
        assert "function" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        process.stdout.read()
        assert process.wait(LIMIT) in (128 + signal.SIGINT, 0)  # 0: it was through already
    assert not list(tmp_path.iterdir())
