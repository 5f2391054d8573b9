"""What a driver has too much of makes it wait, and the audit has how often."""

from __future__ import annotations

from ..kernel.hardware.context import Auditor
from .server import Sip


class Tally:
    """Of all drivers. Whoever counts (a meter, a pipe) only counts: it is on the hot path."""

    def __init__(self, audit: Auditor) -> None:
        self.audit = audit

    def look(self, sip: Sip) -> None:
        """Tell what is new since the last look."""
        for name, waits in sip.waits().items():
            new = waits - sip.told.get(name, 0)
            if new > 0 and sip.life is not None:
                sip.told[name] = waits
                self.audit.record(sip.life.process, "limit", name, "denied", waits=new)
