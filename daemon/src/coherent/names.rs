//! Operations that change names: lock the names, look up what they mean, announce, change, publish, unlock.
//!
//! The locks are what makes "announced" mean the inode that is changed: without them another daemon could put another
//! inode under the name in between. What the *host* does in between comes back as an event.

use std::ffi::CStr;
use std::io;

use coherence::watch::Coverage;
use coherence::{Change, NameGuard, Published, SlotIndex, SlotSet, Worker};
use fuse::NodeId;
use fuse::abi::Stamp;
use fuse::filesystem::Entry;
use rustix::fs::AtFlags;

use super::{Coherent, fault, refused, stamps};
use crate::passthrough::{Meaning, NameRule, Tag};

/// A name that an operation changes.
#[derive(Debug)]
pub(super) struct Name<'a> {
    pub(super) parent: NodeId,
    pub(super) text: &'a CStr,
    dir: Tag,
    /// Of the directory, from before the change.
    cover: Option<Coverage<'a>>,
    /// The slot that is locked.
    pub(super) lock: Option<SlotIndex>,
    /// The slot of these very bytes. Announced also where names are not compared byte for byte: a directory may have
    /// become such a one after others stamped the name.
    entry: Option<SlotIndex>,
    /// The parent's attributes: its listing and times change with the name.
    parent_attr: Option<SlotIndex>,
}

impl Name<'_> {
    /// What vouches for the name after a change that was alone on it.
    pub(super) fn stamp(&self, published: &Published) -> Stamp {
        match self.entry.filter(|_| self.dir.names == NameRule::Bytewise) {
            Some(slot) => {
                let snapshot = stamps::after(published, slot, self.cover.as_ref());
                stamps::only(Stamp::ENTRY, snapshot)
            }
            None => Stamp::default(),
        }
    }

    /// The slots that a change of the name touches, whatever it means.
    pub(super) fn touched(&self) -> [Option<SlotIndex>; 3] {
        [self.lock, self.entry, self.parent_attr]
    }

    /// Puts [`Self::stamp`] into the reply that tells of the name's inode.
    pub(super) fn vouch(&self, entry: &mut Entry, published: &Published) {
        stamps::copy(&mut entry.stamp, &self.stamp(published), Stamp::ENTRY);
    }
}

/// The right to change names, for one operation.
pub(super) enum Names<'w> {
    Locked(NameGuard<'w>),
    /// Nothing vouches for any of them.
    Free(&'w mut Worker),
}

impl Names<'_> {
    /// Makes a change that is announced on `slots`. Those of inodes that were looked up by name, and that the reply says
    /// nothing of, are `looked_up`.
    pub(super) fn change<T>(
        &mut self,
        slots: SlotSet,
        looked_up: SlotSet,
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<(T, Published)> {
        let slots = fault::announced(slots);
        let change: Change<'_> = match self {
            Self::Locked(guard) => guard.announce_unstamped(slots, &looked_up),
            Self::Free(worker) => worker.announce(slots),
        }
        .map_err(refused)?;
        let (result, published) = fault::finish(change, act);
        result.map(|value| (value, published))
    }
}

impl Coherent {
    pub(super) fn name<'a>(&'a self, parent: NodeId, name: &'a CStr) -> io::Result<Name<'a>> {
        let mut dir = self.inner.tag(parent)?;
        if dir.names == NameRule::Unknown {
            // Its permissions may have been changed since.
            dir.names = self.inner.tag_again(parent)?.names;
        }
        let lock = self.observatory.name_lock(dir, name.to_bytes())?;
        let entry = self.observatory.name_slot(dir, name.to_bytes())?;
        let parent_attr = self.slots_of(dir)?.map(|slots| slots.attr);
        let cover = self.observatory.cover(dir);
        Ok(Name { parent, text: name, dir, cover, lock, entry, parent_attr })
    }

    /// What the name means at this moment, and the attr slot of that.
    pub(super) fn meaning(&self, name: &Name<'_>) -> io::Result<(Meaning, Option<SlotIndex>)> {
        let meaning = self.inner.meaning(name.parent, name.text)?;
        let attr = match meaning.tag() {
            Some(tag) => self.slots_of(tag)?.map(|slots| slots.attr),
            None => None,
        };
        Ok((meaning, attr))
    }

    /// Calls `act` with the right to change these names.
    pub(super) fn with_names<T>(
        &self,
        locks: [Option<SlotIndex>; 2],
        act: impl FnOnce(&mut Names<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.workers.with(|worker| match locks {
            [Some(one), Some(other)] => act(&mut Names::Locked(worker.lock_names([one, other]))),
            [Some(one), None] | [None, Some(one)] => {
                act(&mut Names::Locked(worker.lock_names([one])))
            }
            [None, None] => act(&mut Names::Free(worker)),
        })
    }

    /// An operation that makes something new under a name.
    pub(super) fn make(
        &self,
        (parent, name): (NodeId, &CStr),
        act: impl FnOnce() -> io::Result<Entry>,
    ) -> io::Result<Entry> {
        let name = self.name(parent, name)?;
        let (mut entry, published) = self.with_names([name.lock, None], |names| {
            names.change(SlotSet::from(name.touched()), SlotSet::EMPTY, act)
        })?;
        name.vouch(&mut entry, &published);
        Ok(entry)
    }

    /// UNLINK, or RMDIR by `AT_REMOVEDIR`.
    pub(super) fn remove(&self, parent: NodeId, name: &CStr, flags: AtFlags) -> io::Result<()> {
        let name = self.name(parent, name)?;
        self.with_names([name.lock, None], |names| {
            let (meaning, victim) = self.meaning(&name)?;
            let [lock, entry, dir] = name.touched();
            let slots = SlotSet::from([lock, entry, dir, victim]);
            let remove = || self.inner.remove_meant(parent, name.text, flags, &meaning);
            names.change(slots, SlotSet::from([victim]), remove)
        })
        .map(|((), _)| ())
    }
}
