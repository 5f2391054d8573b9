"""`lux9 keys`, and a kernel on the network, as a user has them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lux9.cli.keys import keys as command
from lux9.connection import connect
from lux9.fuse.bridge import Bridge
from lux9.ninep.client import Client
from tests.cli.conftest import Run
from tests.system.running import Running, environment

USERS = """
[[user]]
name = "ada"
capabilities = ["pci"]
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the user's settings are."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv("LUX9_KEYS", raising=False)
    return tmp_path / "lux9" / "keys"


class TestKeys:
    def test_from_nothing_to_a_users_key(self, home: Path, lux9: Run) -> None:
        done = lux9("keys", "init", "--host", "lab.example.org")
        assert done.exit_code == 0, done.output
        assert "for lab.example.org" in done.output
        assert "whoever has this file can make keys" in done.output
        done = lux9("keys", "new", "ada")
        assert done.exit_code == 0, done.output
        assert f"{home / 'ada.pem'}: a user's key, until 20" in done.output
        assert "lux9 -a tls!lab.example.org!5640 ls /" in done.output
        assert sorted(p.name for p in home.iterdir()) == [
            *("ada.pem", "authority.pem", "host.pem", "issued"),
        ]

    def test_they_are_listed(self, home: Path, lux9: Run) -> None:
        lux9("keys", "init")
        lux9("keys", "new", "ada", "--days", "7")
        lux9("keys", "new", "bob")
        lux9("keys", "revoke", "bob")
        lux9("keys", "new", "eve", "--days", "1")
        lines = lux9("keys", "list").output.splitlines()
        assert lines[0].split() == ["NAME", "KIND", "UNTIL", "STATE", "SERIAL", "HOSTS"]
        assert [line.split()[:2] for line in lines[1:]] == [
            *(["host", "host"], ["ada", "user"], ["bob", "user"], ["eve", "user"]),
        ]
        assert "6 days left" in lines[2]
        assert "revoked 20" in lines[3]
        assert "less than a day left" in lines[4]
        found = json.loads(lux9("keys", "list", "--json").output)
        assert [one["counts"] for one in found] == [True, True, False, True]
        assert "localhost" in found[0]["hosts"]

    @pytest.mark.parametrize(
        ("args", "said"),
        [
            (("new", "ada"), "lux9 keys: no authority in "),
            (("list",), "lux9 keys: no authority in "),
            (("revoke", "ada"), "lux9 keys: no authority in "),
        ],
    )
    def test_without_an_authority(
        self, home: Path, lux9: Run, args: tuple[str, ...], said: str
    ) -> None:
        done = lux9("keys", *args)
        assert done.exit_code == 1
        assert said in done.stderr
        assert "`lux9 keys init` makes one" in done.stderr

    def test_a_host_that_is_none_leaves_nothing(self, home: Path, lux9: Run) -> None:
        done = lux9("keys", "init", "--host", "a b")
        assert done.exit_code == 1
        assert "--host a b: neither a host's name nor an address" in done.stderr
        assert not home.exists()

    def test_a_place_of_its_own(self, tmp_path: Path, lux9: Run) -> None:
        assert lux9("keys", "--dir", str(tmp_path / "k"), "init").exit_code == 0
        assert (tmp_path / "k" / "host.pem").exists()

    def test_the_library_is_named_where_it_is_missing(
        self, home: Path, lux9: Run, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "cryptography", None)
        done = lux9("keys", "init")
        assert done.exit_code == 1
        assert "pip install 'lux9[keys]'" in done.stderr
        assert command.name == "keys"


