"""9P2000.L on the server: every request that Linux makes of a file system."""

from __future__ import annotations

import errno
import stat as s

import pytest

from lux9.ninep.locks import LOCKS
from lux9.wire import linux as l, messages as m, unix as u
from lux9.wire.codec import NOFID, NOTAG
from lux9.wire.messages import KEEP
from tests.ninep.marks import proves
from tests.ninep.rig import Level
from tests.ninep.speaking import Disk, Speaker, disk

V = "9P2000.L"


@pytest.fixture
def peer() -> Speaker:
    return Speaker(V).start()


@pytest.fixture
def tree() -> Disk:
    return disk()


@pytest.fixture
def files(tree: Disk) -> Speaker:
    return Speaker(V, tree.top).start()


class TestSession:
    @proves(V, "Tversion", "Tattach", "Tauth", "Rlerror")
    def test_begins_without_authentication(self, peer: Speaker) -> None:
        assert peer.get(m.Rattach, peer.attaching(5)).qid.is_dir
        assert peer.errno(u.Tauth(9, "me", "", 0)) == errno.ENOENT, "as diod's clients expect"
        assert peer.errno(u.Tattach(6, 5, "me", "", 0)) == errno.EBADF
        assert peer.errno(u.Tattach(6, NOFID, "me", "none", 0)) == errno.ENOENT

    @proves(V, "Tflush")
    def test_a_read_that_waits_is_given_up(self, peer: Speaker) -> None:
        peer.lopen(1, "event")
        assert peer.send(m.Tread(1, 0, 100), 7) == []
        assert peer.ask(m.Tflush(7), 8) == m.Rflush()
        assert peer.top.given_up == 1

    def test_what_9p2000_opens_with_is_refused(self, peer: Speaker) -> None:
        peer.walk(1, "mem")
        assert peer.errno(m.Topen(1, 0)) == errno.EPROTO
        assert peer.errno(m.Tstat(1)) == errno.EPROTO


class TestWalk:
    @proves(V, "Twalk")
    def test_finds_links_themselves(self, files: Speaker) -> None:
        assert files.get(m.Rwalk, m.Twalk(0, 1, ("soft",))).qids[0].type == m.QTSYMLINK
        assert len(files.get(m.Rwalk, m.Twalk(0, 2, ("to", "in"))).qids) == 1
        assert files.errno(m.Twalk(0, 2, ("none",))) == errno.ENOENT
        assert len(files.get(m.Rwalk, m.Twalk(0, 2, ("file", "x"))).qids) == 1

    def test_goes_from_an_open_directory(self, files: Speaker) -> None:
        files.lopen(1, "dir")
        assert len(files.get(m.Rwalk, m.Twalk(1, 2, (".", "in"))).qids) == 2
        assert files.errno(m.Twalk(1, 1, ("in",))) == errno.EBADF

    @proves(V, "Treadlink")
    def test_a_link_says_where_it_leads(self, files: Speaker) -> None:
        files.walk(1, "soft").walk(2, "file")
        assert files.get(l.Rreadlink, l.Treadlink(1)).target == "file"
        assert files.errno(l.Treadlink(2)) == errno.EINVAL
        assert files.errno(l.Tlopen(1, 0)) == errno.ELOOP


