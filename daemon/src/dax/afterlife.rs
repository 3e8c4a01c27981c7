//! What lasts as long as a VMM that has hung up.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread;

use parking_lot::Mutex;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::retry_on_intr;

/// How long a VMM that hung up because it ends may take for the rest.
const LAST_BREATH: Timespec = Timespec { tv_sec: 0, tv_nsec: 500_000_000 };

/// Whether a process ends, which has hung up.
pub(super) fn has_ended(process: &OwnedFd) -> bool {
    let mut fds = [PollFd::new(process, PollFlags::IN)];
    retry_on_intr(|| poll(&mut fds, Some(&LAST_BREATH))).is_ok_and(|ready| ready > 0)
}

/// Calls `end` when a process has ended; never, where that cannot be told.
pub(super) fn keep(owner: Option<OwnedFd>, end: impl FnOnce() + Send + 'static) {
    let Some(owner) = owner else { return std::mem::forget(end) };
    // In two hands, of which one takes it: a thread that cannot be started drops what it was given.
    let end = Arc::new(Mutex::new(Some(end)));
    let waits = Arc::clone(&end);
    let wait = move || {
        let mut fds = [PollFd::new(&owner, PollFlags::IN)];
        let ended = retry_on_intr(|| poll(&mut fds, None));
        match waits.lock().take() {
            Some(end) if ended.is_ok() => end(),
            other => std::mem::forget(other),
        }
    };
    if thread::Builder::new().name("afterlife".to_owned()).spawn(wait).is_err() {
        std::mem::forget(end.lock().take());
    }
}
