"""What is measured against whom, and what has to be reached."""

from __future__ import annotations

from dataclasses import dataclass, field

from .peers import BAR, BIG, CONFIG, FUNCTION, Peer

Options = dict[str, object]
VERSION = 0x10  # offset of the AHCI version register
GROUPS = (1, 4, 16, 64)  # connections
FILES = (1, 64, 1024, 4000)  # fids that one connection has open
MOUNTS = (0, 64, 512)
KIB = (4, 64, 512)
SIZES = {kib: kib << 10 for kib in KIB}


@dataclass(frozen=True)
class Goal:
    """The least ratio to a peer whose name begins so."""

    peer: str
    least: float


@dataclass(frozen=True)
class Case:
    """One piece of work for the client. `options` are the client's; a bulk case counts megabytes."""

    name: str
    options: Options
    goals: tuple[Goal, ...] = ()
    bulk: bool = False
    peers: tuple[str, ...] = ()  # whose names begin so; all when empty
    units: str = field(default="/s")

    def asks(self, peer: Peer) -> Options:
        """The client's options for a peer: what is long in ours is a DMA buffer."""
        asked = dict(self.options)
        if self.bulk and peer.ours:
            asked["dma"] = BIG
        elif self.bulk:
            asked["path"] = "big"
        return asked

    def wants(self, peer: Peer) -> bool:
        """Whether the peer takes part."""
        return not self.peers or peer.name.startswith(self.peers)


WORK: dict[str, Options] = {
    "4-byte reads": {"work": "read", "path": BAR, "offset": VERSION, "count": 4},
    "stats": {"work": "stat", "path": BAR},
    "walks of one name": {"work": "walk", "path": FUNCTION, "names": "bar5"},
    "walks of four names": {"work": "walk", "names": BAR},
}
ALONE = (Goal("diod", 1.3), Goal("minimal C", 0.55), Goal("aio9p", 1.4))
BATCHED = (Goal("diod", 2.0), Goal("aio9p", 6.0))
LONG = (Goal("diod", 1.2), Goal("aio9p", 4.0))


def speed() -> list[Case]:
    """Requests a second and megabytes a second."""
    small = [
        Case(f"{name}, {depth} outstanding", {**asked, "depth": depth}, goals)
        for depth, goals in ((1, ALONE), (32, BATCHED))
        for name, asked in WORK.items()
    ]
    large = [
        Case(
            f"reads of {kib} KiB, {depth} outstanding",
            {"work": "read", "count": size, "span": BIG, "depth": depth},
            LONG if kib == 64 else (),
            bulk=True,
            units="MB/s",
        )
        for kib, size in SIZES.items()
        for depth in (1, 8)
    ]
    return small + large


def growth() -> list[Case]:
    """The same register read with more connections, and with more open files."""
    register: Options = {"work": "read", "path": CONFIG, "count": 4}
    who = ("minimal C", "diod, 16", "diod, 1 ", "lux9")
    conns = [
        Case(
            f"4-byte reads, {n} connections, {d} outstanding each",
            {**register, "conns": n, "depth": d},
            peers=who,
        )
        for d in (1, 8)
        for n in GROUPS
    ]
    files = [
        Case(f"4-byte reads, {n} open files", {**register, "files": n, "depth": 32}, peers=who)
        for n in FILES
    ]
    return conns + files
