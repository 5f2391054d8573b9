"""The life of drivers: they come back, are given up, are found hanging, are swapped under their clients."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lux9.errors import RemoteError
from lux9.machine.abstract import Machine
from lux9.machine.qemu import Board, Qemu
from lux9.models.ahci import Ahci
from lux9.ninep.client import Client
from lux9.sip import policy
from lux9.wire.messages import ORDWR
from tests.machine.qemu.system import needs_qemu
from tests.sip.rig import LIMIT, PROGRAM, Rig, rig

SATA = "0000:00:1f.2"
AHCI = "class = '01.06'"
BACK = f"[a]\n$ok\n{AHCI}\nmount = '/x/a'\nrestart = 'on-crash max 3 in 60'\nhold = 20\n"


Make = Callable[[], Machine | None]


def qemu() -> Machine:
    return Qemu(Board())


def sim() -> None:
    """The rig's own."""


on_both = pytest.mark.parametrize("machine", [sim, pytest.param(qemu, marks=needs_qemu)])


def crash(r: Rig, name: str) -> None:
    os.kill(r.sip(name).pid, signal.SIGKILL)


@on_both
def test_one_that_crashes_comes_back_under_open_files(tmp_path: Path, machine: Make) -> None:
    async def body() -> None:
        async with rig(tmp_path, BACK, machine()) as r:

            def work(client: Client) -> None:
                with client.open("/x/a/word", ORDWR) as f:
                    f.pwrite(0, b"remains")
                    assert f.pread(0, 7) == b"remains"
                    crash(r, "a")
                    assert (
                        f.pread(0, 7) == b"nothing"
                    )  # the next one answers, on the same open file

            await r.ask(work)
            assert r.states("a") == ["starting", "running", "crashed", "starting", "running"]
            status = await r.read("/dev/sip/servers/a/status")
            assert "restarts: 1\n" in status
            assert "last-exit: killed by SIGKILL\n" in status
            assert (await r.read("/dev/sip/servers/a/health")).splitlines() == [
                "degraded",
                "restarted 1 times in 60 s",
            ]

    asyncio.run(body())


@on_both
def test_a_crash_loop_ends_and_harms_nobody(tmp_path: Path, machine: Make) -> None:
    bad = "[bad]\n$fails\nids = '8086:2922'\nrestart = 'on-crash max 2 in 60'\n"
    manifest = f"{bad}[good]\n$ok\nmount = '/x/g'"

    async def body() -> None:
        async with rig(tmp_path, manifest, machine()) as r:
            await r.write("/dev/sip/clone", "type good\nstart")
            await r.entered("bad", "gave-up")
            assert r.states("bad") == [*["starting", "crashed"] * 2, "starting", "gave-up"]
            assert await r.read("/x/g/version") == "first"
            assert (await r.read("/dev/sip/servers/bad/health")).startswith("dead\ngave-up ")
            with pytest.raises(RemoteError, match="exited with status 3"):
                await r.order("bad", "start")
            await r.entered("bad", "gave-up")  # by hand, it begins anew
            assert r.states("bad").count("starting") == 6

    asyncio.run(body())


def test_one_whose_restart_is_due_keeps_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(policy, "FIRST", LIMIT)

    async def body() -> None:
        async with rig(tmp_path, BACK) as r:
            crash(r, "a")
            await r.entered("a", "crashed")
            for line in ("name b", "mount /y", "bind 0000:00:00.0"):
                with pytest.raises(RemoteError, match=r"its restart is due: its .* while it is"):
                    await r.order("a", line)
            await r.order("a", "stop", "name b")
            await r.order("b", "start")
            assert await r.read("/x/a/version") == "first"

    asyncio.run(body())


@on_both
def test_an_endless_loop_is_found(tmp_path: Path, machine: Make) -> None:
    async def body() -> None:
        async with rig(tmp_path, BACK, machine()) as r:
            spinning = asyncio.ensure_future(r.read("/x/a/spin"))
            await r.until(lambda: "starts again" in r.sip("a").reason or spinning.done())
            await r.until(lambda: r.sip("a").starts >= 2 and r.sip("a").state == "running")
            assert "it did not answer a probe within 1 s" in r.sip("a").last_exit
            spinning.cancel()
            await r.order("a", "restart never")

    asyncio.run(body())


def test_one_that_was_suspended_is_not_taken_for_hanging(tmp_path: Path) -> None:
    async def body() -> None:
        async with rig(tmp_path, BACK) as r:
            await r.order("a", "note stop")
            await asyncio.sleep(0)
            assert (await r.read("/dev/sip/servers/a/health")).startswith("degraded\nsuspended")
            await r.order("a", "note start")
            assert await r.read("/x/a/version") == "first"
            assert r.sip("a").starts == 1

    asyncio.run(body())


