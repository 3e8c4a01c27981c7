//! The memory that all guests and the host share: a clock, and what everybody writes down.
//!
//! All words are little-endian u64s. The first page holds a magic number, the clock, a word that
//! starts everybody at once, a word that stops them, and the number of entries for which each log
//! has room. Each thread that ever runs has a log of its own. An entry is 16 words: when the
//! operation began and ended (0 if it never did), two of the operation, six of the outcome. It is
//! written where a killed guest cannot take it away: the memory is a file of the host's.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering, fence};

use crate::memory::Words;
use crate::op::{Operation, Outcome};

const MAGIC: u64 = u64::from_le_bytes(*b"samehist");
const CLOCK: usize = 1;
const GO: usize = 2;
const STOP: usize = 3;
const ROOM: usize = 4;
const HEADER_WORDS: usize = 512;
const ENTRY_WORDS: usize = 16;

/// One operation as it was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The log that it stands in.
    pub log: u32,
    /// When it began, by the common clock.
    pub invoked: u64,
    /// When it had ended; `u64::MAX` if it never did.
    pub returned: u64,
    /// What was to be done.
    pub operation: Operation,
    /// What came of it; `None` if nobody knows, since the guest died over it.
    pub outcome: Option<Outcome>,
    /// Whether its guest promises never to use what is stale.
    pub trusted: bool,
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{:>2}] {}–", self.log, self.invoked)?;
        match self.returned {
            u64::MAX => write!(f, "…")?,
            returned => write!(f, "{returned}")?,
        }
        write!(f, " {}", self.operation)?;
        match &self.outcome {
            Some(outcome) => write!(f, ": {outcome}"),
            None => write!(f, ": unknown"),
        }
    }
}

/// The shared memory.
#[derive(Debug)]
pub struct Shared {
    words: Words,
}

impl Shared {
    /// Map the file, or the BAR of a PCI device, for reading and writing.
    ///
    /// # Errors
    /// It cannot be opened or mapped, or is too small.
    pub fn open(path: &Path) -> io::Result<Self> {
        let words = Words::map(path)?;
        if words.len() < HEADER_WORDS {
            return Err(io::Error::other(format!("{} is too small", path.display())));
        }
        Ok(Self { words })
    }

    /// Prepare new memory, all zero, for logs with room for so many entries each.
    pub fn prepare(&self, room: usize) {
        // Nobody else looks before the magic number is there.
        self.word(ROOM).store(room as u64, Ordering::Relaxed);
        self.word(0).store(MAGIC, Ordering::Release);
    }

    /// Whether somebody has prepared it.
    #[must_use]
    pub fn is_prepared(&self) -> bool {
        // Acquire: the room is there when the magic number is.
        self.word(0).load(Ordering::Acquire) == MAGIC
    }

    /// The number of bytes that so many logs with room for so many entries need.
    #[must_use]
    pub fn bytes(logs: usize, room: usize) -> usize {
        (HEADER_WORDS + logs * room * ENTRY_WORDS) * 8
    }

    /// Count the clock up: later than everything that anybody has done so far.
    #[must_use]
    pub fn tick(&self) -> u64 {
        // SeqCst: what was done before stays before, what is done after stays after, for all.
        self.word(CLOCK).fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Let everybody begin.
    pub fn go(&self) {
        // Release: what was prepared is seen by those who begin.
        self.word(GO).store(1, Ordering::Release);
    }

    /// Whether everybody may begin.
    #[must_use]
    pub fn may_go(&self) -> bool {
        // Acquire: see `go`.
        self.word(GO).load(Ordering::Acquire) != 0
    }

    /// Let everybody end after the operation that they are at.
    pub fn stop(&self) {
        // Relaxed: nothing hangs on the moment.
        self.word(STOP).store(1, Ordering::Relaxed);
    }

    /// Whether everybody shall end.
    #[must_use]
    pub fn shall_stop(&self) -> bool {
        // Relaxed: see `stop`.
        self.word(STOP).load(Ordering::Relaxed) != 0
    }

    /// How many operations have been begun and ended, both counted.
    #[must_use]
    pub fn now(&self) -> u64 {
        // Relaxed: only shown, or waited for.
        self.word(CLOCK).load(Ordering::Relaxed)
    }

    /// The log with this number, for its one writer.
    #[must_use]
    pub fn writer(&self, log: u32) -> Writer<'_> {
        Writer { shared: self, log, next: 0 }
    }

    /// Whether anything is written in a log.
    #[must_use]
    pub fn has_begun(&self, log: u32) -> bool {
        // Relaxed: only waited for.
        self.word(self.position(log, 0)).load(Ordering::Relaxed) != 0
    }

    /// Everything in a log. Its writer must have ended, or be dead; an operation that has no end
    /// gets `dead_at`, the time at which its writer was surely dead.
    #[must_use]
    pub fn read(&self, log: u32, trusted: bool, dead_at: u64) -> Vec<Entry> {
        let mut entries = Vec::new();
        for number in 0..self.room() {
            let at = self.position(log, number);
            // Acquire: the operation's words were written before.
            let invoked = self.word(at).load(Ordering::Acquire);
            // Acquire: the outcome's words were written before.
            let returned = self.word(at + 1).load(Ordering::Acquire);
            let Some(operation) = Operation::unpack(self.several(at + 2)) else { break };
            if invoked == 0 {
                break;
            }
            let outcome = (returned != 0).then(|| Outcome::unpack(self.several(at + 4)));
            let returned = if returned == 0 { dead_at } else { returned };
            entries.push(Entry { log, invoked, returned, operation, outcome, trusted });
        }
        entries
    }

    fn room(&self) -> usize {
        // Relaxed: it never changes.
        usize::try_from(self.word(ROOM).load(Ordering::Relaxed)).unwrap_or(0)
    }

    fn position(&self, log: u32, entry: usize) -> usize {
        HEADER_WORDS + (log as usize * self.room() + entry) * ENTRY_WORDS
    }

    fn several<const N: usize>(&self, at: usize) -> [u64; N] {
        // Relaxed: the reader has acquired the word that was written last.
        std::array::from_fn(|word| self.word(at + word).load(Ordering::Relaxed))
    }

    fn set_words(&self, at: usize, words: &[u64]) {
        for (position, word) in words.iter().enumerate() {
            // Relaxed: the word that says that they are there is released afterwards.
            self.word(at + position).store(*word, Ordering::Relaxed);
        }
    }

    fn word(&self, number: usize) -> &AtomicU64 {
        self.words.get(number)
    }
}

/// Writes down what one thread does.
#[derive(Debug)]
pub struct Writer<'a> {
    shared: &'a Shared,
    log: u32,
    next: usize,
}

impl Writer<'_> {
    /// Do an operation between two ticks of the clock, and write it down. `false` when the log is
    /// full and nothing was done.
    pub fn record(&mut self, operation: &Operation, act: impl FnOnce() -> Outcome) -> bool {
        if self.next == self.shared.room() {
            return false;
        }
        let at = self.shared.position(self.log, self.next);
        self.next += 1;
        self.shared.set_words(at + 2, &operation.pack());
        // Release: whoever sees that it began sees what it is.
        self.shared.word(at).store(self.shared.tick(), Ordering::Release);
        // SeqCst: not even a system call's effect may come before its beginning is written.
        fence(Ordering::SeqCst);
        let outcome = act();
        let returned = self.shared.tick();
        self.shared.set_words(at + 4, &outcome.pack());
        // Release: whoever sees that it ended sees what came of it.
        self.shared.word(at + 1).store(returned, Ordering::Release);
        true
    }
}