class TestOpen:
    @pytest.mark.parametrize("flags", [0, 1, 2, 0o1001, 0o4000, 0o100002, 0o400000])
    @proves(V, "Tlopen")
    def test_takes_linuxs_flags(self, peer: Speaker, flags: int) -> None:
        peer.lopen(1, "mem", flags)
        reads = peer.ask(m.Tread(1, 0, 4))
        assert isinstance(reads, m.Rread) == (flags & 3 != 1)
        writes = peer.ask(m.Twrite(1, 0, b"ab"))
        assert isinstance(writes, m.Rwrite) == (flags & 3 != 0)

    @pytest.mark.parametrize(
        ("path", "flags", "number"),
        [
            ("mem", 3, errno.EINVAL),
            ("mem", l.O_DIRECTORY, errno.ENOTDIR),
            ("", 1, errno.EISDIR),
            ("", l.O_TRUNC, errno.EISDIR),
            ("event", 1, errno.EPERM),
            ("broken", 0, errno.EIO),
        ],
    )
    @proves(V, "Tlopen", "Rlerror")
    def test_is_refused(self, peer: Speaker, path: str, flags: int, number: int) -> None:
        peer.walk(1, path)
        assert peer.errno(l.Tlopen(1, flags)) == number
        peer.get(m.Rclunk, m.Tclunk(1))

    @proves(V, "Tread", "Twrite", "Tclunk")
    def test_an_appended_write_goes_behind_what_is_there(self, files: Speaker) -> None:
        files.lopen(1, "file", l.O_APPEND | 2)
        files.get(m.Rwrite, m.Twrite(1, 0, b"ab"))
        assert files.read(1) == b"0123456789ab"
        files.get(m.Rclunk, m.Tclunk(1))

    @proves(V, "Tlcreate")
    def test_creates(self, files: Speaker) -> None:
        files.walk(1, "dir").walk(2, "dir").walk(3, "dir")
        files.get(l.Rlcreate, l.Tlcreate(1, "new", 2, 0o644, 0))
        assert files.get(m.Rwrite, m.Twrite(1, 0, b"abc")).count == 3
        assert files.errno(l.Tlcreate(2, "new", l.O_EXCL, 0o644, 0)) == errno.EEXIST
        files.get(l.Rlcreate, l.Tlcreate(3, "new", 0, 0o644, 0))
        assert files.read(3) == b"abc", "without O_EXCL it is opened"
        assert files.errno(l.Tlcreate(2, "..", 0, 0o644, 0)) == errno.EINVAL

    @proves(V, "Tfsync")
    def test_is_synced_at_any_time(self, peer: Speaker) -> None:
        peer.lopen(1, "mem")
        peer.get(l.Rfsync, l.Tfsync(1, 0))
        peer.raw(bytes.fromhex("0b000000 32 0900 01000000"))  # as it was without datasync
        assert peer.answers() == [(9, l.Rfsync())]
        assert peer.errno(l.Tfsync(0, 0)) == errno.EBADF


class TestNames:
    @proves(V, "Tmkdir", "Tmknod")
    def test_are_made(self, files: Speaker) -> None:
        assert files.get(l.Rmkdir, l.Tmkdir(0, "d2", 0o755, 0)).qid.is_dir
        files.get(l.Rmknod, l.Tmknod(0, "f2", s.S_IFREG | 0o644, 0, 0, 0))
        assert files.errno(l.Tmkdir(0, "d2", 0o755, 0)) == errno.EEXIST
        assert files.errno(l.Tmknod(0, "c", s.S_IFCHR | 0o644, 5, 1, 0)) == errno.EPERM
        files.walk(1, "file")
        assert files.errno(l.Tmkdir(1, "x", 0o755, 0)) == errno.ENOTDIR

    @proves(V, "Tsymlink", "Tlink")
    def test_of_links_are_refused_as_where_there_are_none(self, files: Speaker) -> None:
        files.walk(1, "file")
        assert files.errno(l.Tsymlink(0, "s", "file", 0)) == errno.EPERM
        assert files.errno(l.Tlink(0, 1, "h")) == errno.EPERM

    @proves(V, "Tunlinkat", "Tremove")
    def test_go(self, files: Speaker, tree: Disk) -> None:
        assert files.errno(l.Tunlinkat(0, "dir", 0)) == errno.EISDIR
        assert files.errno(l.Tunlinkat(0, "file", l.AT_REMOVEDIR)) == errno.ENOTDIR
        assert files.errno(l.Tunlinkat(0, "none", 0)) == errno.ENOENT
        files.get(l.Runlinkat, l.Tunlinkat(0, "soft", 0))
        files.get(l.Runlinkat, l.Tunlinkat(0, "dir", l.AT_REMOVEDIR))
        files.walk(1, "file").get(m.Rremove, m.Tremove(1))
        assert set(tree.top.what) == {"to"}

    @proves(V, "Trename", "Trenameat")
    def test_change_within_their_directory(self, files: Speaker, tree: Disk) -> None:
        files.walk(1, "dir").walk(2, "dir/in").walk(3, "file")
        files.get(l.Rrenameat, l.Trenameat(0, "file", 0, "f"))
        assert files.errno(l.Trenameat(0, "f", 1, "f")) == errno.EXDEV
        files.get(l.Rrename, l.Trename(2, 1, "out"))
        assert files.errno(l.Trename(2, 0, "out")) == errno.EXDEV
        files.walk(4, "dir/./../dir/out")  # which is the same file, and the same directory
        files.get(l.Rrename, l.Trename(4, 1, "back"))
        assert set(tree.top.what["dir"]) == {"back"}