def test_reload_swaps_the_code_under_open_files(tmp_path: Path) -> None:
    async def body() -> None:
        async with rig(tmp_path, f"[a]\n$ok\n{AHCI}\nmount = '/x/a'") as r:

            def work(client: Client) -> None:
                with client.open("/x/a/word") as f:
                    assert f.pread(0, 7) == b"nothing"
                    r.version.write_text("second")
                    client.write("/dev/sip/servers/a/ctl", b"reload")
                    assert f.pread(0, 7) == b"nothing"
                    assert client.read("/x/a/version") == b"second"

            await r.ask(work)
            assert r.states("a")[2:] == ["stopping", "stopped", "starting", "running"]

    asyncio.run(body())


def test_stopped_it_stays_so(tmp_path: Path) -> None:
    """Also in the time between a crash and the restart."""

    async def body() -> None:
        async with rig(tmp_path, BACK.replace("on-crash", "always")) as r:
            crash(r, "a")
            await r.until(lambda: r.sip("a").timer is not None)
            await r.launcher.stop(r.sip("a"))
            assert (r.sip("a").state, r.sip("a").timer) == ("stopped", None)
            with pytest.raises(RemoteError):
                await r.read("/x/a/version")
            await r.order("a", "start", "stop")
            assert r.states("a")[-2:] == ["stopping", "stopped"]

    asyncio.run(body())


async def leave(r: Rig) -> None:
    """Ask it to end; the answer may be lost."""
    with contextlib.suppress(RemoteError):
        await r.read("/x/a/leave")


def test_a_clean_end_is_no_crash(tmp_path: Path) -> None:
    async def body() -> None:
        async with rig(tmp_path, BACK) as r:
            await leave(r)
            await r.entered("a", "stopped")
            assert r.sip("a").timer is None
            await r.order("a", "restart always", "start")
            await leave(r)
            await r.until(lambda: r.states("a")[-3:] == ["stopped", "starting", "running"])

    asyncio.run(body())


def test_a_slow_one_delays_nobody(tmp_path: Path) -> None:
    manifest = "[slow]\n$slow\nids = '8086:2922'\n[a]\n$ok\nids = '8086:2918'\nmount = '/x/a'"

    async def body() -> None:
        made = Rig(tmp_path, manifest)
        await made.kernel.start()
        await made.kernel.listen(made.path)
        starting = asyncio.ensure_future(made.launcher.start_all())
        await made.until(lambda: len(made.launcher.sips) == 2)
        await made.entered("a", "running")
        assert made.sip("slow").state == "starting"
        assert await made.read("/x/a/version") == "first"
        assert (await made.read("/dev/sip/servers/slow/health")).startswith("degraded\nstarting")
        await made.launcher.stop_all()
        await asyncio.wait([starting])
        await made.kernel.stop()

    asyncio.run(body())


def test_what_is_plugged_in_is_driven_and_what_is_pulled_is_not(tmp_path: Path) -> None:
    async def body() -> None:
        async with rig(tmp_path, f"[a]\n$ok\n{AHCI}\nrestart = 'always'") as r:
            card = Ahci({}, ports=1)
            r.sim.plug(card, 0x04 << 3)
            await r.entered("a", "running")
            await r.until(lambda: len(r.launcher.sips) == 2)
            await r.entered("a1", "running")
            assert r.sip("a1").binding == "0000:00:04.0"
            r.sim.unplug(card)
            await r.entered("a1", "stopped")
            assert r.sip("a1").reason == "its function was pulled out"
            await r.until(lambda: "0000:00:04.0" not in r.kernel.hardware.functions)
            r.sim.plug(Ahci({}, ports=1), 0x04 << 3)
            await r.entered("a1", "running")
            assert r.sip("a").starts == 1

    asyncio.run(body())


