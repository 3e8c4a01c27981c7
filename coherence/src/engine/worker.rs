//! A thread that changes things.

use std::sync::Arc;

use super::{Engine, Lingering, Overtaken};
use crate::change::{Change, Pending, Seat};
use crate::holds::{Full, HoldKind};
use crate::host::{RowField, WorkerArea};
use crate::ledger::Line;
use crate::limits::MAX_WORKERS;
use crate::names::{Outcome, Owner};
use crate::pass::Record;
use crate::slots::{SlotIndex, SlotSet};
use crate::words::Words;

/// The right to have one change in progress, and the place in the ledger where it stands. One for each thread.
#[derive(Debug)]
pub struct Worker {
    seat: WorkerSeat,
    pending: Pending,
}

#[derive(Debug)]
struct WorkerSeat {
    engine: Arc<Engine>,
    index: usize,
}

impl WorkerSeat {
    #[inline]
    fn area(&self) -> WorkerArea<'_> {
        self.engine.area(self.index)
    }
}

impl Seat for WorkerSeat {
    #[inline]
    fn words(&self) -> Words<'_> {
        self.engine.words()
    }

    #[inline]
    fn line(&self) -> Line<'_> {
        self.area().line(self.engine.who)
    }

    fn record(&self) -> Option<Record<'_>> {
        Some(self.area().record(self.engine.who))
    }
}

/// Every worker of the daemon is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {} threads that change files; use fewer queues or a smaller thread pool", MAX_WORKERS - 1)]
pub struct NoWorker;

/// Why nothing was announced. Nothing may be changed then.
#[derive(Debug, thiserror::Error)]
pub enum AnnounceError {
    /// The table's pages are gone ([`Engine::is_lost`]).
    #[error("the version table was cut short or ran out of memory; restart the daemon")]
    Lost,
    /// No memory for the table's pages.
    #[error("no memory for the version table: {0}")]
    Memory(std::io::Error),
    /// More slots are held busy than the ledger has room for.
    #[error("too many files are mapped for writing")]
    TooManyHolds,
}

impl From<Full> for AnnounceError {
    fn from(_: Full) -> Self {
        Self::TooManyHolds
    }
}

impl Worker {
    pub(super) fn new(engine: Arc<Engine>, index: usize) -> Self {
        Self { seat: WorkerSeat { engine, index }, pending: Pending::default() }
    }

    /// The engine that it works for.
    #[must_use]
    pub fn engine(&self) -> &Arc<Engine> {
        &self.seat.engine
    }

    /// Marks `slots` busy: the change may begin, and lasts until the result is dropped. For changes of names there is
    /// [`Self::lock_names`].
    ///
    /// # Errors
    /// [`AnnounceError`]; then the change must not be made.
    #[inline]
    pub fn announce(&mut self, slots: SlotSet) -> Result<Change<'_>, AnnounceError> {
        self.announce_unstamped(slots, &SlotSet::EMPTY)
    }

    #[inline]
    fn announce_unstamped(
        &mut self,
        slots: SlotSet,
        unstamped: &SlotSet,
    ) -> Result<Change<'_>, AnnounceError> {
        let engine = &self.seat.engine;
        self.seat.area().count_change();
        let mut change = Change::announce(&self.seat, &mut self.pending, slots);
        if let Some(promises) = engine.promises.get() {
            change.leave_unstamped(unstamped);
            promises.announced(change.stampable());
        }
        settle(engine, change)
    }

    /// Locks the names with these entry slots, before what they mean is looked up.
    ///
    /// Waits for other changes of the same names, at the longest [`crate::PATIENCE`] for each. Whoever has the lock
    /// longer than that (a frozen daemon, a disk that hangs) is passed by, and the change is made with nobody caching
    /// anything meanwhile.
    pub fn lock_names<const N: usize>(&mut self, entries: [SlotIndex; N]) -> NameGuard<'_> {
        const { assert!(N <= MAX_NAMES, "no operation changes more names") };
        let names = self.seat.engine.names();
        let mut stripes = [None; MAX_NAMES];
        for (stripe, entry) in stripes.iter_mut().zip(entries) {
            *stripe = Some(names.stripe(entry));
        }
        // In ascending order, each once: two workers never wait for each other.
        stripes.sort_unstable();
        if stripes[0] == stripes[1] {
            stripes[0] = None;
        }
        let mut guard =
            NameGuard { worker: self, locked: [None; MAX_NAMES], overdue: [None; MAX_NAMES] };
        for (at, stripe) in stripes.into_iter().enumerate() {
            if let Some(stripe) = stripe {
                guard.lock(at, stripe);
            }
        }
        guard
    }

    fn owner(&self) -> Owner {
        Owner {
            incarnation: self.seat.engine.who,
            row: self.seat.engine.row as u16,
            worker: self.seat.index as u8,
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The next worker with this line would write over what stands in it.
        self.pending.end_leaked(&self.seat);
        self.seat.engine.return_worker(self.seat.index);
    }
}

