"""Which level a driver gets, what is told when it is not the furthest, and who is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from lux9.errors import NotSupported, UserError
from lux9.sip.sandbox import host as hosts, isolation
from lux9.sip.sandbox.host import Host
from lux9.sip.sandbox.isolation import Isolation
from lux9.sip.sandbox.level import Level
from lux9.sip.stanza import Stanza

NOTHING = Host(Level.PROCESS, "bwrap is missing; apt-get install bubblewrap")
DRIVER = Stanza("disk", module="x")


@pytest.fixture
def poor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A host without bubblewrap."""
    monkeypatch.setattr(isolation, "host", lambda: NOTHING)


def test_levels_by_their_words() -> None:
    assert [Level.parse(level.word, "t") for level in Level] == list(Level)
    with pytest.raises(UserError, match="t: isolation 'jail' is not known; write one of: none"):
        Level.parse("jail", "t")


def test_the_best_that_this_host_has() -> None:
    assert hosts.host().best is Level.SANDBOX, hosts.host().missing
    assert Isolation().level(DRIVER) is Level.SANDBOX
    assert not Isolation().notice


def test_what_was_asked_for() -> None:
    assert Isolation(Level.PROCESS).level(DRIVER) is Level.PROCESS
    assert Isolation(Level.SANDBOX, {"disk"}).level(DRIVER) is Level.NONE
    assert (
        Isolation(Level.PROCESS).status(Level.PROCESS)
        == "process (for sandbox: --isolation sandbox)"
    )


@pytest.mark.usefixtures("poor")
def test_a_poor_host_falls_back_and_says_why() -> None:
    assert Isolation().level(DRIVER) is Level.PROCESS
    assert Isolation().notice == (
        "drivers run at isolation process (for sandbox: bwrap is missing; apt-get install bubblewrap)"
    )


@pytest.mark.usefixtures("poor")
def test_a_poor_host_refuses_who_demands_more() -> None:
    with pytest.raises(NotSupported, match="isolation sandbox: bwrap is missing; apt-get"):
        Isolation(Level.SANDBOX)
    with pytest.raises(NotSupported, match=r"disk demands isolation sandbox.*apt-get install"):
        Isolation().level(replace(DRIVER, isolation=Level.SANDBOX))


def test_a_manifest_is_not_overruled_by_the_command_line() -> None:
    careful = replace(DRIVER, isolation=Level.SANDBOX)
    with pytest.raises(NotSupported, match=r"demands isolation sandbox.*--isolation sandbox"):
        Isolation(Level.PROCESS).level(careful)
    with pytest.raises(NotSupported, match="demands isolation sandbox"):
        Isolation(None, {"disk"}).level(careful)


def test_a_host_without_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    hosts.host.cache_clear()
    try:
        assert hosts.host() == NOTHING
    finally:
        hosts.host.cache_clear()


def test_a_host_that_forbids_namespaces(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text(
        "#!/bin/sh\necho 'bwrap: No permissions to create a new namespace' >&2\nexit 1\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    hosts.host.cache_clear()
    try:
        assert hosts.host().best is Level.PROCESS
        assert hosts.host().missing.startswith("bwrap: No permissions to create a new namespace; ")
    finally:
        hosts.host.cache_clear()


def test_a_ctrl_c_does_not_tell_of_the_host(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A terminal sends it to the group of whoever asks; what is tried is in another."""
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\nread -r _ _ _ _ group _ < /proc/$$/stat\ntest $group = $$\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    hosts.host.cache_clear()
    try:
        assert hosts.host().best is Level.SANDBOX
    finally:
        hosts.host.cache_clear()


def test_a_host_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(**_: object) -> bytes:
        raise NotSupported("libseccomp.so.2 is missing; apt-get install libseccomp2")

    monkeypatch.setattr("lux9.sip.sandbox.seccomp.program", none)
    hosts.host.cache_clear()
    try:
        assert "apt-get install libseccomp2" in hosts.host().missing
    finally:
        hosts.host.cache_clear()
