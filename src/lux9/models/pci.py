"""What every device model stands on: a PCI function and its capabilities.

A model subclasses `PciFunction`, says its identity, BARs and capabilities, and overrides `bar_read`,
`bar_write` and `reset`. Configuration space, BAR sizing and decoding, the gates of the command register,
INTx, MSI and MSI-X are done here, by PCI 3.0. How a function is declared is in shape.py, the bus that it is plugged
into in bus.py, and what it may ask of its machine is `Host` (host.py).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from ..arch.pci import (
    CONFIG_SIZE,
    EXTENDED_SIZE,
    Capability as CapBlock,
    CapHeader,
    ClassCode,
    Command,
    Header0,
    HeaderType,
    Layout,
    Pin,
    PinReg,
    Status,
    bdf_text,
)
from .bus import Bus
from .config import ConfigSpace
from .host import DmaFault as DmaFault, Fault as Fault, Host as Host, Unplugged
from .shape import Access, Bar, Identity, Region

GATES = Command(io=True, mem=True, master=True, serr=True, intx_disable=True)  # what can be written
IO, MEM, MASTER, NO_INTX = (
    c.raw
    for c in (Command(io=True), Command(mem=True), Command(master=True), Command(intx_disable=True))
)
INTX = Status(intx=True).raw
BARS = Header0.bar.offset


class Capability:
    """A structure in configuration space with an id, at a fixed place: PCI 3.0 §6.7.

    A subclass declares its registers in `install` and acts in `changed`.
    """

    id = 0
    size = 0

    def __init__(self, at: int) -> None:
        self.at = at
        self.fn: PciFunction

    def install(self, fn: PciFunction) -> None:
        """Declare the registers."""
        self.fn = fn

    def changed(self) -> None:
        """Software wrote to it."""

    def reset(self) -> None:
        """The function was reset; the registers have their reset values again."""

    def inside(self) -> Iterator[tuple[int, range, Access]]:
        """What it keeps in BARs: (bar, offsets, how they are read and written)."""
        return iter(())


class Messenger(Capability):
    """A capability that raises interrupts by message: MSI or MSI-X."""

    enabled = False

    def send(self, vector: int) -> None:
        """Raise one vector, or hold it pending while it is masked."""
        raise NotImplementedError


class PciFunction:
    """One function of a device: the base of every model.

    `config` is its configuration space, `host` its machine, `devfn` and `bus` its place.
    """

    layout = Layout.GENERAL
    behind: Bus | None = None  # the bus behind a bridge
    bar_count = 6

    def __init__(
        self,
        identity: Identity,
        bars: Mapping[int, Bar] | None = None,
        capabilities: Sequence[Capability] = (),
    ) -> None:
        self.identity = identity
        self.bars = dict(bars or {})
        self.capabilities = tuple(capabilities)
        self.config = ConfigSpace(EXTENDED_SIZE if identity.express else CONFIG_SIZE)
        self.host: Host = Unplugged()
        self.bus: Bus | None = None
        self.devfn = 0
        self.asleep = False  # in D1 to D3hot: answers configuration cycles only
        self.messenger: Messenger | None = None  # the enabled one of MSI and MSI-X
        self._level = False  # what the model wants its pin to be
        self._pin = False  # what the pin is
        self._declare_header()
        self._declare_bars()
        self._install(self.capabilities)

    def _declare_header(self) -> None:
        put, who = self.config.put, self.identity
        put(Header0.vendor, who.vendor)
        put(Header0.device, who.device)
        put(Header0.command, writable=GATES)
        put(Header0.status, Status(cap_list=bool(self.capabilities)))
        put(Header0.cls, ClassCode.of(who.code << 8 | who.revision))
        put(Header0.cache_line, writable=0xFF)
        put(Header0.header_type, HeaderType(layout=self.layout))
        put(Header0.line, writable=0xFF)
        put(Header0.pin, PinReg(pin=Pin(who.pin)))
        if self.layout is Layout.GENERAL:
            put(Header0.subvendor, who.subvendor)
            put(Header0.subdevice, who.subsystem)

    def _declare_bars(self) -> None:
        for n, bar in self.bars.items():
            assert bar.size & (bar.size - 1) == 0, f"BAR{n}: {bar.size} is not a power of two"
            assert n + bar.wide < self.bar_count, f"there is no BAR{n}"
            self.config.declare(BARS + 4 * n, 8 if bar.wide else 4, bar.flags, writable=bar.mask)

    def _install(self, capabilities: Sequence[Capability]) -> None:
        for cap, after in zip_longest(capabilities, capabilities[1:]):
            link = CapHeader.of(cap.id | (after.at << 8 if after else 0))
            self.config.put(CapBlock.head, link, at=cap.at)
            cap.install(self)
        if capabilities:
            self.config.put(Header0.cap, capabilities[0].at)

    # Its place

    @property
    def bdf(self) -> int:
        """Bus, device and function, as its requests carry them."""
        return (self.bus.number << 8 if self.bus else 0) | self.devfn

    @property
    def name(self) -> str:
        """As lspci writes it: 0000:00:1f.2."""
        return bdf_text(self.bdf)

    def close(self) -> None:
        """The machine is shut down: give back what the model holds (files); a model overrides it."""

    def unplugged(self) -> None:
        """It was pulled out: called by the machine. Work still to come finds no host."""
        self.host = Unplugged()

    # Configuration space

    @property
    def command(self) -> int:
        """The command register."""
        return self.config.get(Header0.command)

    def config_read(self, offset: int, width: int) -> int:
        """A configuration read by software."""
        return self.config.read(offset, width)

    def config_write(self, offset: int, width: int, value: int) -> None:
        """A configuration write by software."""
        self.config.write(offset, width, value)
        if offset < Header0.extent():
            self.header_written(offset, offset + width)
            return
        for cap in self.capabilities:
            if offset < cap.at + cap.size and cap.at < offset + width:
                cap.changed()

    def header_written(self, start: int, end: int) -> None:
        """Software wrote bytes `start` to `end` of the header; bridges have more to do here."""
        if start < Header0.status.offset and end > Header0.command.offset:
            self._drive()
            self.host.remap()
        elif start < BARS + 4 * self.bar_count and end > BARS:
            self.host.remap()

    # BARs

    def bar_address(self, n: int) -> int:
        """Where BAR `n` is; 0 when nobody has placed it."""
        bar = self.bars[n]
        return self.config.read(BARS + 4 * n, 8 if bar.wide else 4) & bar.mask

    def _decoded(self, n: int, bar: Bar) -> bool:
        gate = IO if bar.kind == "io" else MEM
        base = self.bar_address(n)
        top = 0x1_0000 if bar.kind == "io" else 1 << 64 if bar.wide else 1 << 32
        # Zero is not placed; what ends at the very top is being sized (QEMU: the same)
        return bool(self.command & gate) and base != 0 and base + bar.size < top

    def regions(self) -> Iterator[Region]:
        """What it answers now, by its command register and BARs; they do not overlap one another."""
        if self.asleep:
            return
        for n, bar in self.bars.items():
            if self._decoded(n, bar):
                yield from self._pieces(n, bar)

    def _pieces(self, n: int, bar: Bar) -> Iterator[Region]:
        """A BAR, cut where capabilities keep something in it."""
        base, at = self.bar_address(n), 0
        inner = sorted(
            (rng.start, rng.stop, access)
            for cap in self.capabilities
            for held, rng, access in cap.inside()
            if held == n
        )
        for start, stop, (read, write) in inner:
            if at < start:
                yield Region(bar.kind, base + at, start - at, n, at, self.bar_read, self.bar_write)
            yield Region(bar.kind, base + start, stop - start, n, start, read, write)
            at = stop
        if at < bar.size:
            yield Region(bar.kind, base + at, bar.size - at, n, at, self.bar_read, self.bar_write)

    def bar_read(self, bar: int, offset: int, width: int) -> int:
        """A read of `width` bytes in a BAR; a model overrides it."""
        return 0

    def bar_write(self, bar: int, offset: int, width: int, value: int) -> None:
        """A write of `width` bytes in a BAR; a model overrides it."""

    # Interrupts

    def set_irq(self, asserted: bool) -> None:
        """Whether the function has something to say: its INTx level, or with MSI on, one message a call.

        Call it with True again for each new event: a level does not mind, a message would be missing.
        """
        by = self.messenger
        if asserted and by is not None:
            by.send(0)
        if asserted != self._level:
            self._level = asserted
            self._drive()

    def notify(self, vector: int) -> None:
        """Raise one vector by MSI or MSI-X; nothing happens while neither is enabled."""
        if by := self.messenger:
            by.send(vector)

    def _drive(self) -> None:
        """Bring Status.Interrupt and the pin in line: PCI 3.0 §6.2.2 and §6.2.3."""
        level = self._level and self.messenger is None
        status = self.config.get(Header0.status) & ~INTX
        self.config.poke(Header0.status, status | INTX if level else status)
        pin = level and not self.command & NO_INTX
        if pin != self._pin:
            self._pin = pin
            self.host.interrupt(self, pin)

    def interrupts_changed(self) -> None:
        """A capability was switched on or off."""
        senders = (cap for cap in self.capabilities if isinstance(cap, Messenger))
        self.messenger = next((cap for cap in senders if cap.enabled), None)
        self._drive()

    # Reset

    def reset(self) -> None:
        """What RST# or a function-level reset does; a model overrides it and calls this first."""
        self._level = False
        self.asleep = False
        self.config.reset()
        for cap in self.capabilities:
            cap.reset()
        self.interrupts_changed()
        self.host.remap()
