//! Before a file is cut short, daemons whose guests have the pages mapped take them out of their guests.
//!
//! A page that its file no longer has is SIGBUS for whoever touches it, and with DAX that is the VMM. So nobody cuts a
//! file before all others have let go of what lies beyond its new end (`docs/adr/0022-cut-files.md`).
//!
//! ```text
//! cutter                                  holder: another daemon that has mapped a file of this stripe
//! locks the stripe
//! writes the question; turn becomes odd
//! rings the holder's bell           ───▶  reads the question, takes pages away
//! waits                             ◀───  answers with the turn
//! cuts the file; turn becomes even
//! unlocks; rings again              ───▶  looks how long the file is now, and maps what it has
//! ```
//!
//! Files share *stripes*. Whoever maps a file holds its stripe's lock, too: from before it marks itself as a holder until
//! the pages are mapped. So a cutter that has the lock sees every holder, and nobody becomes one before the file is cut.

use std::time::Duration;

use shm_layout::SharedU64;
use shm_layout::word::Ordering::{Acquire, Relaxed, Release};

use crate::clock::Clock;
use crate::limits::CUT_STRIPES;

/// How long a cutter waits for a holder. A VMM answers its daemon between other work.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a cutter sleeps before it looks whether the holder still lives.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Words of a stripe: a cache line, of which the first word is the lock.
pub(crate) const STRIPE_WORDS: usize = 8;
const TURN: usize = 1;
const DEVICE: usize = 2;
const INODE: usize = 3;
const SIZE: usize = 4;
const BLANKS: usize = 5;

/// Words of a set of stripes.
pub(crate) const SET_WORDS: usize = CUT_STRIPES / u64::BITS as usize;

/// What the host knows a file by: `st_dev` and `st_ino`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)]
pub struct FileNumber {
    pub device: u64,
    pub inode: u64,
}

impl FileNumber {
    /// The stripe that guards it.
    pub(crate) fn stripe(self) -> usize {
        // Neighbouring inodes spread well by their lowest bits.
        (self.inode ^ self.device.wrapping_mul(0x9E37_79B9_7F4A_7C15)) as usize % CUT_STRIPES
    }
}

/// What a cutter asks: that no page is mapped which this file will not have when it has `size` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) file: FileNumber,
    pub(crate) size: u64,
}

/// Where a question is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stripe<'a>(pub(crate) &'a [SharedU64]);

impl Stripe<'_> {
    /// Asks; returns the question's turn. Only for who has the lock.
    pub(crate) fn ask(self, question: Question) -> u64 {
        self.close();
        let fields = [(DEVICE, question.file.device), (INODE, question.file.inode)];
        for (field, value) in fields.into_iter().chain([(SIZE, question.size)]) {
            // Release: whoever reads this sees that the turn before is over.
            self.0[field].store(value, Release);
        }
        // Relaxed: nobody but who has the lock writes it.
        let turn = self.0[TURN].load(Relaxed) + 1;
        // Release: with the turn the question is seen.
        self.0[TURN].store(turn, Release);
        turn
    }

    /// The question is no more; also one whose asker has died. Only for who has the lock.
    pub(crate) fn close(self) {
        // Relaxed: as above.
        let turn = self.0[TURN].load(Relaxed);
        if turn % 2 == 1 {
            // Release: the file is cut.
            self.0[TURN].store(turn + 1, Release);
        }
    }

    /// The question that is asked, and its turn.
    pub(crate) fn question(self) -> Option<(u64, Question)> {
        // Acquire: the question that belongs to the turn.
        let turn = self.0[TURN].load(Acquire);
        // Acquire: should any be a later question's, so is the turn below.
        let field = |field: usize| self.0[field].load(Acquire);
        let file = FileNumber { device: field(DEVICE), inode: field(INODE) };
        let question = Question { file, size: field(SIZE) };
        // Relaxed: see above. Whoever asks the later one rings again.
        (turn % 2 == 1 && self.0[TURN].load(Relaxed) == turn).then_some((turn, question))
    }

    /// Somebody's guest has other memory where a file of this stripe had pages.
    pub(crate) fn note_blanks(self) {
        // Release: as an answer.
        self.0[BLANKS].store(1, Release);
    }

    /// Whether that may be; and it is forgotten where so wished, before all holders are asked to look again.
    pub(crate) fn blanks(self, forget: bool) -> bool {
        // Acquire: whoever was told that the file is cut sees what became of its pages.
        let blanks = self.0[BLANKS].load(Acquire) != 0;
        if blanks && forget {
            // Relaxed: holders that still have some say so before they answer.
            self.0[BLANKS].store(0, Relaxed);
        }
        blanks
    }
}

