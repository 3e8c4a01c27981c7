//! What follows `fuse_out_header` in replies.

use std::time::Duration;

use super::structs::wire;
use super::{Attr, FileLock, Statx};
use crate::filesystem::{Attributes, Entry, LockKind, Opened, RecordLock, StatxAttributes};

wire! {
    /// `struct fuse_init_out`. `flags` and `flags2` are the halves of [`super::InitFlags`].
    InitOut: 64 {
        major: u32,
        minor: u32,
        max_readahead: u32,
        flags: u32,
        max_background: u16,
        congestion_threshold: u16,
        max_write: u32,
        time_gran: u32,
        max_pages: u16,
        map_alignment: u16,
        flags2: u32,
        max_stack_depth: u32,
        request_timeout: u16,
        unused: [u16; 11],
    }

    /// `struct fuse_entry_out`: an inode under a name.
    EntryOut: 128 {
        nodeid: u64,
        generation: u64,
        entry_valid: u64,
        attr_valid: u64,
        entry_valid_nsec: u32,
        attr_valid_nsec: u32,
        attr: Attr,
    }

    /// `struct fuse_attr_out`.
    AttrOut: 104 { attr_valid: u64, attr_valid_nsec: u32, dummy: u32, attr: Attr }

    /// `struct fuse_statx_out`.
    StatxOut: 288 {
        attr_valid: u64,
        attr_valid_nsec: u32,
        flags: u32,
        spare: [u64; 2],
        stat: Statx,
    }

    /// `struct fuse_open_out`. `open_flags` are [`super::OpenReplyFlags`].
    OpenOut: 16 { fh: u64, open_flags: u32, backing_id: i32 }

    /// `struct fuse_write_out`, also COPY_FILE_RANGE's reply.
    WriteOut: 8 { size: u32, padding: u32 }

    /// `struct fuse_copy_file_range_out`: COPY_FILE_RANGE_64's reply.
    CopyFileRangeOut: 8 { bytes_copied: u64 }

    /// `struct fuse_getxattr_out`: how long the value is, for a guest that asked with size 0.
    GetxattrOut: 8 { size: u32, padding: u32 }

    /// `struct fuse_ioctl_out`; the output follows.
    IoctlOut: 16 { result: i32, flags: u32, in_iovs: u32, out_iovs: u32 }

    /// `struct fuse_lseek_out`.
    LseekOut: 8 { offset: u64 }

    /// Samepage's stamp: which slots of the version table vouch for a reply, and their words (docs/protocol.md,
    /// section 5). Slot 0: nothing vouches. Follows the fixed part of replies once
    /// [`super::InitFlags::VERSION_TABLE`] is agreed on.
    Stamp: 48 { slots: [u32; 4], words: [u64; 4] }

    /// `struct fuse_dirent`, without the name that follows it.
    Dirent: 24 { ino: u64, off: u64, namelen: u32, kind: u32 }
}

impl Stamp {
    /// Place of the slot that covers a name.
    pub const ENTRY: usize = 0;
    /// Place of the slot that covers what a path walk needs.
    pub const PERM: usize = 1;
    /// Place of the slot that covers attributes.
    pub const ATTR: usize = 2;
    /// Place of the slot that covers file contents.
    pub const DATA: usize = 3;

    /// Whether anything vouches for what stands in this place.
    #[must_use]
    pub const fn covers(&self, place: usize) -> bool {
        self.slots[place] != 0
    }

    /// How long a guest may trust attributes, of which it is told to trust them for `ttl` without a stamp.
    fn attr_ttl(&self, ttl: Duration) -> Duration {
        if self.covers(Self::PERM) && self.covers(Self::ATTR) { VOUCHED } else { ttl }
    }
}

/// How long a guest may trust what a stamp vouches for: it looks at the table each time, so this is a backstop.
const VOUCHED: Duration = Duration::from_hours(24);

impl EntryOut {
    /// An entry for a guest that looks at stamps, or not.
    #[must_use]
    pub fn new(entry: &Entry, stamped: bool) -> Self {
        let (mut entry_ttl, mut attr_ttl) = (entry.entry_ttl, entry.attr_ttl);
        if stamped {
            attr_ttl = entry.stamp.attr_ttl(attr_ttl);
            if entry.stamp.covers(Stamp::ENTRY) {
                entry_ttl = VOUCHED;
            }
        }
        let (entry_valid, entry_valid_nsec) = split(entry_ttl);
        let (attr_valid, attr_valid_nsec) = split(attr_ttl);
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

impl AttrOut {
    /// Attributes for a guest that looks at stamps, or not.
    #[must_use]
    pub fn new(attributes: &Attributes, stamped: bool) -> Self {
        let ttl = attributes.ttl;
        let ttl = if stamped { attributes.stamp.attr_ttl(ttl) } else { ttl };
        let (attr_valid, attr_valid_nsec) = split(ttl);
        Self { attr_valid, attr_valid_nsec, dummy: 0, attr: attributes.attr }
    }
}

impl StatxOut {
    /// Attributes for a guest that looks at stamps, or not.
    #[must_use]
    pub fn new(attributes: &StatxAttributes, stamped: bool) -> Self {
        let ttl = attributes.ttl;
        let ttl = if stamped { attributes.stamp.attr_ttl(ttl) } else { ttl };
        let (attr_valid, attr_valid_nsec) = split(ttl);
        Self { attr_valid, attr_valid_nsec, flags: 0, spare: [0; 2], stat: attributes.statx }
    }
}

impl From<RecordLock> for FileLock {
    fn from(lock: RecordLock) -> Self {
        let r#type = match lock.kind {
            LockKind::Read => 0,
            LockKind::Write => 1,
            LockKind::Unlock => 2,
        };
        Self { start: lock.start, end: lock.end, r#type, pid: lock.pid }
    }
}

impl From<&Opened> for OpenOut {
    fn from(opened: &Opened) -> Self {
        Self {
            fh: opened.handle.map_or(0, |handle| handle.0),
            open_flags: opened.flags.bits(),
            backing_id: 0,
        }
    }
}

/// Seconds and nanoseconds, as lifetimes travel.
fn split(ttl: Duration) -> (u64, u32) {
    (ttl.as_secs(), ttl.subsec_nanos())
}