class TestAttributes:
    @proves(V, "Tgetattr")
    def test_are_told_as_asked(self, files: Speaker) -> None:
        files.walk(1, "soft")
        a = files.get(l.Rgetattr, l.Tgetattr(1, l.GETATTR_ALL))
        assert (a.valid, s.S_ISLNK(a.mode), a.nlink, a.blocks) == (l.GETATTR_ALL, True, 5, 16)
        assert (a.uid, a.gid, a.size, a.gen, a.data_version) == (7, 8, 4, 9, 3)
        assert (a.atime_sec, a.atime_nsec, a.btime_sec, a.btime_nsec) == (1, 1, 4, 4)
        assert files.get(l.Rgetattr, l.Tgetattr(1, 1)).valid == 1

    @proves(V, "Tgetattr")
    def test_are_made_of_a_stat_where_there_are_no_others(self, peer: Speaker) -> None:
        a = peer.get(l.Rgetattr, l.Tgetattr(0, l.GETATTR_ALL))
        assert (a.mode, a.nlink) == (s.S_IFDIR | 0o775, 1)
        assert not a.valid & (l.GETATTR_GEN | l.GETATTR_BTIME), "which nobody knows"
        peer.walk(1, "mem")
        assert s.S_ISREG(peer.get(l.Rgetattr, l.Tgetattr(1, l.GETATTR_ALL)).mode)

    @proves(V, "Tsetattr")
    def test_a_device_is_truncated_and_touched(self, peer: Speaker) -> None:
        peer.walk(1, "ctl")
        size, now = l.SETATTR_SIZE, l.SETATTR_MTIME | l.SETATTR_ATIME | l.SETATTR_CTIME
        for valid in (size, now, l.SETATTR_CTIME, now | l.SETATTR_MTIME_SET):
            peer.get(l.Rsetattr, l.Tsetattr(1, valid, 0, 0, 0, 0, 1, 2, 1 << 40, 4))
        for valid in (l.SETATTR_MODE, l.SETATTR_UID, l.SETATTR_GID):
            assert peer.errno(l.Tsetattr(1, valid, 0o600, 0, 0, 0, 0, 0, 0, 0)) == errno.EPERM
        assert peer.errno(l.Tsetattr(1, size, 0, 0, 0, 5, 0, 0, 0, 0)) == errno.EPERM

    def test_what_is_set_is_what_was_named(self, files: Speaker, tree: Disk) -> None:
        files.walk(1, "file")
        valid = l.SETATTR_MODE | l.SETATTR_UID | l.SETATTR_SIZE
        files.get(l.Rsetattr, l.Tsetattr(1, valid, 0o100600, 7, 8, 9, 1, 2, 3, 4))
        assert tree.changed == [KEEP.but(mode=0o600, uid="7", length=9)]

    @proves(V, "Tstatfs")
    def test_of_the_file_system(self, files: Speaker, peer: Speaker) -> None:
        told = files.get(l.Rstatfs, l.Tstatfs(0))
        assert (told.type, told.bsize, told.bfree) == (0xEF53, 1024, 50)
        assert peer.get(l.Rstatfs, l.Tstatfs(0)).namelen == 255

    @proves(V, "Txattrwalk", "Txattrcreate")
    def test_there_are_no_extended_ones(self, peer: Speaker) -> None:
        peer.walk(1, "mem")
        assert peer.get(l.Rxattrwalk, l.Txattrwalk(1, 2, "")).size == 0
        assert peer.read(2) == b""
        peer.get(m.Rclunk, m.Tclunk(2))
        assert peer.errno(l.Txattrwalk(1, 2, "user.x")) == errno.ENODATA
        assert peer.errno(l.Txattrwalk(1, 1, "")) == errno.EBADF
        assert peer.errno(l.Txattrcreate(1, "user.x", 3, 0)) == errno.EOPNOTSUPP
        assert peer.errno(l.Txattrcreate(1, "user.x", 0, l.XATTR_REPLACE)) == errno.ENODATA
        assert set(peer.session.fids) == {0, 1}


