//! What has been served: counted as it happens, readable at any time.
//!
//! Counting takes a few relaxed additions to words that a worker has nearly for itself: each thread counts in one of
//! several shards, and a reader adds the shards up. Relaxed, here and below, because the numbers order nothing;
//! a snapshot taken while requests run may have counted one half of a request and not yet the other.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::abi::Opcode;
use crate::failure::{Failure, Outcome};

/// Threads that count without getting in one another's way.
const SHARDS: usize = 16;
/// One slot for every number up to the last opcode; slot 0 counts unknown ones.
const SLOTS: usize = Opcode::CopyFileRange64 as usize + 1;

/// Counts of one server's requests.
#[derive(Debug, Default)]
pub struct Counters {
    shards: [Shard; SHARDS],
}

/// Aligned to two cache lines, which processors fetch together.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    requests: [AtomicU64; SLOTS],
    errors: [AtomicU64; SLOTS],
    malformed: AtomicU64,
    bytes_read: AtomicU64,
    bytes_written: AtomicU64,
    in_flight: AtomicU64,
}

/// How often something was asked, and how often it failed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Requests that have come, finished or not.
    pub requests: u64,
    /// Requests answered with an error, among them ordinary ones like `ENOENT`.
    pub errors: u64,
}

/// The counters at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Every opcode with its counts, in the order of their numbers.
    pub opcodes: Vec<(Opcode, Counts)>,
    /// Opcodes that are not known.
    pub unknown: Counts,
    /// Requests that broke the protocol, answered or not.
    pub malformed: u64,
    /// Bytes of READ replies.
    pub bytes_read: u64,
    /// Bytes that WRITE has written.
    pub bytes_written: u64,
    /// Requests being served right now.
    pub in_flight: u64,
}

impl Counters {
    /// Adds up what has been counted.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            opcodes: Opcode::ALL.iter().map(|&op| (op, self.counts(slot(Some(op))))).collect(),
            unknown: self.counts(slot(None)),
            malformed: self.sum(|shard| &shard.malformed),
            bytes_read: self.sum(|shard| &shard.bytes_read),
            bytes_written: self.sum(|shard| &shard.bytes_written),
            in_flight: self.sum(|shard| &shard.in_flight),
        }
    }

    /// A request begins; it ends when the answer is dropped.
    pub(crate) fn enter(&self, opcode: Option<Opcode>) -> InFlight<'_> {
        let shard = self.shard();
        add(&shard.requests[slot(opcode)], 1);
        add(&shard.in_flight, 1);
        InFlight(shard)
    }

    /// A request has been decoded and performed, or has not.
    pub(crate) fn outcome<T>(&self, opcode: Option<Opcode>, outcome: &Outcome<T>) {
        match outcome {
            Ok(_) => {}
            Err(Failure::Errno(_)) => add(&self.shard().errors[slot(opcode)], 1),
            Err(Failure::Malformed | Failure::Memory(_)) => self.malformed(opcode),
        }
    }

    /// A request broke the protocol.
    pub(crate) fn malformed(&self, opcode: Option<Opcode>) {
        let shard = self.shard();
        add(&shard.errors[slot(opcode)], 1);
        add(&shard.malformed, 1);
    }

    pub(crate) fn bytes_read(&self, bytes: usize) {
        add(&self.shard().bytes_read, bytes as u64);
    }

    pub(crate) fn bytes_written(&self, bytes: usize) {
        add(&self.shard().bytes_written, bytes as u64);
    }

    fn shard(&self) -> &Shard {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static MINE: usize = THREADS.fetch_add(1, Ordering::Relaxed) % SHARDS;
        }
        &self.shards[MINE.with(|shard| *shard)]
    }

    fn counts(&self, slot: usize) -> Counts {
        Counts {
            requests: self.sum(|shard| &shard.requests[slot]),
            errors: self.sum(|shard| &shard.errors[slot]),
        }
    }

    fn sum(&self, word: impl Fn(&Shard) -> &AtomicU64) -> u64 {
        let words = self.shards.iter().map(|shard| word(shard).load(Ordering::Relaxed));
        words.fold(0, u64::wrapping_add)
    }
}

/// A request that is being served.
pub(crate) struct InFlight<'a>(&'a Shard);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Default for Shard {
    fn default() -> Self {
        Self {
            requests: std::array::from_fn(|_| AtomicU64::new(0)),
            errors: std::array::from_fn(|_| AtomicU64::new(0)),
            malformed: AtomicU64::new(0),
            bytes_read: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
        }
    }
}

fn slot(opcode: Option<Opcode>) -> usize {
    opcode.map_or(0, |opcode| opcode as usize)
}

fn add(word: &AtomicU64, count: u64) {
    word.fetch_add(count, Ordering::Relaxed);
}

#[cfg(test)]
#[path = "counters_tests.rs"]
mod tests;
