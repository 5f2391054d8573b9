"""Manifests: what they say, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from lux9.errors import UserError
from lux9.kernel.process import Cap
from lux9.sip.manifest import built_in, load, parse
from lux9.sip.policy import Restart
from lux9.sip.stanza import Bound


def test_the_drivers_that_come_with_it() -> None:
    ahci, ext4 = built_in()
    assert ahci.closeness("01.06.01")
    assert ahci.capabilities == Cap.PCI | Cap.MEM | Cap.IRQ | Cap.DMA
    assert (ahci.mount, ext4.mount) == ("/dev", "/root")
    assert not ext4.capabilities
    assert not ext4.closeness("01.06.01")


def test_a_class_binds_its_subclasses() -> None:
    (stanza,) = parse("[a]\nmodule = 'm'\nclass = ['01.06', '02']", "t")
    assert stanza.closeness("01.06.01")
    assert stanza.closeness("01.06.02")
    assert stanza.closeness("02.00.00")
    assert not stanza.closeness("01.08.02")
    assert not stanza.closeness("01.60.00")


def test_a_command_and_limits() -> None:
    (stanza,) = parse("[a]\ncommand = ['./a', '-v']\nlimits.fids = 7\nlimits.arena = 4096", "t")
    assert stanza.argv == ["./a", "-v"]
    assert (stanza.limits.fids, stanza.limits.arena, stanza.limits.pending) == (7, 4096, 1024)


def test_the_magic_of_a_file() -> None:
    (stanza,) = parse("[a]\nmodule = 'm'\nfile = '/x'\nmagic = {at = 3, bytes = '53 ef'}", "t")
    assert stanza.magic is not None
    assert stanza.magic.wrong(b"\x53\xef") == ""
    assert stanza.magic.wrong(b"\0\0") == "the bytes at 3 would be 53 ef; they are 00 00"
    assert stanza.magic.wrong(b"") == "the bytes at 3 would be 53 ef; the file ends before"


@pytest.mark.parametrize(
    "magic",
    [
        *(
            "{at = 3}",
            "{at = -1, bytes = '53'}",
            "{at = '3', bytes = '53'}",
            "{at = 3, bytes = ''}",
        ),
        *(
            "{at = 3, bytes = 'xy'}",
            "{at = 3, bytes = 53}",
            "{at = 3, bytes = '53', of = 1}",
            "'53'",
        ),
    ],
)
def test_no_magic(magic: str) -> None:
    with pytest.raises(UserError, match=r"t:3: \[a\]: magic = .* as in magic = \{at = 1080"):
        parse(f"[a]\nmodule = 'm'\nmagic = {magic}\n", "t")


AHCI = Bound("0000:00:1f.2", 0x010601, "8086:2922", "pci:v00008086d00002922sv00001AF4")

CLASSES = ("01", "01.06", "01.06.01", "01.06.02")


def test_the_closest_stanza_has_a_function() -> None:
    by_class, by_alias, by_ids, other = parse(
        "[c]\nmodule = 'm'\nclass = '01'\n"
        "[m]\nmodule = 'm'\nmodalias = 'pci:v00008086d*'\n"
        "[i]\nmodule = 'm'\nids = ['8086:2922', '1b36:0001']\n"
        "[o]\nmodule = 'm'\nids = '8086:2923'\nclass = '02'\nmodalias = 'pci:v00001B36*'",
        "t",
    )
    assert [s.fit(AHCI) for s in (by_class, by_alias, by_ids, other)] == [1, 4, 5, 0]
    assert by_ids.targets == "8086:2922,1b36:0001"


def test_the_longest_class_is_the_closest() -> None:
    text = "".join(f"[a{c[-2:]}{len(c)}]\nmodule = 'm'\nclass = '{c}'\n" for c in CLASSES)
    assert [s.fit(AHCI) for s in parse(text, "t")] == [1, 2, 3, 0]


def test_everything_that_a_stanza_may_say() -> None:
    (stanza,) = parse(
        "[a]\nmodule = 'm'\nenvironment = {A = '1'}\nnamespace = [\"bind '#c' /dev\"]\n"
        "restart = 'on-crash max 3 in 10'\nhold = 2\nrepeats = true\nisolation = 'process'\n",
        "t",
    )
    assert stanza.environment == {"A": "1"}
    assert stanza.namespace == ("bind '#c' /dev",)
    assert (stanza.restart, stanza.hold, stanza.repeats) == (
        Restart("on-crash", 3, 10.0),
        2.0,
        True,
    )
    assert (stanza.isolation.word, stanza.where) == ("process", "t")


def test_what_comes_with_it_comes_back() -> None:
    assert all(s.restart.when == "on-crash" and s.hold for s in built_in())


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
        (f"[a]\nmodule = 'm'\nlimits.fids = {1 << 63}", "is not a number from 0 to 46116860"),
        (f"[a]\nmodule = 'm'\nlimits.fids = {'9' * 5000}", "5000 digits"),
        ("[a]\nmodule = 'm'\nlimits.beans = 1", "unknown limit 'beans'"),
        ("[a]\nmodule = 'm'\nlimits = 3", "write a table"),
        ("[a]\nmodule = 3", "write a string"),
        ("[a]\nmodule = 'm'\nbeans = 3", "unknown key 'beans'"),
        ("[a-b c]\nmodule = 'm'", "Expected"),
        ("['a/b']\nmodule = 'm'", "'a/b' is no name"),
        (f"[{'a' * 64}]\nmodule = 'm'", "is no name: a letter, then at most 62"),
        ("[a]\nmodule = 'm'\n\nrestart = 'often'", "4: [a]: restart 'often': write never"),
        ("[a]\nmodule = 'm'\n[b]\nrestart = 'x'\nmodule = 'm'", "4: [b]: restart 'x'"),
        ("[a]\nmodule = 'm'\nhold = -1", "3: [a]: hold = -1 is not a time"),
        ("[a]\nmodule = 'm'\nhold = true", "hold = True is not a time"),
        ("[a]\nmodule = 'm'\nrepeats = 1", "repeats = 1: write true or false"),
        ("[a]\nmodule = 'm'\nids = '8086'", "ids '8086' is not of the form"),
        ("[a]\nmodule = 'm'\nenvironment = {A = 1}", "environment.A = 1: write a string"),
        ("[a]\nmodule = 'm'\n[a.environment]\nA = 1", "3: [a]: environment.A = 1"),
        ("[a]\nmodule = 'm'\nnamespace = 'burn #c'", "3: [a]: namespace: 'burn #c'"),
        ("[a]\nmodule = 'm'\nisolation = 'much'", "isolation 'much' is not known"),
        ("[a]\nmodule = ''", "2: [a]: module = '': name a module"),
        ("[a]\ncommand = []", "2: [a]: command = []: name a program"),
        ("[a]\ncommand = ['', 'x']", "2: [a]: command = ['', 'x']: name a program"),
        ('[a]\ncommand = ["x\\u0000"]', "command = ['x\\x00']: name a program"),
        ("[a]\nmodule = 'm'\nenvironment = {'A=B' = ''}", "environment.A=B = '': write a string"),
        ("[a]\nmodule = 'm'\nenvironment = {'' = ''}", "environment. = '': write a string"),
        ('[a]\nmodule = "m"\nenvironment.A = "\\u0000"', "environment.A = '\\x00': write a string"),
        ("[a]\nmodule = 'm'\nmount = '/dev/../x'", "3: [a]: mount '/dev/../x' is not an absolute"),
        ("['a.b']\nmodule = 'm'\nhold = -1", "3: [a.b]: hold = -1"),
    ],
)
def test_a_manifest_that_is_wrong(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "m.toml"
    path.write_text(text)
    with pytest.raises(UserError) as refusal:
        load(path)
    assert str(refusal.value).startswith(f"{path}:")
    assert why in str(refusal.value)


def test_a_manifest_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="No such file or directory"):
        load(tmp_path / "none.toml")


def test_a_manifest_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "m.toml"
    path.write_bytes(b"\xff\xfe[a]")
    with pytest.raises(UserError, match="not UTF-8"):
        load(path)
