//! Directory listings on their way to the guest.

use std::marker::PhantomData;

use crate::filesystem::Entry;

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

/// READDIR's reply under construction.
#[derive(Debug)]
pub struct DirBuffer<'a>(PhantomData<&'a mut ()>);

impl DirBuffer<'_> {
    /// Adds `entry`, or answers false where it does not fit: stop there.
    #[must_use]
    pub fn push(&mut self, entry: &DirEntry<'_>) -> bool {
        let _ = entry;
        todo!()
    }

    /// Bytes still free: a hint for how many names to fetch.
    #[must_use]
    pub fn room(&self) -> usize {
        todo!()
    }
}

/// READDIRPLUS's reply under construction.
#[derive(Debug)]
pub struct DirPlusBuffer<'a>(PhantomData<&'a mut ()>);

impl DirPlusBuffer<'_> {
    /// Whether a name of `len` bytes fits: ask before looking it up, for a lookup that is not sent must be forgotten.
    #[must_use]
    pub fn fits(&self, len: usize) -> bool {
        let _ = len;
        todo!()
    }

    /// Adds `entry` with its attributes, or with none (`nodeid` 0: the guest looks it up itself).
    /// False where it does not fit.
    #[must_use]
    pub fn push(&mut self, entry: &DirEntry<'_>, attributes: &Entry) -> bool {
        let _ = (entry, attributes);
        todo!()
    }

    /// Bytes still free.
    #[must_use]
    pub fn room(&self) -> usize {
        todo!()
    }
}
