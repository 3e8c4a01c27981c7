use std::os::fd::IntoRawFd;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Barrier, mpsc};

use fuse::ProtocolError;
use vhost_user_backend::VringT;

use super::*;
use crate::transport::RequestQueues;
use crate::transport::testing::{
    BUFFERS, Driver, END, SIZE, Script, event, read_event, readable, writable,
};

fn options(thread_pool_size: usize) -> Options {
    Options {
        tag: Some("data".parse().unwrap()),
        request_queues: RequestQueues::new(2).unwrap(),
        announced_request_queues: RequestQueues::ONE,
        thread_pool_size,
        once: false,
        region: None,
        window: None,
        identify: Arc::new(crate::transport::Plainly),
    }
}

struct Rig {
    device: Device,
    script: Arc<Script>,
    counters: Arc<Counters>,
    driver: Driver,
}

impl Rig {
    fn new(script: Script, thread_pool_size: usize) -> Self {
        let script = Arc::new(script);
        let counters = Arc::new(Counters::default());
        let handler: Arc<dyn RequestHandler> = script.clone();
        let device = Device::new(&options(thread_pool_size), handler, counters.clone()).unwrap();
        let driver = Driver::new(&device.memory());
        Self { device, script, counters, driver }
    }

    /// Kicks request queue 1.
    fn kick(&self) {
        self.kick_queue(1);
    }

    fn kick_queue(&self, queue: usize) {
        let rings = [self.driver.ring.clone()];
        self.device.handle_event(0, EventSet::IN, &rings, queue).unwrap();
    }

    /// Offers a request of 8 bytes with room for 8.
    fn offer(&mut self, text: [u8; 8]) -> u16 {
        self.driver.put(BUFFERS, u64::from_le_bytes(text));
        self.driver.offer(&[readable(BUFFERS, 8), writable(BUFFERS + 64, 8)])
    }

    fn has_stopped(&self) -> bool {
        self.driver.ring.is_stopped()
    }
}

#[test]
fn a_request_is_answered_in_the_used_ring() {
    let mut rig = Rig::new(Script::echo(), 0);
    let first = rig.offer(*b"request1");
    let second = rig.offer(*b"request2");
    rig.kick();
    assert_eq!(rig.driver.used(), [(first.into(), 8), (second.into(), 8)]);
    assert_eq!(rig.driver.get::<u64>(BUFFERS + 64).to_le_bytes(), *b"request2");
    assert_ne!(rig.driver.calls(), 0);
    assert_eq!(rig.script.threads.load(SeqCst), 1, "the worker was prepared once");
}

#[test]
fn requests_without_a_reply_come_back_empty() {
    let mut rig = Rig::new(Script::new(|_, _| Ok(0)), 0);
    let head = rig.driver.offer(&[readable(BUFFERS, 40)]);
    rig.kick_queue(0);
    assert_eq!(rig.driver.used(), [(head.into(), 0)]);
}

#[test]
fn with_event_idx_the_guest_is_called_when_it_asked() {
    let mut rig = Rig::new(Script::echo(), 0);
    rig.driver.ring.set_queue_event_idx(true);
    rig.driver.call_after(2);
    for text in [*b"request1", *b"request2", *b"request3", *b"request4"] {
        rig.offer(text);
    }
    rig.kick();
    assert_eq!(rig.driver.used().len(), 4);
    assert_eq!(rig.driver.calls(), 1, "after the third and no other");
    assert_eq!(rig.driver.kick_wanted_at(), 4, "the next request is to be announced");
}

#[test]
fn requests_that_come_while_others_are_served_need_no_kick() {
    // The server offers the second request while it serves the first: the guest's side of the race between the last
    // look at the ring and the return to sleep.
    let (sender, receiver) = mpsc::channel();
    let receiver = Mutex::new(receiver);
    let mut rig = Rig::new(
        Script::new(move |_, _| {
            if let Ok(offer) = receiver.lock().try_recv() {
                let offer: Box<dyn FnOnce() + Send> = offer;
                offer();
            }
            Ok(0)
        }),
        0,
    );
    rig.driver.ring.set_queue_event_idx(true);
    rig.offer(*b"request1");
    let second = rig.offer(*b"request2");
    rig.driver.set_available(1);
    let memory = rig.driver.memory.clone();
    sender
        .send(Box::new(move || {
            use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};
            memory.memory().write_obj(2u16, GuestAddress(0x4002)).unwrap();
        }))
        .unwrap();
    rig.kick();
    assert_eq!(rig.driver.used().last(), Some(&(second.into(), 0)));
}

