//! A daemon's row.

use shm_layout::SharedU64;
use shm_layout::word::Ordering::{Relaxed, Release};

use super::layout::{
    ROW_ANSWERS, ROW_CUTS, ROW_HOLDS, ROW_MAPS, ROW_WAITS, ROW_WORKERS, WORKER_CHANGES,
    WORKER_ENTRIES, WORKER_PASS, WORKER_WORDS,
};
use crate::cuts::{Holder, SET_WORDS};
use crate::ledger::{Incarnation, Line};
use crate::limits::{MAX_HOLDS, MAX_WORKERS};
use crate::pass::Record;
use crate::waits::Notes;

/// What a daemon tells about itself, as word numbers in its row.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RowField {
    /// The last incarnation in this row whose end was dealt with: everything taken back, the table swept.
    ReapedOf = 0,
    /// Its process.
    Pid = 1,
    /// When that process began, in clock ticks since boot: tells a pid's lives apart.
    Started = 2,
    /// The pid namespace that the pid is of.
    PidNamespace = 3,
    /// When it joined the table, in seconds since the epoch.
    Since = 4,
    /// The process that its DAX mappings live in, or 0.
    FrontEndPid = 5,
    /// When that process began.
    FrontEndStarted = 6,
    /// Sweeps it has made.
    Sweeps = 7,
    /// Name locks it has given up waiting for.
    GivenUp = 8,
    /// Marks of dead daemons that it has taken back.
    Reaped = 9,
}

/// A row of the host-only file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row<'a> {
    words: &'a [SharedU64],
}

/// One worker's words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct WorkerArea<'a> {
    words: &'a [SharedU64],
}

impl<'a> Row<'a> {
    #[inline]
    pub(crate) const fn new(words: &'a [SharedU64]) -> Self {
        Self { words }
    }

    pub(crate) fn get(self, field: RowField) -> u64 {
        // Relaxed: each field stands for itself.
        self.words[field as usize].load(Relaxed)
    }

    pub(crate) fn set(self, field: RowField, value: u64) {
        // Release: so that "reaped" comes after everything that makes it true.
        self.words[field as usize].store(value, Release);
    }

    pub(crate) fn count(self, field: RowField, more: u64) {
        // Relaxed: a figure.
        self.words[field as usize].fetch_add(more, Relaxed);
    }

    /// Whether the end of `who` was dealt with. Its holds may be left.
    pub(crate) fn was_reaped(self, who: Incarnation) -> bool {
        self.get(RowField::ReapedOf) == who.get()
    }

    #[inline]
    pub(crate) fn worker(self, index: usize) -> WorkerArea<'a> {
        let base = ROW_WORKERS + index * WORKER_WORDS;
        WorkerArea { words: &self.words[base..base + WORKER_WORDS] }
    }

    pub(crate) fn workers(self) -> impl Iterator<Item = WorkerArea<'a>> {
        (0..MAX_WORKERS).map(move |index| self.worker(index))
    }

    /// Ledger entries of what the daemon keeps busy for long: DAX mappings, then changes made without their lock.
    pub(crate) fn holds(self) -> &'a [SharedU64] {
        &self.words[ROW_HOLDS..ROW_CUTS]
    }

    /// Those of DAX mappings: they last as long as the front end does.
    pub(crate) fn dax_holds(self) -> &'a [SharedU64] {
        &self.words[ROW_HOLDS..ROW_HOLDS + MAX_HOLDS]
    }

    /// Those of changes made without their lock: nobody but their maker knows when they may go.
    pub(crate) fn lingering(self) -> &'a [SharedU64] {
        &self.words[ROW_HOLDS + MAX_HOLDS..ROW_CUTS]
    }

    /// Which files it has mapped, and where it is asked to let go of them.
    pub(crate) fn holder(self) -> Holder<'a> {
        Holder {
            bell: &self.words[ROW_CUTS],
            maps: &self.words[ROW_MAPS..ROW_MAPS + SET_WORDS],
            answers: &self.words[ROW_ANSWERS..ROW_WAITS],
        }
    }

    /// Who of its guest waits for locks.
    pub(crate) fn notes(self) -> Notes<'a> {
        Notes(&self.words[ROW_WAITS..])
    }

    /// Clears every worker's ledger and all that lingers.
    pub(crate) fn wipe_workers(self) {
        for word in self.words[ROW_WORKERS..ROW_HOLDS].iter().chain(self.lingering()) {
            // Relaxed: nobody else is on the table.
            word.store(0, Relaxed);
        }
    }

    /// Clears what an earlier daemon left: figures, and entries that no reaper will ever find.
    pub(crate) fn wipe(self) {
        for word in self.words {
            // Relaxed: signing in releases it.
            word.store(0, Relaxed);
        }
    }
}

impl<'a> WorkerArea<'a> {
    /// Its ledger entries.
    #[inline]
    pub(crate) fn entries(self) -> &'a [SharedU64] {
        &self.words[..WORKER_ENTRIES]
    }

    /// Its ledger line in the hands of `who`.
    #[inline]
    pub(crate) fn line(self, who: Incarnation) -> Line<'a> {
        Line::new(self.entries(), who)
    }

    /// Where it notes how far a pass over the whole table has got.
    #[inline]
    pub(crate) fn pass(self) -> &'a SharedU64 {
        &self.words[WORKER_PASS]
    }

    /// That record in the hands of `who`.
    #[inline]
    pub(crate) fn record(self, who: Incarnation) -> Record<'a> {
        Record::new(self.pass(), who)
    }

    /// Counts a change. The worker alone writes here.
    #[inline]
    pub(crate) fn count_change(self) {
        let changes = &self.words[WORKER_CHANGES];
        // Relaxed, twice: a figure, of one writer.
        changes.store(changes.load(Relaxed).wrapping_add(1), Relaxed);
    }
}
