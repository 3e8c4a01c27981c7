//! Which slots an operation touches.

use std::num::NonZeroU32;

use shm_layout::FIRST_SLOT;

use crate::limits::MAX_CHANGE_SLOTS;

/// The index of a slot in its table: never inside the header, so never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotIndex(NonZeroU32);

impl SlotIndex {
    /// A slot index from a number; none when it lies in the header. Whether it lies in the *table* is the caller's
    /// to know: the engine makes slot indices by hashing into its own table's range.
    #[must_use]
    pub const fn new(index: u32) -> Option<Self> {
        match NonZeroU32::new(index) {
            Some(index) if index.get() >= FIRST_SLOT => Some(Self(index)),
            _ => None,
        }
    }

    /// The number, as it travels in a stamp.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0.get()
    }

    /// Position among the slots, the header not counted.
    pub(crate) const fn position(self) -> usize {
        // Never wraps: `new` has seen to that.
        self.0.get().wrapping_sub(FIRST_SLOT) as usize
    }
}

/// The slots that one change touches: sorted, each once, and held inline, so that making one never allocates.
///
/// It is made from an array, whose length the compiler checks against [`MAX_CHANGE_SLOTS`]:
///
/// ```
/// # use coherence::{SlotIndex, SlotSet};
/// # let [entry, parent, child] = [3000, 2000, 3000].map(|i| SlotIndex::new(i).unwrap());
/// let set = SlotSet::from([entry, parent, child]);
/// assert_eq!(set.as_slice(), [parent, entry]); // the child's slot is the name's: a collision
/// let replaced = None;
/// assert_eq!(SlotSet::from([Some(entry), replaced]).as_slice(), [entry]);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SlotSet {
    slots: [SlotIndex; MAX_CHANGE_SLOTS],
    len: usize,
}

impl SlotSet {
    /// No slots: a change that nobody caches anything of.
    pub const EMPTY: Self =
        Self { slots: [SlotIndex::new(FIRST_SLOT).unwrap(); MAX_CHANGE_SLOTS], len: 0 };

    /// The slots, in ascending order.
    #[must_use]
    #[inline]
    pub fn as_slice(&self) -> &[SlotIndex] {
        &self.slots[..self.len]
    }

    /// Where `slot` stands in [`Self::as_slice`].
    #[must_use]
    pub fn position(&self, slot: SlotIndex) -> Option<usize> {
        self.as_slice().iter().position(|&s| s == slot)
    }

    /// Puts `slot` in its place, unless it is there. The caller keeps the number of slots within the array.
    #[inline]
    fn insert(&mut self, slot: SlotIndex) {
        if self.position(slot).is_some() {
            return;
        }
        let mut at = self.len;
        while at > 0 && self.slots[at - 1] > slot {
            self.slots[at] = self.slots[at - 1];
            at -= 1;
        }
        self.slots[at] = slot;
        self.len += 1;
    }
}

impl<const N: usize> From<[SlotIndex; N]> for SlotSet {
    #[inline]
    fn from(slots: [SlotIndex; N]) -> Self {
        Self::from(slots.map(Some))
    }
}

impl<const N: usize> From<[Option<SlotIndex>; N]> for SlotSet {
    #[inline]
    fn from(slots: [Option<SlotIndex>; N]) -> Self {
        const { assert!(N <= MAX_CHANGE_SLOTS, "more slots than a change may have") };
        let mut set = Self::EMPTY;
        slots.into_iter().flatten().for_each(|slot| set.insert(slot));
        set
    }
}

#[cfg(test)]
#[path = "slots_tests.rs"]
mod tests;
