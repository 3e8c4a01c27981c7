//! How a ring hears of kicks: the event is read, or, once the worker's epoll reports each kick by itself, left alone.
//!
//! Reading is one system call of the three that a request by itself costs.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;
use vmm_sys_util::event::EventConsumer;

/// What is known of a kick event. All of it is read under the ring's lock.
#[derive(Debug)]
pub(super) struct Kick {
    /// It does without `O_NONBLOCK`: look before reading.
    may_block: AtomicBool,
    /// Epoll reports each kick once, whether or not anybody reads the event.
    by_edge: AtomicBool,
}

impl Kick {
    pub(super) fn new() -> Self {
        Self { may_block: AtomicBool::new(true), by_edge: AtomicBool::new(false) }
    }

    // Relaxed, all of them: the ring's lock, which is taken in between, keeps them in order for who reads under it.

    /// The event changes; whether the new one may block is not known yet.
    pub(super) fn changes(&self) {
        self.may_block.store(true, Ordering::Relaxed);
        self.registers();
    }

    /// The event has changed.
    pub(super) fn has_changed(&self, may_block: bool) {
        self.may_block.store(may_block, Ordering::Relaxed);
        self.registers();
    }

    /// `vhost-user-backend` is about to hand the event to epoll, or to take it back: it will be reported as long as it can
    /// be read.
    pub(super) fn registers(&self) {
        self.by_edge.store(false, Ordering::Relaxed);
    }

    /// Has `epoll` report each kick of `event` once, as `data`.
    pub(super) fn hear_by_edge(&self, event: &EventConsumer, epoll: BorrowedFd<'_>, data: u64) {
        if self.is_by_edge() {
            return;
        }
        let flags = EventFlags::IN | EventFlags::ET;
        // Refused where the event is about to be registered, or is gone: then it is read, as ever.
        let changed = epoll::modify(epoll, borrow(event), EventData::new_u64(data), flags);
        self.by_edge.store(changed.is_ok(), Ordering::Relaxed);
    }

    /// A kick was reported.
    ///
    /// Another event may have taken the place of the one that was reported, and nobody has raised it yet. That is no error:
    /// it would end the worker.
    pub(super) fn reported(&self, event: &EventConsumer) -> io::Result<()> {
        if self.is_by_edge() { Ok(()) } else { self.read(event) }
    }

    /// Whether epoll reports each kick once.
    pub(super) fn is_by_edge(&self) -> bool {
        self.by_edge.load(Ordering::Relaxed)
    }

    /// Reads the event, if there is something to read.
    pub(super) fn read(&self, event: &EventConsumer) -> io::Result<()> {
        if self.may_block.load(Ordering::Relaxed) && !is_pending(borrow(event))? {
            return Ok(());
        }
        match event.consume() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(()),
            consumed => consumed,
        }
    }
}

/// vmm-sys-util's events know `AsRawFd` only.
fn borrow(event: &impl AsRawFd) -> BorrowedFd<'_> {
    // SAFETY: the event owns its descriptor, and the borrow ends with the borrow of the event.
    unsafe { BorrowedFd::borrow_raw(event.as_raw_fd()) }
}

/// Whether an event has something to read.
fn is_pending(event: BorrowedFd<'_>) -> io::Result<bool> {
    let mut fds = [PollFd::from_borrowed_fd(event, PollFlags::IN)];
    retry_on_intr(|| poll(&mut fds, Some(&Timespec::default())))?;
    let events = fds[0].revents();
    if events.contains(PollFlags::IN) {
        return Ok(true);
    }
    // A kick event that can never be read again would be reported for ever: the worker ends on this error.
    if events.is_empty() { Ok(false) } else { Err(io::ErrorKind::BrokenPipe.into()) }
}

#[cfg(test)]
#[path = "kick_tests.rs"]
mod tests;
