//! SETUPMAPPING: what is stored through a mapping changes a file without a word, so the file's slots are busy while the
//! guest may do that ([`super::stores`], docs/protocol.md, section 7).

use std::io;
use std::sync::Arc;

use coherence::SlotSet;
use fuse::filesystem::{Entry, Mappings, Opened, Release, RemoveMapping, SetupMapping};
use fuse::{Context, FileSystem, Handle, Held, Mapper, Mapping, NodeId, errno};
use rustix::fs::OFlags;

use super::{Coherent, refused};

impl Mappings for Coherent {
    fn setup_mapping(
        &self,
        ctx: &Context,
        node: NodeId,
        handle: Option<Handle>,
        setup: &SetupMapping,
        mapper: &dyn Mapper,
    ) -> io::Result<()> {
        let slots = if setup.writable { self.slots(node)? } else { None };
        let Some(slots) = slots else {
            return self.inner.setup_mapping(ctx, node, handle, setup, mapper);
        };
        // Nobody has asked for a window.
        let stores = self.stores.as_ref().ok_or_else(|| errno::error(errno::ENOSYS))?;
        // Before anything can be stored.
        let slots = SlotSet::from([Some(slots.attr), Some(slots.data)]);
        let hold = stores.mapping(node, self.observatory.engine(), slots).map_err(refused)?;
        let holding = Holding { mapper, hold };
        self.inner.setup_mapping(ctx, node, handle, setup, &holding)
    }

    fn remove_mapping(
        &self,
        ctx: &Context,
        node: NodeId,
        remove: &[RemoveMapping],
        mapper: &dyn Mapper,
    ) -> io::Result<()> {
        self.inner.remove_mapping(ctx, node, remove, mapper)
    }
}

impl Coherent {
    /// What is open for writing may be stored into through mappings that are there already.
    pub(super) fn admit(
        &self,
        ctx: &Context,
        node: NodeId,
        flags: u32,
        opened: Opened,
    ) -> io::Result<Opened> {
        let reads_only = OFlags::from_bits_retain(flags) & OFlags::RWMODE == OFlags::RDONLY;
        let (Some(handle), Some(stores)) = (opened.handle.filter(|_| !reads_only), &self.stores)
        else {
            return Ok(opened);
        };
        if let Err(error) = stores.opened(node, handle) {
            self.discard(ctx, node, handle);
            return Err(refused(error));
        }
        Ok(opened)
    }

    /// The guest has nothing open.
    pub(super) fn clear_stores(&self) {
        if let Some(stores) = &self.stores {
            stores.clear();
        }
    }

    /// As [`Self::admit`], for CREATE and TMPFILE.
    pub(super) fn admit_new(
        &self,
        ctx: &Context,
        flags: u32,
        (entry, opened): (Entry, Opened),
    ) -> io::Result<(Entry, Opened)> {
        let node = NodeId(entry.nodeid);
        let opened = self.admit(ctx, node, flags, opened);
        let opened = opened.inspect_err(|_| self.inner.forget(node, 1))?;
        Ok((entry, opened))
    }

    /// Closes what the guest is never told of.
    pub(super) fn discard(&self, ctx: &Context, node: NodeId, handle: Handle) {
        let release =
            Release { flags: 0, lock_owner: 0, flush: false, flock_unlock: false, idle: false };
        // It can only say that the handle is gone already.
        let _ = self.inner.release(ctx, node, handle, &release);
    }
}

/// Lets what is mapped hold the file's slots.
struct Holding<'a> {
    mapper: &'a dyn Mapper,
    hold: Held,
}

impl Mapper for Holding<'_> {
    fn map(&self, mapping: &Mapping<'_>) -> io::Result<()> {
        let held = Some(Arc::clone(&self.hold));
        self.mapper.map(&Mapping { held, ..mapping.clone() })
    }

    fn unmap(&self, window_offset: u64, len: u64) -> io::Result<()> {
        self.mapper.unmap(window_offset, len)
    }
}
