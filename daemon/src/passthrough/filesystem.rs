//! The operations. Each that changes something asks [`Passthrough::writable`] first; the rest is elsewhere.

use std::ffi::CStr;
use std::io::Result;

use fuse::abi::{InitFlags, Kstatfs, Stamp};
use fuse::dirs::{DirBuffer, DirPlusBuffer};
use fuse::filesystem::{
    Attributes, CopyRange, Create, Entry, Ioctl, IoctlReply, Make, Offer, Open, Opened, Read,
    Release, SetAttr, StatxAttributes, Write, Written,
};
use fuse::io::{DataSink, DataSource};
use fuse::{Context, FileSystem, Handle, NodeId, errno};
use rustix::fs::{AtFlags, OFlags};

use super::{Passthrough, ioctl};

impl Passthrough {
    /// # Errors
    /// `EROFS` where the share is read-only.
    pub(super) fn writable(&self) -> Result<()> {
        if self.config.readonly { Err(errno::error(errno::EROFS)) } else { Ok(()) }
    }

    /// As [`Self::writable`], where these `open(2)` flags may lead to a change.
    fn writable_for(&self, flags: u32) -> Result<()> {
        let flags = OFlags::from_bits_retain(flags);
        let changes = flags & OFlags::RWMODE != OFlags::RDONLY || flags.contains(OFlags::TRUNC);
        if changes { self.writable() } else { Ok(()) }
    }
}

impl FileSystem for Passthrough {
    fn init(&self, offer: &Offer) -> Result<InitFlags> {
        self.do_init(offer.flags)
    }

    fn destroy(&self) {
        self.do_destroy();
    }

    fn lookup(&self, _: &Context, parent: NodeId, name: &CStr) -> Result<Entry> {
        self.do_lookup(parent, name)
    }

    fn forget(&self, node: NodeId, count: u64) {
        self.inodes.forget(node, count);
    }

    fn getattr(&self, _: &Context, node: NodeId, handle: Option<Handle>) -> Result<Attributes> {
        self.do_getattr(node, handle)
    }

    fn statx(
        &self,
        _: &Context,
        node: NodeId,
        handle: Option<Handle>,
        flags: u32,
        mask: u32,
    ) -> Result<StatxAttributes> {
        self.do_statx(node, handle, flags, mask)
    }

    fn setattr(
        &self,
        _: &Context,
        node: NodeId,
        handle: Option<Handle>,
        set: &SetAttr,
    ) -> Result<Attributes> {
        self.writable()?;
        self.do_setattr(node, handle, set)
    }

    fn readlink(&self, _: &Context, node: NodeId) -> Result<Vec<u8>> {
        self.do_readlink(node)
    }

    fn symlink(
        &self,
        ctx: &Context,
        parent: NodeId,
        name: &CStr,
        target: &CStr,
        make: &Make<'_>,
    ) -> Result<Entry> {
        self.writable()?;
        self.do_symlink(ctx, parent, name, target, make)
    }

    fn mknod(&self, ctx: &Context, parent: NodeId, name: &CStr, make: &Make<'_>) -> Result<Entry> {
        self.writable()?;
        self.do_mknod(ctx, parent, name, make)
    }

    fn mkdir(&self, ctx: &Context, parent: NodeId, name: &CStr, make: &Make<'_>) -> Result<Entry> {
        self.writable()?;
        self.do_mkdir(ctx, parent, name, make)
    }

    fn unlink(&self, _: &Context, parent: NodeId, name: &CStr) -> Result<()> {
        self.writable()?;
        self.do_unlink(parent, name, AtFlags::empty(), None)
    }

    fn rmdir(&self, _: &Context, parent: NodeId, name: &CStr) -> Result<()> {
        self.writable()?;
        self.do_unlink(parent, name, AtFlags::REMOVEDIR, None)
    }

    fn rename(
        &self,
        _: &Context,
        from: (NodeId, &CStr),
        to: (NodeId, &CStr),
        flags: u32,
    ) -> Result<Stamp> {
        self.writable()?;
        self.do_rename(from, to, flags, None)?;
        Ok(Stamp::default())
    }

