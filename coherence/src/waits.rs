//! Owners of file locks who wait, where all daemons of a table see them: circles over several guests are found.
//!
//! Each owner in a circle has locked what the one before waits for; so all of them wait. Whoever is about to wait *notes*
//! in its daemon's row what for, and what it has locked, and only then looks at everybody's notes. Of those who close a
//! circle at the same moment at least one sees the whole of it, and does not wait.
//!
//! There is room for so many notes and stretches and no more ([`MAX_WAITS`], [`MAX_HELD`]). What is not noted closes no
//! circle that anybody sees: it is waited for, as without all this.

use std::collections::VecDeque;

use shm_layout::SharedU64;
use shm_layout::word::Ordering::{Acquire, Relaxed, Release, SeqCst};
use shm_layout::word::fence;

use crate::cuts::FileNumber;
use crate::limits::{MAX_HELD, MAX_WAITS};

/// Words of a note, whole cache lines.
pub(crate) const NOTE_WORDS: usize = (HELD + MAX_HELD * STRETCH_WORDS).next_multiple_of(8);

/// Odd while the note is being written.
const TURN: usize = 0;
/// 0: nobody waits here. Else one more than there are stretches.
const COUNT: usize = 1;
const OWNER: usize = 2;
const WANTED: usize = 3;
const HELD: usize = WANTED + STRETCH_WORDS;

/// A stretch: device, inode, start, end with [`WRITE`].
const STRETCH_WORDS: usize = 4;

/// No file is so long that its last byte's number needs this bit.
const WRITE: u64 = 1 << 63;

/// How often the notes are read again because some have changed meanwhile.
const LOOKS: usize = 8;

/// Bytes of a file that are locked, or shall be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The file.
    pub file: FileNumber,
    /// The first byte.
    pub start: u64,
    /// The last byte; at most `i64::MAX`, which stands for all that may follow.
    pub end: u64,
    /// For writing: nobody else may have any of it.
    pub write: bool,
}

impl Stretch {
    fn conflicts(&self, other: &Self) -> bool {
        let overlaps = self.start <= other.end && other.start <= self.end;
        self.file == other.file && overlaps && (self.write || other.write)
    }

    fn words(&self) -> [u64; STRETCH_WORDS] {
        let write = if self.write { WRITE } else { 0 };
        [self.file.device, self.file.inode, self.start, self.end & !WRITE | write]
    }

    fn of([device, inode, start, end]: [u64; STRETCH_WORDS]) -> Self {
        let file = FileNumber { device, inode };
        Self { file, start, end: end & !WRITE, write: end & WRITE != 0 }
    }
}

/// An owner of locks who waits for one more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Who, as the guest calls it.
    pub owner: u64,
    /// What for.
    pub wanted: Stretch,
    /// What the owner has locked meanwhile.
    pub held: Vec<Stretch>,
}

impl Waiting {
    fn waits_for(&self, other: &Self) -> bool {
        other.held.iter().any(|held| held.conflicts(&self.wanted))
    }
}

/// The notes of one daemon. It writes them under a lock of its own; everybody reads.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Notes<'a>(pub(crate) &'a [SharedU64]);

