"""The base of every model: header, BARs, gates, interrupts, capabilities, reset."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from lux9.arch import pci as arch
from lux9.errors import DeviceError
from lux9.models.capabilities import (
    Advanced,
    Express,
    Msi,
    Msix,
    Opaque,
    Power,
    Sata,
    Vendor,
)
from lux9.models.pci import DmaFault, PciFunction
from lux9.models.shape import Bar, Identity, Region
from tests.models.cards import IDENTITY, Bench, Card

ONES = 0xFFFF_FFFF
EXPRESS = Identity(0x1234, 0x5678, 0x020000, express=True)


def on_bench(card: PciFunction) -> Bench:
    bench = Bench()
    bench.plug(card)
    return bench


def command(card: PciFunction, **bits: bool) -> None:
    card.config_write(arch.Header.command.offset, 2, arch.Command(**bits).raw)


def spans(card: PciFunction) -> list[tuple[str, int, int]]:
    return [(r.kind, r.base, r.size) for r in card.regions()]


# The header


def test_the_header_tells_the_identity() -> None:
    card = Card()
    header = arch.Header0(card.config)
    assert (header.vendor.read().raw, header.device.read().raw) == (0x1234, 0x11E8)
    assert header.cls.read() == arch.ClassCode.of(0x00FF00_03)
    assert header.pin.read().pin is arch.Pin.INTA
    assert (header.subvendor.read().raw, header.subdevice.read().raw) == (0x1AF4, 0x1100)


def test_the_identity_cannot_be_written() -> None:
    card = Card()
    before = bytes(card.config.data[:4])
    card.config_write(0, 4, 0)
    assert card.config.data[:4] == before


def test_command_keeps_only_the_bits_that_there_are() -> None:
    card = Card()
    on_bench(card)
    card.config_write(4, 2, 0xFFFF)
    kept = arch.Command(io=True, mem=True, master=True, serr=True, intx_disable=True)
    assert arch.Command.of(card.command) == kept


def test_line_and_cache_line_are_softwares() -> None:
    card = Card()
    card.config_write(arch.Header0.line.offset, 1, 11)
    card.config_write(arch.Header.cache_line.offset, 1, 16)
    header = arch.Header0(card.config)
    assert (header.line.read().raw, header.cache_line.read().raw) == (11, 16)


def test_two_functions_of_a_device_say_so() -> None:
    bench, one, two = Bench(), Card(), Card()
    bench.plug(one, 0xF8)
    assert not arch.Header(one.config).header_type.read().multi
    bench.plug(two, 0xFA)
    assert arch.Header(one.config).header_type.read().multi
    one.reset()
    assert arch.Header(one.config).header_type.read().multi, "reset forgot it"
    assert two.name == "0000:00:1f.2"


# BARs


@given(power=st.integers(4, 31), prefetch=st.booleans())
def test_sizing_a_32_bit_bar(power: int, prefetch: bool) -> None:
    card = PciFunction(IDENTITY, {0: Bar(1 << power, prefetch=prefetch)})
    card.config_write(0x10, 4, ONES)
    answer = card.config_read(0x10, 4)
    assert arch.bar_size(answer) == 1 << power
    assert answer & 0xF == (8 if prefetch else 0)


@given(power=st.integers(4, 45))
def test_sizing_a_64_bit_bar(power: int) -> None:
    card = PciFunction(IDENTITY, {2: Bar(1 << power, wide=True)})
    for at in (0x18, 0x1C):
        card.config_write(at, 4, ONES)
    low, high = card.config_read(0x18, 4), card.config_read(0x1C, 4)
    assert arch.BarMem.of(low).type is arch.BarType.MEM64
    assert arch.bar_size(low, high) == 1 << power


@given(power=st.integers(2, 8))
def test_sizing_a_port_bar(power: int) -> None:
    card = PciFunction(IDENTITY, {4: Bar(1 << power, kind="io")})
    card.config_write(0x20, 4, ONES)
    answer = card.config_read(0x20, 4)
    assert answer & 3 == 1
    assert arch.bar_size(answer) == 1 << power


def test_a_bar_that_is_not_there_reads_zero() -> None:
    card = PciFunction(IDENTITY, {0: Bar(0x1000)})
    for at in (0x14, 0x30):
        card.config_write(at, 4, ONES)
        assert card.config_read(at, 4) == 0


def test_decoding_waits_for_the_command_register() -> None:
    card = Card({0: Bar(0x1000), 4: Bar(32, kind="io")})
    on_bench(card)
    card.config_write(0x10, 4, 0xC000_0000)
    card.config_write(0x20, 4, 0xC040)
    assert spans(card) == []
    command(card, mem=True)
    assert spans(card) == [("mem", 0xC000_0000, 0x1000)]
    command(card, io=True)
    assert spans(card) == [("io", 0xC040, 32)]


@pytest.mark.parametrize("address", [0, ONES])
def test_a_bar_that_is_not_placed_answers_nowhere(address: int) -> None:
    card = Card({0: Bar(0x1000)})
    on_bench(card)
    command(card, mem=True)
    card.config_write(0x10, 4, address)
    assert spans(card) == []


def test_moving_a_bar_tells_the_machine() -> None:
    card = Card({0: Bar(0x1000)})
    bench = on_bench(card)
    before = bench.remaps
    card.config_write(0x10, 4, 0xC000_0000)
    assert bench.remaps > before


# INTx


def status(card: PciFunction) -> arch.Status:
    return arch.Status.of(card.config.get(arch.Header.status))


def test_the_pin_follows_the_level_and_status_tells_it() -> None:
    card = Card()
    bench = on_bench(card)
    card.set_irq(True)
    card.set_irq(True)
    assert bench.pins == [True]
    assert status(card).intx
    card.set_irq(False)
    assert bench.pins == [True, False]
    assert not status(card).intx


def test_interrupt_disable_drops_the_pin_but_not_the_status() -> None:
    card = Card()
    bench = on_bench(card)
    card.set_irq(True)
    command(card, intx_disable=True)
    assert bench.pins == [True, False]
    assert status(card).intx
    command(card)
    assert bench.pins == [True, False, True]


# MSI


def msi_on(card: PciFunction, at: int, given: int = 0) -> arch.Msi64:
    regs = arch.Msi64(card.config, at)
    for offset, width, value in ((4, 4, 0xFEE0_0000), (8, 4, 0), (12, 2, 0x40)):
        card.config_write(at + offset, width, value)
    card.config_write(at + 2, 2, arch.MsiControl(enable=True, given=given).raw)
    return regs


def test_msi_takes_the_place_of_the_pin() -> None:
    card = Card(capabilities=[Msi(0x50)])
    bench = on_bench(card)
    card.set_irq(True)
    msi_on(card, 0x50)
    assert bench.pins == [True, False], "the pin stays up under MSI"
    card.set_irq(True)
    assert bench.messages == [(0xFEE0_0000, 0x40)]
    assert not status(card).intx
    card.config_write(0x52, 2, 0)
    assert bench.pins == [True, False, True], "the level is there still"


def test_each_set_irq_is_a_message() -> None:
    card = Card(capabilities=[Msi(0x50)])
    bench = on_bench(card)
    msi_on(card, 0x50)
    for asserted in (True, True, False):
        card.set_irq(asserted)
    assert len(bench.messages) == 2


@pytest.mark.parametrize(("given", "vector", "data"), [(0, 3, 0x40), (1, 3, 0x41), (2, 3, 0x43)])
def test_vectors_fold_into_those_that_were_given(given: int, vector: int, data: int) -> None:
    card = Card(capabilities=[Msi(0x50, count=4)])
    bench = on_bench(card)
    msi_on(card, 0x50, given)
    card.notify(vector)
    assert bench.messages == [(0xFEE0_0000, data)]


def test_a_masked_vector_waits() -> None:
    card = Card(capabilities=[Msi(0x50, count=2, maskable=True)])
    bench = on_bench(card)
    regs = msi_on(card, 0x50, 1)
    card.config_write(0x60, 4, 0b10)
    card.notify(1)
    assert bench.messages == []
    assert regs.pending.read().raw == 0b10
    card.config_write(0x60, 4, 0)
    assert bench.messages == [(0xFEE0_0000, 0x41)]
    assert regs.pending.read().raw == 0


def test_nothing_is_sent_while_msi_is_off() -> None:
    card = Card(capabilities=[Msi(0x50)])
    bench = on_bench(card)
    card.notify(0)
    assert bench.messages == []


# MSI-X


def region(card: PciFunction, at: int) -> Region:
    return next(r for r in card.regions() if r.base <= at < r.base + r.size)


def poke(card: PciFunction, at: int, value: int, width: int = 4) -> None:
    r = region(card, at)
    r.write(r.bar, at - r.base + r.offset, width, value)


def peek(card: PciFunction, at: int, width: int = 4) -> int:
    r = region(card, at)
    return r.read(r.bar, at - r.base + r.offset, width)


BASE = 0xC000_0000


def msix_card() -> tuple[Card, Bench]:
    card = Card({0: Bar(0x4000)}, [Msix(0x70, count=3, bar=0, table=0x2000, pba=0x3000)])
    bench = on_bench(card)
    card.config_write(0x10, 4, BASE)
    command(card, mem=True, master=True)
    for vector in range(3):
        entry = BASE + 0x2000 + 16 * vector
        for i, value in enumerate((0xFEE0_0000, 0, 0x50 + vector)):
            poke(card, entry + 4 * i, value)
    card.config_write(0x72, 2, arch.MsixControl(enable=True).raw)
    return card, bench


def test_the_table_says_how_large_and_where() -> None:
    card, _ = msix_card()
    regs = arch.Msix(card.config, 0x70)
    assert regs.control.read().last == 2
    assert (regs.table.read().at, regs.table.read().bir) == (0x2000, 0)
    assert (regs.pba.read().at, regs.pba.read().bir) == (0x3000, 0)


def test_the_rest_of_the_bar_is_the_models() -> None:
    card, _ = msix_card()
    assert [r.base - BASE for r in card.regions()] == [0, 0x2000, 0x2030, 0x3000, 0x3008]
    poke(card, BASE + 0x2030, 0x1234)
    assert card.memory[0][0x2030:0x2032] == b"\x34\x12"


def test_a_vector_is_masked_after_reset_and_sent_when_it_is_not() -> None:
    card, bench = msix_card()
    card.notify(1)
    assert bench.messages == []
    assert peek(card, BASE + 0x3000) == 0b10
    poke(card, BASE + 0x2000 + 16 + 12, 0)
    assert bench.messages == [(0xFEE0_0000, 0x51)]
    assert peek(card, BASE + 0x3000) == 0


def test_the_mask_of_the_function_holds_all() -> None:
    card, bench = msix_card()
    poke(card, BASE + 0x200C, 0)
    card.config_write(0x72, 2, arch.MsixControl(enable=True, mask=True).raw)
    card.notify(0)
    assert bench.messages == []
    card.config_write(0x72, 2, arch.MsixControl(enable=True).raw)
    assert bench.messages == [(0xFEE0_0000, 0x50)]


def test_the_table_takes_words_only_and_reserved_bits_stay_zero() -> None:
    card, bench = msix_card()
    poke(card, BASE + 0x2000, 0xFF, width=1)
    assert "ignored" in bench.reports[0]
    poke(card, BASE + 0x2000, 0xFEE0_0003)
    poke(card, BASE + 0x200C, ONES)
    assert peek(card, BASE + 0x2000) == 0xFEE0_0000
    assert peek(card, BASE + 0x200C) == 1
    poke(card, BASE + 0x3000, ONES)
    assert peek(card, BASE + 0x3000) == 0, "pending bits are read-only"


# Capabilities


def test_the_list_runs_in_the_order_given() -> None:
    caps = [Msi(0x80), Opaque(0xA8, 0x12, b"\x10\0\x48\0\0\0"), Vendor(0xC0, b"abc")]
    found = list(arch.capabilities(Card(capabilities=caps).config))
    assert [(f.offset, f.id) for f in found] == [(0x80, 5), (0xA8, 0x12), (0xC0, 9)]


def test_no_capabilities_no_list() -> None:
    assert list(arch.capabilities(Card().config)) == []


def test_sata_tells_its_index_data_pair() -> None:
    card = Card(capabilities=[Sata(0xA8, bar=4, offset=0x10)])
    place = arch.Sata(card.config, 0xA8).place.read()
    assert (place.bar, place.offset) == (8, 4)


# Reset


def test_flr_resets_everything_but_the_identity() -> None:
    card = Card({0: Bar(0x1000)}, [Express(0x40), Msi(0x80)], EXPRESS)
    bench = on_bench(card)
    card.config_write(0x10, 4, BASE)
    command(card, mem=True, master=True)
    card.set_irq(True)
    card.config_write(0x48, 2, arch.DevCtl(flr=True).raw)
    assert card.resets == 1
    assert card.command == 0
    assert card.config_read(0x10, 4) == 0
    assert bench.pins == [True, False]
    assert not arch.Pcie(card.config, 0x40).devctl.read().flr
    assert arch.Header(card.config).vendor.read().raw == 0x1234


def test_without_flr_the_bit_does_nothing() -> None:
    card = Card({}, [Express(0x40, flr=False)], EXPRESS)
    on_bench(card)
    card.config_write(0x48, 2, arch.DevCtl(flr=True).raw)
    assert card.resets == 0


def test_advanced_features_reset_a_conventional_function() -> None:
    card = Card({}, [Advanced(0x40)])
    on_bench(card)
    card.config_write(0x44, 1, 1)
    assert card.resets == 1
    assert card.config_read(0x44, 1) == 0


@pytest.mark.parametrize(("keeps", "resets"), [(False, 1), (True, 0)])
def test_sleep_stops_decoding_and_waking_resets(keeps: bool, resets: int) -> None:
    card = Card({0: Bar(0x1000)}, [Power(0x40, keeps_state=keeps)])
    on_bench(card)
    card.config_write(0x10, 4, BASE)
    command(card, mem=True)
    card.config_write(0x44, 2, 3)
    assert spans(card) == []
    card.config_write(0x44, 2, 0)
    assert card.resets == resets
    assert bool(spans(card)) is keeps


def test_a_power_state_that_is_not_there_is_not_entered() -> None:
    card = Card({}, [Power(0x40)])
    card.config_write(0x44, 2, 1)
    assert arch.Pm(card.config, 0x40).control.read().state is arch.PowerState.D0


# Pulled out


def test_a_function_that_was_pulled_out_reaches_nothing() -> None:
    card = Card()
    bench = on_bench(card)
    bench.bus.unplug(card)
    card.set_irq(True)
    card.host.defer(lambda: pytest.fail("work was done"))
    with pytest.raises(DmaFault, match="not plugged in"):
        card.host.dma(card, 0, 4)
    assert issubclass(DmaFault, DeviceError)
    assert bench.pins == []
