//! What a daemon has announced, written where the others find it when it dies.

use shm_layout::word::Ordering::{AcqRel, Acquire, Relaxed, Release};
use shm_layout::{SharedU64, SlotWord};

use crate::slots::SlotIndex;
use crate::words::Words;

/// Bits of an [`Incarnation`] in a ledger word.
const INCARNATION_BITS: u32 = 35;

/// One life of a daemon on a table: a number that no other life ever has.
///
/// Every word that a daemon writes into the host-only file carries it. A row is used by one daemon after the other, so
/// a reaper that was frozen and goes on would otherwise take the next daemon's marks for the dead one's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(u64);

impl Incarnation {
    /// The incarnation of that number; none for 0 ("no daemon") and when the numbers are used up.
    #[must_use]
    pub const fn new(number: u64) -> Option<Self> {
        if number == 0 || number >> INCARNATION_BITS != 0 { None } else { Some(Self(number)) }
    }

    /// The number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// How far a mark has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// The mark is about to be set or taken back, or just has been: nobody but its maker can tell.
    Intent = 1,
    /// The mark is set.
    Held = 2,
    /// A reaper takes the marks of a dead daemon's pass back, slot by slot.
    Claimed = 3,
}

/// A ledger word: `incarnation:35 | slot:27 | state:2`. Zero: free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) incarnation: Incarnation,
    /// A slot, or in the record of a pass one past the last marked slot.
    pub(crate) slot: u32,
    pub(crate) state: State,
}

const STATE_BITS: u32 = 2;
const SLOT_BITS: u32 = 27;
const _: () = assert!(STATE_BITS + SLOT_BITS + INCARNATION_BITS == u64::BITS);
const _: () = assert!(shm_layout::MAX_WORDS < 1 << SLOT_BITS, "one past the last slot fits");

/// A word that holds no entry.
pub(crate) const FREE: u64 = 0;

impl Entry {
    pub(crate) const fn encode(self) -> u64 {
        (self.incarnation.0 << SLOT_BITS | self.slot as u64) << STATE_BITS | self.state as u64
    }

    /// The entry in a word; none when it is free or nonsense.
    pub(crate) const fn decode(word: u64) -> Option<Self> {
        let state = match word & 3 {
            1 => State::Intent,
            2 => State::Held,
            3 => State::Claimed,
            _ => return None,
        };
        let slot = (word >> STATE_BITS) as u32 & ((1 << SLOT_BITS) - 1);
        match Incarnation::new(word >> (STATE_BITS + SLOT_BITS)) {
            Some(incarnation) => Some(Self { incarnation, slot, state }),
            None => None,
        }
    }

    pub(crate) const fn with(self, state: State) -> Self {
        Self { state, ..self }
    }
}

/// One worker's (or one hold's) place in the ledger: an entry for each slot that it keeps busy.
///
/// A mark goes in as INTENT, mark, HELD and out as INTENT, unmark, free. So at whatever instruction its daemon dies, a
/// HELD entry has its mark for certain, an entry that is gone has none, and each mark in doubt is known by slot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    entries: &'a [SharedU64],
    incarnation: Incarnation,
}

impl<'a> Line<'a> {
    /// The line that `incarnation` writes into `entries`.
    pub(crate) const fn new(entries: &'a [SharedU64], incarnation: Incarnation) -> Self {
        Self { entries, incarnation }
    }

    /// A line that records nothing: for a table that only this process will ever use.
    pub(crate) const fn unrecorded() -> Self {
        Self { entries: &[], incarnation: Incarnation(1) }
    }

    /// Announces `slot` and records it in entry `at`.
    #[inline]
    pub(crate) fn mark(self, words: Words<'_>, at: usize, slot: SlotIndex) -> SlotWord {
        // Relaxed: the announce behind it has release order, so it cannot come first.
        self.record(at, slot, State::Intent, Relaxed);
        crash_point!();
        let word = words.announce(slot);
        crash_point!();
        // Release: the mark is set before the ledger says so.
        self.record(at, slot, State::Held, Release);
        crash_point!();
        word
    }

    /// Publishes `slot`, which stands in entry `at` and probably is as it was when it was `marked`.
    #[inline]
    pub(crate) fn unmark(
        self,
        words: Words<'_>,
        at: usize,
        slot: SlotIndex,
        marked: SlotWord,
    ) -> SlotWord {
        crash_point!();
        // Relaxed: as in `mark`, the publish behind it has release order.
        if !broken!(PublishHeld) {
            self.record(at, slot, State::Intent, Relaxed);
        }
        crash_point!();
        let word = words.publish_announced(slot, marked);
        crash_point!();
        self.clear(at);
        word
    }

    /// Records that `slot` may be about to lose its mark at this line's owner's hands.
    pub(crate) fn intend(self, at: usize, slot: SlotIndex) {
        // Relaxed: what follows is a compare-and-swap with release order.
        self.record(at, slot, State::Intent, Relaxed);
    }

    /// Frees entry `at`.
    #[inline]
    pub(crate) fn clear(self, at: usize) {
        if let Some(word) = self.entries.get(at) {
            // Release: the slot was published before.
            word.store(FREE, Release);
        }
    }

    #[inline]
    fn record(self, at: usize, slot: SlotIndex, state: State, order: shm_layout::word::Ordering) {
        let entry = Entry { incarnation: self.incarnation, slot: slot.get(), state };
        if let Some(word) = self.entries.get(at) {
            word.store(entry.encode(), order);
        }
    }

    /// Entries that are in use: changes in progress, for figures.
    pub(crate) fn in_use(entries: &[SharedU64]) -> usize {
        // Relaxed: a figure of the moment.
        entries.iter().filter(|e| e.load(Relaxed) != FREE).count()
    }
}

/// Marks that nobody will ever take back: their slots stay busy until the table is rebuilt.
///
/// A list of slot numbers, in which 0 is a free place.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leaks<'a> {
    list: &'a [SharedU64],
    /// Leaks that the list had no room for.
    overflow: &'a SharedU64,
}

impl<'a> Leaks<'a> {
    pub(crate) const fn new(list: &'a [SharedU64], overflow: &'a SharedU64) -> Self {
        Self { list, overflow }
    }

    /// Counts a mark on `slot` that may be left for good.
    pub(crate) fn add(self, slot: u32) {
        let free = |place: &&SharedU64| {
            // AcqRel: places are handed from reaper to reaper; nothing else hangs on the order.
            place.compare_exchange(FREE, u64::from(slot), AcqRel, Acquire).is_ok()
        };
        if self.list.iter().find(free).is_none() {
            // Relaxed: a count.
            self.overflow.fetch_add(1, Relaxed);
        }
    }

    /// Takes back one count of `slot`: the mark turned out to be in another reaper's care.
    pub(crate) fn remove(self, slot: u32) {
        let taken = |place: &&SharedU64| {
            // AcqRel: as in `add`.
            place.compare_exchange(u64::from(slot), FREE, AcqRel, Acquire).is_ok()
        };
        let _ = self.list.iter().find(taken);
    }

    /// Leaked slots, those left out that are idle (so nothing was left there), and how many more are not listed.
    pub(crate) fn read(self, words: Words<'_>) -> (Vec<u32>, u64) {
        // Relaxed: figures of the moment.
        let listed = self.list.iter().map(|place| place.load(Relaxed) as u32);
        let busy = |&slot: &u32| words.slot(slot).is_some_and(|s| words.peek(s).is_busy());
        (listed.filter(busy).collect(), self.overflow.load(Relaxed))
    }
}

#[cfg(all(test, not(loom)))]
#[path = "ledger_tests.rs"]
mod tests;
