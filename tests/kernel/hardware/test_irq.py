"""Interrupts: masked on delivery, acknowledged by the next read, queued, counted, shut in a storm."""

from __future__ import annotations

import pytest

from lux9.errors import BadArgument, Busy, DeviceError, NotFound, PermissionDenied, Stale
from lux9.kernel.hardware import Storm
from lux9.kernel.hardware.irq import QUEUE, Registrant
from lux9.kernel.process import ALL, Cap, Process
from lux9.pending import Pending
from tests.kernel.hardware.board import A, B, Board, C

LINE = 16  # of A and B: PIRQA


def registered(
    board: Board, name: str = "one", function: str = A, *, shared: bool = False
) -> tuple[Process, Registrant]:
    process = board.process(name)
    board.hw.bus.claim(process, function)
    board.hw.irq.register(process, LINE, name, shared)
    return process, board.hw.irq.check(process, LINE)


def masked(board: Board, line: int = LINE) -> bool:
    return line in board.sim.asked_masked


def done(wait: Pending[str]) -> bool:
    return wait.done  # by a call: a checker would believe that it stays as it was


def touch(board: Board, name: str, process: Process) -> None:
    file = board.hw.open_bar(process, name, 0)
    file.pread(4, 0)
    file.close()


# Delivery


def test_every_line_is_masked_until_somebody_registers_it(board: Board) -> None:
    assert all(masked(board, n) for n in range(24))
    registered(board)
    assert [n for n in range(24) if not masked(board, n)] == [LINE]


def test_a_read_waits_and_delivery_masks(board: Board) -> None:
    _, reg = registered(board)
    wait = board.hw.irq.read(LINE, reg)
    assert not done(wait)
    board.a.set_irq(True)
    assert wait.result() == "irq 16\n"
    assert masked(board)


def test_what_came_before_the_read_is_there_at_once(board: Board) -> None:
    _, reg = registered(board)
    board.a.set_irq(True)
    assert masked(board)
    assert board.hw.irq.read(LINE, reg).result() == "irq 16\n"
    assert masked(board)


def test_the_next_read_unmasks(board: Board) -> None:
    _, reg = registered(board)
    first = board.hw.irq.read(LINE, reg)
    board.a.set_irq(True)
    board.a.set_irq(False)
    assert done(first)
    second = board.hw.irq.read(LINE, reg)
    assert not done(second)
    assert not masked(board)
    board.a.set_irq(True)
    assert second.result() == "irq 16\n"


def test_a_line_still_asserted_fires_again(board: Board) -> None:
    _, reg = registered(board)
    board.a.set_irq(True)
    for _ in range(5):
        assert board.hw.irq.read(LINE, reg).done
    assert reg.delivered == 5


def test_a_masked_line_adds_nothing_to_the_queue(board: Board) -> None:
    _, reg = registered(board)
    for _ in range(10):
        board.a.set_irq(True)
        board.a.set_irq(False)
    assert (reg.pending, reg.dropped) == (1, 0)


def test_a_read_that_is_given_up_takes_no_interrupt_with_it(board: Board) -> None:
    _, reg = registered(board)
    board.hw.irq.read(LINE, reg).cancel()
    kept = board.hw.irq.read(LINE, reg)
    board.a.set_irq(True)
    assert done(kept)
    assert (reg.delivered, reg.pending) == (1, 0)


def test_waiting_reads_are_answered_one_each(board: Board) -> None:
    _, reg = registered(board)
    first, second = board.hw.irq.read(LINE, reg), board.hw.irq.read(LINE, reg)
    board.a.set_irq(True)
    assert done(first)
    assert not done(second)
    third = board.hw.irq.read(LINE, reg)  # the acknowledgement; the line still stands
    assert done(second)
    assert not done(third)


def test_a_driver_that_reads_again_within_the_answer(board: Board) -> None:
    """In-process: the callback of a read issues the next one, with the line still asserted."""
    _, reg = registered(board)
    count = 0

    def again(_: Pending[str]) -> None:
        nonlocal count
        count += 1
        if count == 3000:
            board.a.set_irq(False)
        board.hw.irq.read(LINE, reg).then(again)

    board.hw.irq.read(LINE, reg).then(again)
    board.a.set_irq(True)
    assert count == 3000
    assert not masked(board)


def test_the_counters(board: Board) -> None:
    _, reg = registered(board)
    board.a.set_irq(True)
    board.hw.irq.read(LINE, reg)
    assert board.hw.irq.lines() == "irq 16: one pending=0 delivered=1 dropped=0\n"


# Registering


def test_the_isa_line_will_do_as_well(board: Board) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    line = board.hw.functions[A].info.irq
    board.hw.irq.register(one, line, "one")
    board.a.set_irq(True)
    assert board.hw.irq.read(line, board.hw.irq.check(one, line)).result() == f"irq {line}\n"