#[test]
fn a_malformed_chain_stops_its_queue_and_no_other() {
    let mut rig = Rig::new(Script::echo(), 0);
    let mut error = event();
    rig.driver.ring.set_err(Some(error.try_clone().unwrap()));
    rig.driver.offer(&[writable(BUFFERS, 8), readable(BUFFERS, 8)]);
    rig.offer(*b"request2");
    rig.kick();
    assert!(rig.has_stopped());
    assert!(rig.driver.used().is_empty(), "what follows is not served either");
    assert_eq!(read_event(&mut error), 1);
    assert_eq!(rig.counters.stopped_queues(), 1);
    rig.kick();
    assert_eq!(rig.counters.stopped_queues(), 1, "counted and logged once");

    let mut other = Driver::new(&rig.device.memory());
    let head = other.offer(&[readable(BUFFERS, 8), writable(BUFFERS + 64, 8)]);
    rig.device.handle_event(0, EventSet::IN, &[other.ring.clone()], 2).unwrap();
    assert_eq!(other.used(), [(head.into(), 8)]);
}

#[test]
fn every_way_to_break_a_ring_stops_it() {
    let breaks: [fn(&mut Driver); 5] = [
        |driver| driver.set_available(SIZE * 2),
        |driver| driver.offer_head(SIZE),
        |driver| {
            driver.offer(&[readable(END, 8)]);
        },
        |driver| {
            driver.offer(&[readable(BUFFERS, 0)]);
        },
        |driver| driver.memory.lock().unwrap().replace(Memory::new()),
    ];
    for (index, break_it) in breaks.into_iter().enumerate() {
        let mut rig = Rig::new(Script::echo(), 0);
        break_it(&mut rig.driver);
        rig.kick();
        assert!(rig.has_stopped(), "break {index}");
    }
}

#[test]
fn a_protocol_error_stops_the_queue() {
    let mut rig = Rig::new(Script::new(|_, _| Err(ProtocolError::ShortHeader(8))), 0);
    rig.offer(*b"request1");
    rig.kick();
    assert!(rig.has_stopped());
    assert!(rig.driver.used().is_empty());
}

#[test]
fn a_worker_that_cannot_be_prepared_serves_nothing() {
    for pool in [0, 1] {
        let mut rig = Rig::new(Script::unfit(), pool);
        rig.offer(*b"request1");
        rig.kick();
        assert!(rig.driver.used().is_empty());
    }
}

#[test]
fn stray_events_are_ignored() {
    let rig = Rig::new(Script::echo(), 0);
    let rings = [rig.driver.ring.clone()];
    rig.device.handle_event(7, EventSet::IN, &rings, 1).unwrap();
    rig.device.handle_event(0, EventSet::IN, &rings, 99).unwrap();
    assert_eq!(rig.script.threads.load(SeqCst), 0);
}

#[test]
fn a_device_that_hangs_up_leaves_the_ring() {
    let mut rig = Rig::new(Script::echo(), 0);
    rig.offer(*b"request1");
    rig.device.hang_up();
    rig.kick();
    assert!(rig.driver.used().is_empty());
}

#[test]
fn a_pool_serves_requests_of_one_queue_side_by_side() {
    let barrier = Arc::new(Barrier::new(3));
    let meet = barrier.clone();
    let mut rig = Rig::new(
        Script::new(move |_, _| {
            meet.wait(); // Passes only when three requests are being served at once.
            Ok(0)
        }),
        3,
    );
    for text in [*b"request1", *b"request2", *b"request3"] {
        rig.offer(text);
    }
    rig.kick();
    rig.device.stop_vring(1).unwrap();
    assert_eq!(rig.driver.used().len(), 3, "stopping a ring waits for what has begun");
}

#[test]
fn the_pool_leaves_forgets_to_the_hiprio_worker() {
    let here = std::thread::current().id();
    let mut rig = Rig::new(
        Script::new(move |_, _| {
            assert_eq!(std::thread::current().id(), here);
            Ok(0)
        }),
        2,
    );
    rig.offer(*b"request1");
    rig.kick_queue(0);
    assert_eq!(rig.driver.used().len(), 1);
}

#[test]
fn dropping_the_device_finishes_what_the_pool_has_begun() {
    let mut rig = Rig::new(Script::echo(), 2);
    for _ in 0..8 {
        rig.offer(*b"request1");
    }
    rig.kick();
    drop(rig.device);
    assert_eq!(rig.driver.used().len(), 8);
}

#[test]
fn a_reset_reaches_the_server() {
    let rig = Rig::new(Script::echo(), 0);
    rig.device.reset_device();
    assert_eq!(rig.script.resets.load(SeqCst), 1);
}

#[test]
fn the_configuration_space_is_there_with_a_tag_only() {
    let rig = Rig::new(Script::echo(), 0);
    assert!(rig.device.protocol_features().contains(VhostUserProtocolFeatures::CONFIG));
    assert_eq!(rig.device.get_config(0, 4), b"data");
    assert_eq!(rig.device.get_config(36, 4), 1u32.to_le_bytes());

    let handler: Arc<dyn RequestHandler> = rig.script.clone();
    let device = Device::new(&Options { tag: None, ..options(0) }, handler, rig.counters).unwrap();
    assert!(!device.protocol_features().contains(VhostUserProtocolFeatures::CONFIG));
    assert!(device.get_config(0, 4).is_empty());
}

