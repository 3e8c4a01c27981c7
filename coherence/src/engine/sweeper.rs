//! Sweeps, and a limit on them.

use std::time::Duration;

use super::{Engine, KEEPER};
use crate::host::{Row, RowField};
use crate::ledger::Incarnation;
use crate::pass;
use crate::words::Words;

/// When this daemon last swept.
///
/// A sweep costs a pass over the table, and what makes one necessary (an event queue that overflows, an object that is
/// gone before it is looked at) a guest may bring about as often as it likes. So a second sweep within the interval does
/// not advance the slots but *marks* them all: everybody asks the host, and any number of further sweeps cost nothing.
/// When the interval is over the marks are taken back, which advances every slot.
#[derive(Debug)]
pub(super) struct Sweeper {
    interval: Duration,
    last: Option<Duration>,
    /// Since when every slot bears the keeper's mark.
    held_since: Option<Duration>,
}

impl Sweeper {
    pub(super) const fn new(interval: Duration) -> Self {
        Self { interval, last: None, held_since: None }
    }

    /// Whether a sweep at `now` comes too soon after the last.
    fn too_soon(&self, now: Duration) -> bool {
        self.last.is_some_and(|last| now.saturating_sub(last) < self.interval)
    }

    /// Ends the holding, if any.
    pub(super) fn release_for_good(&mut self, words: Words<'_>, row: Row<'_>, who: Incarnation) {
        if self.held_since.take().is_some() {
            pass::unmark_all(words, row.worker(KEEPER).record(who));
        }
    }
}

impl Engine {
    /// Makes everything that any guest has cached so far not count any longer: for changes that cannot be told by slot.
    /// When it returns, no stamp that was given before the call is worth anything.
    pub fn sweep(&self) {
        let mut sweeper = self.sweeper.lock();
        if sweeper.held_since.is_some() {
            // Every slot is busy, and will have moved when it no longer is.
            return;
        }
        let now = self.clock.now();
        self.own_row().count(RowField::Sweeps, 1);
        // A pass needs every page: a page that is made meanwhile would not bear the mark.
        if sweeper.too_soon(now) && self.table.back_all().is_ok() {
            pass::mark_all(self.words(), self.area(KEEPER).record(self.who));
            sweeper.held_since = Some(now);
            tracing::warn!("sweeps come too fast: nothing is cached for a while");
            return;
        }
        self.table.sweep();
        sweeper.last = Some(now);
    }

    /// Takes the marks of a sweep that came too soon back when its time is over.
    pub(super) fn settle_sweep(&self) {
        let mut sweeper = self.sweeper.lock();
        let now = self.clock.now();
        let over = |since| now.saturating_sub(since) >= sweeper.interval;
        if sweeper.held_since.is_some_and(over) {
            pass::unmark_all(self.words(), self.area(KEEPER).record(self.who));
            sweeper.held_since = None;
            sweeper.last = Some(now);
        }
    }
}
