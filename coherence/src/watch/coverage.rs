//! Whether changes to an inode will be noticed: what everybody asks who gives stamps.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::{Mutex, RwLock};
use shm_layout::SharedU64;
use shm_layout::word::Ordering::{Acquire, Relaxed, Release};

use super::figures::Counters;
use super::{ChangeSource, Grain, Refusal};
use crate::hash::InodeKey;

/// A file system's id (`f_fsid`) and device: btrfs has one of each for a subvolume.
pub type SystemId = ([i32; 2], u64);
pub(super) type Systems = HashMap<SystemId, Arc<FileSystem>>;

/// How long a file system that was refused is left alone before it is tried again.
const RETRY: Duration = Duration::from_millis(500);

/// What the watcher's thread and those who ask share.
#[derive(Debug)]
pub(super) struct Shared {
    /// 0: nothing is watched at the moment. Else which life of the source it is.
    life: SharedU64,
    pub(super) source: RwLock<Option<Arc<dyn ChangeSource>>>,
    pub(super) systems: Mutex<Systems>,
    pub(super) counters: Counters,
}

impl Shared {
    pub(super) fn new(source: Option<Arc<dyn ChangeSource>>) -> Self {
        let source = RwLock::new(source);
        Self {
            life: SharedU64::new(1),
            source,
            systems: Mutex::default(),
            counters: Counters::default(),
        }
    }

    fn life(&self) -> u64 {
        // Acquire: a life that is seen to have begun has its watches. Asked after an observation: a watcher that ends
        // its life sweeps afterwards.
        self.life.load(Acquire)
    }

    pub(super) fn is_alive(&self) -> bool {
        self.life() != 0
    }

    /// From here on nobody is given stamps. Sweep after this.
    pub(super) fn end_life(&self) {
        // Release: what comes after, the sweep, is the caller's to order: it moves words by read-modify-writes.
        self.life.store(0, Release);
        crate::promises::settle();
    }

    /// Stamps may be given again.
    pub(super) fn begin_life(&self, number: u64) {
        // Release: the watches are there.
        self.life.store(number, Release);
    }
}

/// A file system, as far as it can be watched. Keep it with what is known of each mount.
#[derive(Debug)]
pub struct FileSystem {
    pub(super) shared: Arc<Shared>,
    id: SystemId,
    /// 1: it is watched, or its inodes can be.
    watched: SharedU64,
    /// When to try again, where it was refused for what may pass.
    again: Mutex<Option<Instant>>,
    /// Something on it: keeps it from being unmounted for good, and is how it is watched again.
    pub(super) file: OwnedFd,
    grain: Grain,
    /// Inodes with a watch of their own.
    inodes: Mutex<HashMap<InodeKey, Use>>,
}

/// Who needs an inode's watch.
#[derive(Clone, Copy, Debug, Default)]
struct Use {
    requests: u32,
    forgotten: bool,
}

impl FileSystem {
    pub(super) fn new(
        shared: Arc<Shared>,
        (id, file): (SystemId, OwnedFd),
        grain: Grain,
        watched: &Result<(), Refusal>,
    ) -> Self {
        let again = Mutex::new(retry(watched));
        let watched = SharedU64::new(watched.is_ok().into());
        Self { shared, id, watched, again, file, grain, inodes: Mutex::default() }
    }

    /// Which one it is.
    #[must_use]
    pub fn id(&self) -> SystemId {
        self.id
    }

    /// Keeps `inode`, which is open as `file`, watched for as long as the result lives. Do this when a guest is told of an
    /// inode, before that is observed. None where it needs no watch of its own. Where it cannot have one, which is counted
    /// and said once in the log, it gets no stamps until [`Self::watch_again`] succeeds.
    pub fn pin(self: &Arc<Self>, inode: InodeKey, file: BorrowedFd<'_>) -> Option<Pin> {
        if self.grain == Grain::FileSystem {
            return None;
        }
        if self.watch(inode, || Ok(file)).is_none() {
            use_once(&mut self.inodes.lock(), inode);
        }
        Some(Pin { system: Arc::clone(self), inode })
    }

    /// Watches `inode`, which somebody has pinned and which is open as `file`, if it has no watch: there was no room for
    /// one, or it went with a source that failed. Do this before it is observed. Where it has one this is two locks.
    pub fn watch_again(&self, inode: InodeKey, file: BorrowedFd<'_>) {
        if self.grain == Grain::FileSystem {
            return;
        }
        let Some(source) = self.shared.source.read().clone() else { return };
        let inodes = self.inodes.lock();
        if inodes.contains_key(&inode) {
            // It was counted where it failed.
            let _ = self.ensure_watched(&*source, inode, || Ok(file));
        }
    }

    /// The source has a new life; `watched` is whether it could be told of this file system.
    pub(super) fn renew(&self, watched: &Result<(), Refusal>) {
        *self.again.lock() = retry(watched);
        // Relaxed: the release of the new life follows.
        self.watched.store(watched.is_ok().into(), Relaxed);
    }

