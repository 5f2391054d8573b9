"""What a disk tells about itself: IDENTIFY DEVICE, SMART data, log pages. Each gives whole 512-byte sectors.

The values are those of QEMU's disks, so that a driver sees the same; the names, the general purpose log and
the checksum are ours. A Serial ATA disk has zero in word 93.
"""

from __future__ import annotations

from ...arch import ata
from ...arch.ata import Identify
from ...regs import U16, U32, U64
from ..disk import Disk

SECTOR = ata.SECTOR
MULTIPLE = 16  # most sectors of a DRQ block
TRIM_BLOCKS = 8  # most sectors of ranges that a TRIM takes
HEADS, TRACK = 16, 63  # the geometry that every disk of this size tells. ACS-3 annex: obsolete
LBA28_MAX = (1 << 28) - 1

# id, flags, value, worst, raw (6 bytes), threshold: a disk in good health. ATA8-ACS §7.52.6
ATTRIBUTES = (
    (0x01, 0x03, 100, 100, 0, 6),  # raw read error rate
    (0x03, 0x03, 100, 100, 16, 0),  # spin-up time
    (0x04, 0x02, 100, 100, 100, 20),  # start and stop count
    (0x05, 0x03, 100, 100, 0, 36),  # remapped sectors
    (0x09, 0x03, 100, 100, 1, 0),  # power-on hours
    (0x0C, 0x03, 100, 100, 0, 0),  # power cycles
    (0xBE, 0x03, 69, 69, 0x1F1F_001F, 50),  # airflow temperature
)


