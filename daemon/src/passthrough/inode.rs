//! An inode that the guest knows.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fuse::{NodeId, errno};
use parking_lot::Mutex;
use rustix::fs::OFlags;

use super::descriptors::{Descriptor, Permit};
use super::identity::{FileHandle, Identity, Name};
use super::mounts::{self, Mount};
use super::observer::{Pin, Tag};
use super::stat::FileType;
use super::tags::Kept;

/// An inode that the guest knows. About 200 bytes with its places in the store; a million of them is nothing special.
#[derive(Debug)]
pub(super) struct Inode {
    pub(super) nodeid: NodeId,
    pub(super) identity: Identity,
    pub(super) file_type: FileType,
    /// `stx_dev`: two file systems can share a mount (btrfs subvolumes).
    pub(super) device: u64,
    pub(super) mount: Arc<Mount>,
    /// The observer's.
    pub(super) tag: Tag,
    _pin: Option<Pin>,
    /// How many times the guest was told of it and has not forgotten that yet.
    lookups: AtomicU64,
    slot: Mutex<Slot>,
}

/// An inode's open descriptor, if it has one at the moment.
#[derive(Debug, Default)]
struct Slot {
    open: Option<Arc<Descriptor>>,
    hold: Hold,
    /// Used since the cache last looked.
    used: bool,
}

/// Why a descriptor stays open.
#[derive(Debug, Default)]
enum Hold {
    /// It need not: it is merely cached.
    #[default]
    No,
    /// The last name is gone, and with it maybe the handle's meaning; but the guest may still use the inode.
    Unlinked {
        /// Its place among the descriptors that are held for this reason.
        _permit: Permit,
    },
    /// It is how the inode is remembered.
    Always,
}

/// An `O_PATH` descriptor of an inode.
#[derive(Debug)]
pub(super) enum PathFd {
    /// The inode's own.
    Shared(Arc<Descriptor>),
    /// Opened for this once.
    Own(OwnedFd),
}

impl AsFd for PathFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Shared(descriptor) => descriptor.as_fd(),
            Self::Own(fd) => fd.as_fd(),
        }
    }
}

impl Inode {
    /// An inode that the guest is told of for the first time. With `keep`, it is remembered by that descriptor.
    pub(super) fn new(
        nodeid: NodeId,
        identity: Identity,
        (file_type, device): (FileType, u64),
        (mount, (tag, pin)): (Arc<Mount>, Kept),
        keep: Option<Descriptor>,
    ) -> Self {
        let hold = if keep.is_some() { Hold::Always } else { Hold::No };
        let slot = Slot { open: keep.map(Arc::new), hold, used: false };
        let lookups = AtomicU64::new(1);
        let slot = Mutex::new(slot);
        Self { nodeid, identity, file_type, device, mount, tag, _pin: pin, lookups, slot }
    }

