"""An AHCI host bus adapter as QEMU's ICH9 has it: 8086:2922, six ports, 32 slots, NCQ. Ref: AHCI 1.3.1.

`hba.py` is the function and the generic registers, `port.py` a port's registers and its link, `engine.py` what it
does with the command list. The disk behind a port is `models.ata.Drive`.
"""

from .hba import Ahci, Quirks

__all__ = ["Ahci", "Quirks"]
