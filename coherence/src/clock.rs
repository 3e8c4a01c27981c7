//! Time and waiting, as a seam: nothing sleeps in a test.

use std::fmt::Debug;
use std::time::Duration;

use shm_layout::SharedU64;

/// What time it is, and how a thread waits for a word to change.
pub trait Clock: Debug + Send + Sync {
    /// Time since some moment that is the same for every caller. Never goes back.
    fn now(&self) -> Duration;

    /// Waits until somebody wakes `word`'s waiters, at the longest `at_most`; returns at once when `word` is no longer
    /// `seen`. May return early for no reason.
    fn wait(&self, word: &SharedU64, seen: u64, at_most: Duration);

    /// Wakes everybody who waits for `word`.
    fn wake(&self, word: &SharedU64);
}

/// The machine's monotonic clock, and futexes.
#[cfg(not(loom))]
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

#[cfg(not(loom))]
impl Clock for SystemClock {
    fn now(&self) -> Duration {
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        Duration::new(now.tv_sec.unsigned_abs(), now.tv_nsec as u32)
    }

    fn wait(&self, word: &SharedU64, seen: u64, at_most: Duration) {
        crate::sys::futex_wait(word, seen, at_most);
    }

    fn wake(&self, word: &SharedU64) {
        crate::sys::futex_wake(word);
    }
}
