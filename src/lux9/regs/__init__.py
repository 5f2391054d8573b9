"""Registers: named bits of a word, words at offsets of a window, banks of words.

The language that `arch/` is written in. One declaration serves the driver (typed access), the device model
(the same offsets and fields), a decoded dump, a trace by name and the manual's table (`regs_view`). Values are
immutable; reading and writing are calls, so that every access to hardware shows in the code.

`value` has what a register's bits mean, `window` where words are and what may be done to them, `members` what a
block is declared of, `block` how it all lies together.
"""

from .block import Block, Row
from .members import (
    Bank,
    Banks,
    Part,
    Run,
    Slot,
    banks,
    octets,
    part,
    ro,
    rw,
    w1c,
    w1s,
    wo,
)
from .value import U8, U16, U32, U64, Field, Register, bit, bits
from .window import POLL, RO, RW, W1C, W1S, WO, Memory, Octets, Reg, Window

__all__ = [
    "POLL",
    "RO",
    "RW",
    "U8",
    "U16",
    "U32",
    "U64",
    "W1C",
    "W1S",
    "WO",
    "Bank",
    "Banks",
    "Block",
    "Field",
    "Memory",
    "Octets",
    "Part",
    "Reg",
    "Register",
    "Row",
    "Run",
    "Slot",
    "Window",
    "banks",
    "bit",
    "bits",
    "octets",
    "part",
    "ro",
    "rw",
    "w1c",
    "w1s",
    "wo",
]
