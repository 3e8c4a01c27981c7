//! Neither side sleeps while the other has something for it.

use proptest::prelude::*;
use vhost_user_backend::VringT;
use vm_memory::GuestAddressSpace;

use super::*;
use crate::transport::memory::AtomicMemory;
use crate::transport::testing::{Driver, SIZE};

fn driver(event_idx: bool) -> Driver {
    let driver = Driver::new(&AtomicMemory::new(Memory::new()));
    driver.ring.set_queue_event_idx(event_idx);
    driver
}

fn with<T>(driver: &Driver, act: impl FnOnce(&mut Split<'_>) -> T) -> T {
    let memory = driver.memory.memory();
    let mut vring = driver.ring.get_mut();
    act(&mut Split { queue: vring.get_queue_mut(), memory: &memory })
}

#[test]
fn a_driver_that_wants_no_calls_gets_none() {
    for (flags, wanted) in [(0u16, true), (VRING_AVAIL_F_NO_INTERRUPT as u16, false)] {
        let driver = driver(false);
        driver.put(0x4000, flags);
        let is_wanted = with(&driver, |split| {
            split.push(0, 8).unwrap();
            split.is_call_wanted(0)
        });
        assert_eq!(is_wanted.unwrap(), wanted);
    }
}

#[test]
fn a_word_outside_memory_is_an_error() {
    let driver = driver(true);
    driver.memory.lock().unwrap().replace(Memory::new());
    with(&driver, |split| {
        assert!(matches!(split.push(0, 8), Err(RingError::Memory(_))));
        assert!(matches!(split.is_call_wanted(0), Err(RingError::Memory(_))));
        assert!(matches!(split.want_kick(), Err(RingError::Memory(_))));
        assert!(matches!(split.has_more(), Err(RingError::Memory(_))));
    });
}

/// What the two sides do, in some order. Each step is one that the other side cannot come between, or may.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The device answers a request.
    Push,
    /// The device calls, if that is wanted, for all that it has answered since the last time.
    Call,
    /// The driver writes down that it wants to be called for the next answer.
    Wish,
    /// The driver, having wished, looks once more, and sleeps if there is nothing new.
    Sleep,
}

proptest! {
    /// EVENT_IDX, with calls for several answers at once: whenever the device owes no call, a driver that sleeps has
    /// seen every answer, or been woken.
    #[test]
    fn a_sleeping_driver_is_called(
        start in any::<u16>(),
        steps in prop::collection::vec(
            prop_oneof![Just(Step::Push), Just(Step::Call), Just(Step::Wish), Just(Step::Sleep)],
            1..200,
        ),
    ) {
        let driver = driver(true);
        driver.ring.set_queue_next_used(start);
        driver.put(0x8002, start);
        let (mut seen, mut since, mut used) = (start, start, start);
        let (mut asleep, mut wished) = (false, false);
        for step in steps {
            match step {
                // No more than the ring holds.
                Step::Push if used.wrapping_sub(seen) < SIZE => {
                    with(&driver, |split| split.push(0, 8)).unwrap();
                    used = used.wrapping_add(1);
                }
                Step::Call => {
                    let wanted = with(&driver, |split| split.is_call_wanted(since)).unwrap();
                    since = used;
                    if wanted {
                        asleep = false;
                    }
                    prop_assert!(!asleep || seen == used, "asleep with {} of {}", seen, used);
                }
                Step::Wish if !asleep => {
                    driver.call_after(seen);
                    wished = true;
                }
                Step::Sleep if !asleep => {
                    asleep = wished && seen == used;
                    seen = used;
                    wished = asleep;
                }
                Step::Push | Step::Wish | Step::Sleep => {}
            }
        }
    }
}
