"""Manifests: what they say, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lux9.errors import UserError
from lux9.kernel.process import Cap
from lux9.sip.manifest import built_in, load, parse


def test_the_drivers_that_come_with_it() -> None:
    ahci, ext4 = built_in()
    assert ahci.binds("01.06.01")
    assert ahci.capabilities == Cap.PCI | Cap.MEM | Cap.IRQ | Cap.DMA
    assert (ahci.mount, ext4.mount) == ("/dev", "/root")
    assert not ext4.capabilities
    assert not ext4.binds("01.06.01")


def test_a_class_binds_its_subclasses() -> None:
    (stanza,) = parse("[a]\nmodule = 'm'\nclass = ['01.06', '02']", "t")
    assert stanza.binds("01.06.01")
    assert stanza.binds("01.06.02")
    assert stanza.binds("02.00.00")
    assert not stanza.binds("01.08.02")
    assert not stanza.binds("01.60.00")


def test_a_command_and_limits() -> None:
    (stanza,) = parse("[a]\ncommand = ['./a', '-v']\nlimits.fids = 7\nlimits.arena = 4096", "t")
    assert stanza.argv == ["./a", "-v"]
    assert (stanza.limits.fids, stanza.limits.arena, stanza.limits.pending) == (7, 4096, 1024)


def test_no_stanza_is_no_driver() -> None:
    assert parse("# nothing\n", "t") == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[a", "end of document"),
        ("a = 1", "a = 1 is not a stanza"),
        ("[a]\nclass = '01'", "name either a module or a command"),
        ("[a]\nmodule = 'm'\ncommand = ['c']", "name either a module or a command"),
        ("[a]\nmodule = 'm'\nclass = '1.6'", "class '1.6' is not of the form"),
        ("[a]\nmodule = 'm'\ncapabilities = ['root']", "unknown capability 'root'"),
        ("[a]\nmodule = 'm'\nmount = 'dev'", "mount 'dev' is not an absolute path"),
        ("[a]\nmodule = 'm'\nlimits.arena = -1", "limits.arena = -1 is not a number"),
        ("[a]\nmodule = 'm'\nlimits.beans = 1", "unknown limit 'beans'"),
        ("[a]\nmodule = 'm'\nlimits = 3", "write a table"),
        ("[a]\nmodule = 3", "write a string"),
        ("[a]\nmodule = 'm'\nbeans = 3", "unknown key 'beans'"),
    ],
)
def test_a_manifest_that_is_wrong(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(text)
    with pytest.raises(UserError) as refusal:
        load(path)
    assert str(refusal.value).startswith(f"{path}: ")
    assert why in str(refusal.value)


def test_a_manifest_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file or directory"):
        load(tmp_path / "none.toml")


def test_a_manifest_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_bytes(b"\xff\xfe[a]")
    with pytest.raises(UserError, match="not UTF-8"):
        load(path)
