from __future__ import annotations

from lux9.drivers.ahci.commands import DMA_EXT, FLUSH_EXT, NCQ, Op, Request
from lux9.drivers.ahci.queue import Queue


def request(op: Op = NCQ.read) -> Request:
    return Request(op, lambda r, e: None)


def filled(queue: Queue, *ops: Op) -> list[Request]:
    requests = [request(op) for op in ops]
    for r in requests:
        queue.add(r)
    return requests


def test_slots_are_given_from_the_lowest_to_the_depth() -> None:
    queue = Queue(4)
    requests = filled(queue, *[NCQ.read] * 6)
    assert queue.take() == requests[:4]
    assert [r.slot for r in requests[:4]] == [0, 1, 2, 3]
    assert queue.active == 0b1111
    assert queue.take() == []
    assert queue.finish(0b0100) == [requests[2]]
    assert queue.take() == [requests[4]]
    assert requests[4].slot == 2


def test_a_command_that_is_alone_waits_and_is_waited_for() -> None:
    queue = Queue(32)
    first, flush, last = filled(queue, NCQ.read, FLUSH_EXT, NCQ.read)
    assert queue.take() == [first]
    assert queue.take() == []
    queue.finish(queue.active)
    assert queue.take() == [flush]
    assert queue.take() == []
    queue.finish(queue.active)
    assert queue.take() == [last]


def test_modes_do_not_mix() -> None:
    queue = Queue(32)
    filled(queue, NCQ.read, NCQ.write, DMA_EXT.read, DMA_EXT.write, NCQ.read)
    assert len(queue.take()) == 2
    queue.finish(queue.active)
    assert len(queue.take()) == 2
    queue.finish(queue.active)
    assert len(queue.take()) == 1


def test_slots_that_are_free_cannot_be_finished() -> None:
    queue = Queue(4)
    filled(queue, NCQ.read)
    queue.take()
    assert queue.finish(0b1110) == []
    assert len(queue.finish(0xFFFFFFFF)) == 1
    assert queue.finish(0xFFFFFFFF) == []


def test_recalled_commands_go_again_first_and_in_order() -> None:
    queue = Queue(3)
    requests = filled(queue, *[NCQ.read] * 4)
    for i, r in enumerate(queue.take()):
        r.issued = 10.0 - i
    recalled = queue.recall()
    assert recalled == [requests[2], requests[1], requests[0]]
    queue.again(recalled)
    assert list(queue.waiting) == [*recalled, requests[3]]


def test_careful_is_one_at_a_time_until_so_many_are_done() -> None:
    queue = Queue(32)
    filled(queue, *[NCQ.read] * 5)
    queue.careful = 2
    for _ in range(2):
        assert len(queue.take()) == 1
        assert queue.take() == []
        queue.finish(queue.active)
    assert len(queue.take()) == 3


def test_drop_leaves_nothing() -> None:
    queue = Queue(2)
    requests = filled(queue, *[NCQ.read] * 5)
    queue.take()
    assert set(queue.drop()) == set(requests)
    assert (queue.active, list(queue.waiting), list(queue.in_flight())) == (0, [], [])
