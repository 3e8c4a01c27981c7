//! Marking every slot of a table, in a way that survives its maker.
//!
//! For what nobody can name the slots of: a name changed without its lock, a sweep that came too soon after the last.
//! One *record* in the ledger says how far marking has got. It counts upwards while marking and downwards while taking
//! back, so it always means the same: slots below it are marked, the slot at it is in doubt, those above are not.

use shm_layout::SharedU64;
use shm_layout::word::Ordering::Release;

use crate::ledger::{Entry, FREE, Incarnation, State};
use crate::slots::SlotIndex;
use crate::words::Words;

/// Where a worker notes how far its pass has got.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record<'a> {
    word: &'a SharedU64,
    incarnation: Incarnation,
}

impl<'a> Record<'a> {
    pub(crate) const fn new(word: &'a SharedU64, incarnation: Incarnation) -> Self {
        Self { word, incarnation }
    }

    /// "Slots below `slot` are marked, `slot` itself may be."
    fn note(self, slot: u32) {
        let entry = Entry { incarnation: self.incarnation, slot, state: State::Held };
        // Release: the slot before was dealt with. What follows is an announce or publish, of release order, so this
        // note stands before the next slot moves.
        self.word.store(entry.encode(), Release);
    }

    fn clear(self) {
        // Release: every mark was taken back.
        self.word.store(FREE, Release);
    }
}

/// Marks every slot; the caller's record must be free.
pub(crate) fn mark_all(words: Words<'_>, record: Record<'_>) {
    for slot in all(words) {
        record.note(slot.get());
        crash_point!();
        words.announce(slot);
        crash_point!();
    }
    record.note(words.end());
}

/// Takes back what [`mark_all`] did, and so advances every slot.
pub(crate) fn unmark_all(words: Words<'_>, record: Record<'_>) {
    for slot in all(words).rev() {
        record.note(slot.get());
        crash_point!();
        words.publish(slot);
        crash_point!();
    }
    record.clear();
}

/// Every slot, in ascending order.
fn all(words: Words<'_>) -> impl DoubleEndedIterator<Item = SlotIndex> {
    (shm_layout::FIRST_SLOT..words.end()).filter_map(SlotIndex::new)
}
