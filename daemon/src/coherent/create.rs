//! CREATE, which may turn out to open and cut a file that is there.

use std::ffi::CStr;
use std::io;

use coherence::SlotSet;
use fuse::filesystem::{Create, Entry, Opened, SetAttr};
use fuse::{Context, FileSystem, NodeId, errno};
use rustix::fs::OFlags;

use super::names::{Name, Names};
use super::{Coherent, contents, stamps};

impl Coherent {
    pub(super) fn do_create(
        &self,
        ctx: &Context,
        (parent, name): (NodeId, &CStr),
        create: &Create<'_>,
    ) -> io::Result<(Entry, Opened)> {
        let name = self.name(parent, name)?;
        let made = self.with_names([name.lock, None], |names| {
            let exclusive = create.flags & OFlags::EXCL.bits() != 0;
            match self.create_with(ctx, names, &name, create, OFlags::EXCL) {
                Err(error) if error.raw_os_error() == Some(errno::EEXIST) && !exclusive => {
                    self.open_existing(ctx, names, &name, create)
                }
                result => result,
            }
        })?;
        self.admit_new(ctx, create.flags, made)
    }

    /// CREATE with more flags, announced on the name.
    fn create_with(
        &self,
        ctx: &Context,
        names: &mut Names<'_>,
        name: &Name<'_>,
        create: &Create<'_>,
        more: OFlags,
    ) -> io::Result<(Entry, Opened)> {
        let create = Create { flags: create.flags | more.bits(), ..create.clone() };
        let slots = SlotSet::from(name.touched());
        let make = || self.inner.create(ctx, name.parent, name.text, &create);
        let ((mut entry, mut opened), published) = names.change(slots, SlotSet::EMPTY, make)?;
        name.vouch(&mut entry, &published);
        self.keep_pages(&mut opened, entry.nodeid)?;
        Ok((entry, opened))
    }

    /// The name is there. Only when it is open, and so cannot be mistaken, is the file announced and cut.
    fn open_existing(
        &self,
        ctx: &Context,
        names: &mut Names<'_>,
        name: &Name<'_>,
        create: &Create<'_>,
    ) -> io::Result<(Entry, Opened)> {
        let cut = create.flags & OFlags::TRUNC.bits() != 0;
        let whole = Create { flags: without_truncation(create.flags), ..create.clone() };
        let (mut entry, opened) = self.create_with(ctx, names, name, &whole, OFlags::empty())?;
        if cut && let Err(error) = self.cut(ctx, names, &mut entry, &opened, create.kill_suidgid) {
            self.take_back(ctx, &entry, &opened);
            return Err(error);
        }
        Ok((entry, opened))
    }

    /// Cuts a file that is open to nothing; what vouched for its attributes and contents before is replaced.
    fn cut(
        &self,
        ctx: &Context,
        names: &mut Names<'_>,
        entry: &mut Entry,
        opened: &Opened,
        kill_suidgid: bool,
    ) -> io::Result<()> {
        let node = NodeId(entry.nodeid);
        let tag = self.inner.tag(node)?;
        let (slots, cover) = (self.slots_of(tag)?, self.observatory.cover(tag));
        let set = SetAttr { size: Some(0), kill_suidgid, ..SetAttr::default() };
        let cut = || {
            self.inner.unmap_for_cut(node)?;
            self.inner.setattr(ctx, node, opened.handle, &set)
        };
        let (attributes, published) = names.change(contents(slots), SlotSet::EMPTY, cut)?;
        entry.attr = attributes.attr;
        stamps::replace_inode(
            &mut entry.stamp,
            &stamps::published(slots, &published, cover.as_ref()),
        );
        Ok(())
    }

    /// The guest is never told of what was opened for it.
    fn take_back(&self, ctx: &Context, entry: &Entry, opened: &Opened) {
        let node = NodeId(entry.nodeid);
        if let Some(handle) = opened.handle {
            self.discard(ctx, node, handle);
        }
        self.inner.forget(node, 1);
    }
}

/// Flags that open a file as `O_TRUNC` would, permissions included, and leave it whole.
fn without_truncation(flags: u32) -> u32 {
    let flags = OFlags::from_bits_retain(flags);
    let cuts = flags.contains(OFlags::TRUNC);
    let reads_only = flags & OFlags::RWMODE == OFlags::RDONLY;
    let write = if cuts && reads_only { OFlags::RDWR } else { OFlags::empty() };
    ((flags - OFlags::TRUNC) | write).bits()
}
