"""Every byte that is read is the image's, whichever way and however many ask."""

from __future__ import annotations

import hashlib
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

from hypothesis import given, settings, strategies as st

from lux9.cli import image
from lux9.ninep.client import File
from lux9.pending import Pending
from lux9.wire.node import Bytes
from tests.system.running import BIG, LIMIT, LUX9, SIZE, Running, boot, environment, lux9

Reads = list[tuple[int, int]]
CLIENTS = 4


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def printed(running: Running, path: str) -> str:
    """The hash of what `lux9 cat` prints."""
    env = environment(LUX9_ADDR=running.address)
    hash_ = hashlib.sha256()
    with subprocess.Popen([*LUX9, "cat", path], env=env, stdout=subprocess.PIPE) as cat:
        assert cat.stdout is not None
        while data := cat.stdout.read(1 << 20):
            hash_.update(data)
        assert cat.wait(LIMIT) == 0
    return hash_.hexdigest()


def test_a_file_through_the_file_system(either: Running, disk: Path) -> None:
    assert printed(either, "/root/big.bin") == digest(disk.parent / "source" / "big.bin")
    assert either.read("/root/hello.txt") == "hello\n"


def test_the_whole_disk(either: Running, disk: Path) -> None:
    assert printed(either, "/dev/sdE0/data") == digest(disk)


def test_a_large_file(tmp_path: Path, machine_name: str) -> None:
    """64 MiB with no hole, by the command that a user would write."""
    source = tmp_path / "source"
    source.mkdir()
    block = bytes(range(256)) * 4096
    with (source / "large.bin").open("wb") as f:
        for i in range(64):
            f.write(i.to_bytes(8, "little") + block[8:])
    image.make(tmp_path / "d.img", source, 96 << 20)
    options = ("--machine", machine_name, "--disk", str(tmp_path / "d.img"))
    done = boot("lux9 cat /root/large.bin | sha256sum", *options)
    assert done.stdout.split() == [digest(source / "large.bin"), "-"]
    assert done.returncode == 0


def test_disks_are_named_in_the_order_in_which_they_were_asked_for(
    tmp_path: Path, machine_name: str
) -> None:
    """More than one controller has ports for."""
    names = [f"sd{letter}{n}" for letter in "EFG" for n in range(6)][:14]
    options = ["--machine", machine_name, "--read-only"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode().ljust(1 << 20))
        options += ["--disk", str(tmp_path / name)]
    with Running(tmp_path, *options) as running, running.client() as client:
        for name in names:
            with client.open(f"/dev/{name}/data") as disk:
                assert disk.pread(0, 4) == name.encode()


def together(work: Callable[[int], None]) -> None:
    """The same in as many threads as there are clients; the first failure is the test's."""
    failures = list[BaseException]()

    def one(n: int) -> None:
        try:
            work(n)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=(n,)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LIMIT)
        assert not thread.is_alive(), "a client waits in vain"
    if failures:
        raise failures[0]


def compare(f: File, truth: memoryview, reads: Reads) -> None:
    for offset, count in reads:
        assert f.pread(offset, count) == truth[offset : offset + count], (offset, count)


def somewhere(size: int) -> st.SearchStrategy[Reads]:
    """Offsets and lengths: anything, around the ends of sectors and blocks, and past the end."""
    edges = st.integers(1, size // 512).map(lambda sector: sector * 512)
    around = st.tuples(edges, st.integers(-2, 2)).map(sum)
    offsets = st.one_of(st.integers(0, size - 1), around, st.just(size), st.just(size - 1))
    counts = st.one_of(st.integers(1, 5000), st.integers(1, 300_000), st.just(1), st.just(4096))
    return st.lists(st.tuples(offsets, counts), min_size=1, max_size=8)


def test_random_offsets_and_lengths_of_four_clients(either: Running, disk: Path) -> None:
    data = disk.read_bytes()
    big = (disk.parent / "source" / "big.bin").read_bytes()
    truth = {"/dev/sdE0/data": memoryview(data), "/root/big.bin": memoryview(big)}
    clients = [either.client() for _ in range(CLIENTS)]
    files = [{path: c.open(path) for path in truth} for c in clients]
    disks, bigs = somewhere(SIZE), somewhere(BIG)

    @settings(max_examples=25, deadline=None)
    @given(st.tuples(*[disks] * CLIENTS), st.tuples(*[bigs] * CLIENTS))
    def check(on_disk: tuple[Reads, ...], on_file: tuple[Reads, ...]) -> None:
        def work(n: int) -> None:
            compare(files[n]["/dev/sdE0/data"], truth["/dev/sdE0/data"], on_disk[n])
            compare(files[n]["/root/big.bin"], truth["/root/big.bin"], on_file[n])

        together(work)

    check()
    for client in clients:
        client.close()


def test_reads_beyond_the_end_are_short_then_empty(either: Running) -> None:
    with either.client() as client:
        for path, size in (("/dev/sdE0/data", SIZE), ("/root/big.bin", BIG)):
            with client.open(path) as f:
                assert len(f.pread(size - 5, 100)) == 5
                assert f.pread(size, 100) == b""
                assert f.pread(1 << 62, 100) == b""


def test_reads_on_their_way_together_come_back_right(either: Running, disk: Path) -> None:
    """Many more than the disk has slots, from one client, answered by callback."""
    data, got = disk.read_bytes(), dict[int, bytes]()

    def keep(at: int) -> Callable[[Pending[Bytes]], None]:
        return lambda pending: got.__setitem__(at, bytes(pending.result()))

    with either.client() as client, client.open("/dev/sdE0/data") as f:
        places = [i * 7919 * 64 for i in range(100)]
        waiting = [f.submit(at, 8192) for at in places]
        for at, pending in zip(places, waiting, strict=True):
            pending.then(keep(at))
        for pending in waiting:
            client.wait(pending)
    assert got == {at: data[at : at + 8192] for at in places}


def test_the_length_and_the_partition(either: Running, disk: Path) -> None:
    with either.client() as client:
        assert client.stat("/dev/sdE0/data").length == SIZE
        assert client.stat("/dev/sdE0/linux").length == SIZE - (1 << 20)
        with client.open("/dev/sdE0/linux") as f:
            assert f.pread(0, 4096) == disk.read_bytes()[1 << 20 : (1 << 20) + 4096]


def test_a_disk_that_may_not_be_written(either: Running) -> None:
    done = lux9(
        "put", str(Path(__file__)), "/dev/sdE0/data", env=environment(LUX9_ADDR=either.address)
    )
    assert done.returncode != 0
    assert len(done.stderr.splitlines()) == 1
    either.alive()
