//! The table's slots, and the few ways in which a slot's word may move.

use shm_layout::word::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shm_layout::word::fence;
use shm_layout::{FIRST_SLOT, GENERATION_ONE, SharedU64, SlotWord};

use crate::slots::SlotIndex;

/// The slots of a table, without its header.
///
/// A borrowed slice, so that a loom model or a test runs the shipped code over a `Vec`.
#[derive(Clone, Copy, Debug)]
pub struct Words<'a> {
    slots: &'a [SharedU64],
    /// Not zero once pages of the table are gone; none for words that cannot go.
    lost: Option<&'a SharedU64>,
}

impl<'a> Words<'a> {
    /// `slots[0]` is slot [`FIRST_SLOT`].
    #[must_use]
    pub const fn new(slots: &'a [SharedU64]) -> Self {
        Self { slots, lost: None }
    }

    /// As [`Self::new`], for slots whose memory may go: `lost` says so when it is not zero.
    #[must_use]
    pub const fn of_file(slots: &'a [SharedU64], lost: &'a SharedU64) -> Self {
        Self { slots, lost: Some(lost) }
    }

    /// Whether pages of the table were gone when they were looked at. Then nothing vouches for anything.
    #[inline]
    #[must_use]
    pub fn is_lost(self) -> bool {
        // Acquire: set, on the thread that lost the page, before that thread went on.
        self.lost.is_some_and(|lost| lost.load(Acquire) != 0)
    }

    /// The index behind the last slot: how many words the table has, header included.
    #[must_use]
    pub const fn end(self) -> u32 {
        FIRST_SLOT + self.slots.len() as u32
    }

    /// `index` as a slot of this table.
    #[must_use]
    pub fn slot(self, index: u32) -> Option<SlotIndex> {
        SlotIndex::new(index).filter(|_| index < self.end())
    }

    /// The word behind an index that was made for this table.
    #[inline]
    fn word(self, slot: SlotIndex) -> &'a SharedU64 {
        &self.slots[slot.position()]
    }

    /// What the slot says now, and nothing about what anybody may conclude: for figures and for tests.
    #[must_use]
    pub fn peek(self, slot: SlotIndex) -> SlotWord {
        // Relaxed: no other memory is read on the strength of it.
        SlotWord(self.word(slot).load(Relaxed))
    }

    /// What a guest does before it trusts a cached copy: one load, one comparison.
    #[inline]
    #[must_use]
    pub fn is_current(self, slot: SlotIndex, word: SlotWord) -> bool {
        // Acquire: what the guest reads after this check (the cached copy, the next component's word) is read later
        // than the word. Without it a path walk could check the child before the parent.
        self.word(slot).load(Acquire) == word.0
    }

    /// One more change in progress. Follow the last of a set with [`announce_fence`].
    #[inline]
    pub(crate) fn announce(self, slot: SlotIndex) -> SlotWord {
        if broken!(SkipAnnounce) {
            return self.peek(slot);
        }
        let step = |word| {
            if broken!(AnnounceCarries) { word + 1 } else { SlotWord(word).announced().0 }
        };
        // Release: the ledger's INTENT stands before the mark does (`Line::mark`). What the mark itself must precede
        // is the fence's affair.
        SlotWord(self.word(slot).advance(Release, step).1)
    }

    /// An announced change has ended: one fewer in progress, one more finished. Returns the word as it left it.
    #[inline]
    pub(crate) fn publish(self, slot: SlotIndex) -> SlotWord {
        SlotWord(self.word(slot).advance(publish_order(), published).1)
    }

    /// As [`Self::publish`], by who has `announced` it and left this word: most probably it still is.
    #[inline]
    pub(crate) fn publish_announced(self, slot: SlotIndex, announced: SlotWord) -> SlotWord {
        SlotWord(self.word(slot).advance_from(announced.0, publish_order(), published).1)
    }

    /// A change has been made that nobody announced (a host event, after the fact).
    #[inline]
    pub fn advance(self, slot: SlotIndex) {
        self.word(slot).fetch_add(GENERATION_ONE, advance_order());
    }

    /// As [`Self::advance`], if the word still is as it was `seen`. True when it was.
    pub(crate) fn advance_from(self, slot: SlotIndex, seen: SlotWord) -> bool {
        let moved = seen.0.wrapping_add(GENERATION_ONE);
        // Relaxed when it fails: it is read again.
        self.word(slot).compare_exchange(seen.0, moved, advance_order(), Relaxed).is_ok()
    }

    /// Advances every slot from `from` up to, not including, `to`: nothing that was observed before this call counts
    /// any longer.
    pub fn advance_range(self, from: u32, to: u32) {
        let first = from.saturating_sub(FIRST_SLOT) as usize;
        let last = (to.saturating_sub(FIRST_SLOT) as usize).min(self.slots.len());
        for word in self.slots.get(first..last).unwrap_or_default() {
            word.fetch_add(GENERATION_ONE, advance_order());
        }
    }

    /// Reads the word for an observation. Follow the last of a set with [`observe_fence`].
    #[inline]
    pub(crate) fn observe(self, slot: SlotIndex) -> SlotWord {
        let word = self.word(slot);
        // Relaxed: the fence orders what is read next.
        let seen = SlotWord(word.load(Relaxed));
        if seen != SlotWord::UNTOUCHED {
            return seen;
        }
        // An untouched slot vouches for nothing (a zeroed table must match no stamp), so the first observer moves it.
        // Relaxed: it announces no change; the failure's value counts as the load above does.
        match word.compare_exchange(0, SlotWord::UNTOUCHED.swept().0, Relaxed, Relaxed) {
            Ok(_) => SlotWord::UNTOUCHED.swept(),
            Err(now) => SlotWord(now),
        }
    }
}

/// Release: whoever observes the published word finds the change that went before it.
#[inline]
fn publish_order() -> shm_layout::word::Ordering {
    if broken!(PublishRelaxed) { Relaxed } else { Release }
}

/// `word` with one change fewer in progress, and one more finished.
#[inline]
fn published(word: u64) -> u64 {
    if broken!(PublishUnsticks) {
        word.wrapping_add(GENERATION_ONE - 1)
    } else {
        SlotWord(word).published().0
    }
}

/// Release: an observer of the advanced word finds the change that the event told of.
#[inline]
fn advance_order() -> shm_layout::word::Ordering {
    if broken!(AdvanceRelaxed) { Relaxed } else { Release }
}

/// Stands between the marks of a set and the change.
///
/// Release half: whoever sees anything of the change sees the marks. Acquire half: what the changer reads from here on
/// is no older than what its marks followed, which the "alone" rule rests on.
#[inline]
pub(crate) fn announce_fence() {
    if broken!(AnnounceFence) {
        return;
    }
    fence(AcqRel);
}

/// Stands between an observation and the read that it vouches for: the read finds every change that the observed
/// words have counted.
#[inline]
pub(crate) fn observe_fence() {
    if broken!(ObserveFence) {
        return;
    }
    fence(Acquire);
}
