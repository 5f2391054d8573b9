"""Which drivers there are: by name and number, of which types, and what became of each."""

from __future__ import annotations

from collections.abc import Sequence

from ..errors import LimitReached, NotFound
from ..kernel.audit import Journal
from .server import Sip
from .stanza import Stanza

MOST = 1000  # servers


class Roster:
    """All drivers, whatever their state, with their events; and the types that are known."""

    def __init__(self, stanzas: Sequence[Stanza]) -> None:
        self.stanzas: list[Stanza] = list(stanzas)
        self.sips: list[Sip] = []
        self.made = 0
        self.events: Journal = Journal()

    def find(self, name: str) -> Sip:
        """By name or number. Raises NotFound."""
        for sip in self.sips:
            if name in (sip.name, str(sip.number)):
                return sip
        raise NotFound(
            f"no driver {name!r}; there are: {' '.join(s.name for s in self.sips) or 'none'}"
        )

    def type(self, name: str) -> Stanza:
        """A known type. Raises NotFound."""
        for stanza in self.stanzas:
            if stanza.name == name:
                return stanza
        known = " ".join(s.name for s in self.stanzas) or "none"
        raise NotFound(f"no type {name!r}; /dev/sip/types lists them: {known}")

    def create(self, stanza: Stanza | None = None, binding: str = "", source: str = "") -> Sip:
        """One more server. Raises LimitReached."""
        if len(self.sips) >= MOST:
            raise LimitReached(f"there are {MOST} servers; end lux9 and start it again")
        self.made += 1
        name = self.free_name(stanza.name if stanza else f"sip{self.made}")
        sip = Sip(self.made, name, stanza or Stanza(name), binding, source)
        self.sips.append(sip)
        return sip

    def forget(self, sip: Sip) -> None:
        """Whoever made it has gone: so does it, if it was told nothing."""
        if sip.blank and sip in self.sips:
            self.sips.remove(sip)

    def free_name(self, wanted: str) -> str:
        """The name, or the first of name1, name2 … that nobody has."""
        taken = {sip.name for sip in self.sips}
        names = (wanted + (str(i) if i else "") for i in range(len(taken) + 1))
        return next(name for name in names if name not in taken)

    def enter(self, sip: Sip, state: str, reason: str = "") -> None:
        """A new state, and an event of it."""
        sip.enter(state, reason)
        self.events.add(f"{sip.number} {sip.name} {state} {reason}".rstrip())
