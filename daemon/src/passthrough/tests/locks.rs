//! Locks: of one guest's owners among each other, and with the host. A second guest is like the host to the first.

use std::fs::{File, OpenOptions};
use std::io;

use fuse::abi::InitFlags;
use fuse::filesystem::{LockKind, Locks, RecordLock, Release};
use fuse::park::Patience;
use fuse::testing::WaitingRoom;
use fuse::{FileSystem, Handle, NodeId, errno};
use nix::fcntl::{FcntlArg, fcntl};

mod waiting;

use super::on_every_share;
use super::share::{ROOT, Share, assert_errno, config};
use crate::passthrough::Config;
use crate::passthrough::InodeFileHandles::Prefer;
use crate::passthrough::locks::MAX_RANGES;

use LockKind::{Read, Unlock, Write};

const LAST: u64 = i64::MAX as u64;

on_every_share!(
    owners_exclude_each_other,
    the_host_and_the_guest_exclude_each_other,
    closing_gives_up_an_owners_locks_and_no_other_s,
    an_open_file_takes_the_locks_made_by_it_along,
    a_reader_becomes_a_writer,
    what_has_no_name_any_more_can_be_locked,
    nothing_is_left_when_the_guest_goes,
    open_files_exclude_each_other,
);

pub(super) fn record(owner: u64, kind: LockKind, start: u64, end: u64) -> RecordLock {
    RecordLock { owner, start, end, kind, pid: 100 + owner as u32 }
}

type Place = (NodeId, Handle);

impl Share {
    pub(super) fn lock(&self, at: Place, lock: &RecordLock) -> io::Result<()> {
        self.fs.setlk(&ROOT, at.0, at.1, lock, None)
    }

    pub(super) fn in_the_way(&self, at: Place, lock: &RecordLock) -> Option<RecordLock> {
        self.fs.getlk(&ROOT, at.0, at.1, lock).unwrap()
    }

    fn flock(&self, at: Place, kind: LockKind) -> io::Result<()> {
        self.fs.flock(&ROOT, at.0, at.1, kind, None)
    }

    fn flush(&self, at: Place, owner: u64) {
        self.fs.flush(&ROOT, at.0, at.1, owner).unwrap();
    }

    fn has_no_locks(&self) -> bool {
        self.fs.locks.is_empty()
    }
}

/// A lock of the host's, by a descriptor of its own.
pub(super) fn host_lock(file: &File, lock: &RecordLock) -> io::Result<()> {
    let kind = match lock.kind {
        Read => libc::F_RDLCK,
        Write => libc::F_WRLCK,
        Unlock => libc::F_UNLCK,
    };
    let len = if lock.end == LAST { 0 } else { lock.end - lock.start + 1 };
    let lock = libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: lock.start as i64,
        l_len: len as i64,
        l_pid: 0,
    };
    fcntl(file, FcntlArg::F_OFD_SETLK(&lock))?;
    Ok(())
}

pub(super) fn on_host(share: &Share, name: &str) -> File {
    OpenOptions::new().read(true).write(true).open(share.path(name)).unwrap()
}

fn owners_exclude_each_other(share: &Share) {
    let at = share.new_file("file");
    share.lock(at, &record(1, Write, 10, 19)).unwrap();
    assert_errno(share.lock(at, &record(2, Read, 19, 30)), errno::EAGAIN);
    share.lock(at, &record(2, Write, 20, LAST)).unwrap();
    share.lock(at, &record(2, Write, 0, 9)).unwrap();
    let met = share.in_the_way(at, &record(2, Read, 0, LAST)).unwrap();
    assert_eq!((met.start, met.end, met.kind, met.pid), (10, 19, Write, 101));
    assert_eq!(share.in_the_way(at, &record(2, Write, 0, 9)), None, "one's own are not in the way");
    assert!(share.in_the_way(at, &record(3, Read, LAST, LAST)).is_some());

    share.lock(at, &record(1, Read, 12, 13)).unwrap();
    share.lock(at, &record(3, Read, 12, 13)).unwrap();
    assert_errno(share.lock(at, &record(3, Write, 12, 13)), errno::EAGAIN);
    assert_errno(share.lock(at, &record(3, Read, 11, 13)), errno::EAGAIN);
    for owner in 1..=3 {
        share.lock(at, &record(owner, Unlock, 0, LAST)).unwrap();
    }
    assert!(share.has_no_locks());
    share.lock(at, &record(9, Unlock, 0, LAST)).expect("there is nothing to unlock");
}