    fn is_watched(&self) -> bool {
        // Acquire: it is seen to be watched when it is. For one of an earlier life the life has seen to that.
        self.watched.load(Acquire) != 0 || self.try_again()
    }

    /// Tries to watch what was refused: a limit may have been raised. Mostly it is not the time for that.
    fn try_again(&self) -> bool {
        if !self.is_due() {
            return false;
        }
        // Under this lock: meanwhile no new source is told of file systems.
        let _systems = self.shared.systems.lock();
        let Some(source) = self.shared.source.read().clone() else { return false };
        if source.watch_file_system(self.file.as_fd()).is_err() {
            return false;
        }
        *self.again.lock() = None;
        // Release: the watch is there.
        self.watched.store(1, Release);
        tracing::info!("a file system that was served without coherent caching is watched now");
        true
    }

    fn is_due(&self) -> bool {
        let (mut again, now) = (self.again.lock(), Instant::now());
        let due = again.is_some_and(|when| when <= now);
        if due {
            *again = Some(now + RETRY);
        }
        due
    }

    /// Makes sure that changes to `inode` are noticed, *before* it is observed. `open` is how to get at it, where it
    /// needs a watch of its own. None: it gets no stamp.
    ///
    /// With whole file systems watched this is two loads.
    pub fn cover<F: AsFd>(
        &self,
        inode: InodeKey,
        open: impl FnOnce() -> std::io::Result<F>,
    ) -> Option<Coverage<'_>> {
        let life = self.shared.life();
        if life == 0 || !self.is_watched() {
            return None;
        }
        let inode = match self.grain {
            Grain::FileSystem => None,
            Grain::Inode => {
                self.watch(inode, open)?;
                Some(inode)
            }
        };
        Some(Coverage { system: self, life, inode })
    }

    fn watch<F: AsFd>(
        &self,
        inode: InodeKey,
        open: impl FnOnce() -> std::io::Result<F>,
    ) -> Option<()> {
        let source = self.shared.source.read().clone()?;
        let mut inodes = self.inodes.lock();
        self.ensure_watched(&*source, inode, open)?;
        use_once(&mut inodes, inode);
        Some(())
    }

    fn ensure_watched<F: AsFd>(
        &self,
        source: &dyn ChangeSource,
        inode: InodeKey,
        open: impl FnOnce() -> std::io::Result<F>,
    ) -> Option<()> {
        if source.watches(inode) {
            return Some(());
        }
        let watched =
            open().map_err(Refusal::Io).and_then(|file| source.watch_inode(inode, file.as_fd()));
        watched.map_err(|refusal| self.shared.counters.refuse_inode(&refusal)).ok()
    }

    /// Nobody uses stamps of `inode` any more: its guest has forgotten it, and what it knew of names in it. A request
    /// that still covers it keeps the watch until it is done.
    pub fn forget(&self, inode: InodeKey) {
        if self.grain == Grain::FileSystem {
            return;
        }
        let mut inodes = self.inodes.lock();
        if let Some(uses) = inodes.get_mut(&inode) {
            uses.forgotten = true;
            self.drop_unused(&mut inodes, inode);
        }
    }

    fn release(&self, inode: InodeKey) {
        let mut inodes = self.inodes.lock();
        if let Some(uses) = inodes.get_mut(&inode) {
            uses.requests -= 1;
            self.drop_unused(&mut inodes, inode);
        }
    }

    fn drop_unused(&self, inodes: &mut HashMap<InodeKey, Use>, inode: InodeKey) {
        if inodes.get(&inode).is_some_and(|uses| uses.forgotten && uses.requests == 0) {
            inodes.remove(&inode);
            if let Some(source) = &*self.shared.source.read() {
                source.forget_inode(inode);
            }
        }
    }
}

/// When to try again.
fn retry(watched: &Result<(), Refusal>) -> Option<Instant> {
    let refusal = watched.as_ref().err()?;
    refusal.may_pass().then(|| Instant::now() + RETRY)
}

/// Somebody more needs an inode's watch.
fn use_once(inodes: &mut HashMap<InodeKey, Use>, inode: InodeKey) {
    let uses = inodes.entry(inode).or_default();
    uses.requests += 1;
    uses.forgotten = false;
}

/// Keeps an inode's watch. See [`FileSystem::pin`].
#[derive(Debug)]
pub struct Pin {
    system: Arc<FileSystem>,
    inode: InodeKey,
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.system.forget(self.inode);
        self.system.release(self.inode);
    }
}

/// Changes to an inode are noticed, at least until this is dropped.
#[derive(Debug)]
#[must_use = "ask whether it stands after the words were read"]
pub struct Coverage<'a> {
    system: &'a FileSystem,
    life: u64,
    inode: Option<InodeKey>,
}

impl Coverage<'_> {
    /// Whether it still holds. Ask *after* the words were read (observed or announced): what was read under a cover that
    /// stands is watched, or swept when the watcher ends.
    #[must_use]
    pub fn stands(&self) -> bool {
        self.system.shared.life() == self.life
    }
}

impl Drop for Coverage<'_> {
    fn drop(&mut self) {
        if let Some(inode) = self.inode {
            self.system.release(inode);
        }
    }
}
