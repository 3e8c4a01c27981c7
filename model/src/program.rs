//! The programs: which micro-steps each operation takes, in the page's order, and in the orders that break it.

use crate::fault::Fault;
use crate::model::Model;
use crate::op::Op;

/// One micro-step of a request. Each is a single atomic act on something that others can see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Take the locks of the names that it changes.
    Lock,
    /// Read what the names mean.
    Resolve,
    /// Read the suid bit (only a daemon that would spare `perm`).
    ReadSuid,
    /// Ledger INTENT, add, ledger HELD: slot after slot.
    Announce,
    /// The system call.
    Call,
    /// The file exists: take hold of it by descriptor.
    Pin,
    /// Announce the pinned file's slots.
    AnnouncePinned,
    /// `ftruncate` of the pinned file.
    TruncatePinned,
    /// SHMEM_MAP: the VMM maps the file.
    MapWindow,
    /// SHMEM_UNMAP.
    UnmapWindow,
    /// Observe those slots of the new inode that the change did not announce.
    ObserveNew,
    /// Read the attributes for the reply, within the busy window.
    ReadBack,
    /// Ledger cleared, publishing add: slot after slot.
    Publish,
    /// One add of a generation, slot after slot (only a daemon that does not announce).
    BumpAfter,
    /// Let the name locks go (only where that is not left to the reply).
    Unlock,
    /// The lock was not had: sweep before the reply (only a daemon that does as the page says).
    SweepAfter,
    /// Install the watch on the directory.
    Watch,
    /// Observe the entry's slot.
    ObserveEntry,
    /// Read what the name means.
    LookUp,
    /// Observe the inode's slots.
    ObserveInode,
    /// Read the inode's attributes.
    Read,
    /// Let locks go and answer the guest.
    Reply,
}

use Step::{
    Announce, AnnouncePinned, BumpAfter, Call, Lock, LookUp, MapWindow, ObserveEntry, ObserveInode,
    ObserveNew, Pin, Publish, Read, ReadBack, ReadSuid, Reply, Resolve, SweepAfter, TruncatePinned,
    Unlock, UnmapWindow, Watch,
};

/// Changes of names and of inodes. Steps that an operation has no use for are passed over; those from `ObserveEntry` on run where the change was not alone.
#[rustfmt::skip]
const CHANGE: &[Step] = &[
    Watch, Lock, Resolve, ReadSuid, Announce, Call, Pin, AnnouncePinned, TruncatePinned, ObserveNew, ReadBack, Publish, SweepAfter,
    ObserveEntry, LookUp, ObserveInode, Read, Reply,
];
const LOOKUP: &[Step] = &[Watch, ObserveEntry, LookUp, ObserveInode, Read, Reply];
const GETATTR: &[Step] = &[Watch, ObserveInode, Read, Reply];
const MAP: &[Step] = &[Announce, MapWindow, Reply];
const UNMAP: &[Step] = &[UnmapWindow, Publish, Reply];

const PUBLISH_FIRST: &[Step] = &[Lock, Resolve, Announce, Publish, Call, SweepAfter, Reply];
const BUMP_AFTER: &[Step] = &[Lock, Resolve, Call, BumpAfter, SweepAfter, Reply];
const RESOLVE_FIRST: &[Step] = &[Resolve, Lock, Announce, Call, Publish, SweepAfter, Reply];
const UNLOCK_EARLY: &[Step] = &[Lock, Resolve, Unlock, Announce, Call, Publish, SweepAfter, Reply];
const UNLOCK_AFTER_CALL: &[Step] =
    &[Lock, Resolve, Announce, Call, Unlock, ObserveNew, ReadBack, Publish, SweepAfter, Reply];
const READ_LATE: &[Step] = &[Lock, Resolve, Announce, Call, Publish, ReadBack, SweepAfter, Reply];
const OBSERVE_LATE: &[Step] = &[Watch, ObserveEntry, LookUp, Read, ObserveInode, Reply];
const OBSERVE_ENTRY_LATE: &[Step] = &[Watch, LookUp, ObserveEntry, ObserveInode, Read, Reply];
const OBSERVE_LATE_GETATTR: &[Step] = &[Watch, Read, ObserveInode, Reply];
const WATCH_LATE: &[Step] = &[ObserveEntry, LookUp, ObserveInode, Read, Watch, Reply];
const WATCH_LATE_GETATTR: &[Step] = &[ObserveInode, Read, Watch, Reply];
const NO_WATCH: &[Step] = &[ObserveEntry, LookUp, ObserveInode, Read, Reply];
const NO_WATCH_GETATTR: &[Step] = &[ObserveInode, Read, Reply];
const MAP_FIRST: &[Step] = &[MapWindow, Announce, Reply];
const MAP_UNHELD: &[Step] = &[MapWindow, Reply];
const UNHOLD_FIRST: &[Step] = &[Publish, UnmapWindow, Reply];
const UNMAP_UNHELD: &[Step] = &[UnmapWindow, Reply];

impl Model {
    /// The micro-steps of an operation.
    #[must_use]
    pub fn program(&self, op: Op) -> &'static [Step] {
        match op {
            Op::Lookup(_) => match self.fault {
                Some(Fault::ObserveAfterRead) => OBSERVE_LATE,
                Some(Fault::ObserveEntryAfterResolve) => OBSERVE_ENTRY_LATE,
                Some(Fault::WatchAfterObserve) => WATCH_LATE,
                Some(Fault::StampUnwatched) => NO_WATCH,
                _ => LOOKUP,
            },
            Op::Getattr(_) => match self.fault {
                Some(Fault::ObserveAfterRead) => OBSERVE_LATE_GETATTR,
                Some(Fault::WatchAfterObserve) => WATCH_LATE_GETATTR,
                Some(Fault::StampUnwatched) => NO_WATCH_GETATTR,
                _ => GETATTR,
            },
            Op::Map(_) => match self.fault {
                Some(Fault::DaxHeldAfterMap) => MAP_FIRST,
                Some(Fault::DaxNotHeld) => MAP_UNHELD,
                _ => MAP,
            },
            Op::Unmap(_) => match self.fault {
                Some(Fault::DaxReleasedBeforeUnmap) => UNHOLD_FIRST,
                Some(Fault::DaxNotHeld) => UNMAP_UNHELD,
                _ => UNMAP,
            },
            _ => match self.fault {
                Some(Fault::PublishBeforeChange) => PUBLISH_FIRST,
                Some(Fault::NoAnnounce) => BUMP_AFTER,
                Some(Fault::ResolveBeforeLock) => RESOLVE_FIRST,
                Some(Fault::UnlockBeforeChange) => UNLOCK_EARLY,
                Some(Fault::UnlockBeforePublish) => UNLOCK_AFTER_CALL,
                Some(Fault::KnownReadAfterPublish) => READ_LATE,
                _ => CHANGE,
            },
        }
    }
}