#[test]
fn each_queue_has_a_worker_of_its_own() {
    let rig = Rig::new(Script::echo(), 0);
    assert_eq!(rig.device.num_queues(), 3);
    assert_eq!(rig.device.queues_per_thread(), [1, 2, 4]);
    let (consumer, _notifier) = rig.device.exit_event(2).unwrap();
    let _ = consumer.into_raw_fd(); // As vhost-user-backend does; the device closes it.
    assert!(rig.device.exit_event(3).is_none());
}

/// Answers what was put aside, each with eight bytes.
fn answer_parked(rig: &Rig) -> usize {
    let parked = rig.script.take_parked();
    let count = parked.len();
    for parked in parked {
        parked.answer(b"answered");
    }
    count
}

#[test]
fn a_request_that_is_put_aside_stops_nobody() {
    let mut rig = Rig::new(Script::parking(), 0);
    let first = rig.offer(*b"request1");
    rig.kick();
    rig.script.parks.store(false, SeqCst);
    let second = rig.offer(*b"request2");
    rig.kick();
    assert_eq!(rig.driver.used(), [(second.into(), 8)], "the queue goes on");
    assert_eq!(answer_parked(&rig), 1);
    assert_eq!(rig.driver.used(), [(second.into(), 8), (first.into(), 8)]);
    assert_eq!(rig.driver.get::<u64>(BUFFERS + 64).to_le_bytes(), *b"answered");
    assert_eq!(rig.driver.calls(), 2);
    rig.device.stop_vring(1).unwrap();
}

#[test]
fn a_quarter_of_the_ring_is_left_for_others() {
    let mut rig = Rig::new(Script::parking(), 0);
    let (aside, room) = (usize::from(SIZE) / 4 * 3, usize::from(SIZE) / 4);
    // One descriptor each, so that all entries are in use.
    let offer = |rig: &mut Rig| {
        rig.driver.put(BUFFERS, u64::from_le_bytes(*b"request1"));
        rig.driver.offer(&[readable(BUFFERS, 8)]);
    };
    (0..aside + room).for_each(|_| offer(&mut rig));
    rig.kick();
    assert_eq!(rig.script.take_parked().len(), aside);
    assert!(
        rig.has_stopped(),
        "the script echoes what is not put aside, for which there is no room"
    );
    assert_eq!(rig.counters.stopped_queues(), 1);
}

#[test]
fn one_that_is_dropped_makes_room_for_another() {
    let mut rig = Rig::new(Script::parking(), 0);
    for _ in 0..3 * SIZE {
        rig.offer(*b"request1");
        rig.kick();
        assert_eq!(answer_parked(&rig), 1);
    }
    assert!(!rig.has_stopped());
}

#[test]
fn what_is_put_aside_comes_home_when_its_ring_stops() {
    let mut rig = Rig::new(Script::parking(), 0);
    let head = rig.offer(*b"request1");
    rig.kick();
    rig.device.stop_vring(1).unwrap();
    assert_eq!(rig.driver.used(), [(head.into(), 8)]);
    assert_eq!(rig.driver.get::<u64>(BUFFERS + 64).to_le_bytes(), *b"cancel!!");
    // Until the ring is set up anew nothing more is put aside.
    rig.offer(*b"request2");
    rig.kick();
    assert_eq!(rig.driver.used().len(), 2);
    assert_eq!(rig.driver.get::<u64>(BUFFERS + 64).to_le_bytes(), *b"request2");
    rig.driver.ring.set_queue_ready(true);
    rig.offer(*b"request3");
    rig.kick();
    assert_eq!(rig.driver.used().len(), 2);
    rig.device.hang_up();
    rig.device.settle();
    assert_eq!(rig.driver.used().len(), 3);
}

#[test]
fn a_reset_waits_for_what_is_put_aside() {
    let mut rig = Rig::new(Script::parking(), 1);
    rig.offer(*b"request1");
    rig.kick();
    rig.device.reset_device();
    assert_eq!(rig.driver.used().len(), 1);
    assert_eq!(rig.script.resets.load(SeqCst), 1);
}

#[test]
fn a_chain_that_the_guest_has_broken_meanwhile_stops_its_queue() {
    let mut rig = Rig::new(Script::parking(), 0);
    rig.offer(*b"request1");
    rig.kick();
    rig.driver.put(0, END);
    assert_eq!(answer_parked(&rig), 1);
    assert!(rig.has_stopped() && rig.driver.used().is_empty());
    assert_eq!(rig.counters.stopped_queues(), 1);
}
