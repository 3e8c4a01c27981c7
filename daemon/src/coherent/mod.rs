//! The decorator that keeps guests' caches coherent: the only place that knows both the version table and the file
//! system.
//!
//! ```text
//! filesystem  the trait: which slots each operation announces, and what its reply is stamped with
//! guest       what a guest agrees to, and what its replies are made of
//! lookup      LOOKUP, RENAME and LINK
//! create      CREATE, which may cut a file that is there
//! cuts        files that are cut while guests have them mapped
//! xattr       extended attributes, some of which are permissions
//! locks       passed on
//! waits       owners of locks who wait, as other daemons see them
//! mapping     SETUPMAPPING, which keeps slots busy
//! stores      for how long
//! names       operations that change names: lock, look up, announce, change
//! observatory what is observed before the host is asked: the file system's `Observer`
//! coverage    which inodes can be vouched for, and what the table knows them by
//! stamps      snapshots of slots, as replies carry them
//! workers     places in the daemon's ledger, one for each change in progress
//! table       which table a shared directory has
//! ```
//!
//! What is done for each operation is in docs/protocol.md, section 7. Three rules hold everywhere: *announce* before
//! the system call and publish after it, also when it failed; *observe*, then read; and in doubt there is no stamp.

mod coverage;
mod create;
mod cuts;
mod fault;
mod filesystem;
mod guest;
mod locks;
mod lookup;
mod mapping;
mod names;
mod observatory;
mod stamps;
mod stores;
pub mod table;
#[cfg(test)]
mod tests;
mod waits;
mod workers;
mod xattr;

use std::io;
use std::sync::Arc;

use coherence::watch::Watcher;
use coherence::{AnnounceError, Engine, InodeSlots, NoWorker, Published, SlotSet};
use fuse::abi::OpenReplyFlags;
use fuse::filesystem::Opened;
use fuse::{Agreement, NodeId, errno};

use crate::migration::{Options, State};
use crate::passthrough::{
    CachePolicy, Config, Observer, Passthrough, RestoreError, Restored, SaveError, StartError, Tag,
};
pub use cuts::{Cuts, WindowTenant};
use observatory::Observatory;
use stores::Stores;
use waits::Waits;
use workers::Workers;

/// A shared directory whose changes the guests of a version table see at once.
#[derive(Debug)]
pub struct Coherent {
    inner: Passthrough,
    observatory: Arc<Observatory>,
    workers: Workers,
    /// None where the guest maps nothing.
    stores: Option<Stores>,
    /// Whether guests may cache at all.
    may_cache: bool,
}

/// Why a shared directory cannot be served on a table.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // The messages say it.
pub enum CoherentError {
    #[error(transparent)]
    Share(#[from] StartError),
    #[error(transparent)]
    Workers(#[from] NoWorker),
}

impl Coherent {
    /// Serves a directory on a table, with up to `threads` changes at once. `watcher` learns of what others change.
    ///
    /// # Errors
    /// Those of [`Passthrough::new`]; [`NoWorker`] where the engine's workers are in use already.
    pub fn new(
        mut config: Config,
        engine: &Arc<Engine>,
        watcher: Arc<Watcher>,
        threads: usize,
    ) -> Result<Self, CoherentError> {
        let observatory = Arc::new(Observatory::new(Arc::clone(engine), watcher));
        let workers = Workers::new(engine, threads)?;
        let may_cache = config.cache != CachePolicy::Never;
        let observer = Arc::clone(&observatory) as Arc<dyn Observer>;
        config.elsewhere = Some(Arc::new(Waits(Arc::clone(engine))));
        let stores = config.mapped.is_some().then(Stores::default);
        let inner = Passthrough::observed(config, Some(observer))?;
        Ok(Self { inner, observatory, workers, stores, may_cache })
    }

    /// As [`Passthrough::save`]. What a coherent guest has cached is good by the words of one table only.
    ///
    /// # Errors
    /// As there; [`SaveError::Coherent`].
    pub fn save(&self, agreement: Agreement, options: Options) -> Result<State, SaveError> {
        if self.observatory.is_stamping() {
            return Err(SaveError::Coherent);
        }
        self.inner.save(agreement, options)
    }

    /// As [`Passthrough::restore`].
    ///
    /// # Errors
    /// As there.
    pub fn restore(&self, state: &State, options: Options) -> Result<Restored, RestoreError> {
        self.observatory.set_stamping(false);
        self.inner.restore(state, options)
    }

    /// How many stretches of files the guest has locked, and how many of its requests wait for a lock.
    #[must_use]
    pub fn lock_figures(&self) -> (usize, usize) {
        self.inner.lock_figures()
    }

    /// The slots of an inode that the guest knows; none where nothing vouches for it.
    fn slots(&self, node: NodeId) -> io::Result<Option<InodeSlots>> {
        self.slots_of(self.inner.tag(node)?)
    }

    /// As [`Self::slots`], by the inode's tag.
    fn slots_of(&self, tag: Tag) -> io::Result<Option<InodeSlots>> {
        self.observatory.inode_slots(tag)
    }

    /// The guest asks the table, not the calendar, whether its pages are good.
    fn keep_pages(&self, opened: &mut Opened, node: u64) -> io::Result<()> {
        if self.observatory.is_stamping() && self.observatory.covers(self.inner.tag(NodeId(node))?)
        {
            opened.flags |= OpenReplyFlags::KEEP_CACHE;
        }
        Ok(())
    }

    /// Makes a change that is announced on `slots`, and published when it is done or has failed.
    fn change<T>(
        &self,
        slots: SlotSet,
        act: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<(T, Published)> {
        self.workers.with(|worker| {
            let change = worker.announce(fault::announced(slots)).map_err(refused)?;
            let (result, published) = fault::finish(change, act);
            result.map(|value| (value, published))
        })
    }
}

/// A change that cannot be announced is not made.
fn refused(error: AnnounceError) -> io::Error {
    tracing::error!("a change was refused: {error}");
    let errno = match error {
        AnnounceError::Memory(error) => return error,
        AnnounceError::Lost => errno::EIO,
        AnnounceError::TooManyHolds => libc::ENOSPC,
    };
    errno::error(errno)
}

/// What everything that changes contents touches: "perm only when suid falls" would be a race between daemons.
fn contents(slots: Option<InodeSlots>) -> SlotSet {
    let slot = |choose: fn(InodeSlots) -> coherence::SlotIndex| slots.map(choose);
    SlotSet::from([slot(|s| s.perm), slot(|s| s.attr), slot(|s| s.data)])
}

/// What a change of mode, owner, flags or ACLs touches.
fn permissions(slots: Option<InodeSlots>) -> SlotSet {
    SlotSet::from([slots.map(|s| s.perm), slots.map(|s| s.attr)])
}

/// What a change of any other attribute touches.
fn attributes(slots: Option<InodeSlots>) -> SlotSet {
    SlotSet::from([slots.map(|s| s.attr)])
}
