//! A daemon on a table: everything put together.

mod attach;
mod cuts;
mod error;
mod keeper;
mod peers;
mod sweeper;
mod waits;
mod worker;

use std::fs::File;
use std::io;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use shm_layout::word::Ordering::{Acquire, Relaxed, Release};
use shm_layout::{SharedU64, TableId};

pub use self::attach::Options;
pub use self::cuts::{Attendant, FileLock, Tenant, Unyielding};
pub use self::error::AttachError;
pub use self::keeper::Keeper;
pub use self::peers::Tick;
use self::sweeper::Sweeper;
use self::waits::Places;
pub use self::waits::{Deadlock, WaitNote};
pub use self::worker::{AnnounceError, NameGuard, NoWorker, Worker};
use crate::clock::Clock;
use crate::hash::{Identity, InodeKey, InodeSlots, Placement};
use crate::holds::{HoldKind, Holds};
use crate::host::{HostFile, Registry, Row, RowField, WorkerArea};
use crate::ledger::{Incarnation, Line};
use crate::limits::MAX_WORKERS;
use crate::names::{NameLocks, Owner};
use crate::observe::Observation;
use crate::proc::{Outlook, Proc, ProcessId};
use crate::promises::{self, Promises};
use crate::slots::{SlotIndex, SlotSet};
use crate::table::Table;
use crate::words::Words;

/// The worker that is the daemon's own: reaping and sweeps.
const KEEPER: usize = MAX_WORKERS - 1;

/// One daemon's place on a table. Shared by its threads.
///
/// Reading needs nothing more: [`Engine::observe`]. A thread that changes things has a [`Worker`]. Whoever learns of a
/// change that the host made calls [`Engine::advance`], or [`Engine::sweep`] when it cannot tell what was changed.
/// [`Keeper`] looks after the other daemons; without one, call [`Engine::tick`] now and then.
///
/// Dropping the engine (after every worker and hold) sweeps and leaves the table in order.
#[derive(Debug)]
pub struct Engine {
    table: Table,
    host: HostFile,
    placement: Placement,
    row: usize,
    who: Incarnation,
    clock: Arc<dyn Clock>,
    proc: Proc,
    /// Workers in use: one bit each.
    workers: SharedU64,
    holds: Mutex<Holds>,
    lingering: Mutex<Vec<Lingering>>,
    sweeper: Mutex<Sweeper>,
    /// Of the notes in the row, those in use. Who has this may write them.
    waits: Mutex<Places>,
    /// Once events are handled: what this daemon answers for.
    promises: OnceLock<Promises>,
}

/// What the VMM may do with the table's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GuestAccess {
    /// All that a guest needs.
    ReadOnly,
    /// For VMMs that refuse to map a file which they may only read. Then the guests of a table must trust each other.
    ReadWrite,
}

/// Slots that stay busy because a name was changed without its lock, until whoever may still be overtaken is done.
#[derive(Debug)]
struct Lingering {
    /// The worker that made the change.
    worker: usize,
    stripe: usize,
    owner: Overtaken,
    slots: SlotSet,
}

/// Who may still come to an inode unawares that a change without its lock has put under the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Overtaken {
    /// Whoever has the lock when the change is made, and that is not yet.
    NotYetKnown,
    /// This one had it then.
    Owner(Owner),
    /// Nobody had it.
    Nobody,
}

impl Engine {
    /// Joins the table that `options` name, making it when it is not there.
    ///
    /// # Errors
    /// [`AttachError`], which says what stands in the way and what to do.
    pub fn attach(options: Options) -> Result<Arc<Self>, AttachError> {
        attach::attach(options)
    }

