use shm_layout::word::Ordering::Relaxed;
use shm_layout::{FIRST_SLOT, SharedU64, SlotWord};

use super::*;
use crate::ledger::Incarnation;

fn words_of(len: usize, value: u64) -> Vec<SharedU64> {
    (0..len).map(|_| SharedU64::new(value)).collect()
}

fn slot(n: u32) -> SlotIndex {
    SlotIndex::new(FIRST_SLOT + n).unwrap()
}

#[test]
fn a_mapping_and_a_name_that_lingers_have_a_mark_each() {
    let (slots, entries) = (words_of(4, SlotWord::new(1, 0).0), words_of(3, 0));
    let words = Words::new(&slots);
    let line = Line::new(&entries, Incarnation::new(1).unwrap());
    let mut holds = Holds::new(2, 1);
    let child = [slot(0)].into();
    holds.hold(words, line, &child, HoldKind::Dax).unwrap();
    holds.hold(words, line, &child, HoldKind::Lingering).unwrap();
    assert_eq!((words.peek(slot(0)).busy(), Line::in_use(&entries)), (2, 2));
    holds.release(words, line, &child, HoldKind::Lingering);
    assert_eq!((words.peek(slot(0)).busy(), Line::in_use(&entries)), (1, 1));
    assert_eq!(entries.iter().position(|e| e.load(Relaxed) != 0), Some(0), "the mapping's");
}

#[test]
fn a_slot_bears_one_mark_however_often_it_is_held() {
    let (slots, entries) = (words_of(4, SlotWord::new(1, 0).0), words_of(3, 0));
    let words = Words::new(&slots);
    let line = Line::new(&entries, Incarnation::new(1).unwrap());
    let mut holds = Holds::new(2, 1);
    holds.hold(words, line, &[slot(0), slot(1)].into(), HoldKind::Dax).unwrap();
    holds.hold(words, line, &[slot(1)].into(), HoldKind::Dax).unwrap();
    assert_eq!([0, 1, 2].map(|n| words.peek(slot(n)).busy()), [1, 1, 0]);
    assert_eq!(holds.hold(words, line, &[slot(1), slot(2)].into(), HoldKind::Dax), Err(Full));
    assert_eq!(words.peek(slot(2)).busy(), 0, "all or nothing");
    holds.hold(words, line, &[slot(2)].into(), HoldKind::Lingering).unwrap();
    holds.release(words, line, &[slot(0), slot(1)].into(), HoldKind::Dax);
    assert_eq!([0, 1, 2].map(|n| words.peek(slot(n)).busy()), [0, 1, 1]);
    holds.release(words, line, &[slot(1)].into(), HoldKind::Dax);
    holds.release(words, line, &[slot(2)].into(), HoldKind::Lingering);
    assert_eq!(Line::in_use(&entries) + holds.len(), 0);
    holds.release(words, line, &[slot(1)].into(), HoldKind::Dax);
    assert_eq!(words.peek(slot(1)), SlotWord::new(2, 0), "once is enough");
}
