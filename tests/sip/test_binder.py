"""A stanza of files has one driver, however many services bring such files at once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lux9.sip.stanza import Stanza
from tests.sip.rig import Rig, rig

FS = "[fs]\n$ok\nfile = '/x/*/disk/linux'\nmount = '/fs'"


async def came(r: Rig, monkeypatch: pytest.MonkeyPatch, *services: str) -> None:
    """Services come at the same time, each with such a file, of which the first byte is looked at."""

    async def paths(service: str) -> list[str]:
        return [f"/x/{service}/disk/linux"]

    async def lacks(stanza: Stanza, source: str) -> str:
        await asyncio.sleep(0)  # it is read, and meanwhile the other's, too
        return "it has no magic" if "bad" in source else ""

    def source(path: str) -> str:
        return path.replace("/x/", "#s/")

    monkeypatch.setattr(r.launcher.matching, "paths", paths)
    monkeypatch.setattr(r.launcher.matching, "lacks", lacks)
    monkeypatch.setattr(r.launcher.matching, "source", source)
    binder = r.launcher.binder
    await asyncio.gather(*(binder.look_for_files(service, False) for service in services))
    await r.launcher.settle()


@pytest.mark.parametrize("services", [("a", "b"), ("bad", "a", "b")], ids=" ".join)
def test_two_that_come_at_once_get_one_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, services: tuple[str, ...]
) -> None:
    async def body() -> None:
        async with rig(tmp_path, FS) as r:
            await came(r, monkeypatch, *services)
            assert [(sip.name, sip.state) for sip in r.launcher.sips] == [("fs", "running")]

    asyncio.run(body())