class TestDirectories:
    @proves(V, "Treaddir")
    def test_show_links_as_links(self, files: Speaker) -> None:
        found = {e.name: e.type for e in files.lopen(1, "").names(1)}
        dots = {".": l.DT_DIR, "..": l.DT_DIR}
        links = {"soft": l.DT_LNK, "to": l.DT_LNK}
        assert found == {**dots, **links, "file": l.DT_REG, "dir": l.DT_DIR}

    @proves(V, "Tread")
    def test_are_read_by_treaddir_alone(self, peer: Speaker) -> None:
        peer.lopen(1, "")
        assert peer.errno(m.Tread(1, 0, 8000)) == errno.EISDIR

    @pytest.mark.parametrize("count", [64, 100, 1000, 8000])
    @proves(V, "Treaddir")
    def test_of_any_size_are_read_by_cookies(self, peer: Speaker, count: int) -> None:
        peer.top.names |= {f"x{i:05}": Level() for i in range(3000)}
        got = peer.lopen(1, "").names(1, count)
        names = [e.name for e in got]
        assert len(names) == len(set(names)) > 3100
        assert [e.offset for e in got] == list(range(1, len(got) + 1))

    def test_go_on_anywhere(self, peer: Speaker) -> None:
        got = peer.lopen(1, "").names(1)
        data = peer.get(l.Rreaddir, l.Treaddir(1, got[41].offset, 8000)).data
        assert l.Entry.get(memoryview(data), 0, len(data))[0] == got[42]
        assert not peer.get(l.Rreaddir, l.Treaddir(1, (1 << 64) - 1, 8000)).data
        assert peer.errno(l.Treaddir(1, 0, 10)) == errno.EINVAL, "not even one"

    def test_only_directories_are_read_so(self, peer: Speaker) -> None:
        peer.lopen(1, "mem")
        assert peer.errno(l.Treaddir(1, 0, 100)) == errno.ENOTDIR
        assert peer.errno(l.Treaddir(0, 0, 100)) == errno.EBADF


class TestLocks:
    def lock(self, peer: Speaker, kind: int, start: int, length: int, who: int = 1) -> int:
        return peer.get(l.Rlock, l.Tlock(1, kind, 0, start, length, who, "host")).status

    def other(self, peer: Speaker) -> Speaker:
        """Another connection to the same tree."""
        other = Speaker(V, peer.owner.root).start()
        return other.lopen(1, "mem", 2)

    @proves(V, "Tlock", "Tgetlock")
    def test_bar_others_and_end_with_the_fid(self, peer: Speaker) -> None:
        peer.lopen(1, "mem", 2)
        other = self.other(peer)
        assert self.lock(peer, l.F_WRLCK, 10, 10) == l.LOCK_SUCCESS
        assert self.lock(other, l.F_RDLCK, 19, 1) == l.LOCK_BLOCKED
        assert self.lock(other, l.F_RDLCK, 20, 0) == l.LOCK_SUCCESS
        found = other.get(l.Rgetlock, l.Tgetlock(1, l.F_WRLCK, 0, 0, 2, "there"))
        assert (found.type, found.start, found.length) == (l.F_WRLCK, 10, 10)
        assert (found.proc_id, found.client_id) == (1, "host")
        peer.get(m.Rclunk, m.Tclunk(1))
        asked = l.Tgetlock(1, l.F_WRLCK, 0, 0, 1, "host")
        assert other.get(l.Rgetlock, asked).type == l.F_UNLCK
        other.session.reset()
        assert not LOCKS.files

    def test_are_split_and_shared(self, peer: Speaker) -> None:
        peer.lopen(1, "mem", 2)
        other = self.other(peer)
        assert self.lock(peer, l.F_WRLCK, 0, 0) == l.LOCK_SUCCESS
        assert self.lock(peer, l.F_UNLCK, 10, 10) == l.LOCK_SUCCESS
        assert self.lock(other, l.F_WRLCK, 10, 10) == l.LOCK_SUCCESS
        assert self.lock(other, l.F_WRLCK, 9, 1) == l.LOCK_BLOCKED
        assert self.lock(other, l.F_WRLCK, 20, 1) == l.LOCK_BLOCKED
        assert self.lock(peer, l.F_RDLCK, 0, 10) == l.LOCK_SUCCESS
        assert self.lock(other, l.F_RDLCK, 0, 10) == l.LOCK_SUCCESS
        peer.ask(m.Tversion(8192, V), NOTAG)
        assert self.lock(other, l.F_WRLCK, 0, 0) == l.LOCK_SUCCESS, "the session's went with it"
        other.session.reset()
        assert not LOCKS.files

    def test_are_bounded(self, peer: Speaker) -> None:
        peer.lopen(1, "mem", 2)
        got = [self.lock(peer, l.F_WRLCK, 2 * i, 1) for i in range(1025)]
        assert got == [l.LOCK_SUCCESS] * 1024 + [l.LOCK_ERROR]
        peer.session.reset()
        assert not LOCKS.files

    def test_are_of_open_files_and_of_three_kinds(self, peer: Speaker) -> None:
        peer.walk(1, "mem")
        assert peer.errno(l.Tlock(1, 0, 0, 0, 0, 1, "h")) == errno.EBADF
        peer.get(l.Rlopen, l.Tlopen(1, 0))
        assert peer.errno(l.Tlock(1, 3, 0, 0, 0, 1, "h")) == errno.EINVAL
