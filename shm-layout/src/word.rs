//! The one kind of word that processes share, and the only place that knows about loom.

#[cfg(not(loom))]
use core::sync::atomic::AtomicU64;
#[cfg(not(loom))]
pub use core::sync::atomic::{Ordering, fence};
#[cfg(loom)]
use loom::sync::atomic::AtomicU64;
#[cfg(loom)]
pub use loom::sync::atomic::{Ordering, fence};

/// A 64-bit little-endian word that another thread, process or guest may read or move at any instant.
///
/// The engine knows no other kind of shared memory: no `&[u8]` and no plain integer ever refers to a shared page.
/// Under `cfg(loom)` the same type is loom's, which is larger than eight bytes: such a word is made with
/// [`SharedU64::new`] and never laid over mapped memory.
#[derive(Debug, Default)]
#[repr(transparent)]
pub struct SharedU64(AtomicU64);

impl SharedU64 {
    /// A word of one's own (tests, models, process-local state).
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// A word in a loom model.
    #[cfg(loom)]
    #[must_use]
    pub fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    /// Reads the word.
    #[inline]
    #[must_use]
    pub fn load(&self, order: Ordering) -> u64 {
        self.0.load(order)
    }

    /// Writes the word. For words with one writer only; a slot is never stored to while anybody else may move it.
    #[inline]
    pub fn store(&self, value: u64, order: Ordering) {
        self.0.store(value, order);
    }

    /// Adds, wrapping; returns the word as it was.
    #[inline]
    #[cfg_attr(loom, expect(clippy::must_use_candidate, reason = "loom's atomics look pure"))]
    pub fn fetch_add(&self, value: u64, order: Ordering) -> u64 {
        self.0.fetch_add(value, order)
    }

    /// Replaces `current` by `new`.
    ///
    /// # Errors
    /// The word as it is, when it is not `current`.
    #[inline]
    pub fn compare_exchange(
        &self,
        current: u64,
        new: u64,
        success: Ordering,
        failure: Ordering,
    ) -> Result<u64, u64> {
        self.0.compare_exchange(current, new, success, failure)
    }

    /// Moves the word to `step(word)` in one step; returns the word before and after.
    ///
    /// Lock-free: it starts over only when somebody else moved the word in between.
    #[inline]
    pub fn advance(&self, order: Ordering, step: impl Fn(u64) -> u64) -> (u64, u64) {
        self.advance_from(self.guess(), order, step)
    }

    /// As [`Self::advance`], for who has a good guess of what the word is: saves waiting for it to be read.
    #[inline]
    pub fn advance_from(
        &self,
        guess: u64,
        order: Ordering,
        step: impl Fn(u64) -> u64,
    ) -> (u64, u64) {
        let mut before = guess;
        loop {
            let after = step(before);
            match self.0.compare_exchange_weak(before, after, order, Ordering::Relaxed) {
                Ok(_) => return (before, after),
                Err(moved) => before = moved,
            }
        }
    }

    /// What the word probably is.
    #[cfg(not(loom))]
    #[inline]
    fn guess(&self) -> u64 {
        // Relaxed: the compare-and-swap that follows proves it.
        self.0.load(Ordering::Relaxed)
    }

    /// What the word is.
    ///
    /// loom 0.7 remembers one last access of a word when it looks for races: a plain load here would hide the race of
    /// the compare-and-swap that follows with another thread's earlier load, and whole executions would go unexplored.
    #[cfg(loom)]
    fn guess(&self) -> u64 {
        self.0.fetch_add(0, Ordering::Relaxed)
    }

    /// Where the word lies. For the futex system call, which takes an address.
    #[cfg(not(loom))]
    #[must_use]
    pub const fn as_ptr(&self) -> *mut u64 {
        self.0.as_ptr()
    }
}
