//! Arithmetic of the slot word: the shipped layout's own, on bare numbers.

use shm_layout::{BUSY_MASK, GENERATION_ONE, SlotWord};

/// The bits that count changes in progress; all of them set: the count is given up.
pub(crate) const BUSY: u64 = BUSY_MASK;

/// One generation.
pub(crate) const GENERATION: u64 = GENERATION_ONE;

/// Changes in progress.
#[must_use]
pub(crate) fn busy(word: u64) -> u64 {
    u64::from(SlotWord(word).busy())
}

/// Whether changes are no longer counted: the slot stays busy until the table is rebuilt.
#[must_use]
pub(crate) fn is_stuck(word: u64) -> bool {
    SlotWord(word).is_stuck()
}

/// Whether a reply may carry the word.
#[must_use]
pub(crate) fn vouches(word: u64) -> bool {
    SlotWord(word).vouches()
}

/// The word after an announce.
#[must_use]
pub(crate) fn announce(word: u64) -> u64 {
    SlotWord(word).announced().0
}

/// The word after a publish: one generation more, one change in progress less.
#[must_use]
pub(crate) fn publish(word: u64) -> u64 {
    SlotWord(word).published().0
}

/// The word after a host event or a sweep.
#[must_use]
pub(crate) fn advance(word: u64) -> u64 {
    SlotWord(word).swept().0
}