@pytest.mark.parametrize("line", [0, 1, 8, 17, 23])
def test_the_line_of_nothing_that_one_has_claimed(board: Board, line: int) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    with pytest.raises(
        PermissionDenied, match=f"irq {line} is not the line of a function that one has"
    ):
        board.hw.irq.register(one, line, "one")
    assert board.verdicts("denied") == [("irq register", f"irq {line}")]


def test_an_unclaimed_functions_line(board: Board) -> None:
    with pytest.raises(PermissionDenied):
        board.hw.irq.register(board.process("one"), LINE, "one")


@pytest.mark.parametrize("line", [-1, 24, 32, 255, 4096])
def test_what_is_no_line(board: Board, line: int) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    with pytest.raises(BadArgument, match="is not a line"):
        board.hw.irq.register(one, line, "one")


def test_registering_needs_the_capability(board: Board) -> None:
    one = board.process("one", ALL & ~Cap.IRQ)
    board.hw.bus.claim(one, A)
    with pytest.raises(PermissionDenied, match="lacks capability irq"):
        board.hw.irq.register(one, LINE, "one")


def test_a_line_is_one_process_s_unless_both_share(board: Board) -> None:
    registered(board, "one", A, shared=True)
    two = board.process("two")
    board.hw.bus.claim(two, B)
    with pytest.raises(Busy, match=r"irq 16 is registered to one \(1\) as one; both must write"):
        board.hw.irq.register(two, LINE, "two")
    board.hw.irq.register(two, LINE, "two", shared=True)


def test_and_not_against_the_will_of_the_first(board: Board) -> None:
    registered(board)
    two = board.process("two")
    board.hw.bus.claim(two, B)
    with pytest.raises(Busy):
        board.hw.irq.register(two, LINE, "two", shared=True)


def test_not_twice(board: Board) -> None:
    one, _ = registered(board)
    with pytest.raises(Busy, match="already"):
        board.hw.irq.register(one, LINE, "again")


def test_unregister_masks_and_fails_whoever_waits(board: Board) -> None:
    one, reg = registered(board)
    wait = board.hw.irq.read(LINE, reg)
    board.hw.irq.unregister(one, LINE)
    assert masked(board)
    with pytest.raises(Stale, match="was unregistered"):
        wait.result()
    with pytest.raises(Stale):
        board.hw.irq.read(LINE, reg)
    assert board.hw.irq.lines() == ""


def test_only_the_registrant_opens(board: Board) -> None:
    registered(board)
    with pytest.raises(PermissionDenied, match="registered to one, not to two"):
        board.hw.irq.check(board.process("two"), LINE)
    with pytest.raises(NotFound, match="irq 17 is not registered"):
        board.hw.irq.check(board.process("two"), 17)
    with pytest.raises(PermissionDenied):
        board.hw.irq.unregister(board.process("two"), LINE)


def test_the_line_goes_with_the_claim(board: Board) -> None:
    one, _ = registered(board)
    board.hw.release(one, A)
    assert board.hw.irq.lines() == ""
    assert masked(board)


def test_unless_another_claimed_function_has_it_too(board: Board) -> None:
    one, _ = registered(board)
    board.hw.bus.claim(one, B)
    board.hw.release(one, A)
    assert not masked(board)
    board.hw.release(one, B)
    assert masked(board)


# Shared lines


def both(board: Board) -> tuple[Registrant, Registrant]:
    return registered(board, "one", A, shared=True)[1], registered(board, "two", B, shared=True)[1]


def test_each_is_told_and_all_must_acknowledge(board: Board) -> None:
    one, two = both(board)
    waits = [board.hw.irq.read(LINE, r) for r in (one, two)]
    board.a.set_irq(True)
    assert all(w.done for w in waits)
    board.a.set_irq(False)
    board.hw.irq.read(LINE, one)
    assert masked(board)
    board.hw.irq.read(LINE, two)
    assert not masked(board)


def test_the_other_goes_on_when_one_leaves(board: Board) -> None:
    one, two = both(board)
    board.a.set_irq(True)
    board.hw.irq.read(LINE, one)
    board.a.set_irq(False)
    board.hw.irq.read(LINE, one)
    assert masked(board)  # two has not even read
    board.hw.end(two.process)
    assert not masked(board)


def test_a_sharer_that_does_not_ask_is_cut_off_for_a_while(board: Board) -> None:
    one, two = both(board)

    wait = board.hw.irq.read(LINE, one)
    board.b.set_irq(True)  # of two, who sleeps
    assert done(wait)
    wait = board.hw.irq.read(LINE, one)
    assert not done(wait)
    board.late[0]()  # the grace is over
    assert two.late
    assert not masked(board)
    assert not done(wait)  # b's pin is off: nothing fires
    board.a.set_irq(True)
    assert done(wait)
    board.a.set_irq(False)

    assert ("irq late", "irq 16") in board.verdicts("done")