def test_a_server_made_by_hand(tmp_path: Path) -> None:
    async def body() -> None:
        async with rig(tmp_path, "") as r:
            command = f"{sys.executable} {PROGRAM} ok {r.version}"

            def made(client: Client) -> str:
                with client.open("/dev/sip/clone", ORDWR) as f:
                    number = f.pread(0, 64).decode().strip()
                    for line in (
                        "name mine",
                        f"command {command}",
                        f"bind {SATA}",
                        "mount /x/mine",
                        "capability add pci",
                        "capability add mem",
                        "limit fids 100",
                        "restart on-crash max 1 in 10",
                        "start",
                    ):
                        f.pwrite(0, line.encode())
                    return number

            number = await r.ask(made)
            assert await r.read("/dev/sip/ctl") == f"{number} mine running\n"
            assert await r.read("/x/mine/version") == "first"
            assert (await r.read("/dev/sip/servers/mine/caps")) == "mem\npci\n"
            limits = await r.read("/dev/sip/servers/mine/limits")
            assert any(x.startswith("fids ") and x.endswith(" 100") for x in limits.splitlines())
            assert f"bind '#P/{SATA}' /dev/pci/{SATA}" in (await r.read("/dev/sip/servers/mine/ns"))
            assert (await r.read("/dev/sip/servers/mine/log")) == "ok begins\n"
            with pytest.raises(RemoteError, match="changed while it is stopped"):
                await r.order("mine", "name other")

    asyncio.run(body())


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("name 9", "a letter, then"),
        (f"name {'x' * 64}", "a letter, then at most 62"),
        ("name a", "there is a driver a already"),
        ("type nothing", "no type 'nothing'"),
        ("bind 0000:00:1e.7", "there is no such function"),
        ("bind /dev/sdE0/linux", "no file of a mounted service"),
        ("mount here", "not an absolute path"),
        ("limit beans 3", "unknown limit 'beans'"),
        ("limit fids -3", "not a number"),
        ("capability add root", "unknown capability"),
        ("capability give pci", "add or remove"),
        ("restart often", "write never"),
        ("start", "it has no type and no command"),
        ("note hello", "no process to tell"),
        ("burn", "unknown command"),
    ],
)
def test_what_a_server_does_not_take(tmp_path: Path, line: str, why: str) -> None:
    async def body() -> None:
        async with rig(tmp_path, "[a]\n$ok\nclass = '01'") as r:
            with pytest.raises(RemoteError, match=why):
                await r.write("/dev/sip/clone", line)

    asyncio.run(body())


def test_a_server_that_is_told_nothing_goes_with_its_ctl(tmp_path: Path) -> None:
    async def body() -> None:
        async with rig(tmp_path, "[a]\n$ok\nclass = '01'") as r:

            def made(client: Client) -> None:
                with client.open("/dev/sip/clone", ORDWR) as f:
                    assert f.pread(0, 64) == b"2\n"
                    assert client.read("/dev/sip/ctl") == b"1 a running\n2 sip2 created\n"
                assert client.read("/dev/sip/ctl") == b"1 a running\n"

            await r.ask(made)
            await r.write("/dev/sip/clone", "restart always")  # it was told something: it stays
            await r.order("sip3", "type a")
            assert await r.read("/dev/sip/ctl") == "1 a running\n3 a1 created\n"

    asyncio.run(body())


def test_a_limit_takes_effect_at_once_where_it_can(tmp_path: Path) -> None:
    async def body() -> None:
        async with rig(tmp_path, f"[a]\n$ok\n{AHCI}\nmount = '/x/a'") as r:
            await r.order("a", "limit messages 200", "limit files 32", "limit dma_buffers 3")
            assert await r.read("/x/a/flood") == "60\n"  # each is walk, open, read, read, clunk
            life = r.sip("a").life
            assert life is not None
            assert life.throttled() > 0
            assert life.process.limits.dma_buffers == 3
            assert resource.prlimit(r.sip("a").pid, resource.RLIMIT_NOFILE) == (32, 32)
            with pytest.raises(RemoteError, match="holds from its next start on: its arena"):
                await r.order("a", "limit arena 4096")
            limits = (await r.read("/dev/sip/servers/a/limits")).splitlines()
            assert next(x for x in limits if x.startswith("arena ")).endswith(" 4096")
            await r.order("a", "limit messages 0", "limit dma_buffers 0")  # any; none
            limits = (await r.read("/dev/sip/servers/a/limits")).splitlines()
            assert next(x for x in limits if x.startswith("messages ")).endswith(" -")
            assert {"dma_buffers 0 0", "processes 0 0"} < set(limits)

    asyncio.run(body())


def test_a_service_that_is_stopped_did_not_fail_to_come_back(tmp_path: Path) -> None:
    async def body() -> None:
        async with rig(tmp_path, BACK) as r:

            def work(client: Client) -> None:
                with client.open("/x/a/word") as f:
                    client.write("/dev/sip/servers/a/ctl", b"stop")
                    with pytest.raises(RemoteError, match="a has ended; its log says why"):
                        f.pread(0, 7)

            await r.ask(work)

    asyncio.run(body())


def test_more_messages_than_allowed_are_held_back(tmp_path: Path) -> None:
    manifest = f"[a]\n$ok\n{AHCI}\nmount = '/x/a'\nlimits.messages = 200\n"

    async def body() -> None:
        async with rig(tmp_path, manifest) as r:
            assert await r.read("/x/a/flood") == "60\n"  # each is walk, open, read, read, clunk
            life = r.sip("a").life
            assert life is not None
            assert life.throttled() > 0
            health = await r.read("/dev/sip/servers/a/health")
            assert "more than limits.messages a second" in health

    asyncio.run(body())
