//! What a slot's word says.

/// Width of the count of changes in progress, at the word's low end.
pub const BUSY_BITS: u32 = 16;

/// The bits that count changes in progress.
pub const BUSY_MASK: u64 = (1 << BUSY_BITS) - 1;

/// The count that never goes down again: so many marks that they are no longer counted.
pub const BUSY_STUCK: u64 = BUSY_MASK;

/// One finished change.
pub const GENERATION_ONE: u64 = 1 << BUSY_BITS;

/// `generation:48 | busy:16`: `busy` counts the changes in progress on what this slot covers, `generation` those that
/// have ended.
///
/// A word only moves forward, and a guest only asks whether it is still *equal* to the one it holds: generations are
/// never compared by size, and wrap after 2.8e14 changes of one slot.
///
/// A count that has reached [`BUSY_STUCK`] stays there (until the table is rebuilt with nobody on it): busy never
/// carries into the generation and never falls to 0 while an uncounted change may be in progress. Limits on daemons
/// and workers keep honest counts below it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default)]
#[repr(transparent)]
pub struct SlotWord(pub u64);

impl SlotWord {
    /// A slot that nobody has ever touched. It vouches for nothing: the memory may just have been made.
    pub const UNTOUCHED: Self = Self(0);

    /// A word from its two parts. `generation` keeps its low 48 bits.
    #[must_use]
    pub const fn new(generation: u64, busy: u16) -> Self {
        Self(generation << BUSY_BITS | busy as u64)
    }

    /// Changes that have ended, modulo 2^48.
    #[inline]
    #[must_use]
    pub const fn generation(self) -> u64 {
        self.0 >> BUSY_BITS
    }

    /// Changes in progress.
    #[inline]
    #[must_use]
    pub const fn busy(self) -> u16 {
        (self.0 & BUSY_MASK) as u16
    }

    /// Whether a change is in progress: what is read now may be old in a moment, so ask the host and keep nothing.
    #[inline]
    #[must_use]
    pub const fn is_busy(self) -> bool {
        self.busy() != 0
    }

    /// Whether the count has been given up; the slot stays busy until the table is rebuilt.
    #[inline]
    #[must_use]
    pub const fn is_stuck(self) -> bool {
        self.0 & BUSY_MASK == BUSY_STUCK
    }

    /// Whether a reply may carry this word: nothing in progress, and the slot has been touched.
    #[inline]
    #[must_use]
    pub const fn vouches(self) -> bool {
        !self.is_busy() && self.0 != Self::UNTOUCHED.0
    }

    /// The word after a change was announced: one more in progress.
    #[inline]
    #[must_use]
    pub const fn announced(self) -> Self {
        if self.is_stuck() {
            return rare(self);
        }
        // Never wraps: the busy bits are not all set.
        Self(self.0.wrapping_add(1))
    }

    /// The word after an announced change has ended: one fewer in progress, one more finished.
    #[inline]
    #[must_use]
    pub const fn published(self) -> Self {
        if self.is_stuck() || !self.is_busy() {
            return rare(self.swept());
        }
        // One generation up and one mark down. A wrap is the generation's.
        Self(self.0.wrapping_add(GENERATION_ONE - 1))
    }

    /// The word after a change that nobody announced (a host event, a sweep): one more finished.
    #[inline]
    #[must_use]
    pub const fn swept(self) -> Self {
        Self(self.0.wrapping_add(GENERATION_ONE))
    }
}

/// Tells the compiler that a branch is hardly ever taken. A branch that is foreseen lets the processor go on before the
/// word has arrived; a choice by arithmetic would not.
#[cold]
#[inline(never)]
const fn rare(word: SlotWord) -> SlotWord {
    word
}

#[cfg(test)]
#[path = "slot_tests.rs"]
mod tests;
