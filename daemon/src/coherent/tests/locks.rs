//! Owners of locks in two guests, who wait for each other.

use std::fs;
use std::io;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use fuse::filesystem::{LockKind, Locks, RecordLock};
use fuse::park::Patience;
use fuse::testing::WaitingRoom;
use fuse::{Handle, NodeId, errno};

use super::kit::{Guest, House, ROOT};

/// A guest with two files open.
struct Locker {
    guest: Guest,
    files: [(NodeId, Handle); 2],
    room: WaitingRoom,
    answers: Receiver<(u64, i32)>,
}

impl Locker {
    fn new(house: &House) -> Self {
        let guest = house.guest();
        let files = ["one", "two"].map(|name| {
            let node = guest.node(name);
            (node, guest.open(node, libc::O_RDWR))
        });
        let (room, answers) = WaitingRoom::new();
        Self { guest, files, room, answers }
    }

    /// Asks for a file's first byte in the name of `owner`; true: it is waited for.
    fn ask(&self, owner: u64, file: usize, kind: LockKind) -> io::Result<bool> {
        let (node, handle) = self.files[file];
        let lock = RecordLock { owner, start: 0, end: 0, kind, pid: 1 };
        let wait = |patience: &Patience<'_>| {
            self.guest.fs.setlk(&ROOT, node, handle, &lock, Some(patience))
        };
        let (parked, result) = self.room.ask(owner, wait);
        result.map(|()| parked)
    }

    /// The next answer. A test that hangs here has failed.
    fn answer(&self) -> (u64, i32) {
        self.answers.recv_timeout(Duration::from_mins(1)).expect("an answer")
    }
}

fn two_guests() -> (Locker, Locker) {
    let house = House::new();
    for name in ["one", "two"] {
        fs::write(house.path(name), "contents").unwrap();
    }
    (Locker::new(&house), Locker::new(&house))
}

fn is_deadlock(result: &io::Result<bool>) -> bool {
    matches!(result, Err(error) if error.raw_os_error() == Some(errno::EDEADLK))
}

use LockKind::{Unlock, Write};

#[test]
fn a_circle_over_two_guests_is_found_by_who_would_close_it() {
    let (a, b) = two_guests();
    assert!(!a.ask(1, 0, Write).unwrap() && !b.ask(1, 1, Write).unwrap());
    assert!(a.ask(1, 1, Write).unwrap(), "it waits for the other guest");
    let refused = b.ask(1, 0, Write);
    assert!(is_deadlock(&refused), "{refused:?}");
    b.ask(1, 1, Unlock).unwrap();
    assert_eq!(a.answer(), (1, 0));
    assert!(b.ask(1, 0, Write).unwrap(), "nobody waits any more but who asks");
    a.ask(1, 0, Unlock).unwrap();
    assert_eq!(b.answer(), (1, 0));
}

#[test]
fn who_gives_up_meanwhile_what_the_others_wait_for_closes_no_circle() {
    let (a, b) = two_guests();
    assert!(!a.ask(1, 0, Write).unwrap() && !b.ask(1, 1, Write).unwrap());
    assert!(a.ask(1, 1, Write).unwrap());
    // Another thread of the same process.
    a.ask(1, 0, Unlock).unwrap();
    assert!(!b.ask(2, 0, Write).unwrap(), "it is free");
    assert!(b.ask(1, 0, Write).unwrap(), "a queue");
    b.ask(2, 0, Unlock).unwrap();
    assert_eq!(b.answer(), (1, 0));
}

#[test]
fn a_circle_may_lead_through_several_owners_of_each_guest() {
    let (a, b) = two_guests();
    assert!(!a.ask(1, 0, Write).unwrap() && !b.ask(1, 1, Write).unwrap());
    // b's second owner holds nothing: it waits, and nobody waits for it.
    assert!(b.ask(2, 0, Write).unwrap());
    assert!(a.ask(1, 1, Write).unwrap());
    let refused = b.ask(1, 0, Write);
    assert!(is_deadlock(&refused), "{refused:?}");
    assert!(a.ask(2, 1, Write).unwrap(), "in nobody's way");
}