impl<'a> Notes<'a> {
    fn note(self, place: usize) -> &'a [SharedU64] {
        &self.0[place * NOTE_WORDS..][..NOTE_WORDS]
    }

    /// Notes who waits. Look at everybody's notes afterwards, and not before.
    pub(crate) fn write(self, place: usize, waiting: &Waiting) {
        self.replace(place, |note| {
            let held = &waiting.held[..waiting.held.len().min(MAX_HELD)];
            let stretches = std::iter::once(&waiting.wanted).chain(held);
            let words = stretches.flat_map(Stretch::words);
            // Relaxed, all of them: the turn tells whether they belong together.
            note[COUNT].store(held.len() as u64 + 1, Relaxed);
            note[OWNER].store(waiting.owner, Relaxed);
            note[WANTED..].iter().zip(words).for_each(|(word, value)| word.store(value, Relaxed));
        });
        if !broken!(NoteFence) {
            // SeqCst: two who note and then look (Dekker); nothing weaker lets at least one of them see the other.
            fence(SeqCst);
        }
    }

    /// Nobody waits there any more.
    pub(crate) fn erase(self, place: usize) {
        // Relaxed: as for every word of a note.
        self.replace(place, |note| note[COUNT].store(0, Relaxed));
    }

    fn replace(self, place: usize, write: impl FnOnce(&[SharedU64])) {
        let note = self.note(place);
        // Relaxed: nobody else writes it. A writer that died within left it to the next daemon of this row, which wipes it.
        let turn = note[TURN].load(Relaxed);
        if !broken!(NoteUnmarked) {
            note[TURN].store(turn + 1, Relaxed);
            // Release: whoever reads one of the words that follow reads this turn, too, or a later one.
            fence(Release);
        }
        write(note);
        // Release: with the turn the whole note is seen.
        note[TURN].store(turn + 2, Release);
    }

    /// What is noted there, and its turn. None also for what is being written: its writer looks later than this reader.
    pub(crate) fn read(self, place: usize) -> Option<(u64, Waiting)> {
        let note = self.note(place);
        // Acquire: the words of this turn, or later ones.
        let turn = note[TURN].load(Acquire);
        // Relaxed, here and below: the turn is looked at once more.
        let count = note[COUNT].load(Relaxed);
        if count == 0 || turn % 2 == 1 {
            return None;
        }
        let at = |start: usize| {
            let mut words = [0; STRETCH_WORDS];
            for (word, from) in words.iter_mut().zip(&note[start..]) {
                *word = from.load(Relaxed);
            }
            Stretch::of(words)
        };
        let held = (count as usize - 1).min(MAX_HELD);
        let waiting = Waiting {
            owner: note[OWNER].load(Relaxed),
            wanted: at(WANTED),
            held: (0..held).map(|i| at(HELD + i * STRETCH_WORDS)).collect(),
        };
        // Acquire: had any of the words been a later turn's, that turn or its mark is seen below.
        fence(Acquire);
        (note[TURN].load(Relaxed) == turn).then_some((turn, waiting))
    }

    /// Everybody who is noted there.
    pub(crate) fn all(self) -> impl Iterator<Item = (usize, u64, Waiting)> {
        let read = move |place| self.read(place).map(|(turn, waiting)| (place, turn, waiting));
        (0..MAX_WAITS).filter_map(read)
    }
}

/// A note that somebody has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sight {
    pub(crate) row: usize,
    pub(crate) place: usize,
    pub(crate) turn: u64,
    pub(crate) waiting: Waiting,
}

/// Whether an owner in `row` who waits like this closes a circle with those whom `look` sees.
///
/// Notes are read one after the other, and come and go meanwhile. What two looks find the same was all true at the moment
/// between them.
pub(crate) fn closes_circle(
    row: usize,
    waiting: &Waiting,
    mut look: impl FnMut() -> Vec<Sight>,
) -> bool {
    let mut before = circle(row, waiting, look());
    for _ in 0..LOOKS {
        let Some(found) = before else { return false };
        let again = circle(row, waiting, look());
        if again.as_ref() == Some(&found) {
            return true;
        }
        before = again;
    }
    false
}

/// All for whom the owner would wait, by however many others, if the owner is among those whom these wait for.
fn circle(row: usize, waiting: &Waiting, mut others: Vec<Sight>) -> Option<Vec<Sight>> {
    others.retain(|sight| (sight.row, sight.waiting.owner) != (row, waiting.owner));
    let mut reached = Vec::new();
    let mut open = VecDeque::from([waiting.clone()]);
    let mut closed = false;
    while let Some(next) = open.pop_front() {
        let in_the_way = |sight: &mut Sight| next.waits_for(&sight.waiting);
        for sight in others.extract_if(.., in_the_way) {
            closed |= sight.waiting.waits_for(waiting);
            open.push_back(sight.waiting.clone());
            reached.push(sight);
        }
    }
    closed.then_some(reached)
}

#[cfg(all(test, not(loom)))]
#[path = "waits_tests.rs"]
mod tests;
