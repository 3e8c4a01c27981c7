use shm_layout::word::Ordering::Relaxed;
use shm_layout::{FIRST_SLOT, SlotWord};

use super::*;
use crate::pass::{self, Record};

const START: SlotWord = SlotWord::new(1, 0);

struct Fixture {
    slots: Vec<SharedU64>,
    dead: Vec<SharedU64>,
    own: Vec<SharedU64>,
    leaks: Vec<SharedU64>,
    overflow: SharedU64,
}

fn words_of(len: usize, value: u64) -> Vec<SharedU64> {
    (0..len).map(|_| SharedU64::new(value)).collect()
}

fn incarnation(number: u64) -> Incarnation {
    Incarnation::new(number).unwrap()
}

fn slot(n: u32) -> SlotIndex {
    SlotIndex::new(FIRST_SLOT + n).unwrap()
}

impl Fixture {
    fn new() -> Self {
        Self {
            slots: words_of(4, START.0),
            dead: words_of(4, FREE),
            own: words_of(1, FREE),
            leaks: words_of(4, FREE),
            overflow: SharedU64::new(0),
        }
    }

    fn words(&self) -> Words<'_> {
        Words::new(&self.slots)
    }

    fn reaper(&self) -> Reaper<'_> {
        let leaks = Leaks::new(&self.leaks, &self.overflow);
        Reaper { words: self.words(), own: Line::new(&self.own, incarnation(2)), leaks }
    }

    fn dead_line(&self) -> Line<'_> {
        Line::new(&self.dead, incarnation(1))
    }

    fn busy(&self) -> Vec<u16> {
        (0..4).map(|n| self.words().peek(slot(n)).busy()).collect()
    }
}

#[test]
fn held_marks_are_finished_and_doubtful_ones_left() {
    let f = Fixture::new();
    f.dead_line().mark(f.words(), 0, slot(0));
    f.dead_line().mark(f.words(), 1, slot(1));
    f.dead_line().intend(1, slot(1));
    let reaped = f.reaper().line(&f.dead, incarnation(1));
    assert_eq!(reaped, Reaped { finished: 1, doubtful: 1 });
    assert_eq!(f.busy(), [0, 1, 0, 0]);
    assert_eq!(f.reaper().leaks.read(f.words()), (vec![slot(1).get()], 0));
    assert_eq!(Line::in_use(&f.dead) + Line::in_use(&f.own), 0);
    assert_eq!(f.reaper().line(&f.dead, incarnation(1)), Reaped::default(), "a second time");
}

#[test]
fn the_living_and_nonsense_are_left_alone() {
    let f = Fixture::new();
    f.dead_line().mark(f.words(), 0, slot(0));
    f.dead[1].store(u64::MAX, Relaxed);
    let beyond = Entry { incarnation: incarnation(1), slot: 1 << 20, state: State::Held };
    f.dead[2].store(beyond.encode(), Relaxed);
    assert_eq!(f.reaper().line(&f.dead, incarnation(3)), Reaped::default());
    assert_eq!(f.busy(), [1, 0, 0, 0]);
    assert_eq!(f.reaper().line(&f.dead, incarnation(1)).finished, 1);
}

#[test]
fn a_whole_pass_is_taken_back() {
    let f = Fixture::new();
    pass::mark_all(f.words(), Record::new(&f.dead[0], incarnation(1)));
    assert_eq!(f.busy(), [1, 1, 1, 1]);
    let reaped = f.reaper().pass(&f.dead[0], incarnation(1));
    assert_eq!(reaped, Reaped { finished: 4, doubtful: 0 });
    assert_eq!(f.busy(), [0, 0, 0, 0]);
}

#[test]
fn half_a_pass_is_taken_back_but_for_the_slot_in_doubt() {
    let f = Fixture::new();
    pass::mark_all(f.words(), Record::new(&f.dead[0], incarnation(1)));
    // As if it had died on the way back, after publishing slot 3 and in the middle of slot 2.
    f.words().publish(slot(3));
    let half = Entry { incarnation: incarnation(1), slot: slot(2).get(), state: State::Held };
    f.dead[0].store(half.encode(), Relaxed);
    let reaped = f.reaper().pass(&f.dead[0], incarnation(1));
    assert_eq!(reaped, Reaped { finished: 2, doubtful: 1 });
    assert_eq!(f.busy(), [0, 0, 1, 0]);
}

#[test]
fn a_record_that_is_nonsense_ends_the_reap() {
    let f = Fixture::new();
    for slot in [0, 1, (1 << 27) - 1] {
        let entry = Entry { incarnation: incarnation(1), slot, state: State::Claimed };
        f.dead[0].store(entry.encode(), Relaxed);
        assert_eq!(f.reaper().pass(&f.dead[0], incarnation(1)), Reaped::default());
        assert_eq!(f.dead[0].load(Relaxed), FREE);
    }
}
