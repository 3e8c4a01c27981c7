//! Reading a host directory in the portions that a guest asks for.

use std::ffi::CStr;
use std::io;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicUsize, Ordering};

use fuse::errno;
use rustix::fs::SeekFrom;

use crate::sys;

/// Bytes that one `getdents64(2)` may fetch.
const PORTION: usize = 32 * 1024;

/// Streams that may keep names for the guest's next request; beyond it they seek instead. Bounds the memory that a
/// guest can claim with open directories to 32 MiB.
const MAX_KEPT: usize = if cfg!(test) { 64 } else { 1024 };
static KEPT: AtomicUsize = AtomicUsize::new(0);

/// An open directory's position, and names that were fetched but not yet delivered.
#[derive(Debug, Default)]
pub(super) struct DirStream {
    portion: Option<Portion>,
    /// Where in the portion the undelivered names lie.
    pending: Range<usize>,
    /// The offset that the next name delivered follows.
    position: u64,
    /// The offset that the descriptor stands at: past all that was fetched.
    host_position: u64,
}

/// A name as the host gives it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HostEntry<'a> {
    pub(super) ino: u64,
    /// Where a listing that goes on after this name begins.
    pub(super) offset: u64,
    /// `DT_*`.
    pub(super) kind: u8,
    pub(super) name: &'a CStr,
}

/// Names that were fetched together with one, and follow it.
#[derive(Clone, Debug)]
pub(super) struct Following<'a>(&'a [u8]);

impl<'a> Iterator for Following<'a> {
    type Item = HostEntry<'a>;

    fn next(&mut self) -> Option<HostEntry<'a>> {
        let (entry, length) = parse(self.0)?;
        self.0 = &self.0[length..];
        Some(entry)
    }
}

impl HostEntry<'_> {
    pub(super) fn is_dot(&self) -> bool {
        matches!(self.name.to_bytes(), b"." | b"..")
    }
}

impl DirStream {
    /// Calls `deliver` with each name that follows `offset`, and those behind it as far as they are known already, until
    /// it answers false (that name was not delivered) or the directory ends.
    ///
    /// # Errors
    /// What reading the directory answers. Names delivered before that are delivered.
    pub(super) fn read(
        &mut self,
        dir: BorrowedFd<'_>,
        offset: u64,
        mut deliver: impl FnMut(&HostEntry<'_>, Following<'_>) -> bool,
    ) -> io::Result<()> {
        // Offset 0 is rewinddir(), which must see the directory as it is now.
        if offset != self.position || offset == 0 {
            self.pending = 0..0;
            self.position = offset;
        }
        loop {
            while let Some((entry, rest)) = self.next_pending()? {
                let offset = entry.offset;
                let following = self.portion.as_ref().and_then(|p| p.bytes.get(rest.clone()));
                if !deliver(&entry, Following(following.unwrap_or_default())) {
                    self.portion.take_if(|portion| portion.permit.is_none());
                    if self.portion.is_none() {
                        self.pending = 0..0;
                    }
                    return Ok(());
                }
                self.position = offset;
                self.pending = rest;
            }
            if !self.fetch(dir)? {
                self.portion = None;
                return Ok(());
            }
        }
    }

    fn next_pending(&self) -> io::Result<Option<(HostEntry<'_>, Range<usize>)>> {
        let Some(portion) = &self.portion else { return Ok(None) };
        let Some(bytes) = portion.bytes.get(self.pending.clone()).filter(|bytes| !bytes.is_empty())
        else {
            return Ok(None);
        };
        let (entry, length) = parse(bytes).ok_or_else(|| errno::error(errno::EIO))?;
        Ok(Some((entry, self.pending.start + length..self.pending.end)))
    }

    /// Fetches the names that follow `position`; false at the directory's end.
    fn fetch(&mut self, dir: BorrowedFd<'_>) -> io::Result<bool> {
        if self.position != self.host_position {
            rustix::fs::seek(dir, SeekFrom::Start(self.position))?;
            self.host_position = self.position;
        }
        let portion = self.portion.get_or_insert_with(Portion::new);
        let length = sys::getdents64(dir, &mut portion.bytes)?;
        self.pending = 0..length;
        let last = last_offset(&portion.bytes[..length]);
        self.host_position = last.unwrap_or(self.host_position);
        Ok(length > 0)
    }
}

/// Memory for fetched names.
#[derive(Debug)]
struct Portion {
    bytes: Box<[u8]>,
    /// Some: may stay for the guest's next request.
    permit: Option<Kept>,
}

impl Portion {
    fn new() -> Self {
        Self { bytes: vec![0; PORTION].into_boxed_slice(), permit: Kept::take(&KEPT) }
    }
}

/// One of the [`MAX_KEPT`]; counted in what it points to until it is dropped.
#[derive(Debug)]
struct Kept(&'static AtomicUsize);

impl Kept {
    fn take(kept: &'static AtomicUsize) -> Option<Self> {
        // Relaxed: a count that orders nothing.
        kept.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |kept| {
            (kept < MAX_KEPT).then_some(kept + 1)
        })
        .is_ok()
        // Not `then_some`: a permit that is made only to be dropped would count down what it never counted up.
        .then(|| Self(kept))
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        // Relaxed: as above.
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The first `struct linux_dirent64` in `bytes`, and its length.
fn parse(bytes: &[u8]) -> Option<(HostEntry<'_>, usize)> {
    // u64 d_ino, i64 d_off, u16 d_reclen, u8 d_type, then the name and its NUL.
    let length = usize::from(u16::from_ne_bytes(bytes.get(16..18)?.try_into().ok()?));
    let record = bytes.get(..length)?;
    let entry = HostEntry {
        ino: u64::from_ne_bytes(record.get(..8)?.try_into().ok()?),
        offset: u64::from_ne_bytes(record.get(8..16)?.try_into().ok()?),
        kind: *record.get(18)?,
        name: CStr::from_bytes_until_nul(record.get(19..)?).ok()?,
    };
    Some((entry, length))
}

/// The offset that follows the last entry in `bytes`.
fn last_offset(bytes: &[u8]) -> Option<u64> {
    Following(bytes).last().map(|entry| entry.offset)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_permit_counts_nothing() {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let taken: Vec<_> = (0..2 * MAX_KEPT).filter_map(|_| Kept::take(&COUNT)).collect();
        assert_eq!(taken.len(), MAX_KEPT);
        assert_eq!(COUNT.load(Ordering::Relaxed), MAX_KEPT);
        drop(taken);
        assert_eq!(COUNT.load(Ordering::Relaxed), 0);
    }
}
