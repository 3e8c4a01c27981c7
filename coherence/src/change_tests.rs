use std::panic::{AssertUnwindSafe, catch_unwind};

use shm_layout::{FIRST_SLOT, SharedU64};

use super::*;
use crate::ledger::{FREE, Incarnation};
use shm_layout::word::Ordering::Relaxed;

const START: SlotWord = SlotWord::new(1, 0);

fn table(len: usize) -> Vec<SharedU64> {
    (0..len).map(|_| SharedU64::new(START.0)).collect()
}

fn slot(n: u32) -> SlotIndex {
    SlotIndex::new(FIRST_SLOT + n).unwrap()
}

fn ledger() -> Vec<SharedU64> {
    (0..MAX_CHANGE_SLOTS).map(|_| SharedU64::new(FREE)).collect()
}

/// A seat with a ledger.
#[derive(Debug)]
struct Desk<'a>(Words<'a>, &'a [SharedU64]);

impl Seat for Desk<'_> {
    fn words(&self) -> Words<'_> {
        self.0
    }

    fn line(&self) -> Line<'_> {
        Line::new(self.1, Incarnation::new(1).unwrap())
    }

    fn record(&self) -> Option<Record<'_>> {
        None
    }
}

#[test]
fn slots_are_busy_while_the_change_lives_and_moved_afterwards() {
    let (slots, entries) = (table(4), ledger());
    let words = Words::new(&slots);
    let seat = Desk(words, &entries);
    let mut pending = Pending::default();
    let change = Change::announce(&seat, &mut pending, [slot(0), slot(3), slot(0)].into());
    assert_eq!([0, 1, 2, 3].map(|n| words.peek(slot(n)).busy()), [1, 0, 0, 1]);
    assert_eq!(Line::in_use(&entries), 2);
    change.publish();
    assert_eq!(words.peek(slot(0)), START.swept());
    assert_eq!(words.peek(slot(1)), START);
    assert_eq!(Line::in_use(&entries), 0);
}

#[test]
fn a_change_publishes_while_unwinding() {
    let (slots, entries) = (table(1), ledger());
    let words = Words::new(&slots);
    let seat = Desk(words, &entries);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let mut pending = Pending::default();
        let _change = Change::announce(&seat, &mut pending, [slot(0)].into());
        std::panic::resume_unwind(Box::new(()));
    }));
    assert!(unwound.is_err());
    assert_eq!(words.peek(slot(0)), START.swept());
    assert_eq!(entries[0].load(Relaxed), FREE);
}

#[test]
fn a_change_publishes_when_the_last_read_unwinds() {
    let (slots, entries) = (table(1), ledger());
    let words = Words::new(&slots);
    let seat = Desk(words, &entries);
    let unwound = catch_unwind(AssertUnwindSafe(|| {
        let mut pending = Pending::default();
        let change = Change::announce(&seat, &mut pending, [slot(0)].into());
        change.finish(|| std::panic::resume_unwind(Box::new(())))
    }));
    assert!(unwound.is_err());
    assert_eq!(words.peek(slot(0)), START.swept());
}

#[test]
fn a_leaked_change_ends_with_the_next_one() {
    let (slots, entries) = (table(2), ledger());
    let words = Words::new(&slots);
    let seat = Desk(words, &entries);
    let mut pending = Pending::default();
    let leaked = Change::announce(&seat, &mut pending, [slot(0)].into());
    std::mem::forget(leaked);
    assert!(words.peek(slot(0)).is_busy());
    assert_eq!(Line::in_use(&entries), 1, "a reaper would find it");
    Change::announce(&seat, &mut pending, [slot(1)].into()).publish();
    assert_eq!([0, 1].map(|n| words.peek(slot(n))), [START.swept(); 2]);
}

#[test]
fn a_change_that_was_alone_vouches_for_what_it_read() {
    let slots = table(2);
    let words = Words::new(&slots);
    let seat = Unrecorded(words);
    let mut pending = Pending::default();
    let change = Change::unrecorded(&seat, &mut pending, [slot(0), slot(1)].into());
    words.advance(slot(1));
    let (read, published) = change.finish(|| 42);
    assert_eq!(read, 42);
    let alone = published.snapshot(slot(0));
    assert!(words.is_current(slot(0), SlotWord(alone.word)));
    assert_eq!(published.snapshot(slot(1)), Snapshot::NOT_COVERED, "an event came in between");
}

#[test]
fn neither_of_two_changes_at_once_vouches() {
    let slots = table(1);
    let words = Words::new(&slots);
    let seat = Unrecorded(words);
    let mut pending_of_first = Pending::default();
    let first = Change::unrecorded(&seat, &mut pending_of_first, [slot(0)].into());
    let mut pending_of_second = Pending::default();
    let second = Change::unrecorded(&seat, &mut pending_of_second, [slot(0)].into());
    let ((), first) = first.finish(|| ());
    let ((), second) = second.finish(|| ());
    assert_eq!(first.snapshot(slot(0)), Snapshot::NOT_COVERED);
    assert_eq!(second.snapshot(slot(0)), Snapshot::NOT_COVERED);
}

#[test]
fn a_change_vouches_only_for_its_own_slots() {
    let slots = table(2);
    let seat = Unrecorded(Words::new(&slots));
    let mut pending = Pending::default();
    let change = Change::unrecorded(&seat, &mut pending, [slot(0)].into());
    let ((), published) = change.finish(|| ());
    assert_eq!(published.snapshot(slot(1)), Snapshot::NOT_COVERED);
}

#[test]
fn a_wrap_to_zero_vouches_for_nothing() {
    let slots = [SharedU64::new(SlotWord::new((1 << 48) - 1, 0).0)];
    let seat = Unrecorded(Words::new(&slots));
    let mut pending = Pending::default();
    let change = Change::unrecorded(&seat, &mut pending, [slot(0)].into());
    let ((), published) = change.finish(|| ());
    assert_eq!(published.snapshot(slot(0)), Snapshot::NOT_COVERED);
}

#[test]
fn observing_touches_an_untouched_slot_and_gives_no_stamp_on_a_busy_one() {
    let slots = [SharedU64::new(0), SharedU64::new(START.announced().0)];
    let words = Words::new(&slots);
    let ((), [touched, busy]) = words.observe_all([slot(0), slot(1)]).then(|| ());
    assert_eq!(touched, Snapshot { slot: FIRST_SLOT, word: SlotWord::new(1, 0).0 });
    assert_eq!(busy, Snapshot::NOT_COVERED);
}

#[test]
fn a_range_is_advanced_up_to_its_end_and_no_further() {
    let slots = table(4);
    let words = Words::new(&slots);
    words.advance_range(slot(1).get(), slot(3).get());
    words.advance_range(0, 0);
    words.advance_range(u32::MAX, 0);
    let moved = [0, 1, 2, 3].map(|n| words.peek(slot(n)) != START);
    assert_eq!(moved, [false, true, true, false]);
}
