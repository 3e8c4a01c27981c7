use super::*;
use crate::slots::SlotIndex;

fn slot() -> SlotIndex {
    SlotIndex::new(600).unwrap()
}

fn words(word: u64) -> Vec<SharedU64> {
    (0..512).map(|_| SharedU64::new(word)).collect()
}

fn observed(promises: &Promises, word: u64) {
    promises.observed(&[Snapshot { slot: slot().get(), word }]);
}

#[test]
fn what_nobody_was_promised_is_left_alone() {
    let promises = Promises::new(1 << 12).unwrap();
    let slots = words(5 << 16);
    assert!(!promises.end(Words::new(&slots), slot()));
    observed(&promises, 5 << 16);
    assert!(promises.end(Words::new(&slots), slot()));
    assert!(!promises.end(Words::new(&slots), slot()), "it has moved past the promise");
}

#[test]
fn a_mark_or_a_step_of_another_is_past_the_promise() {
    let promises = Promises::new(1 << 12).unwrap();
    observed(&promises, 5 << 16);
    for past in [6 << 16, (5 << 16) + 1] {
        assert!(!promises.end(Words::new(&words(past)), slot()));
    }
}

#[test]
fn a_change_in_progress_is_moved_because_its_own_words_are_promised() {
    let promises = Promises::new(1 << 12).unwrap();
    let announced = SlotWord((5 << 16) + 1);
    promises.announced([(slot(), announced)].into_iter());
    for not_past in [announced.0, 6 << 16] {
        assert!(promises.end(Words::new(&words(not_past)), slot()), "{not_past:x}");
    }
    assert!(!promises.end(Words::new(&words((6 << 16) + 1)), slot()));
}

#[test]
fn a_promise_never_goes_back_and_wraps() {
    let promises = Promises::new(1 << 12).unwrap();
    observed(&promises, u64::MAX << 16);
    observed(&promises, 1 << 16);
    observed(&promises, u64::MAX << 16);
    assert!(!promises.end(Words::new(&words(2 << 16)), slot()));
    assert!(promises.end(Words::new(&words(1 << 16)), slot()));
    assert!(promises.end(Words::new(&words(u64::MAX << 16)), slot()));
}
