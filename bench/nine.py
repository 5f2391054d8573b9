"""9P beside its peers, all in one run: `make bench-9p`, or `python -m bench.nine`.

One compiled client drives every server in turn, in short rounds, the servers interleaved, so that whatever else the
machine does hits all alike; the best round of each counts. Two layouts: `one core` has client and server on one
processor, `two cores` every server on one and the client on another. Ratios are to the fastest setting of the peer in
the same line; a goal stands beside what was reached.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

from lux9.ninep.client import Client
from lux9.wire.messages import OWRITE

from .cases import MOUNTS, Case, Goal, growth, speed
from .facts import facts
from .peers import PLAIN, Peer, Servers, compiled, tree

RESULTS = Path(__file__).parent / "results"
ROUNDS = 3
SECONDS = 0.2  # of a round
SHARED = Path("/dev/shm")  # tmpfs
LATENCY = ("p50", "p90", "p99", "p99.9")
Figure = dict[str, float]
Found = dict[str, Figure]  # by peer
NOTES = """\
Each peer is asked in a dialect that it speaks: diod, the minimal server and `lux9` in 9P2000.L, aio9p and `lux9,
9P2000` in 9P2000; ratios are within a dialect. A stat is a Tgetattr in the one, a Tstat in the other. A walk is a
Twalk to a new fid and the Tclunk of it: two messages, counted once. diod's msize ends at 64 KiB, aio9p's at 65535
bytes: their longer reads are as long as they can be. What is read in bulk is a DMA buffer in ours, a file on tmpfs in
diod, bytes of its process in aio9p and the minimal server. Goals: see docs/speed.md."""


def drive(client: Path, peer: Peer, case: Case, seconds: float, on: set[int]) -> Figure:
    """One round: what the client says, and the rate."""
    asked = {"addr": peer.address, "dialect": peer.dialect, "aname": peer.aname, "seconds": seconds}
    words = [f"{k}={v}" for k, v in (asked | case.asks(peer)).items()]
    done = subprocess.run(
        [str(client), *words],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: os.sched_setaffinity(0, on),
    )
    if done.returncode:
        raise SystemExit(f"{peer.name}, {case.name}: {done.stderr.strip()}")
    figure: Figure = json.loads(done.stdout)
    amount = figure["bytes"] / 1e6 if case.bulk else figure["done"]
    figure["rate"] = amount / figure["seconds"]
    return figure


def measure(client: Path, peers: Iterable[Peer], case: Case, on: set[int], rounds: int) -> Found:
    """Every peer in turn, round after round; the best of each."""
    best: Found = {}
    for _ in range(rounds):
        for peer in peers:
            figure = drive(client, peer, case, SECONDS, on)
            if peer.name not in best or figure["rate"] > best[peer.name]["rate"]:
                best[peer.name] = figure
    return best


def show(case: Case, found: Found, peers: Sequence[Peer]) -> None:
    """The figures of one case, and what of its goals was reached."""
    print(f"  {case.name}", flush=True)
    for name, figure in found.items():
        late = "  ".join(f"{p} {figure[p]:.1f}" for p in LATENCY)
        print(f"    {name:20} {figure['rate']:>12,.0f} {case.units:5} µs: {late}")
    for goal in case.goals:
        for name, reached in ratios(goal, found, peers).items():
            word = "reached" if reached >= goal.least else "missed"
            print(
                f"    {reached:>6.2f} of {goal.peer} (goal {goal.least}: {word}), {name}",
                flush=True,
            )


def ratios(goal: Goal, found: Found, peers: Sequence[Peer]) -> dict[str, float]:
    """Each of ours to the fastest of a peer's settings, in the dialect of that peer."""
    theirs = [p for p in peers if p.name.startswith(goal.peer) and p.name in found]
    if not theirs:
        return {}
    best = max(found[p.name]["rate"] for p in theirs)
    ours = [p.name for p in peers if p.ours and p.name in found and p.dialect == theirs[0].dialect]
    return {name: found[name]["rate"] / best for name in ours}


def mounts(client: Path, peers: Sequence[Peer], on: set[int], rounds: int) -> dict[str, Found]:
    """Reads, stats and walks in a namespace with more and more mounts."""
    plain = next(p for p in peers if p.ours and p.dialect == PLAIN)
    ours = [p for p in peers if p.name == "lux9"]
    cases = [c for c in speed() if not c.bulk and c.options["depth"] == 32]
    have, found = 0, dict[str, Found]()
    with Client.dial(f"unix!{plain.address}") as caller:
        number = max(int(stat.name) for stat in caller.ls("/proc"))
        with caller.open(f"/proc/{number}/ns", OWRITE) as ns:
            for n in MOUNTS:
                for i in range(have, n):
                    ns.pwrite(0, f"bind '#c' /n{i}/dev".encode())
                have = n
                for case in cases:
                    got = measure(client, ours, case, on, rounds)
                    found[f"{case.name}, {n} mounts more"] = got
                    print(
                        f"    {case.name}, {n} mounts more {got['lux9']['rate']:>12,.0f} /s",
                        flush=True,
                    )
    return found


def layout(
    name: str, folder: Path, memory: Path, on: set[int], servers: set[int], rounds: int
) -> dict[str, Found]:
    """All cases of one layout: the client is `on` these processors."""
    print(f"{name}; load {os.getloadavg()[0]:.1f}", flush=True)
    found: dict[str, Found] = {}
    client = compiled("client", folder)
    with Servers(folder, memory, servers) as peers:
        for case in [*speed(), *growth()]:
            which = [peer for peer in peers if case.wants(peer)]
            found[case.name] = measure(client, which, case, on, rounds)
            show(case, found[case.name], peers)
        found |= mounts(client, peers, on, rounds)
    return found


def main(rounds: int) -> None:
    """Both layouts, and a file of results."""
    about = {**facts(), "load before": os.getloadavg()[0]}
    print(", ".join(f"{k} {v}" for k, v in about.items()))
    print(NOTES)
    cores = sorted(os.sched_getaffinity(0))[:2]
    results: dict[str, object] = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "machine": about,
        "rounds": rounds,
    }
    with ExitStack() as undo:
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="lux9-bench-")))
        shared = SHARED if SHARED.is_dir() else None
        memory = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="lux9-", dir=shared)))
        tree(memory)
        first, last = set(cores[:1]), set(cores[-1:])
        for name, on in {"one core": first, "two cores": last}.items():
            results[name] = layout(name, folder, memory, on, first, rounds)
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / "9p.json"
    path.write_text(json.dumps(results, indent=2) + "\n")
    print(f"written to {path}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if sys.argv[1:] else ROUNDS)