class TestOverTheNetwork:
    @pytest.fixture
    def kernel(self, home: Path, tmp_path: Path, lux9: Run) -> Iterator[Running]:
        lux9("keys", "init")
        lux9("keys", "new", "ada")
        manifest = tmp_path / "m.toml"
        manifest.write_text(USERS)
        options = ("--manifest", str(manifest), "--listen", "tls!127.0.0.1!0")
        with Running(tmp_path, *options) as kernel:
            yield kernel

    def run(self, kernel: Running, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "lux9", "-a", self.at(kernel), *args],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env=environment(**env),
        )

    def at(self, kernel: Running) -> str:
        found = kernel.read("/dev/listen")
        return next(word for word in found.split() if word.startswith("tls!"))

    def test_a_command_with_its_key(self, kernel: Running, home: Path) -> None:
        ada = str(home / "ada.pem")
        done = self.run(kernel, "--keys", ada, "lspci")
        assert done.returncode == 0, done.stderr
        assert "00:1f.2" in done.stdout
        assert self.run(kernel, "lspci", LUX9_KEYS=ada).stdout == done.stdout
        (home.parent / "client.pem").symlink_to(ada)
        assert self.run(kernel, "lspci").stdout == done.stdout
        entries = kernel.audit("connect", "allowed")
        assert {e["user"] for e in entries} == {"ada"}

    def test_a_mount_and_a_program_in_python(
        self, kernel: Running, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("LUX9_KEYS", str(home / "ada.pem"))
        with connect(self.at(kernel)) as tree:
            text = (tree / "dev/pci/bus").read_text()
            assert "0000:00:1f.2 vendor=0x8086" in text
            with pytest.raises(PermissionError, match="lacks capability"):
                tree.open("/dev/pci/0000:00:1f.2/bar5").read(4)
        bridge = Bridge(self.at(kernel), lambda: False)
        try:
            assert bridge.ask(bridge.client.read("/dev/pci/bus")).decode() == text
        finally:
            bridge.close()

    def test_who_trusts_the_network_reads_it_in_the_log(self, home: Path, tmp_path: Path) -> None:
        options = ("--listen", "tcp!127.0.0.1!0", "--trust-network", "--manifest", "/dev/null")
        with Running(tmp_path, *options) as kernel:
            said = "".join(kernel.said)
            assert "TRUSTED: everyone who reaches it has the rights of" in said
            at = kernel.read("/dev/listen").split("\n")[1].split()[0]
            with Client.dial(at) as client:
                assert b"0000:00:1f.2" in client.read("/dev/pci/bus")
            assert kernel.audit("trust-network", "done")

    def test_a_quiet_console_does_not_keep_it_to_itself(self, home: Path) -> None:
        options = ("--listen", "tcp!127.0.0.1!0", "--manifest", "/dev/null")
        command = [sys.executable, "-m", "lux9", "boot", *options, "--exec", "true"]
        quiet = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        assert not quiet.stderr
        command.insert(4, "--trust-network")
        loud = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
        assert "lux9 boot: tcp!127.0.0.1!" in loud.stderr
        assert "TRUSTED: everyone who reaches it" in loud.stderr

    @pytest.mark.parametrize(
        ("options", "said"),
        [
            (("--listen", "tls!localhost!0"), "no key file .*host.pem; `lux9 keys init` makes one"),
            (("--keys", "x.pem"), "--keys x.pem: nothing listens on a tls! address"),
        ],
    )
    def test_mistakes(self, home: Path, options: tuple[str, ...], said: str) -> None:
        command = [sys.executable, "-m", "lux9", "boot", *options, "--exec", "true"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=30)
        assert done.returncode == 1
        assert re.search(said, done.stderr), done.stderr

    def test_a_command_without_is_told_what_to_do(self, kernel: Running, home: Path) -> None:
        done = self.run(kernel, "ls", "/")
        assert done.returncode == 1
        assert done.stderr.startswith("lux9 ls: no key file ")
        assert "lux9 keys new NAME" in done.stderr
        done = self.run(kernel, "--keys", str(home / "host.pem"), "ls", "/")
        assert "your certificate is not one of a user" in done.stderr
        assert "Traceback" not in done.stderr
        kernel.until("/dev/audit", lambda text: "not made for this side" in text)
