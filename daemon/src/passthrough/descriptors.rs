//! How many descriptors are open on behalf of the guest, and which of them are only cached.
//!
//! Three uses draw on one budget: open files, inodes that can only be remembered by a descriptor, and a cache of
//! descriptors for inodes that are remembered by file handle. The cache gives way to the other two. Part of it is for
//! what was looked up last.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use fuse::errno;
use parking_lot::Mutex;

use super::inode::{Inode, PathFd};

/// Most descriptors in the cache.
const CACHE: usize = 4096;
/// Most descriptors of what LOOKUP has just met.
const RECENT: usize = 512;
/// Most descriptors of inodes that have lost their last name.
const UNLINKED: usize = 4096;
/// Of so many files that are looked up again, one takes another's place in a full cache: a guest that goes through more
/// than the cache holds, over and over, would turn it over for nothing.
const ONE_IN: usize = 16;
/// How many places are looked at for one whose inode the guest has forgotten. With two, at least every other place is of
/// use while inodes come and go.
const SWEEP: usize = 2;
/// Descriptors that the daemon needs for itself: queues, sockets, what threads open for a moment.
const RESERVE: usize = 512;

/// A number of descriptors that may be opened yet.
#[derive(Debug)]
struct Budget(AtomicUsize);

/// The right to keep one descriptor open; goes back to the budget when dropped.
#[derive(Debug)]
pub(super) struct Permit(Arc<Budget>);

impl Budget {
    fn take(self: &Arc<Self>) -> Option<Permit> {
        // Relaxed: a count that orders nothing.
        self.0
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1))
            .is_ok()
            .then(|| Permit(Arc::clone(self)))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        // Relaxed: as above.
        self.0.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// An open descriptor that counts.
#[derive(Debug)]
pub(super) struct Descriptor {
    fd: OwnedFd,
    _permit: Permit,
}

impl Descriptor {
    pub(super) fn new(fd: OwnedFd, permit: Permit) -> Self {
        Self { fd, _permit: permit }
    }
}

impl AsFd for Descriptor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// The budget and the cache.
#[derive(Debug)]
pub(super) struct Descriptors {
    limit: usize,
    all: Arc<Budget>,
    unlinked: Arc<Budget>,
    ring: Mutex<Ring>,
    recent: Mutex<Ring>,
    offers: AtomicUsize,
    complained: AtomicBool,
}

/// A clock: its hand passes over what was used since the last round. What the guest has forgotten is found by a broom
/// that goes round besides: such a place keeps an inode's memory, and is none that the cache has use of.
#[derive(Debug)]
struct Ring {
    cached: Vec<Weak<Inode>>,
    hand: usize,
    broom: usize,
    capacity: usize,
}

impl Descriptors {
    /// At most `limit` descriptors; none: what the process's limit allows.
    pub(super) fn new(limit: Option<usize>) -> Self {
        let limit = limit.unwrap_or_else(process_limit);
        let capacity = CACHE.min(limit / 4).max(1);
        Self {
            limit,
            all: Arc::new(Budget(AtomicUsize::new(limit))),
            unlinked: Arc::new(Budget(AtomicUsize::new(UNLINKED.min(limit / 4)))),
            ring: Mutex::new(Ring::new(capacity)),
            recent: Mutex::new(Ring::new(RECENT.min(limit / 8).max(1))),
            offers: AtomicUsize::new(0),
            complained: AtomicBool::new(false),
        }
    }

    /// Whether more than half of them are left.
    pub(super) fn has_plenty(&self) -> bool {
        // Relaxed: a count that orders nothing.
        self.all.0.load(Ordering::Relaxed) > self.limit / 2
    }

    /// The right to open one more, at the cost of the cache if need be.
    ///
    /// # Errors
    /// `EMFILE` where there are no more.
    pub(super) fn take(&self) -> io::Result<Permit> {
        if let Some(permit) = self.all.take() {
            return Ok(permit);
        }
        self.shed();
        self.all.take().ok_or_else(|| {
            // Relaxed: at worst two threads complain.
            if !self.complained.swap(true, Ordering::Relaxed) {
                tracing::error!("the guest has used up all descriptors; raise --rlimit-nofile");
            }
            errno::error(libc::EMFILE)
        })
    }

    /// An `O_PATH` descriptor of `inode`: its own if it has one, else a new one that is cached.
    ///
    /// # Errors
    /// `ESTALE` where the inode is gone.
    pub(super) fn path_fd(&self, inode: &Arc<Inode>) -> io::Result<PathFd> {
        if let Some(descriptor) = inode.open_descriptor() {
            return Ok(PathFd::Shared(descriptor));
        }
        Ok(self.cache(inode, inode.open_path()?))
    }

