//! The host's own locks: on descriptors, not of processes, since all guests' owners are one process here.

use std::io;
use std::os::fd::AsFd;

use fuse::filesystem::{LockKind, RecordLock};
use nix::fcntl::{FcntlArg, fcntl};
use rustix::fs::FlockOperation;

/// Whether to wait for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wait {
    /// `EAGAIN` where it cannot be had.
    No,
    /// Until it can be had, or [`crate::sys::Thread::wake`] makes it `EINTR`.
    Yes,
}

/// Locks or unlocks a stretch for the open file that `fd` is (`F_OFD_SETLK`).
pub(super) fn set(fd: impl AsFd, lock: &RecordLock, wait: Wait) -> io::Result<()> {
    let lock = flock(lock);
    let argument = match wait {
        Wait::No => FcntlArg::F_OFD_SETLK(&lock),
        Wait::Yes => FcntlArg::F_OFD_SETLKW(&lock),
    };
    match fcntl(fd, argument) {
        Ok(_) => Ok(()),
        // POSIX allows either; the guest's programs get what Linux says.
        Err(nix::Error::EACCES) => Err(nix::Error::EAGAIN.into()),
        Err(error) => Err(error.into()),
    }
}

/// The first lock that is in the way of `lock`, by others than the open file that `fd` is (`F_OFD_GETLK`).
pub(super) fn get(fd: impl AsFd, lock: &RecordLock) -> io::Result<Option<RecordLock>> {
    let mut found = flock(lock);
    fcntl(fd, FcntlArg::F_OFD_GETLK(&mut found))?;
    let kind = match libc::c_int::from(found.l_type) {
        libc::F_RDLCK => LockKind::Read,
        libc::F_WRLCK => LockKind::Write,
        _ => return Ok(None),
    };
    // The host answers with positions that fit: it has checked them when the lock was made.
    let (start, len) = (found.l_start.max(0) as u64, found.l_len.max(0) as u64);
    let end = if len == 0 { i64::MAX as u64 } else { start + (len - 1) };
    // A process of the host's is none in the guest.
    Ok(Some(RecordLock { owner: 0, start, end, kind, pid: 0 }))
}

/// Gives up everything that the open file `fd` has locked.
pub(super) fn release(fd: impl AsFd) {
    let everything =
        RecordLock { owner: 0, start: 0, end: i64::MAX as u64, kind: LockKind::Unlock, pid: 0 };
    if let Err(error) = set(fd, &everything, Wait::No) {
        tracing::error!("locks cannot be given up: {error}");
    }
}

/// Locks or unlocks the open file `fd` as a whole.
pub(super) fn whole(fd: impl AsFd, kind: LockKind, wait: Wait) -> io::Result<()> {
    use FlockOperation as Op;
    let operation = match (kind, wait) {
        (LockKind::Read, Wait::No) => Op::NonBlockingLockShared,
        (LockKind::Read, Wait::Yes) => Op::LockShared,
        (LockKind::Write, Wait::No) => Op::NonBlockingLockExclusive,
        (LockKind::Write, Wait::Yes) => Op::LockExclusive,
        (LockKind::Unlock, _) => Op::Unlock,
    };
    Ok(rustix::fs::flock(fd, operation)?)
}

fn flock(lock: &RecordLock) -> libc::flock {
    let kind = match lock.kind {
        LockKind::Read => libc::F_RDLCK,
        LockKind::Write => libc::F_WRLCK,
        LockKind::Unlock => libc::F_UNLCK,
    };
    // The decoder has kept both within `i64`; a length of 0 has no end.
    let last = lock.end == i64::MAX as u64;
    libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: lock.start as i64,
        l_len: if last { 0 } else { (lock.end - lock.start + 1) as i64 },
        l_pid: 0,
    }
}
