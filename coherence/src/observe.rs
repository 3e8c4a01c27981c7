//! Observing: reading a slot's word *before* the state it vouches for.

use shm_layout::{SlotWord, Snapshot};

use crate::slots::SlotIndex;
use crate::words::{Words, observe_fence};

/// Words that were read, waiting for the read that they will vouch for.
///
/// "Observe, then read" is law, so an observation shows its words to nobody: the only way to a [`Snapshot`] is
/// [`Observation::then`], which does the reading.
#[derive(Debug)]
#[must_use = "an observation is worth something only with a read after it"]
pub struct Observation<const N: usize> {
    snapshots: [Snapshot; N],
}

impl<const N: usize> Observation<N> {
    /// What will vouch for the read. For noting it, not for reading by.
    pub(crate) fn snapshots(&self) -> &[Snapshot] {
        &self.snapshots
    }

    /// Reads what the observed slots cover; returns it with the snapshots that vouch for it, in the order of the
    /// slots. A slot with a change in progress gives [`Snapshot::NOT_COVERED`].
    ///
    /// When the read fails the snapshots vouch for the failure ("no such name"), or are dropped.
    #[inline]
    pub fn then<T>(self, read: impl FnOnce() -> T) -> (T, [Snapshot; N]) {
        (read(), self.snapshots)
    }
}

impl Words<'_> {
    /// Reads the words of `slots`; what they cover must be read through [`Observation::then`].
    #[inline]
    pub fn observe_all<const N: usize>(self, slots: [SlotIndex; N]) -> Observation<N> {
        let snapshots = slots.map(|slot| snapshot(slot, self.observe(slot)));
        observe_fence();
        // Asked afterwards: a page that is gone shows zeroes.
        let snapshots = if self.is_lost() { [Snapshot::NOT_COVERED; N] } else { snapshots };
        Observation { snapshots }
    }
}

/// What may be said of a slot that was seen to have `word`.
#[inline]
fn snapshot(slot: SlotIndex, word: SlotWord) -> Snapshot {
    if word.vouches() || broken!(StampBusy) {
        Snapshot { slot: slot.get(), word: word.0 }
    } else {
        Snapshot::NOT_COVERED
    }
}
