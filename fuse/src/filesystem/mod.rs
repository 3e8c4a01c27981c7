//! What a file system answers: one method an operation.
//!
//! ```text
//! mod       names, attributes, files, directories
//! locks     record locks and flock
//! xattrs    extended attributes
//! mappings  the DAX window
//! types     what the methods take and answer
//! ```

mod locks;
mod mappings;
mod types;
mod xattrs;

use std::ffi::CStr;
use std::io;

use crate::abi::{InitFlags, Kstatfs, Stamp};
use crate::dirs::{DirBuffer, DirPlusBuffer};
use crate::errno;
use crate::ids::{Context, Handle, NodeId};
use crate::io::{DataSink, DataSource};

pub use locks::Locks;
pub use mappings::Mappings;
pub use types::*;
pub use xattrs::Xattrs;

type Result<T> = io::Result<T>;

fn unsupported<T>() -> Result<T> {
    Err(errno::error(errno::ENOSYS))
}

/// A file system that a [`crate::Server`] serves. Methods that are not written, here and in the traits that this one asks
/// for, answer `ENOSYS`, which Linux takes as
/// "never ask again" where it has a fallback.
///
/// Errors are `io::Error`s whose OS error number becomes the guest's errno; one without a number becomes `EIO`.
/// Methods run on several threads at once.
#[allow(unused_variables, clippy::missing_errors_doc)]
pub trait FileSystem: Locks + Xattrs + Mappings + Send + Sync {
    /// The guest mounts. `offer` is what its kernel can do; the answer is what of it is wanted.
    /// A new INIT without a DESTROY before it (a guest that was killed) must find a clean slate.
    fn init(&self, offer: &Offer) -> Result<InitFlags> {
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

    /// Renames. `flags` are `renameat2(2)`'s. The answer may vouch for the new name, of whatever was moved.
    fn rename(
        &self,
        ctx: &Context,
        from: (NodeId, &CStr),
        to: (NodeId, &CStr),
        flags: u32,
    ) -> Result<Stamp> {
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

    /// Writes from `source`.
    fn write(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        write: &Write,
        source: &mut dyn DataSource,
    ) -> Result<Written> {
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

    /// Fills `out` with names that follow `offset`, until it has no room for the next one. An error behind names that
    /// are in `out` already is not told: the guest asks for what follows them.
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
}