fn the_host_and_the_guest_exclude_each_other(share: &Share) {
    let at = share.new_file("file");
    let host = on_host(share, "file");
    host_lock(&host, &record(0, Write, 0, 4)).unwrap();
    assert_errno(share.lock(at, &record(1, Read, 4, 4)), errno::EAGAIN);
    let met = share.in_the_way(at, &record(1, Read, 0, 9)).unwrap();
    assert_eq!((met.start, met.end, met.kind, met.pid), (0, 4, Write, 0));
    host_lock(&host, &record(0, Unlock, 0, LAST)).unwrap();
    share.lock(at, &record(1, Read, 0, 4)).unwrap();
    assert_errno(host_lock(&host, &record(0, Write, 0, 0)), errno::EAGAIN);
    host_lock(&host, &record(0, Read, 0, 0)).unwrap();

    // The host's classic locks, which belong to a process: another one than the locks by descriptor.
    let classic = libc::flock {
        l_type: libc::F_WRLCK as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: 2,
        l_len: 1,
        l_pid: 0,
    };
    let refused = fcntl(&host, FcntlArg::F_SETLK(&classic));
    assert_eq!(refused, Err(nix::Error::EAGAIN));
    host_lock(&host, &record(0, Unlock, 0, LAST)).unwrap();
    share.lock(at, &record(1, Unlock, 0, LAST)).unwrap();
    fcntl(&host, FcntlArg::F_SETLK(&classic)).unwrap();
    assert_errno(share.lock(at, &record(1, Read, 2, 2)), errno::EAGAIN);
}

fn closing_gives_up_an_owners_locks_and_no_other_s(share: &Share) {
    let at = share.new_file("file");
    let again = (at.0, share.open(at.0, libc::O_RDONLY).unwrap());
    let other = share.new_file("other");
    share.lock(at, &record(1, Write, 0, 0)).unwrap();
    share.lock(at, &record(2, Write, 1, 1)).unwrap();
    share.lock(other, &record(1, Write, 0, 0)).unwrap();
    share.flush(again, 1);
    share.lock(at, &record(3, Write, 0, 0)).expect("any descriptor's end gives all up");
    assert_errno(share.lock(at, &record(3, Write, 1, 1)), errno::EAGAIN);
    assert_errno(share.lock(other, &record(3, Write, 0, 0)), errno::EAGAIN);
}

/// As `F_OFD_SETLK` has it in the guest, where no FLUSH names the owner.
fn an_open_file_takes_the_locks_made_by_it_along(share: &Share) {
    let at = share.new_file("file");
    let again = (at.0, share.open(at.0, libc::O_RDWR).unwrap());
    share.lock(at, &record(1, Write, 0, 0)).unwrap();
    share.lock(again, &record(2, Write, 1, 1)).unwrap();
    share.release(at).unwrap();
    share.lock(again, &record(2, Write, 0, 0)).unwrap();
    share.release(again).unwrap();
    assert!(share.has_no_locks());
}

/// Owner 1 closes the file, opens it again and locks it before the RELEASE of the first open file comes.
#[test]
fn a_late_release_takes_no_new_locks_along() {
    let share = Share::on_disk(&config(Prefer));
    let at = share.new_file("file");
    share.lock(at, &record(1, Write, 0, 0)).unwrap();
    share.flush(at, 1);
    let again = (at.0, share.open(at.0, libc::O_RDWR).unwrap());
    share.lock(again, &record(1, Write, 0, 0)).unwrap();
    share.release(at).unwrap();
    assert_errno(share.lock(again, &record(2, Read, 0, 0)), errno::EAGAIN);
}

/// The file is opened for reading by then; what the owner has stays its own all the time.
fn a_reader_becomes_a_writer(share: &Share) {
    share.host_file("file", "");
    let node = share.node("file");
    let reader = (node, share.open(node, libc::O_RDONLY).unwrap());
    let writer = (node, share.open(node, libc::O_WRONLY).unwrap());
    share.lock(reader, &record(1, Read, 0, 4)).unwrap();
    share.lock(reader, &record(1, Read, 8, 9)).unwrap();
    share.lock(reader, &record(2, Read, 0, 0)).unwrap();
    assert_errno(share.lock(writer, &record(1, Write, 0, 4)), errno::EAGAIN);
    assert_errno(share.lock(writer, &record(3, Write, 8, 8)), errno::EAGAIN);
    share.lock(writer, &record(1, Write, 1, 4)).unwrap();
    assert_errno(share.lock(reader, &record(2, Read, 1, 1)), errno::EAGAIN);
    share.lock(reader, &record(2, Read, 8, 9)).unwrap();
    share.flush(reader, 1);
    share.flush(reader, 2);
    assert!(share.has_no_locks());
    host_lock(&on_host(share, "file"), &record(0, Write, 0, LAST)).unwrap();
}

fn what_has_no_name_any_more_can_be_locked(share: &Share) {
    let at = share.new_file("file");
    share.unlink(NodeId::ROOT, "file").unwrap();
    share.lock(at, &record(1, Write, 0, 0)).unwrap();
    assert_errno(share.lock(at, &record(2, Read, 0, 0)), errno::EAGAIN);
    share.flock(at, Write).unwrap();
    share.release(at).unwrap();
    assert!(share.has_no_locks());
}

