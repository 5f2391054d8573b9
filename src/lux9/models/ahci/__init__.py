"""An AHCI host bus adapter as QEMU's ICH9 has it: 8086:2922, six ports, 32 slots, NCQ. Ref: AHCI 1.3.1.

`hba.py` is the function and the generic registers; a port is `events.py` (registers and interrupts), `link.py` (the
device behind it) and `port.py` (its engines), one on the other; `engine.py` works through the command list. The disk
itself is `models.ata.Drive`.
"""

from .hba import Ahci, Quirks

__all__ = ["Ahci", "Quirks"]