    /// Where the table is.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        self.table.path()
    }

    /// Which table this is: what a guest must name to be given stamps.
    #[must_use]
    pub fn table_id(&self) -> TableId {
        self.table.header().id
    }

    /// Words of the table, its header included.
    #[must_use]
    pub fn table_words(&self) -> u64 {
        self.table.header().words
    }

    /// Opens the table's file anew, for whoever maps it into a guest. Never this engine's own open file: its locks would
    /// then live as long as the VMM does.
    ///
    /// # Errors
    /// Those of `open(2)`; without `/proc` it cannot be done, so do it before entering a sandbox.
    pub fn open_for_guest(&self, access: GuestAccess) -> io::Result<File> {
        self.table.reopen(access == GuestAccess::ReadWrite)
    }

    /// Keeps everybody from cutting the table's file short or removing it: a VMM would die of pages that are gone. Daemons
    /// that start with `CAP_LINUX_IMMUTABLE` can join it all the same.
    ///
    /// # Errors
    /// Those of `FS_IOC_SETFLAGS`, mostly that `CAP_LINUX_IMMUTABLE` is missing. Nothing else depends on it.
    pub fn seal_table(&self) -> io::Result<()> {
        self.table.seal()
    }

    /// What stands for an inode; keep it with the inode.
    #[must_use]
    pub fn inode(&self, identity: &Identity<'_>) -> InodeKey {
        self.placement.inode(identity)
    }

    /// The slots of an inode.
    ///
    /// # Errors
    /// No memory for the slots' page. Then do not stamp what was to be observed, and fail what was to be changed.
    pub fn inode_slots(&self, inode: InodeKey) -> io::Result<InodeSlots> {
        let slots = self.placement.inode_slots(inode);
        // The three stand in one bucket, so in one page.
        self.table.back(slots.attr)?;
        Ok(slots)
    }

    /// The slot of a name in a directory.
    ///
    /// # Errors
    /// As for [`Self::inode_slots`].
    pub fn entry_slot(&self, parent: InodeKey, name: &[u8]) -> io::Result<SlotIndex> {
        let slot = self.placement.entry(parent, name);
        self.table.back(slot)?;
        Ok(slot)
    }

    /// Reads the words of `slots`, before what they cover is read.
    pub fn observe<const N: usize>(&self, slots: [SlotIndex; N]) -> Observation<N> {
        let observation = self.words().observe_all(slots);
        if let Some(promises) = self.promises.get() {
            promises.observed(observation.snapshots());
        }
        observation
    }

    /// Tells the guests of a change that somebody else has made.
    pub fn advance(&self, slots: &SlotSet) {
        for &slot in slots.as_slice() {
            self.words().advance(slot);
        }
    }

    /// From here on every stamp is noted, for [`Self::end_stamps`]. Call it before the first.
    ///
    /// # Errors
    /// No memory to be had.
    pub fn answer_for_stamps(&self) -> io::Result<()> {
        if self.promises.get().is_none() {
            // Should another thread be faster: nothing was noted in either.
            let _ = self.promises.set(Promises::new(self.table_words())?);
        }
        Ok(())
    }

    /// Deals with changes that somebody else has made, as events tell: no stamp that this daemon gave for any of `slots`
    /// counts from here on. Slots whose words have moved past all its stamps are left alone, so that one change costs one
    /// step however many daemons hear of it. Returns how many slots were moved.
    pub fn end_stamps(&self, slots: &[SlotIndex]) -> u64 {
        let Some(promises) = self.promises.get() else {
            for &slot in slots {
                self.words().advance(slot);
            }
            return slots.len() as u64;
        };
        promises::settle();
        slots.iter().filter(|&&slot| promises.end(self.words(), slot)).count() as u64
    }

    pub(crate) fn placement(&self) -> &Placement {
        &self.placement
    }

    /// A worker for one thread. Daemons make theirs at start-up.
    ///
    /// # Errors
    /// [`NoWorker`] when all are taken.
    pub fn worker(self: &Arc<Self>) -> Result<Worker, NoWorker> {
        // Relaxed: a guess. Acquire: the last user of the worker's line is done with it.
        let take = |taken: u64| taken | (!taken & taken.wrapping_add(1));
        let (before, after) = self.workers.advance(Acquire, take);
        match (before ^ after).checked_ilog2() {
            Some(index) => Ok(Worker::new(Arc::clone(self), index as usize)),
            None => Err(NoWorker),
        }
    }

    /// Keeps slots busy for as long as the result lives: a file that somebody has mapped for writing. The marks outlive
    /// this process when it is killed, until the front end's process has ended.
    ///
    /// # Errors
    /// [`AnnounceError`]; then do not map.
    pub fn hold(self: &Arc<Self>, slots: SlotSet) -> Result<Hold, AnnounceError> {
        self.take_hold(&slots, HoldKind::Dax)?;
        Ok(Hold { engine: Arc::clone(self), slots })
    }

    /// For a daemon in a sandbox: whom to ask whether a VMM's process has ended.
    pub fn ask_outside(&self, outlook: Arc<dyn Outlook>) {
        self.proc.ask(outlook);
    }

    /// As [`Self::set_front_end`], where somebody outside has found the process: its pid there, and at which clock tick
    /// since boot it began.
    pub fn set_front_end_outside(&self, pid: i32, started: u64) {
        let row = self.own_row();
        row.set(RowField::FrontEndStarted, started);
        row.set(RowField::FrontEndPid, pid as u64);
    }

    /// Tells in which process this daemon's DAX mappings live (the VMM's), or that there is none any more.
    pub fn set_front_end(&self, pid: Option<i32>) {
        let process = pid.and_then(|pid| self.proc.find(pid));
        // A pid that cannot be found out about: nobody will be able to tell that it has ended. It is 0 where the front end
        // has none in this daemon's pid namespace, which must not look like no front end.
        let unknown = pid.map(|pid| ProcessId { pid: pid.max(1), started: 0 });
        let process = process.or(unknown);
        let row = self.own_row();
        row.set(RowField::FrontEndStarted, process.map_or(0, |p| p.started));
        row.set(RowField::FrontEndPid, process.map_or(0, |p| p.pid as u64));
    }

    /// Whether the table is no longer to be trusted: its file was cut short, or there was no memory for it. Nothing is
    /// stamped then and no change is possible.
    #[must_use]
    #[inline]
    pub fn is_lost(&self) -> bool {
        self.table.is_lost() || self.host.is_lost()
    }

    #[inline]
    fn words(&self) -> Words<'_> {
        self.table.words()
    }

    #[inline]
    fn own_row(&self) -> Row<'_> {
        self.host.row(self.row)
    }

    #[inline]
    fn area(&self, worker: usize) -> WorkerArea<'_> {
        self.own_row().worker(worker)
    }

    fn holds_line(&self) -> Line<'_> {
        Line::new(self.own_row().holds(), self.who)
    }

    fn names(&self) -> NameLocks<'_> {
        self.host.names()
    }

    fn registry(&self) -> Registry<'_> {
        Registry { host: &self.host, own: self.who }
    }

    fn take_hold(&self, slots: &SlotSet, kind: HoldKind) -> Result<(), AnnounceError> {
        self.holds.lock().hold(self.words(), self.holds_line(), slots, kind)?;
        if self.is_lost() {
            self.drop_hold(slots, kind);
            return Err(AnnounceError::Lost);
        }
        Ok(())
    }

    fn drop_hold(&self, slots: &SlotSet, kind: HoldKind) {
        self.holds.lock().release(self.words(), self.holds_line(), slots, kind);
    }

    /// A worker's line is free again.
    fn return_worker(&self, index: usize) {
        // Release: pairs with the acquire in `worker`.
        self.workers.advance(Release, |taken| taken & !(1 << index));
    }

    /// Changes in progress, for figures.
    #[must_use]
    pub fn changes_in_progress(&self) -> usize {
        self.own_row().workers().filter(|w| Line::in_use(w.entries()) > 0).count()
    }

    /// Slots with marks that nobody will take back, as far as they are known, for figures.
    #[must_use]
    pub fn leaked_slots(&self) -> Vec<u32> {
        self.host.leaks().read(self.words()).0
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if self.is_lost() {
            return;
        }
        self.sweeper.get_mut().release_for_good(
            self.table.words(),
            self.host.row(self.row),
            self.who,
        );
        // What this daemon watched, nobody watches now.
        self.table.sweep();
        let maps = self.host.row(self.row).holder().maps_any();
        if self.holds.get_mut().len() == 0 && !self.workers_left() && !maps {
            self.host.sign_out(self.row, self.who);
        }
    }
}

impl Engine {
    /// Whether a worker was leaked: its marks, if any, must be found by a reaper.
    fn workers_left(&self) -> bool {
        // Relaxed: this is the last one to look.
        self.workers.load(Relaxed) != 1 << KEEPER
    }
}

/// Keeps slots busy while it lives. See [`Engine::hold`].
#[derive(Debug)]
pub struct Hold {
    engine: Arc<Engine>,
    slots: SlotSet,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.engine.drop_hold(&self.slots, HoldKind::Dax);
    }
}

#[cfg(test)]
mod attach_tests;
#[cfg(test)]
mod test_kit;
#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
