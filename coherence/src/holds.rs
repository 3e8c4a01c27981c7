//! Slots that a daemon keeps busy for long.

use std::collections::HashMap;

use crate::ledger::Line;
use crate::slots::{SlotIndex, SlotSet};
use crate::words::{Words, announce_fence};

/// What this daemon holds. A slot bears one mark of it for each kind, however many holds it has.
///
/// Not one for both: what becomes of a mark when the daemon dies goes by its kind. A mark that stood for a mapping, too,
/// would go with the front end though a name still lingers, or the other way round.
#[derive(Debug)]
pub(crate) struct Holds {
    held: HashMap<(SlotIndex, HoldKind), Held>,
    /// Ledger entries that are free, by kind.
    free: [Vec<usize>; 2],
}

#[derive(Clone, Copy, Debug)]
struct Held {
    times: usize,
    entry: usize,
}

/// What a hold is for: what becomes of it when its daemon dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum HoldKind {
    /// A writable DAX mapping: it ends with the front end.
    Dax,
    /// A name that was changed without its lock: nobody else can tell when it ends.
    Lingering,
}

/// More slots are held than the ledger has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many slots are held busy")]
pub(crate) struct Full;

impl Holds {
    /// With this many ledger entries for DAX, and then this many for lingering holds.
    pub(crate) fn new(dax: usize, lingering: usize) -> Self {
        let free = [(0..dax).rev().collect(), (dax..dax + lingering).rev().collect()];
        Self { held: HashMap::new(), free }
    }

    /// Marks those of `slots` that are not held yet, and counts this hold on all of them.
    pub(crate) fn hold(
        &mut self,
        words: Words<'_>,
        line: Line<'_>,
        slots: &SlotSet,
        kind: HoldKind,
    ) -> Result<(), Full> {
        let is_new = |slot: &&SlotIndex| !self.held.contains_key(&(**slot, kind));
        let new = slots.as_slice().iter().filter(is_new).count();
        let free = &mut self.free[kind as usize];
        if new > free.len() {
            return Err(Full);
        }
        for &slot in slots.as_slice() {
            if let Some(held) = self.held.get_mut(&(slot, kind)) {
                held.times += 1;
            } else if let Some(entry) = free.pop() {
                line.mark(words, entry, slot);
                self.held.insert((slot, kind), Held { times: 1, entry });
            }
        }
        announce_fence();
        Ok(())
    }

    /// Takes one hold of `slots` back, and the marks of those that no other hold of this kind is on.
    pub(crate) fn release(
        &mut self,
        words: Words<'_>,
        line: Line<'_>,
        slots: &SlotSet,
        kind: HoldKind,
    ) {
        for &slot in slots.as_slice() {
            let Some(held) = self.held.get_mut(&(slot, kind)) else { continue };
            held.times -= 1;
            if held.times == 0 {
                let entry = held.entry;
                line.unmark(words, entry, slot, words.peek(slot));
                self.held.remove(&(slot, kind));
                self.free[kind as usize].push(entry);
            }
        }
    }

    /// Marks that stand for holds.
    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
#[path = "holds_tests.rs"]
mod tests;
