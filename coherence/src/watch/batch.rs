//! What the events of one read mean for the table.

use crate::hash::{InodeKey, Placement};
use crate::slots::SlotIndex;

/// What of an inode was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Mode, owner, xattrs, flags, times.
    Attributes,
    /// Contents, and with them size and times.
    Contents,
    /// The number of links, a directory's listing: attributes that no path walk asks for.
    Links,
}

/// Slots of changes, each once; or that everything may have changed.
#[derive(Debug)]
pub struct Batch<'a> {
    placement: &'a Placement,
    slots: Vec<SlotIndex>,
    events: u64,
    own: u64,
    lost: Option<&'static str>,
}

impl<'a> Batch<'a> {
    pub(super) const fn new(placement: &'a Placement) -> Self {
        Self { placement, slots: Vec::new(), events: 0, own: 0, lost: None }
    }

    /// What stands for an inode that the kernel has named.
    #[must_use]
    pub fn key(&self, identity: &crate::Identity<'_>) -> InodeKey {
        self.placement.inode(identity)
    }

    /// An event was read.
    pub fn count(&mut self, own: bool) {
        self.events += 1;
        self.own += u64::from(own);
    }

    /// `name` in `dir` means something else now.
    pub fn name(&mut self, dir: InodeKey, name: &[u8]) {
        self.slots.push(self.placement.entry(dir, name));
        self.inode(dir, Part::Links);
    }

    /// Something of an inode has changed.
    pub fn inode(&mut self, inode: InodeKey, part: Part) {
        let slots = self.placement.inode_slots(inode);
        self.slots.push(slots.attr);
        match part {
            Part::Attributes => self.slots.push(slots.perm),
            // perm vouches for the size, too.
            Part::Contents => self.slots.extend([slots.perm, slots.data]),
            Part::Links => {}
        }
    }

    /// Events were lost, or one cannot be told by slot: everything is swept.
    pub fn lost(&mut self, why: &'static str) {
        self.lost = Some(why);
    }

    /// The slots, in ascending order, each once.
    pub(super) fn slots(&mut self) -> &[SlotIndex] {
        self.slots.sort_unstable();
        self.slots.dedup();
        &self.slots
    }

    /// Why everything must be swept, if it must.
    pub(super) const fn why_lost(&self) -> Option<&'static str> {
        self.lost
    }

    /// Events that were read, and how many of them were this daemon's own.
    pub(super) const fn counts(&self) -> (u64, u64) {
        (self.events, self.own)
    }
}
