"""The cards that a board of models can be given, by the names that QEMU has for them.

edu                   in the first free slot
ahci                  another disk controller, with no disks
edu,addr=5            in a slot, `5` or `5.1` with the function, hexadecimal as QEMU takes it
"""

from __future__ import annotations

from collections.abc import Callable, Collection

from ..errors import UserError
from .ahci import Ahci
from .edu import Edu
from .pci import PciFunction

Options = dict[str, str]


def _edu(options: Options) -> PciFunction:
    mask = options.pop("dma_mask", None)
    return Edu() if mask is None else Edu(_number(mask, "dma_mask"))


def _ahci(options: Options) -> PciFunction:
    return Ahci()


CARDS: dict[str, Callable[[Options], PciFunction]] = {"edu": _edu, "ahci": _ahci}


def card(text: str, taken: Collection[int]) -> tuple[int, PciFunction]:
    """Device and function (as in a bdf) and model of `NAME[,OPTION=VALUE]…`; `taken` are occupied. Raises UserError."""
    name, *words = text.split(",")
    if name not in CARDS:
        known = " ".join(CARDS)
        raise UserError(
            f"--device {text}: the embedded machine has no {name!r}; it has: {known}. "
            "--machine qemu has more"
        )
    pairs = [word.partition("=") for word in words]
    options: Options = {key: value if sign else "on" for key, sign, value in pairs}
    place = _place(options.pop("addr", None), taken)
    made = CARDS[name](options)
    if options:
        raise UserError(f"--device {text}: {name} has no option {next(iter(options))!r}")
    return place, made


def _place(addr: str | None, taken: Collection[int]) -> int:
    """Where it goes: as asked, else the first slot with nothing in it."""
    slots = {devfn >> 3 for devfn in taken}
    if addr is None:
        free = [slot for slot in range(1, 32) if slot not in slots]
        if not free:
            raise UserError("--device: every slot of the board is taken")
        return free[0] << 3
    slot, _, function = addr.partition(".")
    devfn = _number(slot, "addr", 16, 32) << 3 | _number(function or "0", "addr", 16, 8)
    if devfn in taken:
        raise UserError(f"--device: slot {addr} is taken")
    return devfn


def _number(text: str, option: str, base: int = 0, limit: int = 1 << 64) -> int:
    try:
        value = int(text, base)
    except ValueError:
        value = -1
    if not 0 <= value < limit:
        raise UserError(f"--device: {option}={text} is not a number below {limit:#x}")
    return value
