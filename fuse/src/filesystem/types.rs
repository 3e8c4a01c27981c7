//! What goes into a file system's operations, and what comes out.

use std::ffi::CStr;
use std::time::Duration;

use crate::abi::{Attr, InitFlags, OpenReplyFlags, Stamp, Statx};
use crate::ids::{Handle, NodeId};

/// What the guest's kernel offers in INIT.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// What it can do.
    pub flags: InitFlags,
    /// The version table that it has mapped; means something with [`InitFlags::VERSION_TABLE`].
    pub table_id: [u8; 16],
}

impl From<InitFlags> for Offer {
    fn from(flags: InitFlags) -> Self {
        Self { flags, table_id: [0; 16] }
    }
}

/// What LOOKUP and the creating operations answer: an inode under a name.
///
/// Each such answer with a `nodeid` other than 0 counts one *lookup*; FORGET takes lookups back.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// The inode, or 0: "no such name, and you may remember that" for `entry_ttl`.
    pub nodeid: u64,
    /// Tells apart inodes that had the same `nodeid` one after the other. This server's are never reused: 0.
    pub generation: u64,
    /// Attributes (all zero in a negative entry).
    pub attr: Attr,
    /// How long the guest may trust the name.
    pub entry_ttl: Duration,
    /// How long the guest may trust the attributes.
    pub attr_ttl: Duration,
    /// What vouches for name and attributes, for guests that look at a version table.
    pub stamp: Stamp,
}

impl Entry {
    /// "No such name", to be remembered for `ttl`.
    #[must_use]
    pub fn negative(ttl: Duration) -> Self {
        Self {
            nodeid: 0,
            generation: 0,
            attr: Attr::default(),
            entry_ttl: ttl,
            attr_ttl: Duration::ZERO,
            stamp: Stamp::default(),
        }
    }
}

/// What OPEN, OPENDIR, CREATE and TMPFILE answer besides an entry.
#[derive(Clone, Copy, Debug, Default)]
pub struct Opened {
    /// The handle, or none where the file system keeps no state for the open file.
    pub handle: Option<Handle>,
    /// What the guest shall do with its caches.
    pub flags: OpenReplyFlags,
    /// What vouches for the listing of a directory that was opened. OPEN's reply has no stamp.
    pub stamp: Stamp,
}

/// Attributes with their lifetime: the answer to GETATTR and SETATTR.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    /// The attributes.
    pub attr: Attr,
    /// How long the guest may trust them.
    pub ttl: Duration,
    /// What vouches for them.
    pub stamp: Stamp,
}

/// Extended attributes of an inode, with their lifetime: the answer to STATX.
#[derive(Clone, Copy, Debug)]
pub struct StatxAttributes {
    /// The attributes.
    pub statx: Statx,
    /// How long the guest may trust them.
    pub ttl: Duration,
    /// What vouches for them.
    pub stamp: Stamp,
}

/// The answer to WRITE.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Bytes that were written.
    pub size: usize,
    /// The words as the write has left them: a guest that held the ones before needs not drop its own pages.
    pub stamp: Stamp,
}

impl From<usize> for Written {
    fn from(size: usize) -> Self {
        Self { size, stamp: Stamp::default() }
    }
}

/// A time that SETATTR sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The host's present time.
    Now,
    /// Seconds (may be before 1970) and nanoseconds since the epoch.
    At(i64, u32),
}

/// What SETATTR shall change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SetAttr {
    /// Permission bits (`07777`).
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Size in bytes.
    pub size: Option<u64>,
    /// Access time.
    pub atime: Option<SetTime>,
    /// Modification time.
    pub mtime: Option<SetTime>,
    /// Clear suid and sgid as a write or chown by an unprivileged process does (`FATTR_KILL_SUIDGID`).
    pub kill_suidgid: bool,
}

/// What travels behind the name in creating requests (`fuse_ext_header`, security context).
#[derive(Clone, Debug, Default)]
pub struct Extensions<'a> {
    /// The supplementary group that the new file's group comes from (`FUSE_EXT_GROUPS`).
    pub supplementary_gid: Option<u32>,
    /// Security labels: xattr name and value, one each.
    pub security: Vec<(&'a CStr, &'a [u8])>,
}

/// How CREATE and TMPFILE create and open.
#[derive(Clone, Debug)]
pub struct Create<'a> {
    /// `open(2)` flags as the guest's kernel passes them (Linux x86-64 values).
    pub flags: u32,
    /// Type and permission bits.
    pub mode: u32,
    /// The caller's umask; applied already when `DONT_MASK` was not negotiated.
    pub umask: u32,
    /// Whether suid and sgid of a truncated file are to be cleared (`FUSE_OPEN_KILL_SUIDGID`).
    pub kill_suidgid: bool,
    /// Group and labels.
    pub extensions: Extensions<'a>,
}

