use parking_lot::Mutex;
use shm_layout::FIRST_SLOT;

use super::*;

/// A clock that moves only when somebody waits, and then as far as they would wait; it notes who was woken.
#[derive(Debug, Default)]
struct Scripted {
    now: Mutex<Duration>,
    woken: Mutex<u32>,
}

impl Clock for Scripted {
    fn now(&self) -> Duration {
        *self.now.lock()
    }

    fn wait(&self, _: &SharedU64, _: u64, at_most: Duration) {
        *self.now.lock() += at_most;
    }

    fn wake(&self, _: &SharedU64) {
        *self.woken.lock() += 1;
    }
}

/// Daemons of these incarnations are gone.
struct Graveyard(&'static [u64]);

impl Census for Graveyard {
    fn is_gone(&self, owner: Owner) -> bool {
        self.0.contains(&owner.incarnation.get())
    }
}

fn owner(number: u64) -> Owner {
    Owner { incarnation: Incarnation::new(number).unwrap(), row: 999, worker: 63 }
}

fn words() -> Vec<SharedU64> {
    (0..32).map(|_| SharedU64::new(FREE)).collect()
}

#[test]
fn owners_survive_encoding() {
    for number in [1, (1 << 35) - 1] {
        assert_eq!(Owner::decode(owner(number).encode() | CONTENDED), Some(owner(number)));
    }
    assert_eq!(Owner::decode(FREE), None);
}

#[test]
fn a_free_lock_is_had_and_given_back_without_the_clock() {
    let (words, clock) = (words(), Scripted::default());
    let locks = NameLocks::new(&words, 8);
    assert_eq!(locks.lock(3, owner(1), &clock, &Graveyard(&[])), Outcome::Locked);
    assert!(locks.is_owned_by(3, owner(1)) && !locks.is_owned_by(2, owner(1)));
    locks.unlock(3, owner(1), &clock);
    assert!(!locks.is_owned_by(3, owner(1)));
    assert_eq!((clock.now(), *clock.woken.lock()), (Duration::ZERO, 0));
}

#[test]
fn patience_ends_after_a_second_and_the_owner_keeps_its_lock() {
    let (words, clock) = (words(), Scripted::default());
    let locks = NameLocks::new(&words, 8);
    assert_eq!(locks.lock(0, owner(1), &clock, &Graveyard(&[])), Outcome::Locked);
    assert_eq!(locks.lock(0, owner(2), &clock, &Graveyard(&[])), Outcome::Overdue(owner(1)));
    assert_eq!(clock.now(), PATIENCE);
    assert!(locks.is_owned_by(0, owner(1)));
    // It was marked contended, so its release wakes.
    locks.unlock(0, owner(1), &clock);
    assert_eq!(*clock.woken.lock(), 1);
}

#[test]
fn the_lock_of_the_dead_is_had_after_a_first_wait() {
    let (words, clock) = (words(), Scripted::default());
    let locks = NameLocks::new(&words, 8);
    assert_eq!(locks.lock(0, owner(1), &clock, &Graveyard(&[])), Outcome::Locked);
    assert_eq!(locks.lock(0, owner(2), &clock, &Graveyard(&[1])), Outcome::Locked);
    assert_eq!(clock.now(), LOOK_AGAIN);
    locks.unlock(0, owner(1), &clock);
    assert!(locks.is_owned_by(0, owner(2)), "whoever lost a lock does not release it");
}

#[test]
fn every_lock_of_the_dead_is_released() {
    let (words, clock) = (words(), Scripted::default());
    let locks = NameLocks::new(&words, 8);
    for (stripe, number) in [(0, 1), (1, 2), (2, 1)] {
        locks.lock(stripe, owner(number), &clock, &Graveyard(&[]));
    }
    assert_eq!(locks.release_dead(owner(1).incarnation, &clock), 2);
    assert!(locks.is_owned_by(1, owner(2)));
}

#[test]
fn the_slots_of_a_bucket_share_a_stripe() {
    let words = words();
    let locks = NameLocks::new(&words, 8);
    let stripes = |n: u32| locks.stripe(SlotIndex::new(FIRST_SLOT + n).unwrap());
    assert_eq!([0, 3, 4, 15, 16].map(stripes), [0, 0, 1, 3, 0]);
}