fn nothing_is_left_when_the_guest_goes(share: &Share) {
    let at = share.new_file("file");
    share.lock(at, &record(1, Write, 0, 9)).unwrap();
    share.flock(at, Write).unwrap();
    let (room, answers) = WaitingRoom::new();
    let wait = |patience: &Patience<'_>| {
        share.fs.setlk(&ROOT, at.0, at.1, &record(2, Read, 0, 0), Some(patience))
    };
    assert!(room.ask(5, wait).0);
    share.fs.destroy();
    assert_eq!(answers.recv(), Ok((5, errno::ENOLCK)));
    assert!(share.has_no_locks());
    let host = on_host(share, "file");
    host_lock(&host, &record(0, Write, 0, LAST)).unwrap();
    rustix::fs::flock(&host, rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
}

fn open_files_exclude_each_other(share: &Share) {
    let one = share.new_file("file");
    let two = (one.0, share.open(one.0, libc::O_RDONLY).unwrap());
    let host = on_host(share, "file");
    let host_wants = |operation| rustix::fs::flock(&host, operation).map_err(io::Error::from);
    share.flock(one, Read).unwrap();
    share.flock(two, Read).unwrap();
    assert_errno(share.flock(one, Write), errno::EAGAIN);
    assert_errno(host_wants(rustix::fs::FlockOperation::NonBlockingLockExclusive), errno::EAGAIN);
    share.flock(two, Unlock).unwrap();
    share.flock(one, Write).unwrap();
    assert_errno(share.flock(two, Read), errno::EAGAIN);
    share.lock(two, &record(1, Write, 0, LAST)).expect("the two kinds know nothing of each other");
    let release =
        Release { flags: 0, lock_owner: 0, flush: false, flock_unlock: true, idle: false };
    share.fs.release(&ROOT, one.0, one.1, &release).unwrap();
    host_wants(rustix::fs::FlockOperation::NonBlockingLockExclusive).unwrap();
    assert_errno(share.flock(two, Write), errno::EAGAIN);
}

#[test]
fn locks_that_were_not_agreed_on_are_refused() {
    let share = Share::on_disk(&Config { posix_locks: false, flock: false, ..config(Prefer) });
    let at = share.new_file("file");
    assert_errno(share.lock(at, &record(1, Read, 0, 0)), errno::ENOSYS);
    assert_errno(share.fs.getlk(&ROOT, at.0, at.1, &record(1, Read, 0, 0)), errno::ENOSYS);
    assert_errno(share.flock(at, Read), errno::ENOSYS);
    let few = InitFlags::DONT_MASK;
    let share = Share::on_disk(&config(Prefer));
    assert_eq!(share.fs.init(&few.into()).unwrap(), few);
    let at = share.new_file("file");
    assert_errno(share.flock(at, Read), errno::ENOSYS);
}

#[test]
fn what_is_not_open_cannot_be_locked() {
    let share = Share::on_disk(&config(Prefer));
    let at = share.new_file("file");
    let other = share.new_file("other");
    for wrong in [(at.0, Handle(99)), (at.0, other.1), (NodeId(99), at.1)] {
        assert_errno(share.lock(wrong, &record(1, Read, 0, 0)), errno::EBADF);
        assert_errno(share.flock(wrong, Read), errno::EBADF);
    }
    let directory = share.fs.opendir(&ROOT, NodeId::ROOT, 0).unwrap().handle.unwrap();
    assert_errno(share.lock((NodeId::ROOT, directory), &record(1, Read, 0, 0)), errno::EISDIR);
    assert!(share.has_no_locks());
}

#[test]
fn a_read_only_share_has_read_locks() {
    let share = Share::on_disk(&Config { readonly: true, ..config(Prefer) });
    share.host_file("file", "");
    let node = share.node("file");
    let at = (node, share.open(node, libc::O_RDONLY).unwrap());
    share.lock(at, &record(1, Read, 0, 0)).unwrap();
    assert_errno(host_lock(&on_host(&share, "file"), &record(0, Write, 0, 0)), errno::EAGAIN);
    assert_errno(share.lock(at, &record(1, Write, 0, 0)), errno::EROFS);
}

#[test]
fn there_is_an_end_to_how_many_stretches_a_guest_can_lock() {
    let share = Share::on_disk(&config(Prefer));
    let at = share.new_file("file");
    for stretch in 0..MAX_RANGES as u64 {
        share.lock(at, &record(stretch % 64, Write, stretch * 2, stretch * 2)).unwrap();
    }
    let another = share.new_file("other");
    assert_errno(share.lock(another, &record(1, Read, 0, 0)), errno::ENOLCK);
    share.lock(at, &record(7, Unlock, 0, LAST)).unwrap();
    share.lock(another, &record(1, Read, 0, 0)).unwrap();
    share.fs.destroy();
    assert!(share.has_no_locks());
}
