"""A driver on this host for a function of another one: its sandbox, its one connection, and its next try.

It is given what a driver of this host is given, but for memory and a service of its own: fd 3 is 9P, relayed to
the far kernel, and what it serves it posts there (`driver/environment.py`).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import UserError
from ..ninep.relay import relay
from ..ninep.wires import dial
from .policy import FIRST, LONGEST, End, Restart, Restarts
from .sandbox.isolation import Isolation, start
from .sandbox.judge import Finding
from .spawn import CLIENT, pair
from .stanza import Stanza

ENDED = "exited with status 0"  # what a driver does whose kernel has gone
GOOD = 5.0  # seconds of running from which it is likely to come to something again
PATIENT = Restart("on-crash", 20, 120.0)  # the far kernel may need a while to see that we were gone

Said = Callable[[str], None]


class Away:
    """One driver, started for each connection. `say` gets what it prints, and how it fares.

    Raises NotSupported when this host cannot keep it as far apart as its manifest demands.
    """

    def __init__(
        self,
        address: str,
        stanza: Stanza,
        variables: Mapping[str, str],
        isolation: Isolation,
        say: Said,
    ) -> None:
        self.address, self.stanza, self.variables = address, stanza, dict(variables)
        self.level, self.say = isolation.level(stanza), say
        self.stopped = asyncio.Event()
        self.last = ""  # that it printed

    async def run(self, *, once: bool = False) -> None:
        """Drive until it is stopped; after a lost connection, again. Raises UserError when it comes to nothing.

        `once`: until the first connection ends.
        """
        delay, restarts, good = FIRST, Restarts(PATIENT), False
        while True:
            began = time.monotonic()
            try:
                why = await self._drive(await asyncio.to_thread(dial, self.address))
            except UserError as error:
                if once or not good:
                    raise
                why = str(error)
            now = time.monotonic()
            if self.stopped.is_set() or (once and why == ENDED):
                return
            fine = why == ENDED or now - began > GOOD
            given_up = not fine and isinstance(restarts.ended(now, 0.0, crashed=True), End)
            if why != ENDED and (once or given_up or not (fine or good)):
                raise UserError(f"{self.stanza.name} {why}: {self.last or 'it said nothing'}")
            good, delay = True, FIRST if fine else min(2 * delay, LONGEST)
            why = "the connection ended" if why == ENDED else why
            self.say(f"{self.address}: {why}; again in {delay:g} s")
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.stopped.wait(), delay)
            if self.stopped.is_set():
                return

    def stop(self) -> None:
        """Let go of the device, and end."""
        self.stopped.set()

    async def _drive(self, sock: socket.socket) -> str:
        """One process on one connection; how it ended."""
        ours, theirs = pair()
        passing = asyncio.ensure_future(asyncio.to_thread(relay, ours, sock))
        try:
            with theirs:
                child = start(
                    self.level,
                    self.stanza,
                    {CLIENT: theirs.fileno()},
                    self.variables,
                    self._said,
                    self._found,
                )
            stopped = asyncio.ensure_future(self.stopped.wait())
            either: set[asyncio.Future[Any]] = {child.ended, stopped}
            try:
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                stopped.cancel()
                why = await child.stop()
            return why
        finally:
            await passing  # its end of the pair went with the driver

    def _said(self, line: str) -> None:
        self.last = line
        self.say(line)

    def _found(self, finding: Finding) -> None:
        """What it tried in vain, here on this host."""
        self.say(f"its sandbox refused {finding.what} {finding.target}")
