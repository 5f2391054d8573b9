"""The users of a manifest: their rights, and what is wrong with them by line and key."""

from __future__ import annotations

from pathlib import Path

import pytest

from lux9.errors import UserError
from lux9.kernel.process import Cap
from lux9.kernel.users import CONNECTIONS, NOBODY, User
from lux9.sip.manifest import built_in, parse
from lux9.sip.users import load_users, parse_users

TEXT = """\
[ahci]
module = "lux9.drivers.ahci.main"

[[user]]
name = "ada"
capabilities = ["pci", "mem"]
bind = ["0000:00:1f.2"]
namespace = ["bind '#s/ahci' /disks"]
connections = 2
limits.fids = 7

[[user]]
name = "none"
"""


def test_their_rights_are_read() -> None:
    users = parse_users(TEXT, "m.toml")
    ada = users["ada"]
    assert ada.capabilities == Cap.PCI | Cap.MEM
    assert (ada.connections, ada.limits.fids) == (2, 7)
    assert str(ada.group()).splitlines() == [
        "bind '#/' /",
        "bind '#p' /proc",
        "bind '#P/0000:00:1f.2' /dev/pci/0000:00:1f.2",
        "bind -a '#m' /dev",
        "bind '#s/ahci' /disks",
    ]
    assert users["none"] == NOBODY["none"]
    assert users["none"].connections == CONNECTIONS


def test_they_are_no_drivers() -> None:
    assert [s.name for s in parse(TEXT, "m.toml")] == ["ahci"]


def test_the_drivers_of_the_package_can_be_taken_over() -> None:
    own = '[mine]\nmodule = "x"\n'
    assert [s.name for s in parse('drivers = "built-in"\n' + own, "m")] == [
        *(s.name for s in built_in()),
        "mine",
    ]
    other = parse('drivers = "built-in"\n[ahci]\nclass = "01.06.01"\nremote = "disks"\n', "m")
    assert [(s.name, s.remote) for s in other] == [("ext4", ""), ("ahci", "disks")], "its own"
    with pytest.raises(UserError, match=r"m:1: drivers = 'all': write \"built-in\""):
        parse('drivers = "all"', "m")


def test_a_manifest_without_any_has_none(tmp_path: Path) -> None:
    assert parse_users("", "") == {}
    with pytest.raises(UserError, match=r"no\.toml: No such file"):
        load_users(tmp_path / "no.toml")


def test_who_is_given_nothing_sees_an_empty_root() -> None:
    assert str(User("ada").group()) == "bind '#/' /\n"
    assert "bind '#P' /dev/pci" in str(User("ada", Cap.PCI).group())
    assert "#P" not in str(User("ada", Cap.PCI, bind=()).group())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            '[[user]]\nname = "ada"\n\n[[user]]\nname = "ada"',
            "m:5: [[user]]: there is a user 'ada'",
        ),
        ('[[user]]\nname = "ada"\ncolour = 1', "m:3: [[user]]: unknown key 'colour'; known: name"),
        ("[[user]]\nbind = []", "m:1: [[user]]: name '': write a certificate's name"),
        ('[[user]]\nname = "a b"', "m:2: [[user]]: name 'a b'"),
        ("[[user]]\nname = 1", "m:2: [[user]]: name = 1: write a string"),
        (
            '[a]\nmodule = "x"\n[[user]]\nname = "x"\n[[user]]\nname = "ada"\ncapabilities = ["pc"]',
            "m:7: [[user]]: unknown capability 'pc'; known: mem io irq dma",
        ),
        ('[[user]]\nname = "ada"\nbind = "1f.2"', "m:3: [[user]]: bind '1f.2' is not of the form"),
        ('[[user]]\nname = "ada"\nnamespace = "bind"', "m:3: [[user]]: namespace:"),
        ('[[user]]\nname = "ada"\nconnections = -1', "m:3: [[user]]: connections = -1 is not"),
        ('[[user]]\nname = "ada"\nlimits.fid = 1', "m:3: [[user]]: unknown limit 'fid'"),
        ('[[user]]\nname = "ada"\n[user.limits]\nfids = "x"', "m:3: [[user]]: limits.fids = 'x'"),
        ('user = [{name = ""}]', "m:1: [[user]]: name ''"),
        ('[user]\nname = "ada"', "m:1: [user] is not a driver; write [[user]]"),
        ("user = [1]", "m: user = 1: write [[user]]"),
        ("user = 1", "m:1: [user] is not a driver"),
        ("[[user]", "m: "),
    ],
)
def test_mistakes_are_told_by_line_and_key(text: str, said: str) -> None:
    with pytest.raises(UserError) as error:
        parse_users(text, "m")
    assert str(error.value).startswith(said)
