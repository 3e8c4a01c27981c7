//! Open-file-description locks: they live as long as the open file does, and so tell the living from the dead.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

/// Who else may have the lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LockKind {
    /// Other holders of shared locks.
    Shared,
    /// Nobody.
    Exclusive,
}

impl LockKind {
    const fn raw(self) -> libc::c_int {
        match self {
            Self::Shared => libc::F_RDLCK,
            Self::Exclusive => libc::F_WRLCK,
        }
    }
}

/// The lock on `len` bytes from `offset`.
fn range(kind: libc::c_int, offset: u64, len: u64) -> io::Result<libc::flock> {
    let number = |n: u64| i64::try_from(n).map_err(io::Error::other);
    Ok(libc::flock {
        l_type: kind as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: number(offset)?,
        l_len: number(len)?,
        l_pid: 0,
    })
}

/// Takes the lock on `len` bytes from `offset`, or turns the lock that this open file has there into `kind`. False
/// when somebody else's stands in the way.
pub(crate) fn try_lock(file: &File, offset: u64, len: u64, kind: LockKind) -> io::Result<bool> {
    let lock = range(kind.raw(), offset, len)?;
    // SAFETY: an open descriptor and a lock that lives through the call.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } {
        0 => Ok(true),
        _ => match io::Error::last_os_error() {
            e if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
            e => Err(e),
        },
    }
}

/// Releases this open file's lock on `len` bytes from `offset`.
pub(crate) fn unlock(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let lock = range(libc::F_UNLCK, offset, len)?;
    // SAFETY: an open descriptor and a lock that lives through the call.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &raw const lock) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Whether another open file has a lock of any kind on the byte at `offset`.
pub(crate) fn is_locked(file: &File, offset: u64) -> io::Result<bool> {
    let mut lock = range(libc::F_WRLCK, offset, 1)?;
    // SAFETY: an open descriptor and a lock that lives through the call, which writes to it.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &raw mut lock) } {
        0 => Ok(i32::from(lock.l_type) != libc::F_UNLCK),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
#[path = "locks_tests.rs"]
mod tests;
