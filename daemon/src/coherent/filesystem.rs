//! The operations: what each announces, and what its reply is stamped with (docs/protocol.md, sections 5 and 7).

use std::ffi::CStr;
use std::io::Result;

use coherence::SlotSet;
use fuse::abi::{InitFlags, Kstatfs, OpenReplyFlags, Stamp};
use fuse::dirs::{DirBuffer, DirPlusBuffer};
use fuse::filesystem::{
    Attributes, CopyRange, Create, Entry, Ioctl, IoctlReply, LockKind, Make, Offer, Open, Opened,
    Read, RecordLock, Release, RemoveMapping, SetAttr, SetupMapping, StatxAttributes, Write,
    Written, XattrReply,
};
use fuse::io::{DataSink, DataSource};
use fuse::park::Patience;
use fuse::{Context, FileSystem, Handle, Mapper, NodeId, errno};

use super::{Coherent, contents, permissions, stamps};
use crate::passthrough::ioctl;

impl FileSystem for Coherent {
    fn init(&self, offer: &Offer) -> Result<InitFlags> {
        self.observatory.set_stamping(false);
        let mut wanted = self.inner.init(offer)?;
        if self.agrees(offer) {
            self.observatory.set_stamping(true);
            wanted |= InitFlags::VERSION_TABLE;
        }
        Ok(wanted)
    }

    fn destroy(&self) {
        self.observatory.set_stamping(false);
        self.inner.destroy();
    }

    fn lookup(&self, ctx: &Context, parent: NodeId, name: &CStr) -> Result<Entry> {
        let look_up = || self.inner.lookup(ctx, parent, name);
        let is_dot = matches!(name.to_bytes(), b"." | b"..");
        if is_dot || !self.observatory.is_stamping() {
            return look_up();
        }
        let dir = self.inner.tag(parent)?;
        let slot = self.observatory.entry(dir, name.to_bytes())?;
        let Some(slot) = slot else { return look_up() };
        let (result, [snapshot]) = self.observatory.observe(dir, [slot], look_up);
        match result {
            Ok(mut entry) => {
                stamps::set(&mut entry.stamp, Stamp::ENTRY, snapshot);
                Ok(entry)
            }
            Err(error) if error.raw_os_error() == Some(errno::ENOENT) && snapshot.covers() => {
                let stamp = stamps::only(Stamp::ENTRY, snapshot);
                Ok(Entry { stamp, ..Entry::negative(self.inner.entry_ttl()) })
            }
            Err(error) => Err(error),
        }
    }

