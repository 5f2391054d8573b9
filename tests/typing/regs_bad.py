"""Registers misused. Each line marked `bad` must be refused by both checkers; no other may be."""

from __future__ import annotations

from lux9.arch.ahci import GHC, HBA, CommandTable, Icc, PxCI, PxCMD, ReceivedFis
from lux9.arch.ata import Fis
from lux9.arch.pci import CapId, Found, Msix, capability_block
from lux9.regs import U32, Window, bits, ro


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
    hba.port[0].ci.set(U32.of(1))  # bad: the value of another register
    hba.port[0].is_.set(hba.port[0].is_.read())  # bad: these bits are cleared
    hba.port.ci.read()  # bad: a bank is not a port
    hba.port[0] = hba.port[1]  # bad: a bank is what it is
    hba.port[0].cmd.update(1)  # bad: fields have names
    PxCMD.of("0x10006")  # bad: not a number
    hba.port[0].clb.write(hba.port[0].fb.read())  # bad: another register's value, of the same width
    Icc.GO = 1  # bad: no such value
    table = CommandTable.over(b"")  # a structure in memory is a block as well
    table.cfis.write("27")  # bad: octets are bytes
    table.cfis.clear()  # bad: octets are read and written
    print(ReceivedFis.over(b"").rfis.act.read())  # bad: that is in Set Device Bits
    bits(3, 0, int)  # bad: a kind is an enumeration
    ro(0, int)  # bad: a register is a Register
    word: str = hba.cap.read().np  # bad: a number
    print(word)


def right(window: Window) -> None:
    hba = HBA(window)
    hba.ghc.write(GHC(ae=True, hr=True))
    hba.ghc.wait(lambda ghc: not ghc.hr, 1.0)
    port = hba.port[hba.cap.read().np]
    port.cmd.update(st=True, fre=True)
    port.cmd.write(PxCMD(icc=Icc.ACTIVE, st=True))
    port.is_.clear(port.is_.read())
    speed: Icc = port.cmd.read().icc
    port.ci.set(PxCI(ci=1 << 3))
    kind: Fis = ReceivedFis.over(bytearray(256)).rfis.head.read().type
    CommandTable.over(bytearray(0x100)).cfis.write(b"\x27\x80")
    found = capability_block(window, Found(0x40, CapId.MSI_X))
    last: int = found.control.read().last if isinstance(found, Msix) else 0
    offset: int = HBA.port.kind.cmd.offset
    print(speed, kind, last, offset)
