//! What is observed before the host is asked.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use coherence::{Engine, InodeKey, InodeSlots, SlotIndex};
use fuse::abi::Stamp;

use super::{coverage, stamps};
use crate::passthrough::{HostInode, Observer, Tag};

/// Looks at the version table for the file system, and for the decorator around it.
#[derive(Debug)]
pub(super) struct Observatory {
    engine: Arc<Engine>,
    /// The guest has mapped this table and gets stamps.
    stamping: AtomicBool,
}

impl Observatory {
    pub(super) fn new(engine: Arc<Engine>) -> Self {
        Self { engine, stamping: AtomicBool::new(false) }
    }

    pub(super) fn engine(&self) -> &Arc<Engine> {
        &self.engine
    }

    /// Whether the guest gets stamps.
    pub(super) fn is_stamping(&self) -> bool {
        // Relaxed: a guest sends nothing that depends on INIT before it has INIT's reply.
        self.stamping.load(Ordering::Relaxed)
    }

    pub(super) fn set_stamping(&self, stamping: bool) {
        // Relaxed: as above.
        self.stamping.store(stamping, Ordering::Relaxed);
    }

    /// The slots of an inode; none where nothing vouches for it.
    ///
    /// # Errors
    /// No memory for the slots.
    pub(super) fn inode_slots(&self, tag: Tag) -> io::Result<Option<InodeSlots>> {
        key(tag).map(|key| self.engine.inode_slots(key)).transpose()
    }

    /// The slot that covers a name; none where nothing vouches for names in this directory.
    ///
    /// # Errors
    /// No memory for the slot.
    pub(super) fn entry(&self, dir: Tag, name: &[u8]) -> io::Result<Option<SlotIndex>> {
        let key = key(dir).filter(|_| dir.bytewise);
        key.map(|key| self.engine.entry_slot(key, name)).transpose()
    }

    /// The slot whose lock keeps a name from being changed; none where nothing vouches for the directory. Where names
    /// are not compared byte for byte, all names of the directory share one.
    ///
    /// # Errors
    /// No memory for the slot.
    pub(super) fn name_lock(&self, dir: Tag, name: &[u8]) -> io::Result<Option<SlotIndex>> {
        let name = if dir.bytewise { name } else { b"" };
        key(dir).map(|key| self.engine.entry_slot(key, name)).transpose()
    }
}

impl Observer for Observatory {
    fn tag(&self, inode: &HostInode<'_>) -> Tag {
        let Ok(Some(facts)) = coverage::facts(inode.fd) else { return Tag::default() };
        let InodeKey(key) = self.engine.inode(&facts.identity(inode));
        Tag {
            // 0 means something else, and one key may as well share its slots with another.
            key: key.max(1),
            bytewise: inode.is_directory && facts.is_bytewise(inode),
        }
    }

    fn name(&self, dir: Tag, name: &[u8]) -> Stamp {
        let slot = if self.is_stamping() { self.entry(dir, name).ok().flatten() } else { None };
        let Some(slot) = slot else { return Stamp::default() };
        let ((), [entry]) = self.engine.observe([slot]).then(|| ());
        stamps::only(Stamp::ENTRY, entry)
    }

    fn attributes(&self, inode: Tag) -> Option<Stamp> {
        let slots = if self.is_stamping() { self.inode_slots(inode).ok()?? } else { return None };
        let observed = self.engine.observe([slots.perm, slots.attr, slots.data]);
        let ((), snapshots) = observed.then(|| ());
        Some(stamps::of_inode(snapshots))
    }
}

fn key(tag: Tag) -> Option<InodeKey> {
    (tag.key != 0).then_some(InodeKey(tag.key))
}