def test_and_is_back_when_it_asks(board: Board) -> None:
    one, two = both(board)

    board.hw.irq.read(LINE, one)
    board.b.set_irq(True)
    board.hw.irq.read(LINE, one)
    board.late[0]()
    assert board.hw.irq.read(LINE, two).done
    assert not two.late
    assert board.b.command & 0x400 == 0


def test_nobody_is_cut_off_while_nobody_waits(board: Board) -> None:
    one, two = both(board)

    board.a.set_irq(True)
    board.late[0]()
    assert not one.late
    assert not two.late


# Storms


def stormy(board: Board, limit: int) -> Registrant:
    board.hw.irq.storm = Storm(lines=limit, messages=limit)
    return registered(board)[1]


def storm(board: Board, reg: Registrant, count: int) -> int:
    """Read without ever making the device quiet; how many interrupts came."""
    board.a.set_irq(True)
    for n in range(count):
        try:
            board.hw.irq.read(LINE, reg).result()
        except DeviceError:
            return n
    return count


def test_a_line_that_nobody_takes_care_of_is_shut(board: Board) -> None:
    reg = stormy(board, 50)
    assert storm(board, reg, 100) == 50
    assert masked(board)
    with pytest.raises(DeviceError, match=r"irq 16 is shut: 50 .*`unregister 16` and register"):
        board.hw.irq.read(LINE, reg)
    assert board.verdicts("denied") == [("irq storm", "irq 16")]
    assert "irq 16 is shut" in board.logged[-1]


def test_whoever_waits_is_told(board: Board) -> None:
    reg = stormy(board, 2)
    waits = [board.hw.irq.read(LINE, reg) for _ in range(3)]
    board.a.set_irq(True)
    board.hw.irq.read(LINE, reg)
    assert waits[0].result() == "irq 16\n"
    assert board.hw.irq.numbers[LINE].shut
    for wait in waits[2:]:
        with pytest.raises(DeviceError, match="is shut"):
            wait.result()


def test_a_driver_that_touches_its_function_is_no_storm(board: Board) -> None:
    reg = stormy(board, 5)
    board.a.set_irq(True)
    for _ in range(50):
        assert board.hw.irq.read(LINE, reg).done
        touch(board, A, reg.process)


def test_a_driver_that_touched_it_once_is_one_all_the_same(board: Board) -> None:
    reg = stormy(board, 5)
    touch(board, A, reg.process)
    assert storm(board, reg, 20) == 6


def test_a_slow_row_of_them_is_no_storm(board: Board) -> None:
    board.hw.irq.storm = Storm(lines=3, seconds=-1.0)
    _, reg = registered(board)
    assert storm(board, reg, 20) == 20


def test_a_callback_that_fails_does_not_stop_the_line(board: Board) -> None:
    _, reg = registered(board)

    def fail(_: Pending[str]) -> None:
        raise RuntimeError("a mistake of ours")

    board.hw.irq.read(LINE, reg).then(fail)
    with pytest.raises(RuntimeError):
        board.a.set_irq(True)
    assert done(board.hw.irq.read(LINE, reg))


def test_registering_again_opens_it(board: Board) -> None:
    reg = stormy(board, 5)
    storm(board, reg, 10)
    board.a.set_irq(False)
    board.hw.irq.unregister(reg.process, LINE)
    board.hw.irq.register(reg.process, LINE, "one")
    wait = board.hw.irq.read(LINE, board.hw.irq.check(reg.process, LINE))
    assert not done(wait)
    board.a.set_irq(True)
    assert done(wait)


def test_one_of_two_who_share_opens_it_for_both(board: Board) -> None:
    board.hw.irq.storm = Storm(lines=4)
    one, two = both(board)
    board.a.set_irq(True)
    for _ in range(4):
        for r in (one, two):
            if not board.hw.irq.numbers[LINE].shut:
                board.hw.irq.read(LINE, r)
    assert board.hw.irq.numbers[LINE].shut
    board.a.set_irq(False)
    board.hw.irq.unregister(two.process, LINE)
    board.hw.irq.register(two.process, LINE, "two", shared=True)
    wait = board.hw.irq.read(LINE, one)
    board.a.set_irq(True)
    assert done(wait)


def test_a_reset_does_not_bring_a_storm_of_messages_back(board: Board) -> None:
    board.hw.irq.storm = Storm(messages=10)
    one = board.process("one")
    board.hw.bus.claim(one, A)
    board.hw.bus.master(one, A, True)
    board.hw.irq.messages(one, A, 1, "q", "msi")
    for _ in range(QUEUE + 20):
        board.a.notify(0)
    board.hw.reset(one, A)
    assert board.a.messenger is None


# Messages


