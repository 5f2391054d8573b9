"""`make bench-9p`, the parts that can be wrong without being slow: its programs in C, its cases, its ratios."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench import nine, peers
from bench.cases import BATCHED, Case, Goal, growth, speed
from bench.peers import LINUX, PLAIN, Peer, Servers

ON = {min(os.sched_getaffinity(0))}
SHORT = 0.02  # seconds


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return peers.compiled("client", tmp_path_factory.mktemp("client"))


def test_every_case_against_every_server(
    client: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every request is answered as it should be: the client looks at each answer's kind and length."""
    monkeypatch.setattr(peers, "THREADS", (2,))
    monkeypatch.setattr(nine, "SECONDS", SHORT)
    memory = tmp_path / "memory"
    peers.tree(memory)
    with Servers(tmp_path, memory, ON) as found:
        assert {p.name for p in found} >= {"minimal C", "lux9", "lux9, 9P2000", "aio9p"}
        few = (
            [c for c in speed() if not c.bulk] + [c for c in speed() if c.bulk][2:4] + growth()[1:2]
        )
        for case in few:
            got = nine.measure(client, found, case, ON, 1)
            assert all(f["rate"] > 0 and f["p50"] > 0 for f in got.values()), case.name


def test_a_server_that_refuses_is_told_of(client: Path, tmp_path: Path) -> None:
    memory = tmp_path / "memory"
    peers.tree(memory)
    missing = Case("missing", {"work": "stat", "path": "dev/none"})
    with Servers(tmp_path, memory, ON) as found, pytest.raises(SystemExit, match="lux9, missing"):
        nine.measure(client, [p for p in found if p.name == "lux9"], missing, ON, 1)


def test_ratios_are_to_the_fastest_setting_of_the_same_dialect() -> None:
    where = Path("s")
    rates = {"lux9": 100.0, "lux9, 9P2000": 80.0, "diod, 1 thread": 40.0, "diod, 4 threads": 50.0}
    found = {name: {"rate": rate} for name, rate in (rates | {"aio9p": 20.0}).items()}
    who = [Peer(n, where, PLAIN if n.endswith(("9P2000", "aio9p")) else LINUX) for n in found]
    assert [nine.ratios(goal, found, who) for goal in BATCHED] == [
        {"lux9": 2.0},
        {"lux9, 9P2000": 4.0},
    ]
    assert nine.ratios(Goal("minimal C", 1.0), found, who) == {}
