//! Finishing what a dead daemon left: the part that moves words.

use shm_layout::SharedU64;
use shm_layout::word::Ordering::{AcqRel, Acquire};

use crate::ledger::{Entry, FREE, Incarnation, Leaks, Line, State};
use crate::slots::SlotIndex;
use crate::words::Words;

/// What a reaper works with: the table, its own ledger line, and the list of leaks.
///
/// Any number of reapers may be at work on the same dead daemon, may be frozen at any instruction and go on when its
/// row is another's, and may die: each mark is taken back once, by whoever *claims* its entry (swaps it, all 64 bits
/// with the dead daemon's incarnation, for 0) before taking it back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reaper<'a> {
    pub(crate) words: Words<'a>,
    /// Where the reaper notes what it is about to publish, so that its own death leaves no uncounted mark.
    pub(crate) own: Line<'a>,
    pub(crate) leaks: Leaks<'a>,
}

/// What one reap did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Reaped {
    /// Marks that were taken back.
    pub finished: u64,
    /// Marks in doubt, which were left.
    pub doubtful: u64,
}

impl std::ops::AddAssign for Reaped {
    fn add_assign(&mut self, more: Self) {
        self.finished += more.finished;
        self.doubtful += more.doubtful;
    }
}

impl Reaper<'_> {
    /// Finishes the entries of `dead` in `entries`; those of others are left alone.
    pub(crate) fn line(self, entries: &[SharedU64], dead: Incarnation) -> Reaped {
        let mut reaped = Reaped::default();
        for word in entries {
            // Acquire: what the dead daemon did before it wrote this entry is done.
            let seen = word.load(Acquire);
            let ours = |e: &Entry| e.incarnation == dead || broken!(ReapAnyIncarnation);
            let Some(entry) = Entry::decode(seen).filter(ours) else { continue };
            let Some(slot) = self.words.slot(entry.slot) else { continue };
            match entry.state {
                State::Held => reaped.finished += u64::from(self.finish(word, seen, slot)),
                State::Intent if broken!(ReapIntent) => {
                    reaped.finished += u64::from(self.finish(word, seen, slot));
                }
                State::Intent => reaped.doubtful += u64::from(self.leave(word, seen, slot.get())),
                State::Claimed => {}
            }
        }
        reaped
    }

    /// Gives up the entries of `dead` in `entries`: only their maker knew when to take the marks back.
    pub(crate) fn abandon(self, entries: &[SharedU64], dead: Incarnation) -> Reaped {
        let mut reaped = Reaped::default();
        for word in entries {
            // Acquire: as in `line`.
            let seen = word.load(Acquire);
            if let Some(entry) = Entry::decode(seen).filter(|e| e.incarnation == dead) {
                reaped.doubtful += u64::from(self.leave(word, seen, entry.slot));
            }
        }
        reaped
    }

    /// Claims a HELD entry, then publishes its slot.
    fn finish(self, word: &SharedU64, seen: u64, slot: SlotIndex) -> bool {
        self.own.intend(0, slot);
        let won = claim(word, seen, FREE) || broken!(ReapWithoutClaim);
        crash_point!();
        if won {
            self.words.publish(slot);
        }
        crash_point!();
        self.own.clear(0);
        won
    }

    /// Leaves a mark in doubt, counted: a slot that stays busy is slower and never stale.
    ///
    /// Counted first, then claimed: a reaper that dies in between makes one count too many, never one too few.
    fn leave(self, word: &SharedU64, seen: u64, slot: u32) -> bool {
        self.leaks.add(slot);
        crash_point!();
        let won = claim(word, seen, FREE);
        if !won {
            self.leaks.remove(slot);
        }
        won
    }

    /// Takes back the marks of `dead`'s unfinished pass.
    pub(crate) fn pass(self, record: &SharedU64, dead: Incarnation) -> Reaped {
        let mut reaped = Reaped::default();
        loop {
            // Acquire: as in `line`.
            let seen = record.load(Acquire);
            let Some(entry) = Entry::decode(seen).filter(|e| e.incarnation == dead) else {
                return reaped;
            };
            if entry.state != State::Claimed {
                // One in doubt: the slot at the record, unless every slot was marked and none is being unmarked.
                let claimed = entry.with(State::Claimed).encode();
                if self.words.slot(entry.slot).is_some() {
                    let left = self.doubt(record, seen, claimed, entry.slot);
                    reaped.doubtful += u64::from(left);
                } else {
                    claim(record, seen, claimed);
                }
                continue;
            }
            let Some(last) = entry.slot.checked_sub(1).and_then(|s| self.words.slot(s)) else {
                // No marked slot is left.
                claim(record, seen, FREE);
                continue;
            };
            self.own.intend(0, last);
            let below = Entry { slot: last.get(), ..entry };
            if claim(record, seen, below.encode()) || broken!(ReapWithoutClaim) {
                self.words.publish(last);
                reaped.finished += 1;
            }
            self.own.clear(0);
        }
    }

    /// As [`Self::leave`], for the slot at a pass's record.
    fn doubt(self, record: &SharedU64, seen: u64, claimed: u64, slot: u32) -> bool {
        self.leaks.add(slot);
        let won = claim(record, seen, claimed);
        if !won {
            self.leaks.remove(slot);
        }
        won
    }
}

/// Makes an entry the caller's, once.
fn claim(word: &SharedU64, seen: u64, to: u64) -> bool {
    // AcqRel: the claim comes before the publish that it permits, and after the dead daemon's last word.
    word.compare_exchange(seen, to, AcqRel, Acquire).is_ok()
}

#[cfg(all(test, not(loom)))]
#[path = "reap_tests.rs"]
mod tests;
