"""Attacks of a driver on everything around it; each is refused or contained, and the neighbour reads on."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from lux9.errors import Lux9Error
from lux9.kernel.process import Cap, Limits
from lux9.ninep.client import Client
from lux9.sip.sandbox.cgroup import THREADS
from lux9.sip.server import Sip
from lux9.sip.stanza import Stanza
from tests.sip.hostile.on_host import CALLS, FILES, SETTINGS
from tests.sip.hostile.rig import TESTS, Rig

NONE = Cap(0)


@pytest.fixture(scope="module", params=["sim", "qemu"])
def rig(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with Rig(tmp_path_factory.mktemp("hostile"), request.param) as made:
        yield made


on_sim = pytest.mark.parametrize("rig", ["sim"], indirect=True)  # where DMA is confined
on_qemu = pytest.mark.parametrize("rig", ["qemu"], indirect=True)


@pytest.fixture(autouse=True)
def neighbour(rig: Rig) -> Iterator[None]:
    """The well-behaved driver is at its work before, during and after each attack."""
    rig.neighbour.goes_on(1)
    yield
    for sip in rig.system.launcher.sips:
        if sip.stanza.name == "rogue" and sip.running:
            rig.stop(sip)
    rig.neighbour.goes_on()


def all_refused(lines: list[str], at_least: int = 1) -> None:
    assert len(lines) >= at_least, lines
    assert not [line for line in lines if ": refused:" not in line], "\n".join(lines)


def bounded(lines: list[str]) -> dict[str, int]:
    """What limits let it have, by name."""
    assert not [line for line in lines if ": DONE" in line], "\n".join(lines)
    return {
        line.split(":")[0]: int(line.split(":")[1].split()[0])
        for line in lines
        if " and no more" in line
    }


def denied(rig: Rig, sip: Sip, what: str) -> set[str]:
    """What of it the audit has as denied: the targets."""
    return {e["target"] for e in rig.audited(sip) if e["what"] == what}


def bar5(rig: Rig, function: str) -> int:
    said = rig.read(f"/dev/pci/{function}/ctl")
    return next(int(line.split()[1], 16) for line in said.splitlines() if line.startswith("bar5"))


def show(lines: list[str]) -> None:
    if os.environ.get("SHOW"):
        print("\n".join(lines))


def test_devices_without_the_capability(rig: Rig) -> None:
    sip = rig.rogue(NONE)
    lines = rig.attack("devices")
    show(lines)
    all_refused(lines, 24)
    assert {"#m", "#I", "#D", "#P", "#i", "#c", "#s"} <= denied(rig, sip, "Tattach")
    files = {"/dev/mem", "/dev/io", "/dev/irq", "/dev/dma", "/dev/sip", "/dev/audit", "/dev/sdE0"}
    assert files <= {"/".join(x.split("/")[:3]) for x in denied(rig, sip, "Twalk")}
    assert "/proc/self/ns" in denied(rig, sip, "write")


def test_memory_that_is_not_its_own(rig: Rig) -> None:
    other, own = bar5(rig, "0000:00:1f.2"), bar5(rig, "0000:00:03.0")
    places = [0, 0x1000, 0x100000, 0x1000000, 0xFEC0_0000, 0xFED0_0000, 0xFEE0_0000, 0xFFFF_FFF0]
    places += [
        0xB000_0000,
        own - 4,
        own + 0x1000,
        own + 0x0FFE,
        other,
        other + 0x100,
        (1 << 63) - 4,
    ]
    sip = rig.rogue(Cap.MEM | Cap.PCI, environment={"ROGUE_ADDRESSES": " ".join(map(hex, places))})
    lines = rig.attack("memory")
    show(lines)
    all_refused(lines, 2 * len(places))
    wanted = {hex(place) for place in places} - {hex(own + 0x0FFE)}
    assert wanted <= denied(rig, sip, "mem read")
    assert wanted <= denied(rig, sip, "mem write")


def test_configuration_space(rig: Rig) -> None:
    other, own = bar5(rig, "0000:00:1f.2"), bar5(rig, "0000:00:03.0")
    sip = rig.rogue(Cap.MEM | Cap.PCI, environment={"ROGUE_ADDRESSES": hex(other)})
    lines = rig.attack("config")
    show(lines)
    all_refused(lines)
    offsets = {"0x24", "0x84", "0x82", "0x3c"}
    assert denied(rig, sip, "config write") >= {f"0000:00:03.0 config {at}" for at in offsets}
    assert denied(rig, sip, "pci master") == {"0000:00:03.0"}
    assert (bar5(rig, "0000:00:1f.2"), bar5(rig, "0000:00:03.0")) == (other, own)
    with Client.dial(rig.system.address) as client:
        space = client.open("/dev/pci/0000:00:03.0/config")
        assert not space.pread(4, 2)[0] & 4, "bus master is off"


@on_sim
def test_dma_outside_its_arena(rig: Rig) -> None:
    arenas = rig.system.kernel.lives
    other = next(x.process.arena for x in arenas.values() if x.process.name == "ahci")
    assert other is not None
    places = [other.bus, other.bus + 0x10000, 0x1000, 0xFEE0_0000, (1 << 40)]
    sip = rig.rogue(environment={"ROGUE_ADDRESSES": " ".join(map(hex, places))})
    lines = rig.attack("descriptor")
    show(lines)
    all_refused(lines, 4 * len(places))
    reports = [e for e in rig.audited(sip, "done") if e["what"] == "machine report"]
    assert [e for e in reports if "refused" in e["text"] and hex(other.bus) in e["text"]]


@on_qemu
def test_dma_that_nothing_confines_is_told_and_can_be_refused(rig: Rig) -> None:
    assert not rig.system.launcher.protects
    assert "dma: unprotected" in rig.read("/dev/sip/servers/ahci/status")
    careful = Stanza("careful", module="m", capabilities=Cap.DMA, protected=True)
    sip = rig.start(careful, "0000:00:03.0")
    assert (sip.state, sip.pid) == ("crashed", 0)
    assert "demands protected DMA" in sip.reason


def test_arenas_of_others(rig: Rig) -> None:
    sip = rig.rogue(Cap.DMA)
    lines = rig.attack("arenas")
    show(lines)
    all_refused(lines, 20)
    assert denied(rig, sip, "dma free") == {f"dma {n}" for n in range(1, 12)}
    assert denied(rig, sip, "limit") == {"file_size"}  # of its own one


def test_lines_of_others(rig: Rig) -> None:
    sip = rig.rogue(Cap.IRQ)
    lines = rig.attack("lines")
    show(lines)
    all_refused(lines, 10)
    assert denied(rig, sip, "irq register") >= {"irq 11", "irq 9", "irq 40", "irq 999"}
    assert denied(rig, sip, "irq open") == {"irq 11"}
    assert denied(rig, sip, "msi") == denied(rig, sip, "msix") == {"0000:00:1f.2"}


def test_all_fids(rig: Rig) -> None:
    sip = rig.rogue(NONE, limits=Limits(fids=500))
    assert 400 < bounded(rig.attack("fids"))["fids"] <= 500
    assert denied(rig, sip, "Twalk") == {"/proc/self/status"}


def test_all_tags(rig: Rig) -> None:
    sip = rig.rogue(limits=Limits(pending=200))
    lines = rig.attack("tags")
    show(lines)
    all_refused(lines)
    (line,) = denied(rig, sip, "wait")
    assert line.startswith("/dev/irq/")
    rig.stop(sip)
    assert sum(e.get("times", 1) for e in rig.audited(sip) if e["what"] == "wait") > 3000
    assert len(rig.audited(sip)) < 20, "what is repeated is told by its number"


def test_all_dma_memory(rig: Rig) -> None:
    sip = rig.rogue(Cap.DMA, limits=Limits(dma_buffers=50))
    lines = rig.attack("buffers")
    show(lines)
    assert bounded(lines)["of 64"] == 50
    sizes = {f"dma size {size} align 4096" for size in (64, 16 << 20, 1 << 40, -1)}
    assert denied(rig, sip, "dma alloc") >= sizes


def test_all_memory(rig: Rig) -> None:
    sip = rig.rogue(NONE, limits=Limits(memory=512 << 20))
    lines = rig.attack("ram")
    show(lines)
    assert 0 < bounded(lines)["16 MiB pieces"] <= 34  # its arena is counted apart
    assert denied(rig, sip, "limit") == {"memory"}


def test_processes(rig: Rig) -> None:
    sip = rig.rogue(NONE, limits=Limits(memory=8 << 30))
    lines = rig.attack("processes")
    show(lines)
    assert bounded(lines)["threads"] <= THREADS
    assert [line for line in lines if line.startswith("fork: refused")]
    assert denied(rig, sip, "system call") >= {"clone", "execve"}
    assert denied(rig, sip, "limit") == {"threads"}


def test_more_processes_than_its_share(rig: Rig) -> None:
    sip = rig.rogue(NONE, limits=Limits(processes=5))
    lines = rig.attack("forks")
    show(lines)
    assert bounded(lines) == {"forks": 5}
    assert denied(rig, sip, "limit") == {"processes"}


def test_all_files(rig: Rig) -> None:
    sip = rig.rogue(NONE, limits=Limits(files=40))
    lines = rig.attack("descriptors")
    show(lines)
    assert bounded(lines)["dup"] < 40
    all_refused(lines[1:], 2)
    assert denied(rig, sip, "limit") == {"files"}


def test_the_disk(rig: Rig) -> None:
    sip = rig.rogue(NONE)
    lines = rig.attack("disk")
    show(lines)
    assert bounded(lines)["MiB of /tmp"] <= 16
    assert not [line for line in lines if "DONE" in line]
    assert denied(rig, sip, "write") >= {"/x", "/usr/x", "/dev/x", "/var/x", "/etc/x"}
    assert denied(rig, sip, "limit") == {"disk", "file_size"}
    assert denied(rig, sip, "system call") == {"memfd_create"}


def test_files_of_the_host(rig: Rig) -> None:
    files = [str(rig.path / "good.img"), str(rig.path / "sock"), str(TESTS.parent / "Makefile")]
    sip = rig.rogue(environment={"ROGUE_FILES": " ".join(files)})
    lines = rig.attack("host")
    show(lines)
    all_refused(lines, 20)
    assert denied(rig, sip, "open") >= {*FILES, *files, "/proc/kcore"}
    assert denied(rig, sip, "write") == {f"/proc/{path}" for path in SETTINGS}


def test_the_network(rig: Rig) -> None:
    sip = rig.rogue()
    lines = rig.attack("network")
    show(lines)
    all_refused(lines, 6)
    assert "socket" in denied(rig, sip, "system call")
    assert "/etc/resolv.conf" in denied(rig, sip, "open")


def test_other_processes_and_forbidden_calls(rig: Rig) -> None:
    pids = f"{os.getpid()} {os.getppid()} {rig.system.launcher.find('ahci').pid}"
    sip = rig.rogue(environment={"ROGUE_PIDS": pids})
    lines = rig.attack("others")
    show(lines)
    all_refused(lines, 20)
    assert denied(rig, sip, "system call") >= {name for name, _ in CALLS}
    assert denied(rig, sip, "signal") == set(pids.split())


NOISE = {
    "flood": ("limit", "messages"),
    "refusals": ("mem read", "0xfee00000"),
    "chatter": ("limit", "output"),
    "deaf": ("limit", "answers"),
    "peeping": ("open", "/etc/shadow"),
}


@pytest.mark.parametrize("how", NOISE)
def test_noise(rig: Rig, how: str) -> None:
    sip = rig.rogue(Cap.MEM | Cap.DMA, limits=Limits(messages=5000))
    before = rig.neighbour.reads
    lines = rig.attack(how)
    show(
        [
            *lines,
            f"neighbour: {rig.neighbour.reads - before} reads, slowest {rig.neighbour.slowest:.3f}",
        ]
    )
    assert not [line for line in lines if "DONE" in line], lines
    rig.neighbour.goes_on()
    rig.stop(sip)
    what, target = NOISE[how]
    assert target in denied(rig, sip, what)
    assert len(rig.audited(sip)) < 30, "a flood of attacks is none of records"


@pytest.mark.parametrize("how", ["garbage", "oversize", "stranger", "mismatch", "nonsense"])
def test_messages_that_are_none(rig: Rig, how: str) -> None:
    sip = rig.rogue()
    with pytest.raises(Lux9Error):
        rig.attack(how)
    rig.neighbour.goes_on()
    show([sip.state, sip.reason, *map(str, rig.audited(sip))])
    whom = {"nonsense": ("message", "")}
    what, target = whom.get(how, ("service", f"#s/{sip.name}"))
    assert target in denied(rig, sip, what)


def test_who_makes_forbidden_calls_without_end_is_killed(rig: Rig) -> None:
    sip = rig.rogue()
    with pytest.raises(Lux9Error):
        rig.attack("trespass")
    rig.over(sip)
    assert sip.state == "crashed"
    assert "refused system calls" in sip.last_exit
    assert denied(rig, sip, "system call") == {"ptrace"}
    assert len(rig.audited(sip)) < 10


def test_silence(rig: Rig) -> None:
    """Who asks it has an error in the end; nobody else waits for it."""
    sip = rig.rogue()
    with pytest.raises(Lux9Error):
        rig.attack("silence")
    rig.over(sip)
    assert "did not answer" in sip.last_exit + sip.reason + sip.verdict
    (end,) = [e for e in rig.audited(sip, "done") if e["what"] == "sip end"]
    assert "did not answer" in end["outcome"]
