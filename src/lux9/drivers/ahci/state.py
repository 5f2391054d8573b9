"""The states of a port, and the events that it is told of."""

from __future__ import annotations

from enum import Enum

from ...arch.ahci import PxIE, PxIS, PxSERR
from ...errors import DeviceGone


class State(Enum):
    """What a port is doing; port.py tells how it gets there."""

    EMPTY = "empty"
    STARTING = "starting"
    RUNNING = "running"
    RECOVERING = "recovering"
    DEAD = "dead"


COMPLETIONS = PxIS(sdbs=True, dhrs=True, pss=True, dss=True, dps=True)
FATAL = PxIS(tfes=True, hbfs=True, hbds=True, ifs=True, ofs=True)  # AHCI 1.3.1 §6.1
CHANGES = PxIS(prcs=True, pcs=True, cpds=True, dmps=True)
ALL_EVENTS = PxIS.of(0xFFFFFFFF)
ALL_ERRORS = PxSERR.of(0xFFFFFFFF)

QUIET = PxIE.of(0)
ALWAYS = PxIE(tfee=True, hbfe=True, hbde=True, ife=True, ofe=True, infe=True, prce=True, pce=True)
ARMED = PxIE.of(ALWAYS.raw | PxIE(sdbe=True, dhre=True, pse=True).raw)


def stopped(port: object) -> DeviceGone:
    """The end of a driver that finds PxCMD.ST clear and has not cleared it: a clear slot says nothing then. §3.3.14"""
    return DeviceGone(f"{port}: PxCMD.ST is clear: somebody else has reset the function")
