//! What is observed before the host is asked.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use coherence::watch::{Coverage, FileSystem, Refusal, Watcher};
use coherence::{Engine, Identity, InodeKey, InodeSlots, SlotIndex, Snapshot};
use fuse::abi::Stamp;
use fuse::errno;
use smallvec::SmallVec;

use super::coverage::{self, FileSystemFacts};
use super::stamps;
use crate::passthrough::{
    Expected, HostInode, NAMES_AT_ONCE, NameRule, NameStamps, Observer, Pin, Tag,
};

/// File systems below the shared directory: what [`Tag::system`] has numbers for. What lies on others gets no stamps.
const MAX_SYSTEMS: usize = u8::MAX as usize;

/// Looks at the version table for the file system, and for the decorator around it.
#[derive(Debug)]
pub(super) struct Observatory {
    // First: the watcher ends before the engine does.
    watcher: Arc<Watcher>,
    /// Tags hold their numbers, counted from 1.
    systems: [OnceLock<System>; MAX_SYSTEMS],
    engine: Arc<Engine>,
    /// The guest has mapped this table and gets stamps.
    stamping: AtomicBool,
}

/// A file system that inodes with stamps lie on.
#[derive(Debug)]
struct System {
    watched: Arc<FileSystem>,
    facts: FileSystemFacts,
}

impl Observatory {
    pub(super) fn new(engine: Arc<Engine>, watcher: Arc<Watcher>) -> Self {
        let systems = [const { OnceLock::new() }; MAX_SYSTEMS];
        Self { watcher, systems, engine, stamping: AtomicBool::new(false) }
    }

    /// Says that changes which others make to an inode are noticed, if they are. Ask before the inode is observed or
    /// announced, and whether it [stands](Coverage::stands) afterwards.
    pub(super) fn cover(&self, tag: Tag) -> Option<Coverage<'_>> {
        let system = self.file_system(tag)?;
        // What needs a watch of its own was given it when the guest was told of the inode.
        system.cover(InodeKey(tag.key), || Err::<std::fs::File, _>(io::Error::other("no watch")))
    }

    fn file_system(&self, tag: Tag) -> Option<&Arc<FileSystem>> {
        self.system_of(tag).map(|system| &system.watched)
    }

    fn system_of(&self, tag: Tag) -> Option<&System> {
        self.systems.get(usize::from(tag.system).checked_sub(1)?)?.get()
    }

    /// Whether an inode is given stamps at the moment.
    pub(super) fn covers(&self, tag: Tag) -> bool {
        key(tag).is_some() && self.cover(tag).is_some()
    }

    /// Observes slots of an inode, then reads. What is not noticed by anybody is not vouched for.
    pub(super) fn observe<T, const N: usize>(
        &self,
        tag: Tag,
        slots: [SlotIndex; N],
        read: impl FnOnce() -> T,
    ) -> (T, [Snapshot; N]) {
        let cover = self.cover(tag);
        let observed = self.engine.observe(slots);
        let stands = cover.as_ref().is_some_and(Coverage::stands);
        let (value, snapshots) = observed.then(read);
        (value, if stands { snapshots } else { [Snapshot::NOT_COVERED; N] })
    }

    /// The number of the file system that `inode` lies on; 0 where none is to be had, which is counted and logged.
    fn system(&self, inode: &HostInode<'_>, facts: FileSystemFacts) -> u8 {
        let found = self.number_of(inode, facts);
        found.inspect_err(|refusal| self.watcher.refuse_inode(refusal)).unwrap_or(0)
    }

    fn number_of(&self, inode: &HostInode<'_>, facts: FileSystemFacts) -> Result<u8, Refusal> {
        for (number, place) in (1..=u8::MAX).zip(&self.systems) {
            let system = if let Some(system) = place.get() {
                system
            } else {
                let watched = self.watcher.file_system(inode.fd)?;
                // Should another thread fill the place with another one, the next place is looked at.
                place.get_or_init(|| System { watched, facts })
            };
            if system.watched.id() == (facts.fsid, inode.device) {
                return Ok(number);
            }
        }
        Err(Refusal::TooMany(MAX_SYSTEMS))
    }

    /// Has an inode that is open as `fd` watched for as long as the result lives.
    fn pin(&self, tag: Tag, fd: BorrowedFd<'_>) -> Option<Pin> {
        let pin = self.file_system(tag)?.pin(InodeKey(tag.key), fd)?;
        Some(Box::new(pin))
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
        if dir.names == NameRule::Bytewise { self.name_slot(dir, name) } else { Ok(None) }
    }

    /// The slot of a name's very bytes, whether they are all that the name depends on or not.
    ///
    /// # Errors
    /// No memory for the slot.
    pub(super) fn name_slot(&self, dir: Tag, name: &[u8]) -> io::Result<Option<SlotIndex>> {
        key(dir).map(|key| self.engine.entry_slot(key, name)).transpose()
    }

    /// The slot whose lock keeps a name from being changed; none where nothing vouches for the directory. Where names
    /// are not compared byte for byte, all names of the directory share one.
    ///
    /// # Errors
    /// No memory for the slot; `EACCES` where this daemon may not find out which lock the others take.
    pub(super) fn name_lock(&self, dir: Tag, name: &[u8]) -> io::Result<Option<SlotIndex>> {
        match dir.names {
            NameRule::None | NameRule::Bytewise => self.name_slot(dir, name),
            NameRule::Folded => self.name_slot(dir, b""),
            NameRule::Unknown => Err(errno::error(errno::EACCES)),
        }
    }
}

