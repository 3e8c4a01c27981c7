//! The operations: what each announces, and what its reply is stamped with (docs/protocol.md, sections 5 and 7).

use std::ffi::CStr;
use std::io::Result;

use fuse::abi::{InitFlags, Kstatfs, OpenReplyFlags, Stamp};
use fuse::dirs::{DirBuffer, DirPlusBuffer};
use fuse::filesystem::{
    Attributes, CopyRange, Create, Entry, Ioctl, IoctlReply, Make, Offer, Open, Opened, Read,
    Release, SetAttr, StatxAttributes, Write, Written,
};
use fuse::io::{DataSink, DataSource};
use fuse::{Context, FileSystem, Handle, NodeId, errno};
use rustix::fs::AtFlags;

use super::{Coherent, contents, permissions, stamps};
use crate::passthrough::ioctl;

impl FileSystem for Coherent {
    fn init(&self, offer: &Offer) -> Result<InitFlags> {
        self.observatory.set_stamping(false);
        let mut wanted = self.inner.init(offer)?;
        self.clear_stores();
        if self.agrees(offer) {
            self.observatory.set_stamping(true);
            wanted |= InitFlags::VERSION_TABLE;
        }
        Ok(wanted)
    }

    fn destroy(&self) {
        self.observatory.set_stamping(false);
        self.inner.destroy();
        self.clear_stores();
    }

    fn lookup(&self, ctx: &Context, parent: NodeId, name: &CStr) -> Result<Entry> {
        self.do_lookup(ctx, parent, name)
    }

    fn forget(&self, node: NodeId, count: u64) {
        self.inner.forget(node, count);
        if let Some(stores) = &self.stores {
            stores.forget(node);
        }
    }

    fn getattr(&self, ctx: &Context, node: NodeId, handle: Option<Handle>) -> Result<Attributes> {
        let (result, stamp) = self.observed(node, || self.inner.getattr(ctx, node, handle))?;
        Ok(Attributes { stamp, ..result? })
    }

    fn statx(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Option<Handle>,
        flags: u32,
        mask: u32,
    ) -> Result<StatxAttributes> {
        let read = || self.inner.statx(ctx, node, handle, flags, mask);
        let (result, stamp) = self.observed(node, read)?;
        Ok(StatxAttributes { stamp, ..result? })
    }

    fn setattr(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Option<Handle>,
        set: &SetAttr,
    ) -> Result<Attributes> {
        let tag = self.inner.tag(node)?;
        let (slots, cover) = (self.slots_of(tag)?, self.observatory.cover(tag));
        let touched = if set.size.is_some() { contents(slots) } else { permissions(slots) };
        let change = || self.inner.setattr(ctx, node, handle, set);
        // Contents that are not changed are observed as for any other reply.
        let (result, mut stamp) = self.observed(node, || self.change(touched, change))?;
        let (answer, published) = result?;
        let after = stamps::published(slots, &published, cover.as_ref());
        stamps::copy(&mut stamp, &after, Stamp::PERM);
        stamps::copy(&mut stamp, &after, Stamp::ATTR);
        if set.size.is_some() {
            stamps::copy(&mut stamp, &after, Stamp::DATA);
        }
        Ok(Attributes { stamp, ..answer })
    }

    fn readlink(&self, ctx: &Context, node: NodeId) -> Result<Vec<u8>> {
        self.inner.readlink(ctx, node)
    }

    fn symlink(
        &self,
        ctx: &Context,
        parent: NodeId,
        name: &CStr,
        target: &CStr,
        make: &Make<'_>,
    ) -> Result<Entry> {
        self.make((parent, name), || self.inner.symlink(ctx, parent, name, target, make))
    }

    fn mknod(&self, ctx: &Context, parent: NodeId, name: &CStr, make: &Make<'_>) -> Result<Entry> {
        self.make((parent, name), || self.inner.mknod(ctx, parent, name, make))
    }

    fn mkdir(&self, ctx: &Context, parent: NodeId, name: &CStr, make: &Make<'_>) -> Result<Entry> {
        self.make((parent, name), || self.inner.mkdir(ctx, parent, name, make))
    }

    fn unlink(&self, _: &Context, parent: NodeId, name: &CStr) -> Result<()> {
        self.remove(parent, name, AtFlags::empty())
    }

    fn rmdir(&self, _: &Context, parent: NodeId, name: &CStr) -> Result<()> {
        self.remove(parent, name, AtFlags::REMOVEDIR)
    }

    fn rename(
        &self,
        _: &Context,
        from: (NodeId, &CStr),
        to: (NodeId, &CStr),
        flags: u32,
    ) -> Result<Stamp> {
        self.do_rename(from, to, flags)
    }

    fn link(
        &self,
        ctx: &Context,
        node: NodeId,
        new_parent: NodeId,
        new_name: &CStr,
    ) -> Result<Entry> {
        self.do_link(ctx, node, new_parent, new_name)
    }

    fn open(&self, ctx: &Context, node: NodeId, open: &Open) -> Result<Opened> {
        let slots = self.slots(node)?;
        let mut opened = if open.flags & libc::O_TRUNC as u32 == 0 {
            self.inner.open(ctx, node, open)?
        } else {
            self.change(contents(slots), || self.inner.open(ctx, node, open))?.0
        };
        self.keep_pages(&mut opened, node.0)?;
        self.admit(ctx, node, open.flags, opened)
    }

