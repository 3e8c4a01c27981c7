//! Name locks: who may change what a name means.
//!
//! An operation that changes a name first looks up what the name means, then announces that inode, then makes the
//! system call, which looks the name up again. Between the two look-ups nobody else may give the name another meaning,
//! or an inode changes that nobody has announced. So it holds a lock for each name from before the first look-up until
//! after it has published.
//!
//! The locks are words in the host-only file, one for each *stripe* of entry slots. Taking a free one is one
//! compare-and-swap and releasing it another; the kernel is asked only to wait. A lock names its owner by incarnation,
//! so that of a dead daemon is seen to be free (`docs/adr/0005-name-locks.md`).

use std::time::Duration;

use shm_layout::SharedU64;
use shm_layout::word::Ordering::{Acquire, Relaxed, Release};

use crate::clock::Clock;
use crate::ledger::Incarnation;
use crate::slots::SlotIndex;

/// How long an operation waits for the lock of a name before it goes on without.
pub const PATIENCE: Duration = Duration::from_secs(1);

/// How long a waiter sleeps before it looks whether the owner still lives.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Slots with the same quotient share a stripe: the four of one bucket do.
const SLOTS_OF_A_BUCKET: usize = 4;

/// Who has a lock: `incarnation:35 | row:10 | worker:6 | contended:1` (the top 12 bits are zero). Zero: nobody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Owner {
    pub(crate) incarnation: Incarnation,
    pub(crate) row: u16,
    pub(crate) worker: u8,
}

/// Somebody waits: the owner must wake them.
const CONTENDED: u64 = 1;
const WORKER_SHIFT: u32 = 1;
const ROW_SHIFT: u32 = 7;
const INCARNATION_SHIFT: u32 = 17;
const _: () = assert!(crate::limits::MAX_WORKERS <= 1 << (ROW_SHIFT - WORKER_SHIFT));
const _: () = assert!(crate::limits::MAX_DAEMONS <= 1 << (INCARNATION_SHIFT - ROW_SHIFT));

/// A lock that nobody has.
const FREE: u64 = 0;

impl Owner {
    fn encode(self) -> u64 {
        self.incarnation.get() << INCARNATION_SHIFT
            | u64::from(self.row) << ROW_SHIFT
            | u64::from(self.worker) << WORKER_SHIFT
    }

    fn decode(word: u64) -> Option<Self> {
        Some(Self {
            incarnation: Incarnation::new(word >> INCARNATION_SHIFT)?,
            row: (word >> ROW_SHIFT) as u16 & ((1 << (INCARNATION_SHIFT - ROW_SHIFT)) - 1),
            worker: (word >> WORKER_SHIFT) as u8 & ((1 << (ROW_SHIFT - WORKER_SHIFT)) - 1),
        })
    }
}

/// Who can tell the living from the dead.
pub(crate) trait Census {
    /// Whether `owner`'s daemon is certainly gone.
    fn is_gone(&self, owner: Owner) -> bool;
}

/// The lock words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NameLocks<'a> {
    words: &'a [SharedU64],
    /// Words from one lock to the next: a cache line's worth in the shared file.
    step: usize,
}

/// How an attempt to lock a stripe ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The lock is the caller's.
    Locked,
    /// This owner kept it longer than [`PATIENCE`].
    Overdue(Owner),
}

impl<'a> NameLocks<'a> {
    pub(crate) const fn new(words: &'a [SharedU64], step: usize) -> Self {
        Self { words, step }
    }

    /// The stripe that guards the name with this entry slot.
    pub(crate) fn stripe(self, entry: SlotIndex) -> usize {
        entry.get() as usize / SLOTS_OF_A_BUCKET % self.count()
    }

    fn count(self) -> usize {
        self.words.len() / self.step
    }

    fn word(self, stripe: usize) -> &'a SharedU64 {
        &self.words[stripe * self.step]
    }

    /// Takes the lock for `me`, waiting as long as [`PATIENCE`] lasts.
    pub(crate) fn lock(
        self,
        stripe: usize,
        me: Owner,
        clock: &dyn Clock,
        census: &dyn Census,
    ) -> Outcome {
        let word = self.word(stripe);
        if take(word, FREE, me.encode()) || broken!(LockIgnored) {
            return Outcome::Locked;
        }
        let deadline = clock.now() + PATIENCE;
        let mut waited = false;
        loop {
            // Relaxed: a guess, which the compare-and-swap proves.
            let seen = word.load(Relaxed);
            let owner = Owner::decode(seen);
            // The kernel is asked about the owner only after a first wait in vain.
            if owner.is_none_or(|owner| waited && census.is_gone(owner)) {
                // Others may be waiting with us, so the lock stays contended.
                if take(word, seen, me.encode() | CONTENDED) {
                    return Outcome::Locked;
                }
                continue;
            }
            let left = deadline.saturating_sub(clock.now());
            match owner {
                Some(owner) if left.is_zero() => return Outcome::Overdue(owner),
                _ => {}
            }
            if seen & CONTENDED != 0 || take(word, seen, seen | CONTENDED) {
                clock.wait(word, seen | CONTENDED, left.min(LOOK_AGAIN));
                waited = true;
            }
        }
    }

    /// Takes the lock for `me` if nobody has it.
    pub(crate) fn try_lock(self, stripe: usize, me: Owner) -> bool {
        take(self.word(stripe), FREE, me.encode())
    }

    /// Releases a lock that `me` has.
    pub(crate) fn unlock(self, stripe: usize, me: Owner, clock: &dyn Clock) {
        let word = self.word(stripe);
        // Release: whatever was done under the lock is done before the next owner has it.
        let order = if broken!(UnlockRelaxed) { Relaxed } else { Release };
        let free = |lock| if lock & !CONTENDED == me.encode() { FREE } else { lock };
        let (before, after) = word.advance(order, free);
        if after == FREE && before & CONTENDED != 0 {
            clock.wake(word);
        }
    }

    /// Who has the lock.
    pub(crate) fn owner(self, stripe: usize) -> Option<Owner> {
        // Acquire: what the last owner did before it released the lock is done.
        Owner::decode(self.word(stripe).load(Acquire))
    }

    /// Whether `owner` still has the lock that it had.
    pub(crate) fn is_owned_by(self, stripe: usize, owner: Owner) -> bool {
        // Acquire: what the owner did before it released the lock is done.
        self.word(stripe).load(Acquire) & !CONTENDED == owner.encode()
    }

    /// Releases every lock that a dead daemon had; returns how many.
    pub(crate) fn release_dead(self, dead: Incarnation, clock: &dyn Clock) -> u64 {
        let mut released = 0;
        for stripe in 0..self.count() {
            let word = self.word(stripe);
            // Relaxed: a guess, which the compare-and-swap proves.
            let seen = word.load(Relaxed);
            if Owner::decode(seen).is_some_and(|o| o.incarnation == dead) && take(word, seen, FREE)
            {
                released += 1;
                clock.wake(word);
            }
        }
        released
    }
}

/// Replaces what the lock was seen to say.
fn take(word: &SharedU64, seen: u64, to: u64) -> bool {
    // Acquire: what the last owner did is done. It releases nothing of ours.
    word.compare_exchange(seen, to, Acquire, Relaxed).is_ok()
}

#[cfg(all(test, not(loom)))]
#[path = "names_tests.rs"]
mod tests;