@pytest.mark.parametrize("kind", ["msi", "msix"])
def test_messages_are_given_and_come(board: Board, kind: str) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    board.hw.bus.master(one, A, True)
    numbers = board.hw.irq.messages(one, A, 4, "queue", kind)
    assert len(numbers) == 4
    assert min(numbers) >= 32
    assert [line.split()[2] for line in board.hw.irq.lines().splitlines()] == [
        f"queue.{i}" for i in range(4)
    ]
    reg = board.hw.irq.check(one, numbers[2])
    wait = board.hw.irq.read(numbers[2], reg)
    board.a.notify(2)
    assert wait.result() == f"irq {numbers[2]}\n"


def test_the_msix_entries_that_were_not_asked_for_stay_masked(board: Board) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    board.hw.irq.messages(one, A, 3, "q", "msix")
    file = board.hw.open_bar(one, A, 2)
    assert [file.pread(4, 0x100C + 16 * i)[0] for i in range(8)] == [0, 0, 0, 1, 1, 1, 1, 1]


def test_messages_queue_to_64_and_then_are_dropped(board: Board) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    board.hw.bus.master(one, A, True)
    (n,) = board.hw.irq.messages(one, A, 1, "q", "msi")
    for _ in range(QUEUE + 6):
        board.a.notify(0)
    reg = board.hw.irq.check(one, n)
    assert board.hw.irq.lines() == f"irq {n}: q pending=64 delivered=0 dropped=6\n"
    for _ in range(QUEUE):
        assert board.hw.irq.read(n, reg).done
    assert not board.hw.irq.read(n, reg).done


def test_a_storm_of_messages_turns_them_off(board: Board) -> None:
    board.hw.irq.storm = Storm(messages=100)
    one = board.process("one")
    board.hw.bus.claim(one, A)
    board.hw.bus.master(one, A, True)
    (n,) = board.hw.irq.messages(one, A, 1, "q", "msi")
    for _ in range(QUEUE + 200):
        board.a.notify(0)
    reg = board.hw.irq.check(one, n)
    assert reg.dropped <= 100
    with pytest.raises(DeviceError, match=f"irq {n} is shut"):
        board.hw.irq.read(n, reg)
    assert board.a.messenger is None


@pytest.mark.parametrize(
    ("kind", "count", "words"),
    [
        ("msi", 3, "power of two up to 4"),
        ("msi", 8, "power of two up to 4"),
        ("msi", 0, "power of two"),
        ("msix", 9, "1 to 8 vectors"),
        ("msix", 0, "1 to 8 vectors"),
    ],
)
def test_how_many_there_can_be(board: Board, kind: str, count: int, words: str) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    with pytest.raises(BadArgument, match=words):
        board.hw.irq.messages(one, A, count, "q", kind)
    assert board.sim.vectors.owner == {}


def test_messages_need_the_claim_and_the_capability(board: Board) -> None:
    with pytest.raises(PermissionDenied, match="claimed by nobody"):
        board.hw.irq.messages(board.process("one"), A, 1, "q", "msi")
    with pytest.raises(PermissionDenied, match="lacks capability irq"):
        board.hw.irq.messages(board.process("two", ALL & ~Cap.IRQ), A, 1, "q", "msi")


def test_one_kind_at_a_time_and_unregister_gives_all_back(board: Board) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    numbers = board.hw.irq.messages(one, A, 4, "q", "msi")
    with pytest.raises(Busy, match="unregister them first"):
        board.hw.irq.messages(one, A, 1, "q", "msix")
    board.hw.irq.unregister(one, numbers[1])
    assert board.hw.irq.lines() == ""
    assert board.sim.vectors.owner == {}
    assert board.a.messenger is None
    assert board.hw.irq.messages(one, A, 2, "q", "msix")


def test_messages_go_with_the_claim(board: Board) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, C)
    (n,) = board.hw.irq.messages(one, C, 1, "q", "msix")
    wait = board.hw.irq.read(n, board.hw.irq.check(one, n))
    board.hw.release(one, C)
    with pytest.raises(Stale):
        wait.result()
    assert board.sim.vectors.owner == {}


def test_what_nobody_registered_is_not_counted(board: Board) -> None:
    board.hw.irq.sink(77, True)
    board.hw.irq.sink(LINE, True)
    assert board.hw.irq.lines() == ""


@pytest.mark.parametrize("kind", ["msi", "msix"])
def test_messages_outlive_a_reset(board: Board, kind: str) -> None:
    one = board.process("one")
    board.hw.bus.claim(one, A)
    board.hw.bus.master(one, A, True)
    numbers = board.hw.irq.messages(one, A, 2, "q", kind)
    wait = board.hw.irq.read(numbers[1], board.hw.irq.check(one, numbers[1]))
    board.hw.reset(one, A)
    assert board.a.resets == 1
    board.a.notify(1)
    assert done(wait)
