//! When a guest is called.

use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread;
use std::time::{Duration, Instant};

use fuse::ProtocolError;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use vhost_user_backend::VringT;

use super::*;
use crate::transport::memory::{AtomicMemory, Memory};
use crate::transport::owed::PATIENCE;
use crate::transport::serve::Counters;
use crate::transport::testing::{BUFFERS, Driver, Script, event, readable, writable};

/// Serves `requests`, all of which are there when the worker is kicked, and asks for a call after each of them, as a
/// sleeping guest does.
fn serve(script: Script, requests: usize, event_idx: bool) -> Driver {
    let mut driver = Driver::new(&AtomicMemory::new(Memory::new()));
    driver.ring.set_queue_event_idx(event_idx);
    driver.call_after(0);
    for _ in 0..requests {
        driver.offer(&[readable(BUFFERS, 8), writable(BUFFERS + 64, 8)]);
    }
    let counters = Arc::<Counters>::default();
    let requests = Arc::new(Requests { handler: Arc::new(script), counters, window: None });
    let place = Workplace { requests, closing: AtomicBool::new(false), pool: None };
    Worker::default().kicked((1, 0), &driver.ring, None, &place);
    driver
}

/// Answers nothing, after `before`.
fn script(before: impl Fn() + Send + Sync + 'static) -> Script {
    Script::new(move |_, _| {
        before();
        Ok::<_, ProtocolError>(0)
    })
}

#[test]
fn a_guest_is_called_once_for_what_is_answered_together() {
    for event_idx in [false, true] {
        let mut driver = serve(script(|| ()), 4, event_idx);
        assert_eq!(driver.used().len(), 4);
        let calls = driver.calls();
        // More only where this thread was kept from running for longer than the guest is to wait.
        assert!((1..4).contains(&calls), "{calls} calls");
    }
}

#[test]
fn a_guest_is_not_kept_waiting_for_slow_requests() {
    let mut driver = serve(script(|| thread::sleep(2 * PATIENCE)), 4, false);
    // The first reply waits for the second, which is late already: that settles both.
    assert_eq!(driver.calls(), 2);
}

#[test]
fn a_guest_is_called_before_what_takes_long() {
    let mut driver = serve(Script::slow(), 4, false);
    assert_eq!(driver.calls(), 4);
}

#[test]
fn what_is_owed_is_settled_when_the_ring_stops() {
    let malformed = Script::new(|request, _| match request.remaining() {
        8 => Ok(0),
        short => Err(ProtocolError::ShortHeader(short)),
    });
    let mut driver = Driver::new(&AtomicMemory::new(Memory::new()));
    driver.offer(&[readable(BUFFERS, 8)]);
    driver.offer(&[readable(BUFFERS, 4)]);
    let counters = Arc::<Counters>::default();
    let requests = Arc::new(Requests { handler: Arc::new(malformed), counters, window: None });
    let place = Workplace { requests, closing: AtomicBool::new(false), pool: None };
    Worker::default().kicked((1, 0), &driver.ring, None, &place);
    assert!(driver.ring.is_stopped());
    assert_eq!(driver.calls(), 1);
    assert!(driver.ring.is_idle_within(Duration::ZERO));
}

/// Kicks for nothing, each right before one for something: while the worker reads the one that nobody has read, the other
/// may come, and is read with it.
#[test]
fn no_kick_is_lost_between_two() {
    const REQUESTS: u16 = 2_000;
    let mut driver = Driver::new(&AtomicMemory::new(Memory::new()));
    let mut kick = event();
    driver.ring.set_kick(Some(kick.try_clone().unwrap()));
    let epoll = epoll::create(CreateFlags::CLOEXEC).unwrap();
    watch_kicks(&epoll, &driver.ring);
    let counters = Arc::<Counters>::default();
    let requests = Arc::new(Requests { handler: Arc::new(script(|| ())), counters, window: None });
    let place = Workplace { requests, closing: AtomicBool::new(false), pool: None };
    let ring = driver.ring.clone();
    thread::scope(|scope| {
        scope.spawn(|| {
            let worker = Worker::default();
            while !place.closing.load(Ordering::Relaxed) {
                let mut events =
                    [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }];
                if epoll::wait(&epoll, &mut events, None).unwrap() > 0 {
                    ring.read_kick().unwrap();
                    worker.kicked((1, 0), &ring, Some(epoll.as_fd()), &place);
                }
            }
        });
        let mut raise = || kick.write_all(&1u64.to_ne_bytes()).unwrap();
        let mut missed = 0;
        for count in 1..=REQUESTS {
            raise();
            driver.offer(&[readable(BUFFERS, 8)]);
            raise();
            let begun = Instant::now();
            while driver.used_index() != count && begun.elapsed() < Duration::from_secs(30) {
                thread::yield_now();
            }
            missed += u16::from(driver.used_index() != count);
            if missed > 0 {
                break;
            }
        }
        place.closing.store(true, Ordering::Relaxed);
        raise();
        assert_eq!(missed, 0, "a kick was lost");
    });
}

/// Has `epoll` watch kicks as `vhost-user-backend` does.
fn watch_kicks(epoll: &OwnedFd, ring: &Ring) {
    let vring = ring.get_ref();
    let event = vring.get_kick().as_ref().unwrap().as_raw_fd();
    // SAFETY: the ring keeps it open for longer than this call.
    let event = unsafe { BorrowedFd::borrow_raw(event) };
    epoll::add(epoll, event, EventData::new_u64(0), EventFlags::IN).unwrap();
}
