"""A Linux kernel mounts our tree, and what it shows of the disk is what its own ext4 shows."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest.guest import Guest
from tests.guest.v9fs import BIG, MANY, Mount, image
from tests.system.running import Running

pytestmark = pytest.mark.timeout(240)

LINUX, CACHED = Mount(), Mount(cache="loose")
UNIX, PLAIN = Mount("9p2000.u"), Mount("9p2000")
FACTS = {  # what stat(1) has to tell alike; LINUX's are all that it has, but for the number of the inode
    "9p2000.L": "%n %N %F %h %s %b %B %a %u %g %X %Y %Z",
    "9p2000.u": "%n %N %s %u %g %Y",
    "9p2000": "%n %s %Y",
}
SPACE = "%s %S %b %f %c %d %l"  # and statfs(1); Linux keeps some back for writes, which changes %a


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def running(disk: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("running")
    with Running(folder, "--disk", str(disk), "--read-only") as made:
        yield made


@pytest.fixture(scope="module")
def known(guest: Guest, disk: Path) -> Iterator[str]:
    """The disk as Linux's ext4 reads it."""
    guest.run(f"mkdir /mnt/known && mount -t ext4 -o loop,ro,noload /host{disk} /mnt/known")
    yield "/mnt/known"
    guest.run("umount /mnt/known")


@pytest.fixture(scope="module", params=[LINUX, CACHED], ids=str)
def root(request: pytest.FixtureRequest, guest: Guest, running: Running) -> Iterator[str]:
    with request.param.at(guest, running.address) as where:
        yield f"{where}/root"


def both(guest: Guest, a: str, b: str, command: str) -> str:
    """A command's output, which is the same in both places."""
    told = [guest.run(f"cd {where} && {command}").stdout for where in (a, b)]
    assert told[0] == told[1]
    assert told[0]
    return told[0]


def test_what_is_there(guest: Guest, known: str, root: str) -> None:
    assert len(both(guest, known, root, "find . | sort").splitlines()) > MANY
    for kind, least in (("f", MANY), ("d", 4), ("l", 7), ("p", 1)):
        found = both(guest, known, root, f"find . -type {kind} | sort")
        assert len(found.splitlines()) >= least, kind
    both(guest, known, root, "ls -lR")


def test_what_stat_tells(guest: Guest, known: str, root: str) -> None:
    both(guest, known, root, f"find . -exec stat -c '{FACTS['9p2000.L']}' {{}} + | sort")
    assert both(guest, known, root, "stat -c %h file dir/deep/third").split() == ["3", "3"]
    both(guest, known, root, f"stat -f -c '{SPACE}' .")
    both(guest, known, root, "df -k --output=size,used,itotal,iused,iavail .")


def test_every_byte(guest: Guest, known: str, root: str) -> None:
    sums = both(guest, known, root, "find . -type f -print0 | sort -z | xargs -0 sha256sum")
    assert len(sums.splitlines()) >= MANY
    both(guest, known, root, "tar -b 1024 -cf - --sort=name . | sha256sum")


def test_reads_of_any_place_and_length(guest: Guest, known: str, root: str) -> None:
    dice = random.Random(5)
    reads = [(dice.randrange(BIG), dice.choice([1, 511, 4096, 70_000, 1 << 20])) for _ in range(12)]
    reads += [(BIG + 4320, 100), (BIG + 4321, 100), (BIG << 1, 1)]
    command = "".join(
        f"dd if=big bs={count} count=1 skip={offset} iflag=skip_bytes status=none;"
        for offset, count in reads
    )
    both(guest, known, root, f"{{ {command} }} | sha256sum")


def test_what_cannot_be_done_is_refused_as_by_a_file_system_that_is_read_only(
    guest: Guest, known: str, root: str
) -> None:
    tries = {
        "cat nowhere": "No such file or directory",
        "cat file/below": "Not a directory",
        "cat loop": "Too many levels of symbolic links",
        "cat dir": "Is a directory",
        "rmdir file": "Not a directory",
        "echo x > file": "Read-only file system",
        "echo x > new": "Read-only file system",
        "mkdir new": "Read-only file system",
        "rm -f file": "Read-only file system",
        "mv file new": "Read-only file system",
        "chmod 0 file": "Read-only file system",
        "touch file": "Read-only file system",
    }
    script = ";".join(f"{{ {command}; }} && echo {command} was done >&2" for command in tries)
    said = guest.run(["bash", "-c", f"cd {root} && {{ {script}; }}"], check=False).stderr
    assert [line.rpartition(": ")[2] for line in said.splitlines()] == list(tries.values())


@pytest.mark.parametrize("mount", [UNIX, PLAIN], ids=str)
def test_the_older_dialects(guest: Guest, running: Running, known: str, mount: Mount) -> None:
    facts = FACTS[mount.version]
    with mount.at(guest, running.address) as where:
        root = f"{where}/root"
        if mount is UNIX:
            both(guest, known, root, "find . ! -name pipe | sort")
            both(guest, known, root, "find . -type l | sort | xargs readlink")
        both(guest, known, f"{root}", f"cd many; stat -c '{facts}' *")
        both(guest, known, root, "sha256sum big sparse dir/hard todir/third soft long */file002*")
        gone = guest.run(f"cat {root}/nowhere", check=False)
        assert gone.stderr.endswith("No such file or directory\n")


@pytest.mark.parametrize("msize", [4096, 65536, 1 << 20, 1 << 24])
def test_the_msize_that_is_agreed_on(
    guest: Guest, running: Running, known: str, msize: int
) -> None:
    with Mount(msize=msize).at(guest, running.address) as where:
        told = guest.run(f"grep {where} /proc/mounts").stdout
        assert f"msize={min(msize, 1 << 20)}," in told, "Linux has no more than that"
        both(guest, known, f"{where}/root", "ls many; sha256sum file")


def test_over_descriptors_that_a_program_has_opened(
    guest: Guest, running: Running, known: str
) -> None:
    with Mount(trans="fd").at(guest, running.address) as where:
        assert "trans=fd" in guest.run(f"grep {where} /proc/mounts").stdout
        both(guest, known, f"{where}/root", "sha256sum big */file000*; ls -l dir")


def test_much_at_once_on_one_mount(guest: Guest, running: Running, known: str) -> None:
    told = guest.run(f"cd {known} && cat big file many/* | sha256sum").stdout
    with LINUX.at(guest, running.address) as where:
        follow = f"echo $$ >> /run/followers; exec cat {where}/dev/kmesg"
        followers = [guest.start(follow) for _ in range(4)]
        read = f"cd {where}/root && cat big file many/* | sha256sum"
        readers = [guest.start(read) for _ in range(3)]
        packer = guest.start(f"tar -C {where}/root -b 256 -cf /dev/zero .")
        registers = guest.start(f"for n in $(seq 40); do cat {where}/dev/time; done")
        assert len(registers.end().stdout.splitlines()) == 40
        packer.end()
        assert [reader.end().stdout for reader in readers] == [told] * 3
        in_read = "until grep -q '^0 ' /proc/$p/syscall; do :; done"
        guest.run(f"for p in $(cat /run/followers); do {in_read}; kill -INT $p; done")
        assert all("listening on" in f.end(check=False).stdout for f in followers)
        guest.run("rm /run/followers")
