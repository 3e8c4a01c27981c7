//! Flag words.

use bitflags::bitflags;

bitflags! {
    /// Capabilities negotiated in INIT. Bits 0–31 travel in `flags`, 32–63 in `flags2`.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct InitFlags: u64 {
        /// The guest may have several READs of one file in flight.
        const ASYNC_READ = 1 << 0;
        /// POSIX record locks go to the host.
        const POSIX_LOCKS = 1 << 1;
        /// `fuse_file_info` carries handles in GETATTR and SETATTR.
        const FILE_OPS = 1 << 2;
        /// OPEN carries `O_TRUNC` and the host truncates.
        const ATOMIC_O_TRUNC = 1 << 3;
        /// The file system answers LOOKUP of "." and "..".
        const EXPORT_SUPPORT = 1 << 4;
        /// WRITEs larger than 4 KiB.
        const BIG_WRITES = 1 << 5;
        /// The guest does not apply the umask: the host does.
        const DONT_MASK = 1 << 6;
        /// Splice of writes (meaningless for virtio-fs).
        const SPLICE_WRITE = 1 << 7;
        /// Splice with moved pages (meaningless for virtio-fs).
        const SPLICE_MOVE = 1 << 8;
        /// Splice of reads (meaningless for virtio-fs).
        const SPLICE_READ = 1 << 9;
        /// `flock` locks go to the host.
        const FLOCK_LOCKS = 1 << 10;
        /// IOCTL on directories.
        const HAS_IOCTL_DIR = 1 << 11;
        /// The guest drops cached pages when size or mtime changed.
        const AUTO_INVAL_DATA = 1 << 12;
        /// READDIRPLUS is offered.
        const DO_READDIRPLUS = 1 << 13;
        /// The guest chooses between READDIR and READDIRPLUS.
        const READDIRPLUS_AUTO = 1 << 14;
        /// Asynchronous direct I/O.
        const ASYNC_DIO = 1 << 15;
        /// The guest caches writes.
        const WRITEBACK_CACHE = 1 << 16;
        /// OPEN may be answered with ENOSYS: no opens at all.
        const NO_OPEN_SUPPORT = 1 << 17;
        /// LOOKUP and READDIR of one directory may run side by side.
        const PARALLEL_DIROPS = 1 << 18;
        /// The host clears suid, sgid and capabilities on write, chown and truncate.
        const HANDLE_KILLPRIV = 1 << 19;
        /// The guest's kernel checks POSIX ACLs.
        const POSIX_ACL = 1 << 20;
        /// Reads of an aborted connection answer ECONNABORTED.
        const ABORT_ERROR = 1 << 21;
        /// `max_pages` of the INIT reply is meaningful.
        const MAX_PAGES = 1 << 22;
        /// The guest caches symlink targets.
        const CACHE_SYMLINKS = 1 << 23;
        /// OPENDIR may be answered with ENOSYS.
        const NO_OPENDIR_SUPPORT = 1 << 24;
        /// Only the host invalidates the guest's pages.
        const EXPLICIT_INVAL_DATA = 1 << 25;
        /// `map_alignment` of the INIT reply is meaningful.
        const MAP_ALIGNMENT = 1 << 26;
        /// `FUSE_ATTR_SUBMOUNT` is understood.
        const SUBMOUNTS = 1 << 27;
        /// As HANDLE_KILLPRIV, but the guest says when (`FUSE_WRITE_KILL_SUIDGID` and its like).
        const HANDLE_KILLPRIV_V2 = 1 << 28;
        /// SETXATTR has the longer header with `setxattr_flags`.
        const SETXATTR_EXT = 1 << 29;
        /// `flags2` is meaningful.
        const INIT_EXT = 1 << 30;
        /// Reserved: never negotiated.
        const INIT_RESERVED = 1 << 31;
        /// Creations carry a security context.
        const SECURITY_CTX = 1 << 32;
        /// `FUSE_ATTR_DAX` is understood.
        const HAS_INODE_DAX = 1 << 33;
        /// Creations carry a supplementary group.
        const CREATE_SUPP_GROUP = 1 << 34;
        /// The guest understands expire-only entry notifications.
        const HAS_EXPIRE_ONLY = 1 << 35;
        /// `mmap(MAP_SHARED)` of a file opened for direct I/O.
        const DIRECT_IO_ALLOW_MMAP = 1 << 36;
        /// Passthrough to a backing file (never for virtio-fs).
        const PASSTHROUGH = 1 << 37;
        /// `open_by_handle_at` in the guest is refused.
        const NO_EXPORT_SUPPORT = 1 << 38;
        /// The guest may resend requests.
        const HAS_RESEND = 1 << 39;
        /// Idmapped mounts in the guest.
        const ALLOW_IDMAP = 1 << 40;
        /// Requests over io_uring (never for virtio-fs).
        const OVER_IO_URING = 1 << 41;
        /// Requests time out.
        const REQUEST_TIMEOUT = 1 << 42;
        /// Samepage: replies carry stamps of the version table that INIT names (docs/protocol.md, sections 4 and 5).
        const VERSION_TABLE = 1 << 62;
    }

    /// `open_flags` of OPEN, OPENDIR and CREATE replies.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct OpenReplyFlags: u32 {
        /// The guest bypasses its page cache.
        const DIRECT_IO = 1 << 0;
        /// The guest keeps pages that it has from earlier opens.
        const KEEP_CACHE = 1 << 1;
        /// The file cannot seek.
        const NONSEEKABLE = 1 << 2;
        /// The guest may cache the directory's listing.
        const CACHE_DIR = 1 << 3;
        /// The file is a stream.
        const STREAM = 1 << 4;
        /// close() sends no FLUSH.
        const NOFLUSH = 1 << 5;
        /// Direct writes of one file may run side by side.
        const PARALLEL_DIRECT_WRITES = 1 << 6;
        /// I/O goes to a backing file (never for virtio-fs).
        const PASSTHROUGH = 1 << 7;
        /// The directory can be opened at any time: a coherent guest that has its listing need not ask. Samepage's own.
        const LATER = 1 << 31;
    }

    /// `flags` of [`super::Attr`].
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct AttrFlags: u32 {
        /// The inode is the root of a submount.
        const SUBMOUNT = 1 << 0;
        /// The guest shall use DAX for it.
        const DAX = 1 << 1;
    }
}

