//! Replies that carry attributes, and the entries of a directory listing.

use std::time::Duration;

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::Attr;
use crate::filesystem::Entry;

/// `struct fuse_entry_out`: an inode under a name.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[allow(missing_docs)] // The kernel's names.
pub struct EntryOut {
    pub nodeid: u64,
    pub generation: u64,
    pub entry_valid: u64,
    pub attr_valid: u64,
    pub entry_valid_nsec: u32,
    pub attr_valid_nsec: u32,
    pub attr: Attr,
}

impl From<&Entry> for EntryOut {
    fn from(entry: &Entry) -> Self {
        let (entry_valid, entry_valid_nsec) = split(entry.entry_ttl);
        let (attr_valid, attr_valid_nsec) = split(entry.attr_ttl);
        Self {
            nodeid: entry.nodeid,
            generation: entry.generation,
            entry_valid,
            attr_valid,
            entry_valid_nsec,
            attr_valid_nsec,
            attr: entry.attr,
        }
    }
}

/// `struct fuse_dirent`, without the name that follows it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
#[allow(missing_docs)] // The kernel's names.
pub struct Dirent {
    pub ino: u64,
    pub off: u64,
    pub namelen: u32,
    pub kind: u32,
}

/// Seconds and nanoseconds, as lifetimes travel.
pub(crate) fn split(ttl: Duration) -> (u64, u32) {
    (ttl.as_secs(), ttl.subsec_nanos())
}

const _: () = assert!(size_of::<EntryOut>() == 128);
const _: () = assert!(size_of::<Dirent>() == 24);
