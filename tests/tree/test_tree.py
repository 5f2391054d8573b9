"""The tree language: what is declared is what is served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest

from lux9.errors import (
    BadArgument,
    ControlError,
    Exists,
    IsADirectory,
    Lux9Error,
    NotADirectory,
    NotFound,
    PermissionDenied,
)
from lux9.pending import Maybe, Pending, waits
from lux9.tree import (
    Dir,
    DirNode,
    File,
    FileNode,
    Raw,
    Tree,
    entries,
    event,
    raw,
    rpc,
    stream,
    synopsis,
    text,
    verb,
)
from lux9.wire.messages import DMDIR, KEEP, ORCLOSE, ORDWR, OREAD, OTRUNC, OWRITE
from lux9.wire.node import Bytes, Handle, Node


class Words:
    """A Raw over bytes, which knows whether it was closed."""

    def __init__(self, data: bytes) -> None:
        self.data, self.closed = bytearray(data), False

    def pread(self, count: int, offset: int) -> bytes:
        return bytes(self.data[offset : offset + count])

    def pwrite(self, data: memoryview, offset: int) -> int:
        self.data[offset : offset + len(data)] = data
        return len(data)

    def close(self) -> None:
        self.closed = True


class Lines:
    """A Handle of its own making."""

    def __init__(self, mode: int) -> None:
        self.mode = mode

    def read(self, offset: int, count: int) -> bytes:
        return f"mode {self.mode}"[offset : offset + count].encode()

    def write(self, offset: int, data: memoryview) -> int:
        return len(data)

    def close(self) -> None:
        pass


class Unit(Dir):
    """One unit."""

    @text(0o444)
    def name(self) -> str:
        """What it is called."""
        return "unit\n"


class Device(Dir):
    """A device with a file of each kind."""

    def __init__(self) -> None:
        self.facts = "idle\n"
        self.said: list[object] = []
        self.words = Words(b"\x01\x02\x03\x04\x05\x06\x07\x08")
        self.units_: dict[str, Dir | File] = {"0": Unit()}
        self.waiting: list[Pending[str]] = []
        self.answer: Pending[str] = Pending()
        self.hidden: set[str] = set()

    @text(0o664)
    def ctl(self) -> str:
        """Facts; takes the commands below.

        More about it, which is not in the manual's line.
        """
        return self.facts

    @text(0o644, write="set_label")
    def label(self) -> str:
        """A name that is written whole."""
        return "none\n"

    def set_label(self, written: str) -> None:
        self.said.append(written)

    @text(0o444, name="a-b")
    def a_b(self) -> Maybe[str]:
        """A name that is no identifier; made later."""
        return self.answer

    @raw(0o660)
    def config(self) -> Raw:
        """Registers."""
        return self.words

    @stream(0o666)
    def log(self, mode: int) -> Handle:
        """Of its own making."""
        return Lines(mode)

    @event(0o400)
    def irq(self) -> Pending[str]:
        """Waits."""
        pending: Pending[str] = Pending(lambda: self.said.append("cancelled"))
        self.waiting.append(pending)
        return pending

    @rpc(0o600)
    def alloc(self, request: str) -> str:
        """Ask, then read."""
        self.said.append(request)
        return f"got {request}\n"

    @entries
    def units(self) -> Mapping[str, Dir | File]:
        """A directory a unit."""
        return self.units_

    @verb(1)
    def master(self, state: str) -> None:
        """Bus master on or off."""
        if state not in ("on", "off"):
            raise ControlError(f"master {state}: on or off")
        self.said.append(("master", state))

    @verb(1, 2)
    def take(self, count: str, where: str = "here") -> str:
        """Take some."""
        self.said.append(("take", count, where))
        return f"{count} {where}\n"

    @verb(1, rest=True)
    def note(self, words: str) -> None:
        """A note."""
        self.said.append(("note", words))

    @verb(0)
    def slow(self) -> Pending[str]:
        """Answered later."""
        return self.answer

    def shows(self, name: str) -> bool:
        return name not in self.hidden


@pytest.fixture
def device() -> Device:
    return Device()


@pytest.fixture
def root(device: Device) -> DirNode:
    return Tree("#d", "glenda", "sys").root(device)


def node_of(root: Node, path: str) -> Node:
    node = root
    for name in path.split("/"):
        found = node.walk(name)
        assert not waits(found)
        node = found
    return node


def opened(root: Node, path: str, mode: int = OREAD) -> Handle:
    handle = node_of(root, path).open(mode)
    assert not waits(handle)
    assert hasattr(handle, "read")
    return cast("Handle", handle)


def read(handle: Handle, offset: int = 0, count: int = 100) -> bytes:
    data: Maybe[Bytes] = handle.read(offset, count)
    assert not waits(data)
    return bytes(data)


def write(handle: Handle, data: bytes, offset: int = 0) -> Maybe[int]:
    return handle.write(offset, memoryview(data))


class TestText:
    def test_is_made_whole_when_it_is_opened(self, root: DirNode, device: Device) -> None:
        handle = opened(root, "ctl")
        device.facts = "busy\n"
        assert read(handle, 0, 3) + read(handle, 3, 100) + read(handle, 5) == b"idle\n"
        assert read(opened(root, "ctl")) == b"busy\n"

    def test_made_later(self, root: DirNode, device: Device) -> None:
        handle = node_of(root, "a-b").open(OREAD)
        assert waits(handle)
        device.answer.resolve("late\n")
        assert read(handle.result()) == b"late\n"  # type: ignore[arg-type]  # a file's

    def test_what_is_written_may_go_to_a_method(self, root: DirNode, device: Device) -> None:
        assert write(opened(root, "label", OWRITE), b"my disk\n") == 8
        assert device.said == ["my disk\n"]

    def test_not_utf8(self, root: DirNode) -> None:
        with pytest.raises(BadArgument, match="UTF-8"):
            write(opened(root, "ctl", OWRITE), b"\xff\xfe")


class TestVerbs:
    def test_a_line_each(self, root: DirNode, device: Device) -> None:
        data = b"master on\n\n  master off \ntake 3\n"
        assert write(opened(root, "ctl", OWRITE), data) == len(data)
        assert device.said == [("master", "on"), ("master", "off"), ("take", "3", "here")]

    def test_the_first_error_stops(self, root: DirNode, device: Device) -> None:
        with pytest.raises(ControlError, match="on or off"):
            write(opened(root, "ctl", OWRITE), b"master on\nmaster up\nmaster off\n")
        assert device.said == [("master", "on")]

    def test_very_many_lines(self, root: DirNode, device: Device) -> None:
        assert write(opened(root, "ctl", OWRITE), b"master on\n" * 5000) == 50000
        assert len(device.said) == 5000

    def test_the_rest_of_a_line(self, root: DirNode, device: Device) -> None:
        write(opened(root, "ctl", OWRITE), "note  two words\u2028and more\n".encode())
        assert device.said == [("note", "two words\u2028and more")]

    @pytest.mark.parametrize(
        ("line", "says"),
        [
            (
                b"fly",
                "unknown command 'fly'; known: master STATE; take COUNT [WHERE]; note WORDS; slow",
            ),
            (b"\n", "unknown command ''"),
            (b"master", "0 argument(s); usage: master STATE"),
            (b"master on off", "2 argument(s); usage: master STATE"),
            (b"take", "usage: take COUNT [WHERE]"),
            (b"take 1 2 3", "3 argument(s); usage: take COUNT [WHERE]"),
        ],
    )
    def test_a_wrong_command_is_told_the_right_ones(
        self, root: DirNode, line: bytes, says: str
    ) -> None:
        with pytest.raises(ControlError) as caught:
            write(opened(root, "ctl", OWRITE), line)
        assert says in str(caught.value)

    def test_a_later_answer_goes_on_with_the_next_line(self, root: DirNode, device: Device) -> None:
        handle = opened(root, "ctl", ORDWR)
        done = write(handle, b"slow\nmaster on\n")
        assert waits(done)
        assert device.said == []
        device.answer.resolve("at last\n")
        assert done.result() == 15
        assert device.said == [("master", "on")]
        assert read(handle, 15) == b"at last\n"


class TestAnswers:
    def test_are_read_from_wherever_the_file_offset_is(self, root: DirNode) -> None:
        handle = opened(root, "alloc", ORDWR)
        assert read(handle) == b""
        write(handle, b"size 1")
        assert read(handle, 6, 4) == b"got "
        assert read(handle, 10, 100) == b"size 1\n"
        assert read(handle, 17, 100) == b""

    def test_a_new_answer_begins_anew(self, root: DirNode) -> None:
        handle = opened(root, "alloc", ORDWR)
        write(handle, b"a")
        assert read(handle, 0) == b"got a\n"
        write(handle, b"b", 6)
        assert read(handle, 7) == b"got b\n"
        assert read(handle, 0) == b"got b\n", "and a program that reads at 0 has it too"

    def test_of_a_verb_after_the_facts_were_read(self, root: DirNode) -> None:
        handle = opened(root, "ctl", ORDWR)
        assert read(handle) == b"idle\n"
        write(handle, b"take 2 there\n", 5)
        assert read(handle, 18) == b"2 there\n"

    def test_a_command_without_an_answer_leaves_the_facts(self, root: DirNode) -> None:
        handle = opened(root, "ctl", ORDWR)
        write(handle, b"master on")
        assert read(handle) == b"idle\n"

    def test_are_each_opener_s_own(self, root: DirNode) -> None:
        one, other = opened(root, "alloc", ORDWR), opened(root, "alloc", ORDWR)
        write(one, b"a")
        assert read(other) == b""


class TestOtherKinds:
    def test_raw(self, root: DirNode, device: Device) -> None:
        handle = opened(root, "config", ORDWR)
        assert read(handle, 2, 2) == b"\x03\x04"
        assert write(handle, b"\xaa", 3) == 1
        assert device.words.data[3] == 0xAA
        handle.close()
        assert device.words.closed

    def test_stream_is_told_the_mode(self, root: DirNode) -> None:
        assert read(opened(root, "log", ORDWR)) == b"mode 2"

    def test_event_waits_for_each_read(self, root: DirNode, device: Device) -> None:
        handle = opened(root, "irq")
        got = handle.read(0, 100)
        assert waits(got)
        device.waiting[0].resolve("irq 16\n")
        assert got.result() == b"irq 16\n"
        assert waits(handle.read(7, 100))
        assert len(device.waiting) == 2

    def test_what_does_not_fit_is_left_for_the_next_read(
        self, root: DirNode, device: Device
    ) -> None:
        handle = opened(root, "irq")
        got = handle.read(0, 4)
        assert waits(got)
        device.waiting[0].resolve("irq 16\n")
        assert got.result() == b"irq "
        assert read(handle, 4) == b"16\n"

    def test_giving_a_read_up_reaches_the_method(self, root: DirNode, device: Device) -> None:
        got = opened(root, "irq").read(0, 100)
        assert waits(got)
        got.cancel()
        assert device.said == ["cancelled"]


class TestWalks:
    def test_down_and_up(self, root: DirNode) -> None:
        assert read(opened(root, "0/name")) == b"unit\n"
        assert node_of(root, "0/../ctl").qid == node_of(root, "ctl").qid
        assert node_of(root, "..") is root, "there is no way out of the tree"

    def test_what_is_not_there(self, root: DirNode, device: Device) -> None:
        with pytest.raises(NotFound, match="#d/nope"):
            root.walk("nope")
        device.hidden.add("ctl")
        with pytest.raises(NotFound):
            root.walk("ctl")
        del device.units_["0"]
        with pytest.raises(NotFound):
            root.walk("0")

    @pytest.mark.parametrize("name", ["x", ".."])
    def test_not_from_a_file(self, root: DirNode, name: str) -> None:
        with pytest.raises(NotADirectory):
            node_of(root, "ctl").walk(name)

    def test_files_among_the_entries(self, root: DirNode, device: Device) -> None:
        device.units_["linux"] = File(0o640, lambda mode: Words(b"disk"), lambda: 4)
        assert read(opened(root, "linux")) == b"disk"
        stat = node_of(root, "linux").stat()
        assert not waits(stat)
        assert (stat.length, stat.mode, stat.name) == (4, 0o640, "linux")


class TestStats:
    def test_a_directory_lists_declared_files_and_what_comes_and_goes(self, root: DirNode) -> None:
        names = [s.name for s in root.entries()]
        assert names == ["ctl", "label", "a-b", "config", "log", "irq", "alloc", "0"]

    def test_hidden_files_are_not_listed(self, root: DirNode, device: Device) -> None:
        device.hidden = {"irq", "log"}
        assert not {"irq", "log"} & {s.name for s in root.entries()}

    def test_the_list_and_the_file_agree(self, root: DirNode) -> None:
        for listed in root.entries():
            node = node_of(root, listed.name)
            stat = node.stat()
            assert not waits(stat)
            assert stat.qid == listed.qid == node.qid
            assert (stat.mode, stat.length) == (listed.mode, listed.length)
            assert stat.qid.is_dir == bool(stat.mode & DMDIR)

    def test_numbers_are_distinct_and_stay(self, root: DirNode) -> None:
        paths = [s.qid.path for s in root.entries()] + [root.qid.path]
        assert len(set(paths)) == len(paths)
        assert node_of(root, "0/name").qid.path == node_of(root, "0/name").qid.path

    def test_owner_and_name(self, root: DirNode) -> None:
        stat = root.stat()
        assert (stat.name, stat.uid, stat.gid, stat.mode) == ("/", "glenda", "sys", DMDIR | 0o555)

    def test_versions_rise_with_the_text(self, root: DirNode, device: Device) -> None:
        def version(path: str) -> int:
            node = node_of(root, path)
            stat = node.stat()
            assert not waits(stat)
            assert stat.qid == node.qid
            return stat.qid.version

        first = version("ctl")
        assert version("ctl") == first
        device.facts = "busy\n"
        assert version("ctl") == first + 1
        device.facts = "idle\n"
        read(opened(root, "ctl"))
        assert version("ctl") == first + 2, "seen by an open, too"
        assert version("label") == 0

    def test_a_text_that_cannot_be_made_has_a_stat(self, root: DirNode, device: Device) -> None:
        device.answer.fail(NotFound("gone"))
        stat = node_of(root, "a-b").stat()
        assert not waits(stat)
        assert stat.name == "a-b"


class TestPermissions:
    @pytest.mark.parametrize(
        ("path", "mode", "says"),
        [
            ("irq", OWRITE, "irq (mode 0400) cannot be written"),
            ("irq", ORDWR, "cannot be written"),
            ("0/name", OREAD | OTRUNC, "cannot be written"),
            ("ctl", 3, "cannot be executed"),
        ],
    )
    def test_by_the_file_s_mode(self, root: DirNode, path: str, mode: int, says: str) -> None:
        with pytest.raises(PermissionDenied) as caught:
            node_of(root, path).open(mode)
        assert says in str(caught.value)

    def test_write_only(self, device: Device, root: DirNode) -> None:
        device.units_["w"] = File(0o200, lambda mode: Words(b""))
        with pytest.raises(PermissionDenied, match="cannot be read"):
            node_of(root, "w").open(ORDWR)
        opened(root, "w", OWRITE)

    @pytest.mark.parametrize("mode", [OWRITE, ORDWR, OREAD | OTRUNC])
    def test_a_directory_is_only_read(self, root: DirNode, mode: int) -> None:
        with pytest.raises(IsADirectory):
            root.open(mode)
        assert root.open(OREAD | ORCLOSE) is root, "the server refuses that before it comes here"

    def test_nothing_is_created_removed_or_changed(self, root: DirNode) -> None:
        with pytest.raises(PermissionDenied, match="files cannot be created here"):
            root.create("new", 0o644, ORDWR)
        with pytest.raises(PermissionDenied, match="directories cannot"):
            root.create("new", DMDIR | 0o755, OREAD)
        for name in ("ctl", "0"):
            with pytest.raises(Exists):
                root.create(name, 0o644, ORDWR)
        with pytest.raises(NotADirectory):
            node_of(root, "ctl").create("x", 0o644, OREAD)
        with pytest.raises(PermissionDenied, match="ctl cannot be removed"):
            node_of(root, "ctl").remove()
        with pytest.raises(PermissionDenied, match="root"):
            root.remove()
        with pytest.raises(PermissionDenied):
            node_of(root, "ctl").wstat(KEEP.but(name="other"))

    def test_truncating_and_touching_mean_nothing(self, root: DirNode) -> None:
        node = node_of(root, "ctl")
        node.wstat(KEEP)
        node.wstat(KEEP.but(length=0, mtime=5))
        opened(root, "ctl", OWRITE | OTRUNC)
        with pytest.raises(PermissionDenied):
            node.wstat(KEEP.but(length=5))

    def test_an_open_may_be_refused_by_the_directory(self) -> None:
        class Careful(Device):
            def check(self, name: str, perm: int, mode: int) -> None:
                super().check(name, perm, mode)
                if name == "config":
                    raise PermissionDenied("capability pci is missing")

        root = Tree("#d").root(Careful())
        with pytest.raises(PermissionDenied, match="capability"):
            node_of(root, "config").open(OREAD)
        opened(root, "ctl")


class TestCreating:
    class Shelf(Dir):
        """Where files can be put."""

        mode = 0o775

        def __init__(self) -> None:
            self.kept: dict[str, Dir | File] = {}

        @entries
        def all(self) -> Mapping[str, Dir | File]:
            """What was put."""
            return self.kept

        def make(self, name: str, perm: int, mode: int) -> File:
            words = Words(b"")
            file = self.kept[name] = File(perm, lambda mode: words, lambda: len(words.data))
            return file

        def drop(self, name: str) -> None:
            del self.kept[name]

    def test_create_write_stat_and_remove(self) -> None:
        root = Tree("#k").root(self.Shelf())
        made = root.create("a", 0o600, ORDWR)
        assert not waits(made)
        node, handle = made
        write(cast("Handle", handle), b"abc")
        stat = node.stat()
        assert not waits(stat)
        assert (stat.length, stat.mode) == (3, 0o600)
        with pytest.raises(Exists, match="#k/a"):
            root.create("a", 0o600, ORDWR)
        node.remove()
        assert root.entries() == []


def test_declarations_are_inherited_and_overridden() -> None:
    class More(Device):
        """More of it."""

        @text(0o444)
        def ctl(self) -> str:
            """Only read here."""
            return "more\n"

        @verb(0)
        def slow(self) -> Pending[str]:
            """Quick here."""
            pending: Pending[str] = Pending()
            pending.resolve("quick")
            return pending

    root = Tree("#d").root(More())
    with pytest.raises(PermissionDenied):
        node_of(root, "ctl").open(OWRITE)
    assert read(opened(root, "ctl")) == b"more\n"
    assert (More.verbs["slow"].doc, Device.verbs["slow"].doc) == ("Quick here.", "Answered later.")
    assert list(More.verbs) == list(Device.verbs)
    assert list(More.table) == list(Device.table)


def test_the_manual_is_the_declaration() -> None:
    lines = [line.split(maxsplit=3) for line in synopsis(Device)]
    assert lines[0] == ["ctl", "0664", "text", "Facts; takes the commands below."]
    assert ["a-b", "0444", "text", "A name that is no identifier; made later."] in lines
    assert ["UNITS", "0555", "entries", "A directory a unit."] in lines
    text_of = "\n".join(synopsis(Device, "  "))
    assert "  ctl: take COUNT [WHERE]       Take some." in text_of


def test_methods_stay_methods(device: Device) -> None:
    assert device.ctl() == "idle\n"
    device.master("on")
    assert device.said == [("master", "on")]
    assert isinstance(node_of(Tree("#d").root(device), "ctl"), FileNode)
    assert issubclass(ControlError, Lux9Error)