def cylinders(sectors: int) -> int:
    """Of the geometry that IDENTIFY tells; at most 16383. ATA/ATAPI-5 §8.12.10"""
    return max(2, min(16383, sectors // (HEADS * TRACK)))


def identify(disk: Disk, *, multiple: int, cache: bool, smart: bool, udma: int) -> bytes:
    """IDENTIFY DEVICE data of a disk in this state. ACS-3 §7.12.7"""
    out = bytearray(_packed(disk, multiple, cache, smart, udma))
    block = Identify.over(out)
    block.serial.write(ata.ata_bytes(disk.serial[:20], 20))
    block.firmware.write(ata.ata_bytes(disk.firmware[:8], 8))
    block.model.write(ata.ata_bytes(disk.model[:40], 40))
    for word, value in _obsolete(disk.sectors).items():
        out[2 * word : 2 * word + 2] = (value & 0xFFFF).to_bytes(2, "little")
    return summed(out)


def _packed(disk: Disk, multiple: int, cache: bool, smart: bool, udma: int) -> bytes:
    return Identify.pack(
        general=ata.General.of(0x0040),
        cylinders=U16.of(cylinders(disk.sectors)),
        heads=U16.of(HEADS),
        track=U16.of(TRACK),
        multiple=ata.Multiple.of(0x8000 | MULTIPLE),
        caps=ata.Capabilities(iordy=True, lba=True, dma=True),
        valid=ata.Valid(udma=True, cycles=True, chs=True),
        multiple_set=ata.MultipleSet(valid=bool(multiple), count=multiple),
        sectors28=U32.of(min(disk.sectors, LBA28_MAX)),
        mwdma=ata.MultiwordDma(supported=7),
        pio=ata.Pio(modes=3),
        mwdma_min=U16.of(120),
        mwdma_rec=U16.of(120),
        pio_min=U16.of(120),
        pio_iordy=U16.of(120),
        additional=ata.Additional(trim_deterministic=not disk.read_only),
        queue=ata.QueueDepth(depth=31),
        sata=ata.SataCapabilities(ncq=True, gen1=True),
        sata2=ata.SataMore(speed=1),
        major=ata.Major.of(0x01F0),
        minor=U16.of(0x0016),
        has1=ata.Commands1(nop=True, write_cache=True, power=True, smart=True),
        has2=ata.Commands2(one=True, flush_ext=True, flush=True, lba48=True),
        has3=ata.Commands3(one=True, gpl=True, fua=True),
        on1=ata.Commands1(nop=True, write_cache=cache, power=True, smart=smart),
        on2=ata.Commands2(flush_ext=True, flush=True, lba48=True),
        on3=ata.Commands3(one=True, gpl=True, fua=True),
        udma=ata.UltraDma(supported=0x3F, selected=udma),
        sectors48=U64.of(disk.sectors),
        dsm_blocks=U16.of(0 if disk.read_only else TRIM_BLOCKS),
        sector_size=ata.SectorSize(one=True, multiple=True),
        dsm=ata.DataSet(trim=not disk.read_only),
        transport=U16.of(0x101F),
        integrity=ata.Integrity(signature=0xA5),
    )


def _obsolete(sectors: int) -> dict[int, int]:
    """Words that no present standard names, and old software reads: by number."""
    chs = cylinders(sectors) * HEADS * TRACK
    return {
        4: 512 * TRACK, 5: 512, 20: 3, 21: 512, 22: 4, 48: 1, 51: 0x200, 52: 0x200,
        54: cylinders(sectors), 55: HEADS, 56: TRACK, 57: chs, 58: chs >> 16, 62: 7,
    }  # fmt: skip


def summed(data: bytearray) -> bytes:
    """The sector with its last byte such that all add up to zero."""
    data[511] = ata.identify_checksum(bytes(data))
    return bytes(data)


def smart_data() -> bytes:
    """SMART READ DATA. ACS-3 §7.48.6.3"""
    out = bytearray(SECTOR)
    out[0] = 1  # revision
    for i, (id_, flags, value, worst, raw, _) in enumerate(ATTRIBUTES):
        at = 2 + 12 * i
        out[at : at + 5] = bytes([id_, flags, 0, value, worst])
        out[at + 5 : at + 11] = raw.to_bytes(6, "little")
    out[362] = 0x82  # off-line collection: by itself, completed
    out[364:366] = (288).to_bytes(2, "little")  # seconds that it takes
    out[367] = 1 << 4 | 1 << 3 | 1  # off-line: self-test, read scanning, immediate
    out[368] = 0x03  # saves attributes by itself, and when told
    out[370] = 0x01  # has an error log
    out[372] = 2  # minutes of a short self-test
    out[373] = 54  # of an extended one
    out[374] = 1  # of a conveyance one
    return summed(out)


def smart_thresholds() -> bytes:
    """SMART READ THRESHOLDS. ATA/ATAPI-5 §8.41.9"""
    out = bytearray(SECTOR)
    out[0] = 1
    for i, attribute in enumerate(ATTRIBUTES):
        out[2 + 12 * i : 4 + 12 * i] = bytes([attribute[0], attribute[5]])
    return summed(out)


def directory() -> bytes:
    """The general purpose log's directory: how many pages each log has. ACS-3 §A.2"""
    out = bytearray(SECTOR)
    out[0:2] = (1).to_bytes(2, "little")  # version
    at = 2 * ata.Log.NCQ_COMMAND_ERROR
    out[at : at + 2] = (1).to_bytes(2, "little")
    return bytes(out)


def ncq_error(tag: int, status: int, error: int, lba: int, count: int, device: int) -> bytes:
    """The queued command that failed. ACS-3 §A.14"""
    page = ata.NcqError.pack(
        head=ata.NcqErrorHead(error=error, status=status, tag=tag),
        low=ata.LbaLow(device=device, lba=lba & 0xFFFFFF),
        high=ata.LbaHigh(lba=lba >> 24),
        count=ata.NcqErrorCount(count=count),
    )
    return summed(bytearray(page))


def ncq_nothing() -> bytes:
    """The same page when no queued command failed: NQ is set. ACS-3 §A.14"""
    return summed(bytearray(ata.NcqError.pack(head=ata.NcqErrorHead(nq=True))))