bitflags! {
    /// `valid` of [`super::SetattrIn`]: what SETATTR changes (`FATTR_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SetattrValid: u32 {
        /// `mode` is meant.
        const MODE = 1 << 0;
        /// `uid` is meant.
        const UID = 1 << 1;
        /// `gid` is meant.
        const GID = 1 << 2;
        /// `size` is meant.
        const SIZE = 1 << 3;
        /// `atime` is meant.
        const ATIME = 1 << 4;
        /// `mtime` is meant.
        const MTIME = 1 << 5;
        /// `fh` is meant.
        const FH = 1 << 6;
        /// The access time shall be now.
        const ATIME_NOW = 1 << 7;
        /// The modification time shall be now.
        const MTIME_NOW = 1 << 8;
        /// `lock_owner` is meant.
        const LOCKOWNER = 1 << 9;
        /// `ctime` is meant.
        const CTIME = 1 << 10;
        /// Clear suid and sgid.
        const KILL_SUIDGID = 1 << 11;
    }

    /// `write_flags` of [`super::WriteIn`] (`FUSE_WRITE_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct WriteFlags: u32 {
        /// From the guest's page cache.
        const CACHE = 1 << 0;
        /// `lock_owner` is meant.
        const LOCKOWNER = 1 << 1;
        /// Clear suid and sgid.
        const KILL_SUIDGID = 1 << 2;
    }

    /// `release_flags` of [`super::ReleaseIn`] (`FUSE_RELEASE_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct ReleaseFlags: u32 {
        /// A FLUSH is due.
        const FLUSH = 1 << 0;
        /// The `flock` lock goes.
        const FLOCK_UNLOCK = 1 << 1;
        /// Nothing stores into mappings of the file any more, but through what is still open. Samepage's own.
        const IDLE = 1 << 31;
    }

    /// `flags` of [`super::SetupmappingIn`] (`FUSE_SETUPMAPPING_FLAG_*`).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct SetupmappingFlags: u64 {
        /// The guest will store into the mapping.
        const WRITE = 1 << 0;
        /// The guest will load from the mapping.
        const READ = 1 << 1;
    }
}

/// `FUSE_GETATTR_FH`: `fh` of [`super::GetattrIn`] and [`super::StatxIn`] is meant.
pub const GETATTR_FH: u32 = 1 << 0;
/// `FUSE_OPEN_KILL_SUIDGID` in `open_flags` of [`super::OpenIn`] and [`super::CreateIn`].
pub const OPEN_KILL_SUIDGID: u32 = 1 << 0;
/// `FUSE_FSYNC_FDATASYNC` in `fsync_flags` of [`super::FsyncIn`].
pub const FSYNC_FDATASYNC: u32 = 1 << 0;
/// `FUSE_SETXATTR_ACL_KILL_SGID` in [`super::SetxattrExtIn`].
pub const SETXATTR_ACL_KILL_SGID: u32 = 1 << 0;
/// `FUSE_LK_FLOCK` in `lk_flags` of [`super::LkIn`]: `flock(2)`, not `fcntl(2)`.
pub const LK_FLOCK: u32 = 1 << 0;
/// `FUSE_IOCTL_UNRESTRICTED` in `flags` of [`super::IoctlIn`]: only character devices in user space have it.
pub const IOCTL_UNRESTRICTED: u32 = 1 << 1;