    fn link(
        &self,
        _: &Context,
        node: NodeId,
        new_parent: NodeId,
        new_name: &CStr,
    ) -> Result<Entry> {
        self.writable()?;
        self.do_link(node, new_parent, new_name)
    }

    fn open(&self, _: &Context, node: NodeId, open: &Open) -> Result<Opened> {
        self.writable_for(open.flags)?;
        self.do_open(node, *open)
    }

    fn create(
        &self,
        ctx: &Context,
        parent: NodeId,
        name: &CStr,
        create: &Create<'_>,
    ) -> Result<(Entry, Opened)> {
        self.writable()?;
        self.do_create(ctx, parent, name, create)
    }

    fn tmpfile(
        &self,
        ctx: &Context,
        parent: NodeId,
        create: &Create<'_>,
    ) -> Result<(Entry, Opened)> {
        self.writable()?;
        self.do_tmpfile(ctx, parent, create)
    }

    fn read(
        &self,
        _: &Context,
        node: NodeId,
        handle: Handle,
        read: &Read,
        sink: &mut dyn DataSink,
    ) -> Result<usize> {
        self.do_read(node, handle, read, sink)
    }

    fn write(
        &self,
        _: &Context,
        node: NodeId,
        handle: Handle,
        write: &Write,
        source: &mut dyn DataSource,
    ) -> Result<Written> {
        self.writable()?;
        self.do_write(node, handle, write, source).map(Written::from)
    }

    fn flush(&self, _: &Context, node: NodeId, handle: Handle, lock_owner: u64) -> Result<()> {
        self.do_flush(node, handle, lock_owner)
    }

    fn release(&self, _: &Context, node: NodeId, handle: Handle, how: &Release) -> Result<()> {
        self.do_release(node, handle, how.flock_unlock)
    }

    fn fsync(&self, _: &Context, node: NodeId, handle: Handle, datasync: bool) -> Result<()> {
        self.do_fsync(node, handle, datasync)
    }

    fn fallocate(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        mode: u32,
        offset: u64,
        len: u64,
    ) -> Result<()> {
        self.writable()?;
        self.do_fallocate(ctx, node, handle, mode, (offset, len))
    }

    fn lseek(
        &self,
        _: &Context,
        node: NodeId,
        handle: Handle,
        offset: u64,
        whence: u32,
    ) -> Result<u64> {
        self.do_lseek(node, handle, offset, whence)
    }

    fn copy_file_range(&self, ctx: &Context, copy: &CopyRange) -> Result<u64> {
        self.writable()?;
        self.do_copy(ctx, copy)
    }

    fn opendir(&self, _: &Context, node: NodeId, _flags: u32) -> Result<Opened> {
        self.do_opendir(node)
    }

    fn readdir(
        &self,
        _: &Context,
        node: NodeId,
        handle: Handle,
        offset: u64,
        out: &mut DirBuffer<'_>,
    ) -> Result<()> {
        self.do_readdir(node, handle, offset, out)
    }

    fn readdirplus(
        &self,
        _: &Context,
        node: NodeId,
        handle: Handle,
        offset: u64,
        out: &mut DirPlusBuffer<'_>,
    ) -> Result<()> {
        self.do_readdirplus(node, handle, offset, out)
    }

    fn releasedir(&self, _: &Context, node: NodeId, handle: Handle, _: &Release) -> Result<()> {
        self.do_release(node, handle, false)
    }

    fn fsyncdir(&self, _: &Context, node: NodeId, handle: Handle, datasync: bool) -> Result<()> {
        self.do_fsyncdir(node, handle, datasync)
    }

    fn syncfs(&self, _: &Context, node: NodeId) -> Result<()> {
        self.do_syncfs(node)
    }

    fn statfs(&self, _: &Context, node: NodeId) -> Result<Kstatfs> {
        self.do_statfs(node)
    }

    fn access(&self, ctx: &Context, node: NodeId, mask: u32) -> Result<()> {
        self.do_access(ctx, node, mask)
    }

    fn ioctl(
        &self,
        _: &Context,
        node: NodeId,
        handle: Handle,
        request: &Ioctl<'_>,
    ) -> Result<IoctlReply> {
        if ioctl::is_change(request.cmd) {
            self.writable()?;
        }
        self.do_ioctl(node, handle, request)
    }
}
