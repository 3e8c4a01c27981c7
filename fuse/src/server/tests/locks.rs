//! Locks: what is malformed, and requests that are put aside.

use std::sync::{Arc, Mutex};

use super::expected::le;
use super::{Guest, ROOM};
use crate::abi::{FileLock, LK_FLOCK, LkIn, Opcode};
use crate::errno;
use crate::park::{Handled, Park, Parked};
use crate::testing::{MemoryReply, MemoryRequest, RequestBuilder, valid};

/// A transport that puts aside whatever it is asked to, unless it is full.
#[derive(Default)]
struct Lot {
    full: bool,
    answers: Arc<Mutex<Vec<Vec<u8>>>>,
}

struct Ticket(Arc<Mutex<Vec<Vec<u8>>>>);

impl Park for Lot {
    fn park(&self) -> Option<Box<dyn Parked>> {
        let ticket = Ticket(Arc::clone(&self.answers));
        (!self.full).then(|| Box::new(ticket) as Box<dyn Parked>)
    }
}

impl Parked for Ticket {
    fn answer(self: Box<Self>, reply: &[u8]) {
        self.0.lock().expect("no test panics in here").push(reply.to_vec());
    }
}

impl Lot {
    fn answers(&self) -> Vec<Vec<u8>> {
        std::mem::take(&mut self.answers.lock().expect("no test panics in here"))
    }
}

fn lock(opcode: Opcode, lk: FileLock, lk_flags: u32) -> Vec<u8> {
    let request = LkIn { fh: 9, owner: 11, lk, lk_flags, padding: 0 };
    RequestBuilder::new(opcode).with(&request).build()
}

fn send(guest: &Guest, lot: &Lot, opcode: Opcode) -> (Handled, MemoryReply) {
    let mut reply = MemoryReply::new(ROOM);
    let request = valid(opcode);
    let mut request = MemoryRequest::new(&request);
    let handled = guest.server.handle_or_park(&mut request, &mut reply, None, Some(lot));
    (handled.expect("no broken protocol"), reply)
}

/// The reply with this error number to a request of [`valid`].
fn reply(errno: i32) -> Vec<u8> {
    le![16u32, -errno, 0x1122_3344_5566_7788u64]
}

#[test]
fn stretches_and_kinds_are_checked() {
    let guest = Guest::mounted();
    let last = i64::MAX as u64;
    let good = FileLock { start: 5, end: last, r#type: 2, pid: 0 };
    assert_eq!(guest.errno(&lock(Opcode::Setlk, good, 0)), 0);
    assert_eq!(guest.errno(&lock(Opcode::Setlk, good, LK_FLOCK)), 0);
    assert_eq!(guest.calls().len(), 2);
    let wrong = [
        FileLock { start: 6, end: 5, ..good },
        FileLock { end: last + 1, ..good },
        FileLock { r#type: 3, ..good },
        FileLock { r#type: u32::MAX, ..good },
    ];
    for lk in wrong {
        for opcode in [Opcode::Getlk, Opcode::Setlk, Opcode::Setlkw] {
            assert_eq!(guest.errno(&lock(opcode, lk, 0)), errno::EINVAL, "{lk:?}");
        }
    }
    assert_eq!(guest.errno(&lock(Opcode::Getlk, good, 0)), errno::EINVAL, "who unlocks waits not");
    let read = FileLock { r#type: 0, ..good };
    assert_eq!(guest.errno(&lock(Opcode::Getlk, read, LK_FLOCK)), errno::EINVAL);
    assert!(guest.calls().is_empty());
}

#[test]
fn a_lock_that_is_waited_for_is_answered_later() {
    let (guest, lot) = (Guest::mounted(), Lot::default());
    guest.server.file_system().hold_locks();
    let (handled, room) = send(&guest, &lot, Opcode::Setlkw);
    assert_eq!(handled, Handled::Parked);
    assert!(room.bytes().iter().all(|&byte| byte == 0xAA), "nothing was written");
    assert_eq!(guest.server.counters().snapshot().in_flight, 0, "nobody serves it");
    assert!(lot.answers().is_empty());
    let waiting = guest.server.file_system().waiting();
    assert_eq!(waiting.len(), 1);
    for later in waiting {
        later.answer(Ok(()));
    }
    assert_eq!(lot.answers(), [reply(0)]);
}

#[test]
fn a_lock_that_fails_later_is_counted() {
    let (guest, lot) = (Guest::mounted(), Lot::default());
    guest.server.file_system().hold_locks();
    let errors = |guest: &Guest| {
        let counted = guest.server.counters().snapshot().opcodes;
        counted.iter().find(|(opcode, _)| *opcode == Opcode::Setlkw).expect("it is there").1.errors
    };
    send(&guest, &lot, Opcode::Setlkw);
    assert_eq!(errors(&guest), 0);
    for later in guest.server.file_system().waiting() {
        later.answer(Err(errno::error(errno::EDEADLK)));
    }
    assert_eq!(lot.answers(), [reply(errno::EDEADLK)]);
    assert_eq!(errors(&guest), 1);
}

#[test]
fn an_answer_that_is_forgotten_is_an_error() {
    let (guest, lot) = (Guest::mounted(), Lot::default());
    guest.server.file_system().hold_locks();
    send(&guest, &lot, Opcode::Setlkw);
    drop(guest.server.file_system().waiting());
    assert_eq!(lot.answers(), [reply(errno::EIO)]);
}

#[test]
fn where_nothing_more_can_wait_there_are_no_locks() {
    let (guest, lot) = (Guest::mounted(), Lot { full: true, ..Lot::default() });
    guest.server.file_system().hold_locks();
    let (handled, room) = send(&guest, &lot, Opcode::Setlkw);
    assert_eq!(handled, Handled::Replied(16));
    assert_eq!(room.bytes()[..16], reply(errno::ENOLCK));
    assert_eq!(guest.errno(&valid(Opcode::Setlkw)), errno::ENOLCK, "no lot at all");
    assert!(guest.server.file_system().waiting().is_empty());
}

#[test]
fn who_does_not_want_to_wait_is_not_put_aside() {
    let (guest, lot) = (Guest::mounted(), Lot::default());
    guest.server.file_system().hold_locks();
    assert_eq!(send(&guest, &lot, Opcode::Setlk).0, Handled::Replied(16));
    assert!(guest.server.file_system().waiting().is_empty());
}
