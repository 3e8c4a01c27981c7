use std::os::fd::OwnedFd;
use std::thread;

use rustix::event::{EventfdFlags, eventfd};

use virtio_queue::desc::split::Descriptor;

use super::*;
use crate::transport::testing::{BUFFERS, Driver, SIZE, event, read_event, readable};

fn driver() -> Driver {
    Driver::new(&AtomicMemory::new(Memory::new()))
}

fn one() -> [Descriptor; 1] {
    [readable(BUFFERS, 8)]
}

fn take(driver: &Driver) -> Request {
    match driver.ring.take(1) {
        Ok(Taken::Request(request)) => request,
        other => panic!("no request: {other:?}"),
    }
}

#[test]
fn nothing_offered_nothing_taken() {
    let driver = driver();
    assert!(matches!(driver.ring.take(1), Ok(Taken::Empty)));
}

#[test]
fn rings_that_are_not_to_be_served_give_nothing() {
    let mut driver = driver();
    driver.offer(&one());
    driver.ring.set_enabled(false);
    assert!(matches!(driver.ring.take(1), Ok(Taken::Inactive)));
    driver.ring.set_enabled(true);
    driver.ring.set_queue_ready(false);
    assert!(matches!(driver.ring.take(1), Ok(Taken::Inactive)));
    driver.ring.set_queue_ready(true);
    driver.ring.stop();
    assert!(matches!(driver.ring.take(1), Ok(Taken::Inactive)));
}

#[test]
fn a_ring_that_was_taken_away_is_not_written_to() {
    for event_idx in [false, true] {
        let mut driver = driver();
        driver.ring.set_queue_event_idx(event_idx);
        driver.offer(&one());
        take(&driver);
        driver.ring.set_queue_ready(false);
        let before = driver.used_ring();
        driver.ring.disable_kicks().unwrap();
        assert!(!driver.ring.enable_kicks().unwrap());
        assert_eq!(driver.used_ring(), before);
    }
}

#[test]
fn a_stopped_ring_starts_again_when_it_is_set_up_anew() {
    let mut driver = driver();
    driver.offer(&one());
    assert!(driver.ring.stop());
    assert!(!driver.ring.stop(), "only the first call stops it");
    driver.ring.set_queue_ready(false);
    assert!(driver.ring.is_stopped(), "stopping a ring does not repair it");
    driver.ring.set_queue_ready(true);
    take(&driver);
}

#[test]
fn the_front_end_hears_of_a_stopped_ring() {
    let driver = driver();
    let mut error = event();
    driver.ring.set_err(Some(error.try_clone().unwrap()));
    driver.ring.stop();
    assert_eq!(read_event(&mut error), 1);
}

#[test]
fn an_index_too_far_ahead_is_an_error() {
    let mut driver = driver();
    driver.set_available(SIZE + 1);
    assert!(matches!(
        driver.ring.take(1),
        Err(RingError::AvailableIndex { index: 17, next: 0, size: SIZE })
    ));
}

#[test]
fn indices_wrap() {
    let mut driver = driver();
    driver.ring.set_queue_next_avail(u16::MAX);
    driver.set_available(u16::MAX);
    driver.offer(&one());
    driver.offer(&one());
    take(&driver);
    take(&driver);
    assert!(matches!(driver.ring.take(1), Ok(Taken::Empty)));
}

#[test]
fn a_ring_outside_memory_is_an_error() {
    let driver = driver();
    driver.memory.lock().unwrap().replace(Memory::new());
    assert!(matches!(driver.ring.take(1), Err(RingError::Memory(_))));
    assert!(matches!(driver.ring.enable_kicks(), Err(RingError::Memory(_))));
}

#[test]
fn one_descriptor_offered_again_and_again_is_bounded() {
    let mut driver = driver();
    let mut requests = Vec::new();
    for _ in 0..SIZE {
        driver.offer_head(0);
        requests.push(take(&driver));
    }
    driver.offer_head(0);
    assert!(matches!(driver.ring.take(1), Err(RingError::TooManyInProgress { size: SIZE })));
    requests.pop();
    driver.offer_head(0);
    take(&driver);
}

#[test]
fn waiting_for_idle_waits_for_the_last_request() {
    let mut driver = driver();
    driver.offer(&one());
    let request = take(&driver);
    let ring = driver.ring.clone();
    let waiter = thread::spawn(move || while !ring.is_idle_within(Duration::from_mins(1)) {});
    assert!(!waiter.is_finished());
    drop(request);
    waiter.join().unwrap();
}

#[test]
fn a_kick_that_was_withdrawn_is_no_error() {
    let driver = driver();
    assert!(driver.ring.read_kick().unwrap(), "no kick event at all");
    let blocking = File::from(eventfd(0, EventfdFlags::CLOEXEC).unwrap());
    for event in [event(), blocking] {
        driver.ring.set_kick(Some(event));
        assert!(driver.ring.read_kick().unwrap(), "an event that nobody has raised");
    }
    driver.ring.set_enabled(false);
    assert!(!driver.ring.read_kick().unwrap());
}

#[test]
fn a_kick_is_consumed() {
    let driver = driver();
    let mut kick = event();
    kick.write_all(&1u64.to_ne_bytes()).unwrap();
    driver.ring.set_kick(Some(kick.try_clone().unwrap()));
    assert!(driver.ring.read_kick().unwrap());
    assert_eq!(read_event(&mut kick), 0);
}

#[test]
fn a_kick_event_that_has_ended_is_an_error() {
    let driver = driver();
    let (reader, writer) = std::io::pipe().unwrap();
    driver.ring.set_kick(Some(File::from(OwnedFd::from(reader))));
    drop(writer);
    assert!(driver.ring.read_kick().is_err());
}

#[test]
fn a_running_ring_knows_better_how_far_it_has_come() {
    let mut driver = driver();
    driver.offer(&one());
    let request = take(&driver);
    let memory = driver.memory.memory().into_inner();
    // What a front end's SET_VRING_ADDR reads of the used ring is old when it arrives.
    let stale = driver.ring.queue_used_idx().unwrap();
    let (ring, nothing) = (request.ring().clone(), Buffers::default());
    ring.give_back(0, 8, (&memory, &nothing), request, None).unwrap();
    ring.set_queue_next_used(stale);
    driver.offer(&one());
    let request = take(&driver);
    ring.give_back(1, 16, (&memory, &nothing), request, None).unwrap();
    assert_eq!(driver.used(), [(0, 8), (1, 16)]);
    ring.set_queue_ready(false);
    ring.set_queue_next_used(7);
    assert_eq!(ring.get_ref().get_queue().next_used(), 7, "a ring that is set up is told");
}
