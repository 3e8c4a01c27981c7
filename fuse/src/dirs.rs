//! Directory listings on their way to the guest.

use zerocopy::IntoBytes;

use crate::abi::{Dirent, EntryOut, Stamp};
use crate::filesystem::Entry;

/// Entries begin at multiples of this (`FUSE_DIRENT_ALIGN`).
const ALIGN: usize = size_of::<u64>();

/// One name in a listing.
#[derive(Clone, Copy, Debug)]
pub struct DirEntry<'a> {
    /// Inode number, as `d_ino` shows it in the guest.
    pub ino: u64,
    /// Where a listing that goes on after this name begins.
    pub offset: u64,
    /// `DT_*`.
    pub kind: u32,
    /// The name, without a NUL.
    pub name: &'a [u8],
}

impl DirEntry<'_> {
    /// Bytes that `head` bytes, a `fuse_dirent` and a name of `len` bytes take up with their padding.
    fn padded(head: usize, len: usize) -> usize {
        (head + size_of::<Dirent>())
            .saturating_add(len)
            .checked_next_multiple_of(ALIGN)
            .unwrap_or(usize::MAX)
    }

    /// Appends the entry and the padding that aligns the next one.
    fn write(&self, out: &mut Vec<u8>) {
        let head = Dirent {
            ino: self.ino,
            off: self.offset,
            namelen: self.name.len() as u32,
            kind: self.kind,
        };
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(self.name);
        out.resize(out.len().next_multiple_of(ALIGN), 0);
    }
}

/// READDIR's reply under construction.
#[derive(Debug)]
pub struct DirBuffer<'a> {
    out: &'a mut Vec<u8>,
    size: usize,
}

impl<'a> DirBuffer<'a> {
    /// A listing of at most `size` bytes in `out`, which is emptied first.
    #[must_use]
    pub fn new(out: &'a mut Vec<u8>, size: usize) -> Self {
        out.clear();
        Self { out, size }
    }

    /// Adds `entry`, or answers false where it does not fit: stop there.
    #[must_use]
    pub fn push(&mut self, entry: &DirEntry<'_>) -> bool {
        let fits = DirEntry::padded(0, entry.name.len()) <= self.room();
        if fits {
            entry.write(self.out);
        }
        fits
    }

    /// Bytes still free: a hint for how many names to fetch.
    #[must_use]
    pub fn room(&self) -> usize {
        self.size.saturating_sub(self.out.len())
    }
}

/// READDIRPLUS's reply under construction.
#[derive(Debug)]
pub struct DirPlusBuffer<'a> {
    out: &'a mut Vec<u8>,
    size: usize,
    stamped: bool,
}

impl<'a> DirPlusBuffer<'a> {
    /// A listing of at most `size` bytes in `out`, which is emptied first. `stamped`: with stamps.
    #[must_use]
    pub fn new(out: &'a mut Vec<u8>, size: usize, stamped: bool) -> Self {
        out.clear();
        Self { out, size, stamped }
    }

    /// Whether a name of `len` bytes fits: ask before looking it up, for a lookup that is not sent must be forgotten.
    #[must_use]
    pub fn fits(&self, len: usize) -> bool {
        let stamp = if self.stamped { size_of::<Stamp>() } else { 0 };
        DirEntry::padded(size_of::<EntryOut>() + stamp, len) <= self.room()
    }

    /// Adds `entry` with its attributes, or with none (`nodeid` 0: the guest looks it up itself).
    /// False where it does not fit.
    #[must_use]
    pub fn push(&mut self, entry: &DirEntry<'_>, attributes: &Entry) -> bool {
        let fits = self.fits(entry.name.len());
        if fits {
            self.out.extend_from_slice(EntryOut::new(attributes, self.stamped).as_bytes());
            if self.stamped {
                self.out.extend_from_slice(attributes.stamp.as_bytes());
            }
            entry.write(self.out);
        }
        fits
    }

    /// Bytes still free.
    #[must_use]
    pub fn room(&self) -> usize {
        self.size.saturating_sub(self.out.len())
    }
}

#[cfg(test)]
#[path = "dirs_tests.rs"]
mod tests;
