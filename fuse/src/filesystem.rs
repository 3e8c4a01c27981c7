//! What a file system answers: one method an operation.

use std::ffi::CStr;
use std::io;
use std::time::Duration;

use crate::abi::{Attr, InitFlags, Kstatfs, OpenReplyFlags, Statx};
use crate::dirs::{DirBuffer, DirPlusBuffer};
use crate::errno;
use crate::ids::{Context, Handle, NodeId};
use crate::io::{DataSink, DataSource};
use crate::mapper::Mapper;

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
}

/// Attributes with their lifetime: the answer to GETATTR and SETATTR.
#[derive(Clone, Copy, Debug)]
pub struct Attributes {
    /// The attributes.
    pub attr: Attr,
    /// How long the guest may trust them.
    pub ttl: Duration,
}

/// Extended attributes of an inode, with their lifetime: the answer to STATX.
#[derive(Clone, Copy, Debug)]
pub struct StatxAttributes {
    /// The attributes.
    pub statx: Statx,
    /// How long the guest may trust them.
    pub ttl: Duration,
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

type Result<T> = io::Result<T>;

fn unsupported<T>() -> Result<T> {
    Err(errno::error(errno::ENOSYS))
}

/// A file system that a [`crate::Server`] serves. Methods that are not written answer `ENOSYS`, which Linux takes as
/// "never ask again" where it has a fallback.
///
/// Errors are `io::Error`s whose OS error number becomes the guest's errno; one without a number becomes `EIO`.
/// Methods run on several threads at once.
#[allow(unused_variables, clippy::missing_errors_doc)]
pub trait FileSystem: Send + Sync {
    /// The guest mounts. `offered` is what its kernel can do; the answer is what of it is wanted.
    /// A new INIT without a DESTROY before it (a guest that was killed) must find a clean slate.
    fn init(&self, offered: InitFlags) -> Result<InitFlags> {
        Ok(InitFlags::empty())
    }

    /// The guest has gone (DESTROY, reset, or disconnect): drop every lookup and handle.
    fn destroy(&self) {}

    /// Finds `name` in `parent`. "." and ".." come only from a guest's NFS server or `open_by_handle_at`.
    fn lookup(&self, ctx: &Context, parent: NodeId, name: &CStr) -> Result<Entry> {
        unsupported()
    }

    /// Takes back `count` lookups of `node`.
    fn forget(&self, node: NodeId, count: u64) {}

    /// Attributes, of the open file when the guest names one.
    fn getattr(&self, ctx: &Context, node: NodeId, handle: Option<Handle>) -> Result<Attributes> {
        unsupported()
    }

    /// Attributes with birth time and mount id. `mask` is `statx(2)`'s, `flags` its `AT_STATX_*`.
    fn statx(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Option<Handle>,
        flags: u32,
        mask: u32,
    ) -> Result<StatxAttributes> {
        unsupported()
    }

    /// Changes attributes.
    fn setattr(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Option<Handle>,
        set: &SetAttr,
    ) -> Result<Attributes> {
        unsupported()
    }

    /// A symlink's target.
    fn readlink(&self, ctx: &Context, node: NodeId) -> Result<Vec<u8>> {
        unsupported()
    }

    /// Makes a symlink.
    fn symlink(
        &self,
        ctx: &Context,
        parent: NodeId,
        name: &CStr,
        target: &CStr,
        make: &Make<'_>,
    ) -> Result<Entry> {
        unsupported()
    }

    /// Makes a file, FIFO, socket or device node.
    fn mknod(&self, ctx: &Context, parent: NodeId, name: &CStr, make: &Make<'_>) -> Result<Entry> {
        unsupported()
    }

    /// Makes a directory.
    fn mkdir(&self, ctx: &Context, parent: NodeId, name: &CStr, make: &Make<'_>) -> Result<Entry> {
        unsupported()
    }

    /// Removes a name of something that is no directory.
    fn unlink(&self, ctx: &Context, parent: NodeId, name: &CStr) -> Result<()> {
        unsupported()
    }

    /// Removes an empty directory.
    fn rmdir(&self, ctx: &Context, parent: NodeId, name: &CStr) -> Result<()> {
        unsupported()
    }

    /// Renames. `flags` are `renameat2(2)`'s.
    fn rename(
        &self,
        ctx: &Context,
        from: (NodeId, &CStr),
        to: (NodeId, &CStr),
        flags: u32,
    ) -> Result<()> {
        unsupported()
    }

    /// Gives `node` another name.
    fn link(
        &self,
        ctx: &Context,
        node: NodeId,
        new_parent: NodeId,
        new_name: &CStr,
    ) -> Result<Entry> {
        unsupported()
    }

    /// Opens a file.
    fn open(&self, ctx: &Context, node: NodeId, open: &Open) -> Result<Opened> {
        unsupported()
    }

    /// Creates and opens a file; opens an existing one unless `O_EXCL`.
    fn create(
        &self,
        ctx: &Context,
        parent: NodeId,
        name: &CStr,
        create: &Create<'_>,
    ) -> Result<(Entry, Opened)> {
        unsupported()
    }