    fn forget(&self, node: NodeId, count: u64) {
        self.inner.forget(node, count);
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

    fn unlink(&self, ctx: &Context, parent: NodeId, name: &CStr) -> Result<()> {
        self.remove((parent, name), || self.inner.unlink(ctx, parent, name))
    }

    fn rmdir(&self, ctx: &Context, parent: NodeId, name: &CStr) -> Result<()> {
        self.remove((parent, name), || self.inner.rmdir(ctx, parent, name))
    }

    fn rename(
        &self,
        ctx: &Context,
        from: (NodeId, &CStr),
        to: (NodeId, &CStr),
        flags: u32,
    ) -> Result<Stamp> {
        let (old, new) = (self.name(from.0, from.1)?, self.name(to.0, to.1)?);
        self.with_names([old.lock, new.lock], |names| {
            let (moved, replaced) = (self.meaning(&old)?, self.meaning(&new)?);
            let [old_lock, old_entry, old_dir] = old.touched();
            let [new_lock, new_entry, new_dir] = new.touched();
            let slots =
                [old_lock, old_entry, old_dir, new_lock, new_entry, new_dir, moved, replaced]
                    .into();
            let looked_up = [moved, replaced].into();
            names.change(slots, looked_up, || self.inner.rename(ctx, from, to, flags))
        })?;
        // The new name's stamp would be believed of the inode that the guest takes for the moved one. What the old
        // name meant may have changed since the guest looked it up, and the reply does not say what was moved.
        Ok(Stamp::default())
    }

    fn link(
        &self,
        ctx: &Context,
        node: NodeId,
        new_parent: NodeId,
        new_name: &CStr,
    ) -> Result<Entry> {
        let name = self.name(new_parent, new_name)?;
        let tag = self.inner.tag(node)?;
        let cover = self.observatory.cover(tag);
        let attr = self.slots_of(tag)?.map(|slots| slots.attr);
        let (mut entry, published) = self.with_names([name.lock, None], |names| {
            let [lock, entry, parent] = name.touched();
            let slots = SlotSet::from([lock, entry, parent, attr]);
            let link = || self.inner.link(ctx, node, new_parent, new_name);
            names.change(slots, SlotSet::EMPTY, link)
        })?;
        name.vouch(&mut entry, &published);
        if let Some(attr) = attr {
            let snapshot = stamps::after(&published, attr, cover.as_ref());
            stamps::set(&mut entry.stamp, Stamp::ATTR, snapshot);
        }
        Ok(entry)
    }

    fn open(&self, ctx: &Context, node: NodeId, open: &Open) -> Result<Opened> {
        let slots = self.slots(node)?;
        let mut opened = if open.flags & libc::O_TRUNC as u32 == 0 {
            self.inner.open(ctx, node, open)?
        } else {
            self.change(contents(slots), || self.inner.open(ctx, node, open))?.0
        };
        self.keep_pages(&mut opened, node.0)?;
        Ok(opened)
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
        self.inner.tmpfile(ctx, parent, create)
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
        self.inner.release(ctx, node, handle, release)
    }

    fn getlk(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        lock: &RecordLock,
    ) -> Result<Option<RecordLock>> {
        self.inner.getlk(ctx, node, handle, lock)
    }

    fn setlk(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        lock: &RecordLock,
        patience: Option<&Patience<'_>>,
    ) -> Result<()> {
        self.inner.setlk(ctx, node, handle, lock, patience)
    }

    fn flock(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Handle,
        kind: LockKind,
        patience: Option<&Patience<'_>>,
    ) -> Result<()> {
        self.inner.flock(ctx, node, handle, kind, patience)
    }

    fn interrupt(&self, unique: u64) {
        self.inner.interrupt(unique);
    }

    fn cancel_parked(&self) {
        self.inner.cancel_parked();
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

    fn setxattr(
        &self,
        ctx: &Context,
        node: NodeId,
        name: &CStr,
        value: &[u8],
        flags: u32,
        kill_sgid: bool,
    ) -> Result<()> {
        let set = || self.inner.setxattr(ctx, node, name, value, flags, kill_sgid);
        self.change(self.xattr_slots(node, name)?, set).map(|((), _)| ())
    }

    fn getxattr(&self, ctx: &Context, node: NodeId, name: &CStr, size: u32) -> Result<XattrReply> {
        self.inner.getxattr(ctx, node, name, size)
    }

    fn listxattr(&self, ctx: &Context, node: NodeId, size: u32) -> Result<XattrReply> {
        self.inner.listxattr(ctx, node, size)
    }

    fn removexattr(&self, ctx: &Context, node: NodeId, name: &CStr) -> Result<()> {
        let remove = || self.inner.removexattr(ctx, node, name);
        self.change(self.xattr_slots(node, name)?, remove).map(|((), _)| ())
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

    fn setup_mapping(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Option<Handle>,
        setup: &SetupMapping,
        mapper: &dyn Mapper,
    ) -> Result<()> {
        self.map(ctx, node, handle, setup, mapper)
    }

    fn remove_mapping(
        &self,
        ctx: &Context,
        node: NodeId,
        remove: &[RemoveMapping],
        mapper: &dyn Mapper,
    ) -> Result<()> {
        self.inner.remove_mapping(ctx, node, remove, mapper)
    }
}
