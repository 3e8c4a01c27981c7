//! What this daemon answers for: the newest word of each slot that it may have given a stamp with.
//!
//! Every daemon of a table hears of a change that the host makes, and each must see to it that the stamps *it* gave no
//! longer count. When a slot's word has moved past a daemon's promise, they do not count already: another daemon has
//! handled the event, or the change was announced. So one change on the host moves a slot once, however many daemons
//! hear of it (`docs/protocol.md`, "Events").

use std::io;

use shm_layout::word::Ordering::{Relaxed, SeqCst};
use shm_layout::word::fence;
use shm_layout::{SharedU64, SlotWord, Snapshot, WORD_LEN};

use crate::region::Region;
use crate::slots::SlotIndex;
use crate::words::Words;

/// No stamp was ever given. The word 0 vouches for nothing, so it is nobody's promise.
const NOTHING: u64 = 0;

/// Promises, one for each slot. Private to the daemon; memory comes with use, in huge pages where the
/// system has them for who asks.
#[derive(Debug)]
pub(crate) struct Promises {
    region: Region,
}

impl Promises {
    /// For a table of `words` words, header included.
    pub(crate) fn new(words: u64) -> io::Result<Self> {
        let region = Region::anonymous(words * WORD_LEN as u64)?;
        // Slots lie anywhere, and a walk through the page tables of a virtual machine costs more than the word.
        region.prefer_huge_pages();
        Ok(Self { region })
    }

    #[inline]
    fn word(&self, slot: SlotIndex) -> &SharedU64 {
        &self.region.words()[slot.get() as usize]
    }

    #[inline]
    fn note(&self, slot: SlotIndex, word: u64) {
        let newer = |noted| noted == NOTHING || is_past(word, noted);
        let promise = self.word(slot);
        // Relaxed, twice: the fence that follows orders it (`settle`). Mostly it is noted already, and a promise never
        // goes back.
        if newer(promise.load(Relaxed)) {
            promise.advance(Relaxed, |noted| if newer(noted) { word } else { noted });
        }
    }

    /// Notes what was observed, before the state is read.
    pub(crate) fn observed(&self, snapshots: &[Snapshot]) {
        let covered = snapshots.iter().filter(|s| s.covers());
        for (slot, snapshot) in covered.filter_map(|s| Some((SlotIndex::new(s.slot)?, s))) {
            self.note(slot, snapshot.word);
        }
        settle();
    }

    /// Notes what a change may be stamped with when it is alone, before the change is made.
    #[inline]
    pub(crate) fn announced(&self, announced: impl Iterator<Item = (SlotIndex, SlotWord)>) {
        for (slot, word) in announced {
            self.note(slot, word.published().0);
        }
        settle();
    }

    /// Sees to it that no stamp that this daemon gave for `slot` counts any longer. True where the slot had to be moved.
    /// Call [`settle`] after reading the events and before this.
    pub(crate) fn end(&self, words: Words<'_>, slot: SlotIndex) -> bool {
        // Relaxed: ordered by the fence in `settle`. Without a promise the table is not even looked at: its page may be
        // a hole.
        let promise = self.word(slot).load(Relaxed);
        if promise == NOTHING {
            return false;
        }
        loop {
            let word = words.peek(slot);
            if is_past(word.0, promise) {
                return false;
            }
            if words.advance_from(slot, word) {
                return true;
            }
        }
    }
}

/// Stands between a note and the read of the state, and between the read of an event and that of the promises. Either
/// the handler of an event finds the note, or the reader finds the change that the event tells of.
#[inline]
pub(crate) fn settle() {
    // SeqCst: two threads store one thing and then load the other (Dekker); nothing weaker orders that.
    fence(SeqCst);
}

/// Whether `word` was reached after `other`: words only move forwards, by marks and generations, and wrap.
const fn is_past(word: u64, other: u64) -> bool {
    (word.wrapping_sub(other) as i64) > 0
}

#[cfg(test)]
#[path = "promises_tests.rs"]
mod tests;
