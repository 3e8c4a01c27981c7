//! Who waits for a lock, and how that ends.

use std::io;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use fuse::errno;
use fuse::filesystem::{LockKind, Locks, RecordLock};
use fuse::park::Patience;
use fuse::testing::WaitingRoom;

use super::{LAST, Place, Read, Unlock, Write, host_lock, on_host, record};
use crate::passthrough::InodeFileHandles::Prefer;
use crate::passthrough::tests::share::{ROOT, Share, assert_errno, config};

/// A share, its file, and a transport on which requests wait.
struct Waiting {
    share: Share,
    at: Place,
    room: WaitingRoom,
    answers: Receiver<(u64, i32)>,
}

impl Waiting {
    fn new() -> Self {
        let share = Share::on_disk(&config(Prefer));
        let at = share.new_file("file");
        let (room, answers) = WaitingRoom::new();
        Self { share, at, room, answers }
    }

    /// Asks for a lock; true: it is waited for.
    fn ask(&self, unique: u64, lock: &RecordLock) -> io::Result<bool> {
        self.ask_at(unique, self.at, lock)
    }

    fn ask_at(&self, unique: u64, at: Place, lock: &RecordLock) -> io::Result<bool> {
        let wait =
            |patience: &Patience<'_>| self.share.fs.setlk(&ROOT, at.0, at.1, lock, Some(patience));
        let (parked, result) = self.room.ask(unique, wait);
        result.map(|()| parked)
    }

    fn ask_flock(&self, unique: u64, at: Place, kind: LockKind) -> bool {
        let wait =
            |patience: &Patience<'_>| self.share.fs.flock(&ROOT, at.0, at.1, kind, Some(patience));
        let (parked, result) = self.room.ask(unique, wait);
        result.unwrap();
        parked
    }

    /// The next answer. A test that hangs here has failed.
    fn answer(&self) -> (u64, i32) {
        self.answers.recv_timeout(Duration::from_mins(1)).expect("an answer")
    }

    fn nobody_was_answered(&self) -> bool {
        self.answers.try_recv().is_err()
    }
}

#[test]
fn who_waits_is_answered_when_the_lock_is_free() {
    let test = Waiting::new();
    assert!(!test.ask(1, &record(1, Write, 0, 9)).unwrap(), "nobody is in the way");
    assert!(test.ask(2, &record(2, Write, 5, 5)).unwrap());
    assert!(test.ask(3, &record(3, Write, 0, 0)).unwrap());
    assert!(test.nobody_was_answered());
    test.share.lock(test.at, &record(1, Unlock, 0, 0)).unwrap();
    assert_eq!(test.answer(), (3, 0));
    assert!(test.nobody_was_answered());
    assert_errno(test.share.lock(test.at, &record(4, Read, 0, 0)), errno::EAGAIN);
    test.share.flush(test.at, 1);
    assert_eq!(test.answer(), (2, 0));
    for owner in [2, 3] {
        test.share.lock(test.at, &record(owner, Unlock, 0, LAST)).unwrap();
    }
    assert!(test.share.has_no_locks());
}

#[test]
fn who_waits_for_the_host_is_answered_too() {
    let test = Waiting::new();
    let host = on_host(&test.share, "file");
    host_lock(&host, &record(0, Write, 0, LAST)).unwrap();
    assert!(test.ask(1, &record(1, Read, 0, 0)).unwrap());
    assert!(test.ask(2, &record(2, Read, 0, 0)).unwrap());
    drop(host);
    let mut answers = [test.answer(), test.answer()];
    answers.sort_unstable();
    assert_eq!(answers, [(1, 0), (2, 0)]);
}

