"""Capabilities taken and given while a driver runs, and learnt from a run."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from lux9.errors import Stale
from lux9.kernel.process import Cap
from lux9.sip.learn import Needs, manifest as written
from lux9.sip.manifest import parse
from tests.sip.rig import rig

SATA = "0000:00:1f.2"
CLAIMS = (
    "[a]\n$claims\nclass = '01.06'\nmount = '/x/a'\ncapabilities = ['pci', 'mem', 'irq', 'dma']\n"
)

ODD = """
["my.card"]
class = ["01.06", "02"]
modalias = "pci:v00008086d*"
command = ["./driver", "-v"]
environment = {A = "😀 \u00e9", "B.C" = "\\u007f"}
capabilities = "pci"
namespace = "bind '#c' /dev"
mount = "/dev"
restart = "always max 3 in 9"
hold = 3
repeats = true
isolation = "sandbox"
dma = "protected"
remote = "disks"
read = "/srv/firmware"
limits = {fids = 7}
"""


def test_what_was_opened_under_a_capability_goes_stale_with_it(tmp_path: Path) -> None:
    async def body() -> None:
        async with rig(tmp_path, CLAIMS) as r:
            life = r.sip("a").life
            assert life is not None
            assert life.session is not None
            assert r.kernel.hardware.bus.claims_of(life.process)
            (bar,) = (f for f in life.session.fids.values() if f.name.endswith("bar5") and f.opened)
            assert bar.read is not None
            await r.order("a", "capability remove mem")
            with pytest.raises(Stale, match="has lost capability mem"):
                bar.read(0, 4)
            assert await r.read("/dev/sip/servers/a/caps") == "irq\ndma\npci\n"
            assert r.kernel.hardware.bus.claims_of(life.process), "the function is still its own"
            await r.order("a", "capability remove pci")
            assert not r.kernel.hardware.bus.claims_of(life.process)
            assert "owner: -\n" in await r.read(f"/dev/pci/{SATA}/ctl")
            assert r.sip("a").state == "running"
            done = [x.decode() for x in r.kernel.audit.journal.lines if b"capability" in x]
            assert sum('"capability remove"' in line for line in done) == 2

    asyncio.run(body())


def test_a_function_that_loses_its_memory_is_not_gone_on_with(tmp_path: Path) -> None:
    async def body() -> None:
        async with rig(tmp_path, CLAIMS) as r:
            life, hardware = r.sip("a").life, r.kernel.hardware
            assert life is not None
            assert life.session is not None
            (bar,) = (f for f in life.session.fids.values() if f.name.endswith("bar5") and f.opened)
            assert bar.read is not None
            bar.read(0, 4)
            hardware.dma.arena(life.process)
            hardware.bus.master(life.process, SATA, True)
            await r.order("a", "capability remove dma")
            with pytest.raises(Stale, match="the claim that it was opened under has ended"):
                bar.read(0, 4)
            assert not hardware.bus.claims_of(life.process)

    asyncio.run(body())


def test_a_capability_that_is_given_can_be_used(tmp_path: Path) -> None:
    async def body() -> None:
        async with rig(tmp_path, "[a]\n$ok\nclass = '01.06'\nmount = '/x/a'\n") as r:
            life = r.sip("a").life
            assert life is not None
            await r.order("a", "capability add irq", "capability add irq")
            assert life.process.caps == Cap.IRQ
            assert str(life.group).count("#I") == 1
            await r.order("a", "capability remove irq")
            assert "#I" not in str(life.group)

    asyncio.run(body())


def test_the_smallest_manifest_that_a_run_needed(tmp_path: Path) -> None:
    manifest = CLAIMS + "restart = 'on-crash'\nenvironment = {A = '1'}\n[idle]\n$ok\nclass = '03'\n"

    async def body() -> str:
        async with rig(tmp_path, manifest, learn=True) as r:
            life = r.sip("a").life
            assert life is not None
            assert Cap.IO in life.process.caps, "it may do everything"
        return r.launcher.learnt()

    text = asyncio.run(body())
    (learnt,) = parse(text, "learnt")
    assert learnt.capabilities == Cap.PCI | Cap.MEM
    assert (learnt.classes, learnt.mount, learnt.environment) == (("01.06",), "/x/a", {"A": "1"})
    assert str(learnt.restart) == "on-crash max 5 in 60"
    assert f"# pci claim: {SATA}" in text


def test_what_is_learnt_keeps_every_key_of_a_stanza_that_a_run_does_not_change() -> None:
    (stanza,) = parse(ODD, "odd")
    (learnt,) = parse(written([(stanza, Needs(caps=Cap.PCI))]), "odd")
    assert learnt == stanza