    /// Creates and opens a file without a name in `parent`.
    fn tmpfile(
        &self,
        ctx: &Context,
        parent: NodeId,
        create: &Create<'_>,
    ) -> Result<(Entry, Opened)> {
        unsupported()
    }

    /// Reads into `sink`; returns how many bytes came (fewer than wanted: end of file).
    fn read(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        read: &Read,
        sink: &mut dyn DataSink,
    ) -> Result<usize> {
        unsupported()
    }

    /// Writes from `source`; returns how many bytes were written.
    fn write(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        write: &Write,
        source: &mut dyn DataSource,
    ) -> Result<usize> {
        unsupported()
    }

    /// A descriptor of the open file was closed.
    fn flush(&self, ctx: &Context, node: NodeId, handle: Handle, lock_owner: u64) -> Result<()> {
        unsupported()
    }

    /// The last descriptor of the open file was closed.
    fn release(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        release: &Release,
    ) -> Result<()> {
        unsupported()
    }

    /// Data (and metadata, unless `datasync`) to disk.
    fn fsync(&self, ctx: &Context, node: NodeId, handle: Handle, datasync: bool) -> Result<()> {
        unsupported()
    }

    /// Allocates, punches, collapses. `mode` is `fallocate(2)`'s.
    fn fallocate(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        mode: u32,
        offset: u64,
        len: u64,
    ) -> Result<()> {
        unsupported()
    }

    /// `SEEK_DATA` and `SEEK_HOLE`.
    fn lseek(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        offset: u64,
        whence: u32,
    ) -> Result<u64> {
        unsupported()
    }

    /// Copies within the host; returns how many bytes were copied.
    fn copy_file_range(&self, ctx: &Context, copy: &CopyRange) -> Result<u64> {
        unsupported()
    }

    /// Opens a directory. `flags` are `open(2)`'s.
    fn opendir(&self, ctx: &Context, node: NodeId, flags: u32) -> Result<Opened> {
        unsupported()
    }

    /// Fills `out` with names that follow `offset`, until it has no room for the next one.
    fn readdir(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        offset: u64,
        out: &mut DirBuffer<'_>,
    ) -> Result<()> {
        unsupported()
    }

    /// As [`Self::readdir`], each name with its entry, which counts a lookup (but for "." and "..").
    fn readdirplus(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        offset: u64,
        out: &mut DirPlusBuffer<'_>,
    ) -> Result<()> {
        unsupported()
    }

    /// The last descriptor of the open directory was closed.
    fn releasedir(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        release: &Release,
    ) -> Result<()> {
        unsupported()
    }

    /// A directory's data (and metadata) to disk.
    fn fsyncdir(&self, ctx: &Context, node: NodeId, handle: Handle, datasync: bool) -> Result<()> {
        unsupported()
    }

    /// Everything to disk.
    fn syncfs(&self, ctx: &Context, node: NodeId) -> Result<()> {
        unsupported()
    }

    /// Figures of the host's file system.
    fn statfs(&self, ctx: &Context, node: NodeId) -> Result<Kstatfs> {
        unsupported()
    }

    /// `access(2)`.
    fn access(&self, ctx: &Context, node: NodeId, mask: u32) -> Result<()> {
        unsupported()
    }

    /// Sets an extended attribute. `flags` are `setxattr(2)`'s; `kill_sgid` comes with a `system.posix_acl_access`
    /// that must clear sgid (`FUSE_SETXATTR_ACL_KILL_SGID`).
    fn setxattr(
        &self,
        ctx: &Context,
        node: NodeId,
        name: &CStr,
        value: &[u8],
        flags: u32,
        kill_sgid: bool,
    ) -> Result<()> {
        unsupported()
    }

    /// Reads an extended attribute. `size` 0 asks for its length; too small a size is `ERANGE`.
    fn getxattr(&self, ctx: &Context, node: NodeId, name: &CStr, size: u32) -> Result<XattrReply> {
        unsupported()
    }

    /// Names of extended attributes, each ended by NUL. `size` as for [`Self::getxattr`].
    fn listxattr(&self, ctx: &Context, node: NodeId, size: u32) -> Result<XattrReply> {
        unsupported()
    }

    /// Removes an extended attribute.
    fn removexattr(&self, ctx: &Context, node: NodeId, name: &CStr) -> Result<()> {
        unsupported()
    }

    /// An `ioctl(2)` from the allow-list.
    fn ioctl(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        ioctl: &Ioctl<'_>,
    ) -> Result<IoctlReply> {
        unsupported()
    }

    /// Maps a stretch of a file into the DAX window. `handle` may be none: the guest maps inodes, not open files.
    fn setup_mapping(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Option<Handle>,
        setup: &SetupMapping,
        mapper: &dyn Mapper,
    ) -> Result<()> {
        unsupported()
    }

    /// Takes stretches out of the DAX window.
    fn remove_mapping(
        &self,
        ctx: &Context,
        node: NodeId,
        remove: &[RemoveMapping],
        mapper: &dyn Mapper,
    ) -> Result<()> {
        unsupported()
    }
}