    /// Counts one more lookup, unless all have been forgotten: then the inode is on its way out of the store.
    pub(super) fn look_up(&self) -> bool {
        self.lookups
            // Relaxed: a count; what it decides happens under the store's lock.
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| {
                n.checked_add(1).filter(|_| n > 0)
            })
            .is_ok()
    }

    /// The guest was told of it so often, says who had the guest before.
    pub(super) fn was_told(&self, times: u64) {
        // Relaxed: a count; nobody else has the inode yet.
        self.lookups.store(times, Ordering::Relaxed);
    }

    /// How often the guest was told of it and has not forgotten that.
    pub(super) fn lookups(&self) -> u64 {
        // Relaxed: as above.
        self.lookups.load(Ordering::Relaxed)
    }

    /// Counts a lookup even when all others have been forgotten. Only under the store's lock for this identity.
    pub(super) fn revive(&self) {
        // Relaxed: as above.
        self.lookups.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes back `count` lookups (a guest that takes back more than it had loses just those); true where none remain.
    pub(super) fn forget(&self, count: u64) -> bool {
        // Relaxed: as above.
        let before = self
            .lookups
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| Some(n.saturating_sub(count)));
        before.is_ok_and(|n| n <= count)
    }

    /// Whether the guest has forgotten all lookups.
    pub(super) fn is_forgotten(&self) -> bool {
        // Relaxed: as above.
        self.lookups.load(Ordering::Relaxed) == 0
    }

    /// The file handle, where that is how the inode is remembered.
    fn handle(&self) -> Option<&FileHandle> {
        match &self.identity.name {
            Name::Handle(handle) => Some(handle),
            Name::Number { .. } | Name::Lost(_) => None,
        }
    }

    /// Whether it is remembered by file handle.
    pub(super) const fn is_known_by_handle(&self) -> bool {
        matches!(self.identity.name, Name::Handle(_))
    }

    /// The open descriptor, if there is one.
    pub(super) fn open_descriptor(&self) -> Option<Arc<Descriptor>> {
        let mut slot = self.slot.lock();
        slot.used = true;
        slot.open.clone()
    }

    /// Opens an `O_PATH` descriptor anew.
    ///
    /// # Errors
    /// `ESTALE` where the inode is gone.
    pub(super) fn open_path(&self) -> io::Result<OwnedFd> {
        self.mount.open_path(&self.identity)
    }

    /// Opens the file for reading or writing.
    ///
    /// # Errors
    /// `EBADF` for what must not be opened: the guest's kernel serves devices, FIFOs and sockets itself.
    pub(super) fn open(&self, flags: OFlags) -> io::Result<OwnedFd> {
        if self.file_type == FileType::Other {
            return Err(errno::error(errno::EBADF));
        }
        // By handle even where it is open by O_PATH: that is quicker. Only what has no name any more has no handle either.
        if let Some(handle) = self.handle() {
            match self.mount.open(handle, flags | OFlags::CLOEXEC) {
                Err(error) if error.raw_os_error() == Some(errno::ESTALE) => {}
                result => return result,
            }
        }
        let descriptor = self.open_descriptor().ok_or_else(|| errno::error(errno::ESTALE))?;
        mounts::reopen(&*descriptor, flags)
    }

    /// Makes `descriptor` the inode's own, unless it has one; answers the one that it has now.
    pub(super) fn adopt(&self, descriptor: Descriptor) -> (Arc<Descriptor>, bool) {
        let mut slot = self.slot.lock();
        slot.used = true;
        if let Some(existing) = &slot.open {
            return (Arc::clone(existing), false);
        }
        let descriptor = Arc::new(descriptor);
        slot.open = Some(Arc::clone(&descriptor));
        (descriptor, true)
    }

    /// Keeps `descriptor` until the guest forgets the inode, or [`Self::release_unlinked`].
    pub(super) fn hold_unlinked(&self, descriptor: Arc<Descriptor>, permit: Permit) {
        let mut slot = self.slot.lock();
        if matches!(slot.hold, Hold::No) {
            slot.hold = Hold::Unlinked { _permit: permit };
            slot.open = Some(descriptor);
        }
    }

    /// The inode still has a name: takes [`Self::hold_unlinked`] back.
    pub(super) fn release_unlinked(&self) {
        let released = {
            let mut slot = self.slot.lock();
            if !matches!(slot.hold, Hold::Unlinked { .. }) {
                return;
            }
            slot.hold = Hold::No;
            slot.open.take()
        };
        // Closing can block.
        drop(released);
    }

    /// The cache wants the descriptor back. Answers whether the inode has none in the cache any more, and gives it out
    /// to be closed.
    pub(super) fn evict(&self, unused_only: bool) -> (bool, Option<Arc<Descriptor>>) {
        let mut slot = self.slot.lock();
        if !matches!(slot.hold, Hold::No) {
            return (true, None);
        }
        if unused_only && std::mem::take(&mut slot.used) {
            return (false, None);
        }
        (true, slot.open.take())
    }

    #[cfg(test)]
    pub(super) fn is_held(&self) -> bool {
        matches!(self.slot.lock().hold, Hold::Unlinked { .. })
    }
}
