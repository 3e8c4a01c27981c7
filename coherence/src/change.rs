//! Announcing and publishing: a change is a guard value.

use std::fmt::Debug;

use shm_layout::{SlotWord, Snapshot};

use crate::ledger::Line;
use crate::limits::MAX_CHANGE_SLOTS;
use crate::pass::{self, Record};
use crate::slots::{SlotIndex, SlotSet};
use crate::words::{Words, announce_fence};

/// Where a worker sits: the table, and its place in the ledger.
pub(crate) trait Seat: Debug {
    fn words(&self) -> Words<'_>;
    fn line(&self) -> Line<'_>;
    /// Where it notes how far a pass over the whole table has got.
    fn record(&self) -> Option<Record<'_>>;

    /// Takes the marks of `pending` back, the last one first.
    ///
    /// Here, not with [`Change`], so that the one call that cannot be inlined is the whole of it.
    fn publish(&self, pending: &mut Pending) {
        if pending.everything {
            unmark_everything(self.words(), self.record(), pending);
        }
        let (words, line) = (self.words(), self.line());
        while let Some(at) = pending.marked.checked_sub(1) {
            // Before the publish: should it not return, the mark is not taken back twice.
            pending.marked = at;
            let left = &mut pending.left[at];
            let published = line.unmark(words, at, pending.slots.as_slice()[at], *left);
            let stampable = alone(*left, published) && pending.unstamped & (1 << at) == 0;
            *left = if stampable { published } else { SlotWord::UNTOUCHED };
        }
    }
}

/// A seat without a ledger, on words that only this process will ever use (a model, a measurement): nobody would learn of
/// its marks if the process died. A daemon's changes go through its [`crate::Worker`].
#[derive(Clone, Copy, Debug)]
pub struct Unrecorded<'a>(pub Words<'a>);

impl Seat for Unrecorded<'_> {
    #[inline]
    fn words(&self) -> Words<'_> {
        self.0
    }

    #[inline]
    fn line(&self) -> Line<'_> {
        Line::unrecorded()
    }

    fn record(&self) -> Option<Record<'_>> {
        None
    }
}

/// A change in progress: its slots are busy from the moment this value exists until it is dropped.
///
/// Make it, make the change, drop it (or [`Change::finish`] it), reply. Dropping publishes on every way out, also while
/// unwinding: a change that failed may have changed something all the same. Should it be leaked, its slots stay busy
/// until its worker's next change or the worker's end, which is slower and never stale.
//
// Small, and what it refers to stays where it is: moving more than this costs as much as announcing a slot.
#[derive(Debug)]
#[must_use = "dropping it at once publishes before the change"]
pub struct Change<'a> {
    seat: &'a dyn Seat,
    pending: &'a mut Pending,
}

/// What a worker has to remember of its change in progress.
#[derive(Debug)]
pub struct Pending {
    slots: SlotSet,
    /// Each slot's word as announcing left it; once it is published, as publishing left it, or
    /// [`SlotWord::UNTOUCHED`] when no reply may be stamped with it.
    left: [SlotWord; MAX_CHANGE_SLOTS],
    /// How many of the slots bear the mark.
    marked: usize,
    /// Every slot bears the mark instead: nobody knows what the change may touch.
    everything: bool,
    /// Slots that no reply will be stamped with, a bit each.
    unstamped: u8,
}

const _: () = assert!(MAX_CHANGE_SLOTS <= u8::BITS as usize);

impl Default for Pending {
    fn default() -> Self {
        let left = [SlotWord::UNTOUCHED; MAX_CHANGE_SLOTS];
        Self { slots: SlotSet::EMPTY, left, marked: 0, everything: false, unstamped: 0 }
    }
}

impl Pending {
    #[inline]
    fn is_empty(&self) -> bool {
        self.marked == 0 && !self.everything
    }

    /// Ends the worker's last change, if its [`Change`] was leaked.
    #[inline]
    pub(crate) fn end_leaked(&mut self, seat: &impl Seat) {
        if !self.is_empty() {
            drop(Change { seat, pending: self });
        }
    }
}

impl<'a> Change<'a> {
    /// Announces `slots`. If the worker's last change was leaked, it ends here.
    #[inline]
    pub(crate) fn announce(seat: &'a impl Seat, pending: &'a mut Pending, slots: SlotSet) -> Self {
        pending.end_leaked(seat);
        let (words, line) = (seat.words(), seat.line());
        pending.slots = slots;
        pending.unstamped = 0;
        let Pending { slots, left, marked, .. } = &mut *pending;
        for ((at, &slot), left) in slots.as_slice().iter().enumerate().zip(left) {
            *left = line.mark(words, at, slot);
            *marked = at + 1;
        }
        announce_fence();
        Self { seat, pending }
    }

