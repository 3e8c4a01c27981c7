//! What [`super::NullFs`] answers.

use std::time::Duration;

use crate::abi::{Attr, Kstatfs, OpenReplyFlags, Stamp, Statx};
use crate::filesystem::{Attributes, Entry, LockKind, Opened, RecordLock, StatxAttributes};
use crate::ids::Handle;

/// A symlink's target.
pub const TARGET: &[u8] = b"somewhere";
/// An extended attribute's value.
pub const XATTR: &[u8] = b"value";
/// The list of extended attributes.
pub const XATTRS: &[u8] = b"user.a\0user.b\0";
/// A directory's names.
pub const NAMES: [&[u8]; 4] = [b".", b"..", b"file", b"another"];

/// Attributes whose every field has a value of its own.
#[must_use]
pub fn attr() -> Attr {
    Attr {
        ino: 0x0101,
        size: 0x0202,
        blocks: 0x0303,
        atime: 0x0404,
        mtime: 0x0505,
        ctime: 0x0606,
        atimensec: 0x0707,
        mtimensec: 0x0808,
        ctimensec: 0x0909,
        mode: 0x0A0A,
        nlink: 0x0B0B,
        uid: 0x0C0C,
        gid: 0x0D0D,
        rdev: 0x0E0E,
        blksize: 0x0F0F,
        flags: 0x1010,
    }
}

/// A stamp that tells whose it is.
#[must_use]
pub fn stamp(whose: u32) -> Stamp {
    let at = |n: u32| 1000 * whose + n;
    Stamp { slots: [1, 2, 3, 4].map(at), words: [5, 6, 7, 8].map(|n| u64::from(at(n)) << 16) }
}

/// LOOKUP and the creating operations.
#[must_use]
pub fn entry() -> Entry {
    Entry {
        nodeid: 42,
        generation: 43,
        attr: attr(),
        entry_ttl: Duration::from_millis(1_500),
        attr_ttl: Duration::from_millis(2_250),
        stamp: stamp(1),
    }
}

/// GETATTR and SETATTR.
#[must_use]
pub fn attributes() -> Attributes {
    Attributes { attr: attr(), ttl: Duration::from_millis(2_250), stamp: stamp(2) }
}

/// STATX.
#[must_use]
pub fn statx() -> StatxAttributes {
    let statx = Statx { mask: 0xFFF, ino: 0x0101, size: 0x0202, ..Statx::default() };
    StatxAttributes { statx, ttl: Duration::from_millis(2_250), stamp: stamp(3) }
}

/// STATFS.
#[must_use]
pub fn statfs() -> Kstatfs {
    Kstatfs { blocks: 1, bfree: 2, bavail: 3, files: 4, bsize: 5, namelen: 6, ..Kstatfs::default() }
}

/// GETLK.
#[must_use]
pub fn lock() -> RecordLock {
    RecordLock { owner: 0, start: 1, end: 2, kind: LockKind::Read, pid: 3 }
}

/// OPEN and its like.
#[must_use]
pub fn opened() -> Opened {
    Opened { handle: Some(Handle(77)), flags: OpenReplyFlags::KEEP_CACHE, stamp: stamp(4) }
}
