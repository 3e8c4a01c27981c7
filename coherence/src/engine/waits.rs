//! Owners of locks who wait, as all daemons of the table see them (`crate::waits`).

use std::sync::Arc;

use super::Engine;
use crate::limits::MAX_WAITS;
use crate::waits::{Sight, Waiting, closes_circle};

/// Whoever waited now would wait for ever: somebody waits, by however many others, for a lock that it has itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("whoever has the lock waits for one of the asker's")]
pub struct Deadlock;

/// Which notes of a row are in use.
#[derive(Debug, Default)]
pub(super) struct Places([bool; MAX_WAITS]);

impl Places {
    fn take(&mut self) -> Option<usize> {
        let free = self.0.iter().position(|taken| !taken)?;
        self.0[free] = true;
        Some(free)
    }
}

/// Tells the other daemons that an owner waits, for as long as it lives.
#[derive(Debug)]
pub struct WaitNote {
    engine: Arc<Engine>,
    /// None: there was no room.
    place: Option<usize>,
}

impl Engine {
    /// An owner of locks is about to wait. Keep the result while it does.
    ///
    /// # Errors
    /// [`Deadlock`]: the lock must not be waited for.
    pub fn note_wait(self: &Arc<Self>, waiting: &Waiting) -> Result<WaitNote, Deadlock> {
        let note = WaitNote { engine: Arc::clone(self), place: self.waits.lock().take() };
        note.renew(waiting);
        let is_deadlock = closes_circle(self.row, waiting, || self.all_waits());
        if is_deadlock { Err(Deadlock) } else { Ok(note) }
    }

    /// The notes of all who live.
    fn all_waits(&self) -> Vec<Sight> {
        let mut all = Vec::new();
        for (row, who) in self.host.occupied() {
            let before = all.len();
            let notes = self.host.row(row).notes().all();
            all.extend(notes.map(|(place, turn, waiting)| Sight { row, place, turn, waiting }));
            // The locks of the dead have gone with them. It is only asked about who has notes: it takes a system call.
            if all.len() > before && who != self.who && self.host.is_gone(row, who) {
                all.truncate(before);
            }
        }
        all
    }
}

impl WaitNote {
    /// The owner has locked something else meanwhile, or given something up: one of its threads waits, another works.
    pub fn renew(&self, waiting: &Waiting) {
        if let Some(place) = self.place {
            let _writer = self.engine.waits.lock();
            self.engine.own_row().notes().write(place, waiting);
        }
    }
}

impl Drop for WaitNote {
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let mut places = self.engine.waits.lock();
            self.engine.own_row().notes().erase(place);
            places.0[place] = false;
        }
    }
}

#[cfg(test)]
#[path = "waits_tests.rs"]
mod tests;