    /// Says that no reply will be stamped with the words of `slots`.
    pub(crate) fn leave_unstamped(&mut self, slots: &SlotSet) {
        for at in slots.as_slice().iter().filter_map(|&slot| self.pending.slots.position(slot)) {
            self.pending.unstamped |= 1 << at;
        }
    }

    /// The slots that a reply may be stamped with should this change be alone, and their words as announced.
    #[inline]
    pub(crate) fn stampable(&self) -> impl Iterator<Item = (SlotIndex, SlotWord)> {
        let Pending { slots, left, unstamped, .. } = &*self.pending;
        let all = slots.as_slice().iter().copied().zip(left.iter().copied()).enumerate();
        all.filter(move |(at, _)| unstamped & (1 << at) == 0).map(|(_, stampable)| stampable)
    }

    /// Announces on words of this process alone.
    #[inline]
    pub fn unrecorded(seat: &'a Unrecorded<'_>, pending: &'a mut Pending, slots: SlotSet) -> Self {
        Self::announce(seat, pending, slots)
    }

    /// Announces everything: for a change of which nobody knows what it may touch. The seat has a record.
    pub(crate) fn announce_everything(seat: &'a impl Seat, pending: &'a mut Pending) -> Self {
        pending.end_leaked(seat);
        if let Some(record) = seat.record() {
            pending.everything = true;
            pass::mark_all(seat.words(), record);
        }
        announce_fence();
        Self { seat, pending }
    }

    /// Reads what the reply will say, then publishes. The result may vouch for what was read, for each slot on which
    /// this change was alone.
    #[inline]
    pub fn finish<T>(self, read: impl FnOnce() -> T) -> (T, Published) {
        let value = read();
        let everything = self.pending.everything;
        self.seat.publish(self.pending);
        // Asked afterwards: a page that is gone shows zeroes.
        let published = if everything || self.seat.words().is_lost() {
            Published::NOTHING
        } else {
            Published { slots: self.pending.slots, words: self.pending.left }
        };
        (value, published)
    }

    /// Publishes. The same as dropping, for those who like to see it.
    #[inline]
    pub fn publish(self) {
        drop(self);
    }
}

impl Drop for Change<'_> {
    #[inline]
    fn drop(&mut self) {
        if crashed!() {
            return;
        }
        if !self.pending.is_empty() {
            self.seat.publish(self.pending);
        }
    }
}

/// Takes a mark from every slot.
#[cold]
fn unmark_everything(words: Words<'_>, record: Option<Record<'_>>, pending: &mut Pending) {
    pending.everything = false;
    if let Some(record) = record {
        pass::unmark_all(words, record);
    }
}

/// Whether nobody else's change or event touched the slot between announce and publish.
///
/// The announce found the slot idle, and the publish found it as the announce had left it.
#[inline]
fn alone(announced: SlotWord, published: SlotWord) -> bool {
    if broken!(StampNotAlone) {
        return published.vouches();
    }
    announced.busy() == 1 && published == announced.published() && published.vouches()
}

/// The words that a finished change left behind.
#[derive(Clone, Copy, Debug)]
pub struct Published {
    slots: SlotSet,
    /// [`SlotWord::UNTOUCHED`] where the change was not alone.
    words: [SlotWord; MAX_CHANGE_SLOTS],
}

impl Published {
    const NOTHING: Self =
        Self { slots: SlotSet::EMPTY, words: [SlotWord::UNTOUCHED; MAX_CHANGE_SLOTS] };

    /// What vouches for the state of `slot` that was read inside the change: a snapshot when the change was alone on
    /// it, else [`Snapshot::NOT_COVERED`] (then observe, resolve and read again, or reply without a stamp).
    #[must_use]
    pub fn snapshot(&self, slot: SlotIndex) -> Snapshot {
        match self.slots.position(slot).map(|at| self.words[at]) {
            Some(word) if word != SlotWord::UNTOUCHED => {
                Snapshot { slot: slot.get(), word: word.0 }
            }
            _ => Snapshot::NOT_COVERED,
        }
    }
}

#[cfg(all(test, not(loom)))]
#[path = "change_tests.rs"]
mod tests;