    /// Makes `fd`, an `O_PATH` descriptor of `inode`, the inode's own while the cache has room for it.
    pub(super) fn cache(&self, inode: &Arc<Inode>, fd: OwnedFd) -> PathFd {
        self.keep_in(&self.ring, inode, fd)
    }

    fn keep_in(&self, ring: &Mutex<Ring>, inode: &Arc<Inode>, fd: OwnedFd) -> PathFd {
        let Some(permit) = self.all.take() else { return PathFd::Own(fd) };
        let (descriptor, new) = inode.adopt(Descriptor::new(fd, permit));
        if new {
            let evicted = ring.lock().insert(Arc::downgrade(inode));
            // Outside the lock: closing can block.
            drop(evicted);
        }
        PathFd::Shared(descriptor)
    }

    /// As [`Self::cache`] where there is room for it, and sometimes where there is none. Gives `fd` back otherwise.
    pub(super) fn offer(&self, inode: &Arc<Inode>, fd: OwnedFd) -> Option<OwnedFd> {
        // Relaxed: a sample of what comes by.
        let number = self.offers.fetch_add(1, Ordering::Relaxed);
        if number.is_multiple_of(ONE_IN) || self.ring.lock().has_room() {
            self.cache(inode, fd);
            return None;
        }
        Some(fd)
    }

    /// Keeps `fd` for a while: the guest has just been told what a name means, and is about to use that. Should the host
    /// take away the last name in between, as editors do when they save, the handle means nothing any more, but the
    /// descriptor opens the file all the same. Without it a file that is replaced again and again answers `ESTALE` twice
    /// in a row, and that is more often than Linux tries.
    pub(super) fn keep_recent(&self, inode: &Arc<Inode>, fd: OwnedFd) {
        self.keep_in(&self.recent, inode, fd);
    }

    /// Keeps `inode`, which has no name any more and is open as `fd`: its handle may mean nothing once the descriptor is
    /// closed, yet the guest may have it as a working directory or by `O_PATH`. When there is no room for more such
    /// inodes, this one answers `ESTALE` later, unless it is open.
    pub(super) fn hold_unlinked(&self, inode: &Inode, fd: PathFd) {
        if let PathFd::Shared(descriptor) = fd
            && let Some(permit) = self.unlinked.take()
        {
            inode.hold_unlinked(descriptor, permit);
        }
    }

    /// Empties the cache.
    pub(super) fn shed(&self) {
        for ring in [&self.recent, &self.ring] {
            let cached = std::mem::take(&mut ring.lock().cached);
            for inode in cached.iter().filter_map(Weak::upgrade) {
                inode.evict(false);
            }
        }
    }

    /// Places of the cache that are taken, by what the guest knows and by what it has forgotten.
    #[cfg(test)]
    pub(super) fn places(&self) -> usize {
        self.ring.lock().cached.len() + self.recent.lock().cached.len()
    }

    #[cfg(test)]
    pub(super) fn left(&self) -> usize {
        self.all.0.load(Ordering::Relaxed) // Relaxed: tests ask when nothing else runs.
    }
}

impl Ring {
    const fn new(capacity: usize) -> Self {
        Self { cached: Vec::new(), hand: 0, broom: 0, capacity }
    }

    fn has_room(&mut self) -> bool {
        self.cached.len() < self.capacity || self.forgotten().is_some()
    }

    /// A place whose inode is gone, if one of the next is; it stays the next one until it is taken.
    fn forgotten(&mut self) -> Option<&mut Weak<Inode>> {
        let places = self.cached.len();
        let mut next = (0..SWEEP.min(places)).map(|step| (self.broom + step) % places);
        let found = next.find(|&place| self.cached[place].strong_count() == 0);
        self.broom = found.unwrap_or(self.broom + SWEEP);
        self.cached.get_mut(found?)
    }

    /// Puts `inode` in, in place of one that was not used lately when all places are taken.
    fn insert(&mut self, inode: Weak<Inode>) -> Option<Arc<Descriptor>> {
        if let Some(place) = self.forgotten() {
            *place = inode;
            return None;
        }
        if self.cached.len() < self.capacity {
            self.cached.push(inode);
            return None;
        }
        // Two rounds: the first may find all of them used, and marks them unused.
        for _ in 0..2 * self.capacity {
            self.hand = (self.hand + 1) % self.capacity;
            let place = &mut self.cached[self.hand];
            let (free, evicted) = place.upgrade().map_or((true, None), |old| old.evict(true));
            if free {
                *place = inode;
                return evicted;
            }
        }
        // Others used all of them meanwhile.
        let place = self.cached.get_mut(self.hand)?;
        let evicted = place.upgrade().and_then(|old| old.evict(false).1);
        *place = inode;
        evicted
    }
}

/// What `RLIMIT_NOFILE` leaves to the guest.
fn process_limit() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let limit = limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX);
    limit.saturating_sub(RESERVE).max(limit / 2)
}
