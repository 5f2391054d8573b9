"""Registers misused. Each line marked `bad` must be refused by both checkers; no other may be."""

from __future__ import annotations

from lux9.arch.ahci import GHC, HBA, Icc, PxCMD
from lux9.regs import Window


def wrong(window: Window) -> None:
    hba = HBA(window)
    hba.cap.write(hba.cap.read())  # bad: read only
    hba.port[0].is_.write(hba.port[0].is_.read())  # bad: write one to clear has no write
    hba.port[0].ci.write(hba.port[0].ci.read())  # bad: write one to set has no write
    hba.ghc.write(GHC(ea=True))  # bad: no such field
    hba.port[0].cmd.write(PxCMD(icc="active"))  # bad: not a value of that field
    hba.ghc.write(PxCMD(st=True))  # bad: the value of another register
    hba.ghc.write(1)  # bad: a number is not a value
    print(hba.cap.read().npp)  # bad: no such field
    hba.cap.read().np = 3  # bad: values do not change
    hba.ghc.wait(lambda ghc: not ghc.hrr, 1.0)  # bad: no such field, in a lambda too
    print(hba.ghcc.read())  # bad: no such register


def right(window: Window) -> None:
    hba = HBA(window)
    hba.ghc.write(GHC(ae=True, hr=True))
    hba.ghc.wait(lambda ghc: not ghc.hr, 1.0)
    port = hba.port[hba.cap.read().np]
    port.cmd.update(st=True, fre=True)
    port.cmd.write(PxCMD(icc=Icc.ACTIVE, st=True))
    port.is_.clear(port.is_.read())
    speed: Icc = port.cmd.read().icc
    print(speed)
