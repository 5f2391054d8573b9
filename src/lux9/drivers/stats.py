"""What a disk has done, and how long it took."""

from __future__ import annotations

BUCKETS = 24  # powers of two of a microsecond: the last is 8 s and more
COUNTERS = ("errors", "recoveries", "timeouts", "resets", "interrupts", "polled", "deepest")


class Latency:
    """Requests of one kind: how many, how many bytes, and a histogram of their times."""

    __slots__ = ("buckets", "bytes", "count", "seconds", "worst")

    def __init__(self) -> None:
        self.count = self.bytes = 0
        self.seconds = self.worst = 0.0
        self.buckets = [0] * BUCKETS

    def add(self, size: int, seconds: float) -> None:
        """One is done."""
        self.count += 1
        self.bytes += size
        self.seconds += seconds
        if seconds > self.worst:
            self.worst = seconds
        self.buckets[min(int(seconds * 1e6).bit_length(), BUCKETS - 1)] += 1

    def within(self, share: float) -> int:
        """Microseconds that this share of them did not pass, to a power of two."""
        left = share * self.count
        for i, n in enumerate(self.buckets):
            left -= n
            if left <= 0:
                return 1 << i
        return 1 << BUCKETS

    def line(self) -> str:
        """Mean, half, 99 of 100, worst."""
        if not self.count:
            return "-"
        mean, worst = self.seconds / self.count * 1e6, self.worst * 1e6
        return f"mean={mean:.0f} p50<{self.within(0.5)} p99<{self.within(0.99)} max={worst:.0f}"


class Stats:
    """The counters of one disk."""

    def __init__(self) -> None:
        self.read, self.write, self.flush = Latency(), Latency(), Latency()
        self.counters: dict[str, int] = dict.fromkeys(COUNTERS, 0)

    def bump(self, name: str, by: int = 1) -> None:
        """Count something."""
        self.counters[name] += by

    def text(self) -> str:
        """`name: value`, one a line; latencies in microseconds."""
        lines: list[str] = []
        for name, many in (("read", "reads"), ("write", "writes"), ("flush", "flushes")):
            kind: Latency = getattr(self, name)
            lines += [f"{many}: {kind.count}", f"{name} bytes: {kind.bytes}"]
            lines += [f"{name} latency us: {kind.line()}"]
        lines += [f"{name}: {value}" for name, value in self.counters.items()]
        return "\n".join(lines) + "\n"
