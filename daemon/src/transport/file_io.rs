//! File data straight between guest memory and a file: `preadv2` and `pwritev2` on the guest's own pages.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use fuse::errno;
use fuse::io::WriteMode;

use super::buffers::{Buffers, IoVecs};

/// How often a read may end early at one place, with more behind it, until that is how this file is read.
const EARLY_ENDS: usize = 8;

/// Reads up to `len` bytes of `file` from `offset` on into `[at, at + len)` of `buffers`.
///
/// Fewer bytes than that mean the file's end: a read that the kernel cut short is taken up again, so a bad block in the
/// middle is an error for the guest and not a shorter file. What one system call can read is of one moment of the file,
/// as far as its file system reads at once, also while others make it longer.
pub(super) fn read(
    buffers: &Buffers<'_>,
    at: usize,
    file: BorrowedFd<'_>,
    len: usize,
    offset: u64,
) -> io::Result<usize> {
    let len = len.min(buffers.len().saturating_sub(at));
    let mut done = 0;
    while done < len {
        let part = read_part(|further| {
            let from = done + further;
            let iovecs = buffers.iovecs(at + from, len - from);
            let asked = iovecs.iter().map(|iovec| iovec.iov_len).sum();
            let count = preadv2(file, &iovecs, file_offset(offset, from)?)?;
            Ok(Call { count, asked })
        })?;
        done += part.count;
        if part.is_last {
            break;
        }
    }
    Ok(done)
}

/// What a system call was asked for and what it gave.
struct Call {
    count: usize,
    asked: usize,
}

/// What was read at once.
#[derive(Debug, PartialEq, Eq)]
struct Part {
    count: usize,
    is_last: bool,
}

/// Reads as much as one system call takes. `call` makes one, that begins so many bytes further on.
///
/// One that gives less than it was asked for has met the file's end, or was cut short; the next one tells which. Should
/// that find more, then these bytes may have been written after those before them were read: three old ones and five
/// new ones are a file that nobody has ever had. So all is read anew. A file that grows ends further on each time.
fn read_part(mut call: impl FnMut(usize) -> io::Result<Call>) -> io::Result<Part> {
    let (mut furthest, mut early_ends) = (0, 0);
    loop {
        let Call { count, asked } = uninterrupted(|| call(0))?;
        if count == 0 || count >= asked {
            return Ok(Part { count, is_last: count == 0 });
        }
        if uninterrupted(|| call(count))?.count == 0 {
            return Ok(Part { count, is_last: true });
        }
        early_ends = if count > furthest { 1 } else { early_ends + 1 };
        furthest = furthest.max(count);
        if early_ends == EARLY_ENDS {
            return Ok(Part { count, is_last: false });
        }
    }
}

fn uninterrupted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Writes up to `len` bytes from `at` on to `file` at `offset`; returns how many were written.
///
/// Fewer than asked for mean that the rest failed: a write that the kernel cut short is taken up again.
pub(super) fn write(
    buffers: &Buffers<'_>,
    at: usize,
    file: BorrowedFd<'_>,
    len: usize,
    offset: u64,
    mode: WriteMode,
) -> io::Result<usize> {
    let len = len.min(buffers.len().saturating_sub(at));
    let mut done = 0;
    while done < len {
        let iovecs = buffers.iovecs(at + done, len - done);
        match pwritev2(file, &iovecs, file_offset(offset, done)?, rwf_flags(mode)) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}

fn file_offset(offset: u64, done: usize) -> io::Result<libc::off_t> {
    offset
        .checked_add(done as u64)
        .and_then(|offset| libc::off_t::try_from(offset).ok())
        .ok_or_else(|| errno::error(errno::EINVAL))
}

fn rwf_flags(mode: WriteMode) -> libc::c_int {
    let mut flags = 0;
    for (bit, flag) in [
        (WriteMode::APPEND, libc::RWF_APPEND),
        (WriteMode::DSYNC, libc::RWF_DSYNC),
        (WriteMode::SYNC, libc::RWF_SYNC),
    ] {
        if mode.contains(bit) {
            flags |= flag;
        }
    }
    flags
}

fn preadv2(file: BorrowedFd<'_>, iovecs: &IoVecs, offset: libc::off_t) -> io::Result<usize> {
    let count = iovecs.len() as libc::c_int;
    // SAFETY: every iovec lies inside guest memory that the caller's `Buffers` keeps mapped (`Buffers::iovecs`).
    // Nothing in this process holds a reference into those pages, so the kernel may write to them.
    let read = unsafe { libc::preadv2(file.as_raw_fd(), iovecs.as_ptr(), count, offset, 0) };
    usize::try_from(read).map_err(|_| io::Error::last_os_error())
}

fn pwritev2(
    file: BorrowedFd<'_>,
    iovecs: &IoVecs,
    offset: libc::off_t,
    flags: libc::c_int,
) -> io::Result<usize> {
    let count = iovecs.len() as libc::c_int;
    // SAFETY: every iovec lies inside guest memory that the caller's `Buffers` keeps mapped (`Buffers::iovecs`);
    // the kernel only reads it. The guest may change it meanwhile, which changes what is written and nothing else.
    let written =
        unsafe { libc::pwritev2(file.as_raw_fd(), iovecs.as_ptr(), count, offset, flags) };
    usize::try_from(written).map_err(|_| io::Error::last_os_error())
}

#[cfg(test)]
#[path = "file_io_tests.rs"]
mod tests;
