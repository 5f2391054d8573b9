"""A limit that is changed while its driver runs: who sees to it, and where it has to wait for the next start."""

from __future__ import annotations

from ..errors import NotSupported
from .server import Sip

OURS = ("dma_bytes", "dma_buffer", "dma_buffers")  # looked up whenever they are asked for
SESSION = ("fids", "pending", "inflight", "messages")


def now(sip: Sip, name: str) -> None:
    """Let the limit of this name, as the stanza has it, take effect. Raises NotSupported where it cannot yet."""
    if sip.life is None or sip.child is None:
        return
    limits = sip.life.process.limits = sip.stanza.limits
    if name in SESSION:
        sip.life.bound()
    elif name not in OURS:
        try:
            sip.child.limit(name, limits)
        except NotSupported as error:
            raise NotSupported(
                f"{sip.name}: limit {name} holds from its next start on: {error}"
            ) from None