#[test]
fn who_is_interrupted_gets_no_lock() {
    let test = Waiting::new();
    test.share.lock(test.at, &record(1, Write, 0, 9)).unwrap();
    for round in 10..60 {
        assert!(test.ask(round, &record(2, Write, 0, 0)).unwrap());
        test.share.fs.interrupt(round);
        assert_eq!(test.answer(), (round, errno::EINTR));
    }
    test.share.fs.interrupt(99);
    assert_errno(test.ask(99, &record(2, Write, 0, 0)), errno::EINTR);
    assert!(test.ask(99, &record(2, Write, 0, 0)).unwrap(), "an interrupt counts once");
    test.share.fs.cancel_parked();
    assert_eq!(test.answer(), (99, errno::ENOLCK));
    test.share.flush(test.at, 1);
    host_lock(&on_host(&test.share, "file"), &record(0, Write, 0, LAST)).unwrap();
    assert!(test.share.has_no_locks());
}

#[test]
fn who_waits_for_an_open_file_is_answered() {
    let test = Waiting::new();
    let again = (test.at.0, test.share.open(test.at.0, libc::O_RDWR).unwrap());
    assert!(!test.ask_flock(1, test.at, Write));
    assert!(test.ask_flock(2, again, Read));
    test.share.fs.interrupt(2);
    assert_eq!(test.answer(), (2, errno::EINTR));
    assert!(test.ask_flock(3, again, Read));
    assert!(test.nobody_was_answered());
    test.share.flock(test.at, Unlock).unwrap();
    assert_eq!(test.answer(), (3, 0));
    assert!(test.ask_flock(4, test.at, Write));
    test.share.release(test.at).unwrap();
    assert_eq!(test.answer(), (4, errno::ENOLCK), "nobody waits by what is closed");
    assert!(test.share.has_no_locks());
}

#[test]
fn whoever_would_wait_in_a_circle_is_told() {
    let test = Waiting::new();
    let other = test.share.new_file("other");
    test.share.lock(test.at, &record(1, Write, 0, 0)).unwrap();
    test.share.lock(other, &record(2, Write, 0, 0)).unwrap();
    test.share.lock(test.at, &record(3, Read, 7, 7)).unwrap();
    assert!(test.ask_at(21, test.at, &record(2, Read, 0, 0)).unwrap());
    assert!(test.ask_at(31, other, &record(3, Write, 0, 9)).unwrap());
    // 1 would wait for 3, who waits for 2, who waits for 1.
    assert_errno(test.ask(11, &record(1, Write, 7, 7)), errno::EDEADLK);
    assert_errno(test.ask_at(12, other, &record(1, Read, 0, 0)), errno::EDEADLK);
    assert!(!test.ask(13, &record(1, Read, 7, 7)).unwrap(), "readers are not in each other's way");
    assert!(test.ask_at(41, other, &record(4, Read, 0, 0)).unwrap(), "no circle, only a queue");
    test.share.flush(test.at, 1);
    assert_eq!(test.answer(), (21, 0));
    test.share.lock(other, &record(2, Unlock, 0, LAST)).unwrap();
    // 31 and 41 are in each other's way now: whichever was given the lock first.
    let first = test.answer();
    assert!([(31, 0), (41, 0)].contains(&first), "{first:?}");
    for owner in [3, 4] {
        test.share.flush(other, owner);
    }
    let second = test.answer();
    assert!([(31, 0), (41, 0)].contains(&second) && first != second, "{second:?}");
}

/// A thread of the owner's waits while another closes the file: what it gets then is a lock like any other.
#[test]
fn an_owner_may_close_the_file_while_it_waits() {
    let test = Waiting::new();
    test.share.lock(test.at, &record(1, Write, 0, 0)).unwrap();
    test.share.lock(test.at, &record(2, Read, 5, 5)).unwrap();
    assert!(test.ask(7, &record(2, Write, 0, 0)).unwrap());
    test.share.flush(test.at, 2);
    test.share.lock(test.at, &record(3, Write, 5, 5)).unwrap();
    test.share.lock(test.at, &record(1, Unlock, 0, 0)).unwrap();
    assert_eq!(test.answer(), (7, 0));
    assert_errno(test.share.lock(test.at, &record(3, Read, 0, 0)), errno::EAGAIN);
}
