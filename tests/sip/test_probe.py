"""The health probe speaks what the service speaks."""

from __future__ import annotations

import asyncio

import pytest

from lux9.kernel import services as kernel
from lux9.kernel.services import Services
from lux9.pending import Pending
from lux9.sip.server import Sip
from lux9.sip.stanza import Stanza
from lux9.sip.supervisor import Pace, Supervisor
from lux9.wire.codec import Dialect
from lux9.wire.linux import LINUX
from lux9.wire.messages import DMDIR, P9, QTDIR, Qid, Stat
from tests.kernel.test_swap import LIMIT, Disk, post, run

ROOT = Stat(0, 0, Qid(QTDIR, 0, 0), DMDIR, 0, 0, 0, "/", "", "", "")


async def nothing(sip: Sip) -> None:
    """Nobody is started."""


def ignored(*args: object) -> None:
    """Nobody listens."""


@pytest.mark.parametrize("dialect", [P9, LINUX], ids=lambda d: d.version)
def test_a_service_of_one_dialect_is_healthy(
    monkeypatch: pytest.MonkeyPatch, dialect: Dialect
) -> None:
    for name in ("LUX9", "P9", "LINUX"):
        monkeypatch.setattr(kernel, name, dialect)

    async def work() -> None:
        services = Services()
        server = await post(services, Disk("first"))
        sip = Sip(1, "disk", Stanza("disk"), "", "")
        supervisor = Supervisor(services, Pace(), nothing, ignored, ignored)
        before = server.session.requests
        assert services.posted["disk"].service.caller.dialect is dialect
        assert await supervisor.probe(sip) == ""
        assert (server.session.requests, server.session.errors) == (before + 1, 0)
        assert sip.took > 0
        server.close()

    run(work())


def test_a_watch_ends_though_its_answer_came_in_the_same_moment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever takes everything down waits for it."""

    async def work() -> None:
        services = Services()
        server = await post(services, Disk("first"))
        sip = Sip(1, "disk", Stanza("disk"), "", "")
        sip.enter("running")
        supervisor = Supervisor(services, Pace(every=0.0), nothing, ignored, ignored)
        stat, asked = Pending[Stat](), asyncio.Event()

        def ask(fid: int) -> Pending[Stat]:
            asked.set()
            return stat

        monkeypatch.setattr(services.posted["disk"].service.caller, "stat", ask)
        supervisor.watch(sip)
        await asked.wait()
        stat.resolve(ROOT)
        await asyncio.sleep(0)  # it has the answer, and has not gone on with it yet
        async with asyncio.timeout(LIMIT):
            await supervisor.close()
        server.close()

    run(work())


def test_a_watch_that_ends_by_a_mistake_is_told_of() -> None:
    async def work() -> None:
        said: list[object] = []
        told = asyncio.Event()

        def heard(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
            said.append(context.get("exception"))
            told.set()

        def wrong(sip: Sip) -> None:
            raise RuntimeError("a mistake")

        asyncio.get_running_loop().set_exception_handler(heard)
        supervisor = Supervisor(Services(), Pace(every=0.0), nothing, ignored, wrong)
        sip = Sip(1, "disk", Stanza("disk"), "", "")
        sip.enter("running")
        supervisor.watch(sip)
        await told.wait()
        assert [str(error) for error in said] == ["a mistake"]

    run(work())