/// A change that was announced, unless the table is lost.
#[inline]
fn settle<'a>(engine: &Engine, change: Change<'a>) -> Result<Change<'a>, AnnounceError> {
    // Asked afterwards: a mark on a page that is gone warns nobody.
    if engine.is_lost() { Err(AnnounceError::Lost) } else { Ok(change) }
}

impl Engine {
    /// Ends the lingering of slots whose names are in order again.
    pub(super) fn settle_lingering(&self) {
        self.lingering.lock().retain(|l| {
            let still = match l.owner {
                Overtaken::NotYetKnown => true,
                Overtaken::Owner(owner) => self.names().is_owned_by(l.stripe, owner),
                Overtaken::Nobody => false,
            };
            if !still {
                self.drop_hold(&l.slots, HoldKind::Lingering);
            }
            still
        });
    }

    /// A worker's change without its locks is made: whoever has them *now* may have looked the names up before it, and
    /// nobody who takes them from here on has. Not whoever had them when they were given up: they may have changed hands
    /// since.
    fn look_who_is_overtaken(&self, worker: usize) {
        for l in self.lingering.lock().iter_mut() {
            if l.worker == worker && l.owner == Overtaken::NotYetKnown {
                let owner = self.names().owner(l.stripe);
                l.owner = owner.map_or(Overtaken::Nobody, Overtaken::Owner);
            }
        }
    }
}

/// RENAME's.
const MAX_NAMES: usize = 2;

/// Names that nobody else changes for as long as this value lives: look up what they mean, [`NameGuard::announce`],
/// change, publish, drop.
#[derive(Debug)]
#[must_use = "dropping it at once releases the names"]
pub struct NameGuard<'w> {
    worker: &'w mut Worker,
    locked: [Option<usize>; MAX_NAMES],
    /// Stripes that were not had.
    overdue: [Option<usize>; MAX_NAMES],
}

impl NameGuard<'_> {
    fn lock(&mut self, at: usize, stripe: usize) {
        let (engine, me) = (&self.worker.seat.engine, self.worker.owner());
        match engine.names().lock(stripe, me, &*engine.clock, &engine.registry()) {
            Outcome::Locked => self.locked[at] = Some(stripe),
            Outcome::Overdue(owner) => {
                tracing::warn!(
                    stripe,
                    row = owner.row,
                    "a name lock was kept too long: going on without it"
                );
                engine.own_row().count(RowField::GivenUp, 1);
                self.overdue[at] = Some(stripe);
            }
        }
    }

    /// Whether every name is locked.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.overdue.iter().all(Option::is_none)
    }

    /// As [`Worker::announce`], for a change of the locked names.
    ///
    /// When a lock was not had, what the names mean may change under this change, and the other way round. Then
    /// everything is marked for as long as the change lasts, and its own slots stay busy until whoever has the lock after
    /// it is done: what that one changes unawares can only be what such a change has put under the name.
    ///
    /// # Errors
    /// As for [`Worker::announce`].
    pub fn announce(&mut self, slots: SlotSet) -> Result<Change<'_>, AnnounceError> {
        self.announce_unstamped(slots, &SlotSet::EMPTY)
    }

    /// As [`Self::announce`]; no reply will be stamped with the words of `unstamped`, which are among `slots`.
    ///
    /// For inodes that were looked up by name (what UNLINK, RMDIR and RENAME move or remove): events of one's own changes
    /// to them are handled as anybody's, and where no stamp was given they then have nothing to move.
    ///
    /// # Errors
    /// As for [`Worker::announce`].
    pub fn announce_unstamped(
        &mut self,
        slots: SlotSet,
        unstamped: &SlotSet,
    ) -> Result<Change<'_>, AnnounceError> {
        if self.is_complete() {
            return self.worker.announce_unstamped(slots, unstamped);
        }
        let Worker { seat, pending } = &mut *self.worker;
        let engine = &seat.engine;
        for &stripe in self.overdue.iter().flatten() {
            engine.take_hold(&slots, HoldKind::Lingering)?;
            let (worker, owner) = (seat.index, Overtaken::NotYetKnown);
            engine.lingering.lock().push(Lingering { worker, stripe, owner, slots });
        }
        engine.table.back_all().map_err(AnnounceError::Memory)?;
        seat.area().count_change();
        settle(engine, Change::announce_everything(seat, pending))
    }
}

impl Drop for NameGuard<'_> {
    fn drop(&mut self) {
        let (engine, me) = (&self.worker.seat.engine, self.worker.owner());
        if !self.is_complete() {
            engine.look_who_is_overtaken(self.worker.seat.index);
        }
        for &stripe in self.locked.iter().flatten() {
            engine.names().unlock(stripe, me, &*engine.clock);
        }
    }
}
