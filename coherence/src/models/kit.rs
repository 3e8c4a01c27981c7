//! What the models are made of.

use std::fmt;

use loom::sync::Arc;
use loom::sync::atomic::AtomicU64;
use loom::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use shm_layout::{FIRST_SLOT, SharedU64, SlotWord, Snapshot};

use crate::change::{Seat, Unrecorded};
use crate::ledger::{FREE, Incarnation, Leaks, Line};
use crate::pass::Record;
use crate::reap::Reaper;
use crate::slots::{SlotIndex, SlotSet};
use crate::words::Words;

/// A table of a few slots, the host's state, and the host-only file of up to four daemons.
pub(super) struct World {
    slots: Vec<SharedU64>,
    /// One ledger line for each daemon.
    lines: Vec<Vec<SharedU64>>,
    /// One pass record for each daemon.
    pub(super) passes: Vec<SharedU64>,
    leaks: Vec<SharedU64>,
    overflow: SharedU64,
}

/// Where a slot's story begins: touched, idle.
pub(super) const START: SlotWord = SlotWord::new(1, 0);

/// Entries of a model's ledger line.
const ENTRIES: usize = 2;

impl World {
    /// A world whose slots begin with `words`, for `daemons` daemons.
    pub(super) fn new(words: &[SlotWord], daemons: usize) -> Arc<Self> {
        let line = || (0..ENTRIES).map(|_| SharedU64::new(FREE)).collect();
        Arc::new(Self {
            slots: words.iter().map(|w| SharedU64::new(w.0)).collect(),
            lines: (0..daemons).map(|_| line()).collect(),
            passes: (0..daemons).map(|_| SharedU64::new(FREE)).collect(),
            leaks: (0..daemons).map(|_| SharedU64::new(FREE)).collect(),
            overflow: SharedU64::new(0),
        })
    }

    pub(super) fn words(&self) -> Words<'_> {
        Words::new(&self.slots)
    }

    /// The ledger words of daemon `row`.
    pub(super) fn entries(&self, row: usize) -> &[SharedU64] {
        &self.lines[row]
    }

    /// The line of the daemon that lives in `row`, in its `life`.
    pub(super) fn line(&self, row: usize, life: u64) -> Line<'_> {
        Line::new(&self.lines[row], incarnation(life))
    }

    /// Where the daemon of `row` sits, in its `life`.
    pub(super) fn seat(&self, row: usize, life: u64) -> Desk<'_> {
        Desk { world: self, row, life }
    }

    /// Where a daemon sits whose death nobody models.
    pub(super) fn plain_seat(&self) -> Unrecorded<'_> {
        Unrecorded(self.words())
    }

    /// A reaper that is the daemon of `row`, in its `life`.
    pub(super) fn reaper(&self, row: usize, life: u64) -> Reaper<'_> {
        let leaks = Leaks::new(&self.leaks, &self.overflow);
        Reaper { words: self.words(), own: self.line(row, life), leaks }
    }

    /// Slots with marks that nobody will take back.
    pub(super) fn leaked(&self) -> Vec<u32> {
        Leaks::new(&self.leaks, &self.overflow).read(self.words()).0
    }
}

/// A worker's place in a daemon of the model.
pub(super) struct Desk<'a> {
    world: &'a World,
    row: usize,
    life: u64,
}

impl fmt::Debug for Desk<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "worker of daemon {}, life {}", self.row, self.life)
    }
}

impl Seat for Desk<'_> {
    fn words(&self) -> Words<'_> {
        self.world.words()
    }

    fn line(&self) -> Line<'_> {
        self.world.line(self.row, self.life)
    }

    fn record(&self) -> Option<Record<'_>> {
        Some(Record::new(&self.world.passes[self.row], incarnation(self.life)))
    }
}

pub(super) fn incarnation(life: u64) -> Incarnation {
    Incarnation::new(life).unwrap()
}

/// Slot number `n` of the model's table.
pub(super) fn slot(n: u32) -> SlotIndex {
    SlotIndex::new(FIRST_SLOT + n).unwrap()
}

pub(super) fn set(n: u32) -> SlotSet {
    SlotSet::from([slot(n)])
}

/// Ends the exploration when the promise is broken.
pub(super) fn promise(kept: bool, what: &str) {
    if !kept {
        eprintln!("broken: {what}");
        std::process::exit(super::REJECTED);
    }
}

/// A piece of the host file system's state. The kernel's own locks order more than this, but nothing is taken from
/// them here: relaxed.
#[derive(Debug, Default)]
pub(super) struct File(AtomicU64);

impl File {
    pub(super) fn new(value: u64) -> Self {
        Self(AtomicU64::new(value))
    }

    pub(super) fn read(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(super) fn write(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    pub(super) fn add_one(&self) {
        self.0.fetch_add(1, Relaxed);
    }

    /// Reads as a guest does that asks the host: the reply comes through a virtqueue, which has acquire order.
    pub(super) fn ask(&self) -> u64 {
        let value = self.read();
        loom::sync::atomic::fence(Acquire);
        value
    }
}

/// Word of a finished change: a reply, and whatever its receiver tells others.
#[derive(Debug)]
pub(super) struct News(AtomicU64);

impl News {
    pub(super) fn none() -> Self {
        Self(AtomicU64::new(0))
    }

    pub(super) fn tell(&self) {
        self.0.store(1, Release);
    }

    pub(super) fn heard(&self) -> bool {
        self.0.load(Acquire) == 1
    }
}

/// What a guest has cached: a value with what vouches for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Copy {
    pub(super) value: u64,
    pub(super) snapshot: Snapshot,
}

impl Copy {
    /// A reply's value: observed, then read. In the order that the law forbids when that is the rule to break.
    pub(super) fn fetch(words: Words<'_>, of: SlotIndex, file: &File) -> Self {
        let early = file.read();
        let late = || if broken!(ReadBeforeObserve) { early } else { file.read() };
        let (value, [snapshot]) = words.observe_all([of]).then(late);
        Self { value, snapshot }
    }

    /// Whether the guest may use the copy now.
    pub(super) fn hit(&self, words: Words<'_>) -> bool {
        let held = SlotWord(self.snapshot.word);
        match words.slot(self.snapshot.slot) {
            None => false,
            Some(slot) if broken!(CompareByOrder) => {
                words.is_current(slot, held) || words.peek(slot).0 < held.0
            }
            Some(slot) => words.is_current(slot, held),
        }
    }
}
