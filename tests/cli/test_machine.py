"""lspci and regs on the simulated machine, and the registers by hand."""

from __future__ import annotations

import json

import pytest

from lux9.connection.bus import Listed, parse
from lux9.errors import ProtocolError
from tests.cli.conftest import Run

AHCI = "0000:00:1f.2"


class TestLspci:
    def test_a_line_each(self, lux9: Run, machine: str) -> None:
        lines = lux9("-a", machine, "lspci").output.splitlines()
        assert f"{AHCI} SATA controller [0106]: 8086:2922" in lines
        assert len(lines) == len(lux9("-a", machine, "ls", "/dev/pci").output.split()) - 3

    def test_verbose(self, lux9: Run, machine: str) -> None:
        output = lux9("-a", machine, "lspci", "-v").output
        mine = output.partition(AHCI)[2].partition("\n\n")[0]
        assert "\towner -, irq 1" in mine
        assert ", 0x1000 bytes\n" in mine
        assert "capability 80 MSI" in mine

    def test_json(self, lux9: Run, machine: str) -> None:
        found = {f["address"]: f for f in json.loads(lux9("-a", machine, "lspci", "--json").output)}
        ahci = found[AHCI]
        assert (ahci["vendor"], ahci["device"], ahci["code"]) == ("8086", "2922", "010601")
        assert ahci["name"] == "SATA controller"
        assert {b["bar"] for b in ahci["bars"]} == {4, 5}
        assert ahci["owner"] is None
        assert len(ahci["capabilities"]) == 2

    def test_parse(self) -> None:
        text = (
            "0000:00:00.0 vendor=0x8086 device=0x29c0 class=06.00.00 irq=-1\n"
            "0001:02:1f.7 vendor=0x1b36 device=0x0010 class=01.08.02 irq=11\n"
            "  bar0: addr=0xfebf0000 size=0x4000\n"
        )
        host, nvme = parse(text)
        assert host == Listed("0000:00:00.0", "8086", "29c0", "060000", "Host bridge", -1)
        assert nvme.bars == [{"bar": 0, "address": 0xFEBF0000, "size": 0x4000}]

    @pytest.mark.parametrize("text", ["nonsense\n", "  bar0: addr=0x0 size=0x0\n"])
    def test_parse_something_else(self, text: str) -> None:
        with pytest.raises(ProtocolError, match="has a line"):
            parse(text)


class TestRegs:
    def test_of_a_bar(self, lux9: Run, machine: str) -> None:
        result = lux9("-a", machine, "regs", AHCI)
        assert result.exit_code == 0
        lines = [line.split() for line in result.output.splitlines()]
        assert ["0x0010", "vs", "0x00010000", "mjr=0x1"] in lines
        assert lines[0][:2] == ["0x0000", "cap"]
        assert ["0x0128", "port[0].ssts"] in [line[:2] for line in lines]

    def test_of_the_header(self, lux9: Run, machine: str) -> None:
        lines = [
            line.split()
            for line in lux9("-a", machine, "regs", "--config", AHCI).output.splitlines()
        ]
        assert ["0x0000", "vendor", "0x8086"] in lines
        assert ["0x003d", "pin", "0x01", "pin=INTA"] in lines

    def test_of_domain_0_without_saying_so(self, lux9: Run, machine: str) -> None:
        for more in ([], ["--config"]):
            short, long = (
                lux9("-a", machine, "regs", *more, name)
                for name in (AHCI.removeprefix("0000:"), AHCI)
            )
            assert short.exit_code == 0
            assert short.output == long.output

    def test_leave_no_claim(self, lux9: Run, machine: str) -> None:
        lux9("-a", machine, "regs", AHCI)
        assert "owner: -\n" in lux9("-a", machine, "cat", f"/dev/pci/{AHCI}/ctl").output

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("0000:00:09.0", "0000:00:09.0: there is no such function; there are: 0000:00:00.0 "),
            ("9.0", "9.0: there is no such function; there are: 0000:00:00.0 "),
            (
                "0000:00:00.0",
                "no registers are declared for class 06.00.00; --config has its header",
            ),
        ],
    )
    def test_that_are_not_there(self, lux9: Run, machine: str, name: str, says: str) -> None:
        result = lux9("-a", machine, "regs", name)
        assert result.exit_code == 1
        assert result.stderr.startswith("lux9 regs: ")
        assert says in result.stderr

    def test_of_a_function_that_somebody_has(self, lux9: Run, machine: str) -> None:
        from lux9.ninep.client import Client

        with Client.dial(machine) as driver:
            driver.write(f"/dev/pci/{AHCI}/ctl", b"claim")
            result = lux9("-a", machine, "regs", AHCI)
            assert result.exit_code == 1
            assert "is claimed by" in result.stderr
            assert "--config has its header" in result.stderr
            assert lux9("-a", machine, "regs", "--config", AHCI).exit_code == 0


def test_the_walk_by_hand(lux9: Run, machine: str) -> None:
    """What the README tells to type."""
    bus = lux9("-a", machine, "cat", "/dev/pci/bus").output
    assert f"{AHCI} vendor=0x8086 device=0x2922 class=01.06.01" in bus
    bar = f"/dev/pci/{AHCI}/bar5"
    version = lux9("-a", machine, "cat", "--offset", "0x10", "--width", "4", bar)
    assert version.output == "0x0010: 0x00010000\n"
    assert (
        lux9("-a", machine, "put", "--offset", "4", "--width", "4", bar, "0x80000000").exit_code
        == 0
    )
    answer = lux9("-a", machine, "put", "--answer", "/dev/dma/alloc", "size 4096").output
    assert answer.startswith("vaddr:0x")
    refused = lux9("-a", machine, "put", "/dev/pci/ctl", "fly")
    assert refused.stderr == (
        "lux9 put: /dev/pci/ctl: bad argument: unknown command 'fly'; "
        "known: rescan; plug CARD; unplug FUNCTION; fault RULE\n"
    )
    missing = lux9("-a", machine, "put", "/dev/pci/ctl", "unplug 0000:00:19.0").stderr
    assert missing.startswith("lux9 put: /dev/pci/ctl: file does not exist: 0000:00:19.0 has no ")
