use proptest::prelude::*;

use super::*;

#[test]
fn parts_go_in_and_come_out() {
    let word = SlotWord::new(5, 3);
    assert_eq!(word.0, 5 << 16 | 3);
    assert_eq!((word.generation(), word.busy()), (5, 3));
}

#[test]
fn the_generation_wraps_and_leaves_busy_alone() {
    let last = SlotWord::new((1 << 48) - 1, 2);
    assert_eq!(last.swept(), SlotWord::new(0, 2));
    assert_eq!(last.published(), SlotWord::new(0, 1));
}

#[test]
fn a_stuck_count_neither_carries_nor_comes_down() {
    let stuck = SlotWord::new(7, u16::MAX);
    assert_eq!(stuck.announced(), stuck);
    assert_eq!(stuck.published(), SlotWord::new(8, u16::MAX));
    assert_eq!(SlotWord::new(7, u16::MAX - 1).announced(), stuck);
}

#[test]
fn a_publish_too_many_never_borrows_from_the_generation() {
    assert_eq!(SlotWord::new(7, 0).published(), SlotWord::new(8, 0));
}

#[test]
fn only_an_idle_and_touched_word_vouches() {
    assert!(!SlotWord::UNTOUCHED.vouches());
    assert!(!SlotWord::new(1, 1).vouches());
    assert!(SlotWord::new(1, 0).vouches());
}

proptest! {
    /// Whatever interleaving of announced changes and events: the word differs from where it began, is idle at the
    /// end, and has counted each.
    #[test]
    fn every_change_moves_the_word_for_good(
        start in 0..1_u64 << 48, changes in 1..200_u16, events in 0..50_u64,
    ) {
        let start = SlotWord::new(start, 0);
        let mut word = start;
        for _ in 0..changes { word = word.announced(); }
        prop_assert_eq!(word.busy(), changes);
        for _ in 0..events { word = word.swept(); }
        for _ in 0..changes { word = word.published(); }
        prop_assert_eq!(word.busy(), 0);
        prop_assert_ne!(word, start);
        let moved = word.generation().wrapping_sub(start.generation()) & ((1 << 48) - 1);
        prop_assert_eq!(moved, u64::from(changes) + events);
    }
}
