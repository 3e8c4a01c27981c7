//! Announcing and publishing: a change is a guard value.

use shm_layout::{SlotWord, Snapshot};

use crate::ledger::Line;
use crate::limits::MAX_CHANGE_SLOTS;
use crate::pass::Pass;
use crate::slots::{SlotIndex, SlotSet};
use crate::words::{Words, announce_fence};

/// A change in progress: its slots are busy from the moment this value exists until it is dropped.
///
/// Make it, make the change, drop it (or [`Change::finish`] it), reply. Dropping publishes on every way out, also while
/// unwinding: a change that failed may have changed something all the same. Should it be leaked, its slots stay busy,
/// which is slower and never stale.
#[derive(Debug)]
#[must_use = "dropping it at once publishes before the change"]
pub struct Change<'a> {
    marks: Marks<'a>,
}

#[derive(Debug)]
enum Marks<'a> {
    /// The slots that the change touches.
    Some(Set<'a>),
    /// Every slot: nobody knows what the change may touch.
    All(Pass<'a>),
}

/// Marked slots, each with the word as announcing left it.
#[derive(Debug)]
struct Set<'a> {
    words: Words<'a>,
    line: Line<'a>,
    slots: SlotSet,
    announced: [SlotWord; MAX_CHANGE_SLOTS],
    /// How many of the slots bear our mark.
    marked: usize,
}

impl<'a> Change<'a> {
    /// Announces `slots` through `line`, which must have no other change in it.
    pub(crate) fn announce(words: Words<'a>, line: Line<'a>, slots: SlotSet) -> Self {
        let announced = [SlotWord::UNTOUCHED; MAX_CHANGE_SLOTS];
        let mut set = Set { words, line, slots, announced, marked: 0 };
        for (at, &slot) in slots.as_slice().iter().enumerate() {
            set.announced[at] = line.mark(words, at, slot);
            set.marked = at + 1;
        }
        announce_fence();
        Self { marks: Marks::Some(set) }
    }

    /// A change that may touch anything, under a pass that has marked everything.
    pub(crate) fn of_everything(pass: Pass<'a>) -> Self {
        announce_fence();
        Self { marks: Marks::All(pass) }
    }

    /// Reads what the reply will say, then publishes. The result may vouch for what was read, for each slot on which
    /// this change was alone.
    pub fn finish<T>(self, read: impl FnOnce() -> T) -> (T, Published) {
        let value = read();
        let published = match self.marks {
            Marks::Some(mut set) => set.publish(),
            Marks::All(pass) => {
                drop(pass);
                Published::NOTHING
            }
        };
        (value, published)
    }

    /// Publishes. The same as dropping, for those who like to see it.
    pub fn publish(self) {
        drop(self);
    }
}

impl Set<'_> {
    /// Takes the marks back, the last one first, and says which words a reply may carry.
    fn publish(&mut self) -> Published {
        let mut published = Published { slots: self.slots, ..Published::NOTHING };
        while let Some(at) = self.marked.checked_sub(1) {
            // Before the publish: should it not return, the mark is not taken back twice.
            self.marked = at;
            let slot = self.slots.as_slice()[at];
            let word = self.line.unmark(self.words, at, slot);
            if alone(self.announced[at], word) && !self.words.is_lost() {
                published.words[at] = word;
            }
        }
        published
    }
}

impl Drop for Set<'_> {
    fn drop(&mut self) {
        if crashed!() {
            return;
        }
        self.publish();
    }
}

/// Whether nobody else's change or event touched the slot between announce and publish.
///
/// The announce found the slot idle, and the publish found it as the announce had left it.
fn alone(announced: SlotWord, published: SlotWord) -> bool {
    let undisturbed = published == announced.published() && published.vouches();
    (announced.busy() == 1 && undisturbed) || (broken!(StampNotAlone) && published.vouches())
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