/// What a daemon that maps files has in its row.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holder<'a> {
    pub(crate) bell: &'a SharedU64,
    /// Stripes of files that are mapped, a bit each.
    pub(crate) maps: &'a [SharedU64],
    /// The last answer for each stripe: `turn << 1 | done`.
    pub(crate) answers: &'a [SharedU64],
}

/// What came of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing that matters is mapped any more.
    Done,
    /// The pages could not be taken away.
    Refused,
    /// There is nobody who would answer.
    Gone,
    /// None came in time.
    Late,
}

impl Holder<'_> {
    /// Whether a file of this stripe is mapped.
    pub(crate) fn maps(self, stripe: usize) -> bool {
        // Acquire: where none is mapped any more, it is so.
        self.maps[stripe / 64].load(Acquire) >> (stripe % 64) & 1 == 1
    }

    pub(crate) fn maps_any(self) -> bool {
        // Acquire: as above.
        self.maps.iter().any(|word| word.load(Acquire) != 0)
    }

    /// These are the stripes of mapped files. A new one is noted before it is mapped, with its stripe's lock in hand.
    pub(crate) fn set_maps(self, stripes: &[u64]) {
        for (word, set) in self.maps.iter().zip(stripes) {
            // Release: what is not in it any more is not mapped any more.
            word.store(*set, Release);
        }
    }

    pub(crate) fn ring(self, clock: &dyn Clock) {
        // Release: the question is seen by who hears the bell.
        self.bell.fetch_add(1, Release);
        clock.wake(self.bell);
    }

    /// Answers what is asked on a stripe, unless it is answered; returns what was asked. `fit` lets go of the pages.
    pub(crate) fn attend(
        self,
        stripe: Stripe<'_>,
        number: usize,
        clock: &dyn Clock,
        fit: impl FnOnce(Question) -> bool,
    ) -> Option<Question> {
        let (turn, question) = stripe.question()?;
        let answer = &self.answers[number];
        // Relaxed: one thread answers.
        if answer.load(Relaxed) >> 1 == turn {
            return None;
        }
        let say = |done: bool| {
            // Release: the pages are gone.
            let order = if broken!(AnswerRelaxed) { Relaxed } else { Release };
            answer.store(turn << 1 | u64::from(done), order);
            clock.wake(answer);
        };
        if broken!(AnswerEarly) {
            say(true);
            fit(question);
        } else {
            say(fit(question));
        }
        Some(question)
    }

    /// Waits for the answer.
    pub(crate) fn answer(
        self,
        number: usize,
        turn: u64,
        clock: &dyn Clock,
        is_gone: impl Fn() -> bool,
    ) -> Answer {
        let word = &self.answers[number];
        let deadline = clock.now() + PATIENCE;
        let mut waited = false;
        loop {
            // Acquire: the pages are gone.
            let seen = word.load(Acquire);
            if seen >> 1 == turn {
                return if seen & 1 == 1 { Answer::Done } else { Answer::Refused };
            }
            // Who let go of it by itself has nothing to answer, and nobody maps it meanwhile.
            if !self.maps(number) {
                return Answer::Done;
            }
            if waited && is_gone() {
                return Answer::Gone;
            }
            let left = deadline.saturating_sub(clock.now());
            if left.is_zero() {
                return Answer::Late;
            }
            clock.wait(word, seen, left.min(LOOK_AGAIN));
            waited = true;
        }
    }
}

/// The stripes of these files as a set.
pub(crate) fn stripes_of(files: impl IntoIterator<Item = FileNumber>) -> [u64; SET_WORDS] {
    let mut set = [0; SET_WORDS];
    for file in files {
        let stripe = file.stripe();
        set[stripe / 64] |= 1 << (stripe % 64);
    }
    set
}