    fn create(
        &self,
        ctx: &Context,
        parent: NodeId,
        name: &CStr,
        create: &Create<'_>,
    ) -> Result<(Entry, Opened)> {
        self.do_create(ctx, (parent, name), create)
    }

    /// What has no name yet is nobody's but the guest's that made it.
    fn tmpfile(
        &self,
        ctx: &Context,
        parent: NodeId,
        create: &Create<'_>,
    ) -> Result<(Entry, Opened)> {
        let made = self.inner.tmpfile(ctx, parent, create)?;
        self.admit_new(ctx, create.flags, made)
    }

    fn read(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        read: &Read,
        sink: &mut dyn DataSink,
    ) -> Result<usize> {
        self.inner.read(ctx, node, handle, read, sink)
    }

    fn write(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        write: &Write,
        source: &mut dyn DataSource,
    ) -> Result<Written> {
        let tag = self.inner.tag(node)?;
        let (slots, cover) = (self.slots_of(tag)?, self.observatory.cover(tag));
        let (written, published) =
            self.change(contents(slots), || self.inner.write(ctx, node, handle, write, source))?;
        Ok(Written { stamp: stamps::published(slots, &published, cover.as_ref()), ..written })
    }

    fn flush(&self, ctx: &Context, node: NodeId, handle: Handle, lock_owner: u64) -> Result<()> {
        self.inner.flush(ctx, node, handle, lock_owner)
    }

    fn release(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        release: &Release,
    ) -> Result<()> {
        let released = self.inner.release(ctx, node, handle, release);
        if let Some(stores) = &self.stores {
            stores.closed(node, handle, release.idle && self.observatory.is_stamping());
        }
        released
    }

    fn fsync(&self, ctx: &Context, node: NodeId, handle: Handle, datasync: bool) -> Result<()> {
        self.inner.fsync(ctx, node, handle, datasync)
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
        let slots = contents(self.slots(node)?);
        let allocate = || self.inner.fallocate(ctx, node, handle, mode, offset, len);
        self.change(slots, allocate).map(|((), _)| ())
    }

    fn lseek(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        offset: u64,
        whence: u32,
    ) -> Result<u64> {
        self.inner.lseek(ctx, node, handle, offset, whence)
    }

    fn copy_file_range(&self, ctx: &Context, copy: &CopyRange) -> Result<u64> {
        let slots = contents(self.slots(copy.to.0)?);
        self.change(slots, || self.inner.copy_file_range(ctx, copy)).map(|(copied, _)| copied)
    }

    fn opendir(&self, ctx: &Context, node: NodeId, flags: u32) -> Result<Opened> {
        let (result, stamp) = self.observed(node, || self.inner.opendir(ctx, node, flags))?;
        let mut opened = result?;
        if stamp.covers(Stamp::ATTR) {
            stamps::copy(&mut opened.stamp, &stamp, Stamp::ATTR);
            // The guest asks the table whether its listing is good.
            opened.flags |= OpenReplyFlags::CACHE_DIR | OpenReplyFlags::KEEP_CACHE;
            opened.flags.set(OpenReplyFlags::LATER, self.inner.opens_at_any_time(node)?);
        }
        Ok(opened)
    }

    fn readdir(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        offset: u64,
        out: &mut DirBuffer<'_>,
    ) -> Result<()> {
        self.inner.readdir(ctx, node, handle, offset, out)
    }

    /// The entries' stamps are the file system's observer's.
    fn readdirplus(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        offset: u64,
        out: &mut DirPlusBuffer<'_>,
    ) -> Result<()> {
        self.inner.readdirplus(ctx, node, handle, offset, out)
    }

    fn releasedir(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        release: &Release,
    ) -> Result<()> {
        self.inner.releasedir(ctx, node, handle, release)
    }

    fn fsyncdir(&self, ctx: &Context, node: NodeId, handle: Handle, datasync: bool) -> Result<()> {
        self.inner.fsyncdir(ctx, node, handle, datasync)
    }

    fn syncfs(&self, ctx: &Context, node: NodeId) -> Result<()> {
        self.inner.syncfs(ctx, node)
    }

    fn statfs(&self, ctx: &Context, node: NodeId) -> Result<Kstatfs> {
        self.inner.statfs(ctx, node)
    }

    fn access(&self, ctx: &Context, node: NodeId, mask: u32) -> Result<()> {
        self.inner.access(ctx, node, mask)
    }

    fn ioctl(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        request: &Ioctl<'_>,
    ) -> Result<IoctlReply> {
        if !ioctl::is_change(request.cmd) {
            return self.inner.ioctl(ctx, node, handle, request);
        }
        if ioctl::folds_case(request) {
            // Every daemon of the table would have to learn at once that one name is no longer one name.
            return Err(errno::error(errno::EOPNOTSUPP));
        }
        let slots = permissions(self.slots(node)?);
        let set = || self.inner.ioctl(ctx, node, handle, request);
        self.change(slots, set).map(|(reply, _)| reply)
    }
}