impl Observer for Observatory {
    fn meet(&self, inode: &HostInode<'_>) -> io::Result<(Tag, Option<Pin>)> {
        let tag = self.tag(inode)?;
        // Its changes are announced to others' guests whether it can be watched or not.
        Ok((tag, self.pin(tag, inode.fd)))
    }

    /// What lies on one mount as its parent, and has its device, lies on the parent's file system: the parent keeps the
    /// mount alive, and so its file system's device number from being used again.
    fn expect(
        &self,
        parent: Tag,
        (kind, handle): (i32, &[u8]),
        fd: BorrowedFd<'_>,
    ) -> Option<Expected> {
        let (fsid, device) = self.file_system(parent)?.id();
        let InodeKey(key) = self.engine.inode(&Identity::Handle { fsid, kind, handle });
        let tag = Tag { key: key.max(1), names: NameRule::None, system: parent.system };
        let pin = self.pin(tag, fd);
        Some(Expected { tag, pin, device })
    }

    fn reads_directories(&self, parent: Tag) -> bool {
        self.system_of(parent).is_some_and(|system| system.facts.looks_at_directories())
    }

    fn settle(&self, expected: Tag, inode: &HostInode<'_>) -> io::Result<Tag> {
        match self.system_of(expected) {
            Some(system) if inode.is_directory => {
                Ok(Tag { names: system.facts.names(inode)?, ..expected })
            }
            _ => Ok(expected),
        }
    }

    fn meet_again(&self, inode: Tag, fd: BorrowedFd<'_>) {
        if let Some(system) = self.file_system(inode) {
            system.watch_again(InodeKey(inode.key), fd);
        }
    }

    fn tag(&self, inode: &HostInode<'_>) -> io::Result<Tag> {
        let Some(facts) = coverage::facts(inode.fd)? else { return Ok(Tag::default()) };
        let InodeKey(key) = self.engine.inode(&facts.identity(inode));
        Ok(Tag {
            // 0 means something else, and one key may as well share its slots with another.
            key: key.max(1),
            names: if inode.is_directory { facts.names(inode)? } else { NameRule::None },
            system: self.system(inode, facts),
        })
    }

    fn names(&self, dir: Tag, names: &mut dyn Iterator<Item = &[u8]>) -> NameStamps {
        let mut slots = SmallVec::<[SlotIndex; NAMES_AT_ONCE]>::new();
        if self.is_stamping() {
            let mut find = |name| self.entry(dir, name).ok().flatten();
            slots.extend(names.take(NAMES_AT_ONCE).map_while(&mut find));
        }
        let Some(&last) = slots.last() else { return NameStamps::new() };
        // As many as there can be: looking at one slot twice costs less than a loop whose length is not known.
        let all = std::array::from_fn(|at| slots.get(at).copied().unwrap_or(last));
        let ((), snapshots) = self.observe::<(), NAMES_AT_ONCE>(dir, all, || ());
        let stamp = |snapshot| stamps::only(Stamp::ENTRY, snapshot);
        snapshots.into_iter().take(slots.len()).map(stamp).collect()
    }

    fn attributes(&self, inode: Tag) -> Option<Stamp> {
        let slots = if self.is_stamping() { self.inode_slots(inode).ok()?? } else { return None };
        let ((), snapshots) = self.observe(inode, [slots.perm, slots.attr, slots.data], || ());
        Some(stamps::of_inode(snapshots))
    }
}

fn key(tag: Tag) -> Option<InodeKey> {
    (tag.key != 0).then_some(InodeKey(tag.key))
}
