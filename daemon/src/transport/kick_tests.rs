use std::fs::File;
use std::io::Write;
use std::os::fd::{FromRawFd, IntoRawFd};

use rustix::event::epoll::{Event, create, wait};
use rustix::io::fcntl_dupfd_cloexec;

use super::*;
use crate::transport::testing::{event, read_event};

/// A kick event that epoll watches as `vhost-user-backend` has it watched.
struct Rig {
    epoll: std::os::fd::OwnedFd,
    raised: File,
    event: EventConsumer,
    kick: Kick,
}

impl Rig {
    fn new() -> Self {
        let raised = event();
        let heard = fcntl_dupfd_cloexec(&raised, 0).unwrap();
        // SAFETY: nobody else has the descriptor.
        let event = unsafe { EventConsumer::from_raw_fd(heard.into_raw_fd()) };
        let epoll = create(epoll::CreateFlags::CLOEXEC).unwrap();
        epoll::add(&epoll, borrow(&event), EventData::new_u64(7), EventFlags::IN).unwrap();
        Self { epoll, raised, event, kick: Kick::new() }
    }

    fn raise(&mut self) {
        self.raised.write_all(&1u64.to_ne_bytes()).unwrap();
    }

    /// Whether epoll reports a kick at once.
    fn is_reported(&self) -> bool {
        let mut events = [Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }];
        let count = wait(&self.epoll, &mut events, Some(&Timespec::default())).unwrap();
        let data = events[0].data;
        assert!(count == 0 || data.u64() == 7);
        count == 1
    }

    fn hear_by_edge(&self) {
        use std::os::fd::AsFd;
        self.kick.hear_by_edge(&self.event, self.epoll.as_fd(), 7);
    }
}

#[test]
fn each_kick_is_reported_once_and_not_read() {
    let mut rig = Rig::new();
    rig.hear_by_edge();
    for _ in 0..3 {
        assert!(!rig.is_reported());
        rig.raise();
        assert!(rig.is_reported());
        rig.kick.reported(&rig.event).unwrap();
    }
    assert!(!rig.is_reported());
    assert_eq!(read_event(&mut rig.raised), 3, "nobody has read it");
}

#[test]
fn a_kick_that_came_before_is_reported_all_the_same() {
    let mut rig = Rig::new();
    rig.raise();
    rig.hear_by_edge();
    assert!(rig.is_reported());
}

#[test]
fn what_is_registered_anew_is_read_again() {
    for again in [Kick::registers, Kick::changes, |kick: &Kick| kick.has_changed(false)] {
        let mut rig = Rig::new();
        rig.hear_by_edge();
        again(&rig.kick);
        rig.raise();
        rig.kick.reported(&rig.event).unwrap();
        assert_eq!(read_event(&mut rig.raised), 0, "it was read");
    }
}

#[test]
fn what_epoll_does_not_know_is_read() {
    let mut rig = Rig::new();
    epoll::delete(&rig.epoll, borrow(&rig.event)).unwrap();
    rig.hear_by_edge();
    rig.raise();
    rig.kick.reported(&rig.event).unwrap();
    assert_eq!(read_event(&mut rig.raised), 0);
}