/// How MKNOD, MKDIR and SYMLINK create.
#[derive(Clone, Debug, Default)]
pub struct Make<'a> {
    /// Type and permission bits (0 for SYMLINK).
    pub mode: u32,
    /// Device number, in the kernel's encoding (MKNOD).
    pub rdev: u32,
    /// The caller's umask (0 for SYMLINK).
    pub umask: u32,
    /// Group and labels.
    pub extensions: Extensions<'a>,
}

/// How OPEN opens.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    /// `open(2)` flags as the guest's kernel passes them.
    pub flags: u32,
    /// Clear suid and sgid of the file that `O_TRUNC` cuts (`FUSE_OPEN_KILL_SUIDGID`).
    pub kill_suidgid: bool,
}

/// READ.
#[derive(Clone, Copy, Debug)]
pub struct Read {
    /// Position in the file.
    pub offset: u64,
    /// Bytes wanted; never more than the reply has room for.
    pub size: u32,
    /// The open file's flags at this moment.
    pub flags: u32,
}

/// WRITE.
#[derive(Clone, Copy, Debug)]
pub struct Write {
    /// Position in the file.
    pub offset: u64,
    /// Bytes to write; the data holds at least as many.
    pub size: u32,
    /// The open file's flags at this moment.
    pub flags: u32,
    /// It comes from the guest's page cache, later than the call that wrote it (`FUSE_WRITE_CACHE`):
    /// `O_APPEND` has been applied by the guest.
    pub delayed: bool,
    /// Clear suid and sgid (`FUSE_WRITE_KILL_SUIDGID`).
    pub kill_suidgid: bool,
}

/// RELEASE and RELEASEDIR.
#[derive(Clone, Copy, Debug)]
pub struct Release {
    /// The open file's flags at this moment.
    pub flags: u32,
    /// The lock owner, when the file's locks go with it.
    pub lock_owner: u64,
    /// A FLUSH is due (`FUSE_RELEASE_FLUSH`).
    pub flush: bool,
    /// The `flock` lock goes (`FUSE_RELEASE_FLOCK_UNLOCK`).
    pub flock_unlock: bool,
    /// Nothing stores into mappings of the file any more, but through what is still open. Only a coherent guest says so
    /// (docs/protocol.md, section 6).
    pub idle: bool,
}

/// What a lock lets others do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockKind {
    /// Others may read-lock too.
    Read,
    /// Others may not lock at all.
    Write,
    /// No lock: what was held is given up.
    Unlock,
}

/// GETLK, SETLK and SETLKW: a stretch of a file, as `fcntl(2)` locks it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordLock {
    /// Whose lock it is: the guest's name for a process's table of open files, or for an open file (`F_OFD_SETLK`).
    pub owner: u64,
    /// The first byte.
    pub start: u64,
    /// The last byte; [`i64::MAX`] where the lock has no end.
    pub end: u64,
    /// What kind.
    pub kind: LockKind,
    /// The process in the guest, for GETLK to tell; 0 where it is not known.
    pub pid: u32,
}

/// COPY_FILE_RANGE and COPY_FILE_RANGE_64.
#[derive(Clone, Copy, Debug)]
pub struct CopyRange {
    /// Source.
    pub from: (NodeId, Handle),
    /// Position in the source.
    pub from_offset: u64,
    /// Target.
    pub to: (NodeId, Handle),
    /// Position in the target.
    pub to_offset: u64,
    /// Bytes.
    pub len: u64,
    /// `copy_file_range(2)` flags (0 so far).
    pub flags: u64,
}

/// IOCTL, restricted form: in and out sizes are those that the command's number encodes.
#[derive(Clone, Copy, Debug)]
pub struct Ioctl<'a> {
    /// The command.
    pub cmd: u32,
    /// `FUSE_IOCTL_*`.
    pub flags: u32,
    /// The argument as a number.
    pub arg: u64,
    /// What the argument pointed to.
    pub input: &'a [u8],
    /// Room for the answer.
    pub out_size: u32,
}

/// Answer to IOCTL.
#[derive(Clone, Debug, Default)]
pub struct IoctlReply {
    /// What `ioctl(2)` returned.
    pub result: i32,
    /// What goes back to where the argument points.
    pub output: Vec<u8>,
}

/// Answer to GETXATTR and LISTXATTR.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum XattrReply {
    /// The caller gave no room and asked for the size.
    Size(u32),
    /// The value (or the NUL-separated names).
    Value(Vec<u8>),
}

/// SETUPMAPPING.
#[derive(Clone, Copy, Debug)]
pub struct SetupMapping {
    /// Position in the file.
    pub file_offset: u64,
    /// Bytes.
    pub len: u64,
    /// Position in the window.
    pub window_offset: u64,
    /// The guest will store into it.
    pub writable: bool,
}

/// One stretch of REMOVEMAPPING.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RemoveMapping {
    /// Position in the window.
    pub window_offset: u64,
    /// Bytes.
    pub len: u64,
}
