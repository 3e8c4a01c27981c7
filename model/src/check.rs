//! What must hold at every instant.

use std::fmt;

use smallvec::SmallVec;

use crate::fault::Fault;
use crate::ident::{Identity, Name, Value};
use crate::marks::KEEPER;
use crate::model::Model;
use crate::op::Op;
use crate::state::{ANYBODY, Copy, Entry, Event, Job, Life, NOBODY, Stage, State};
use crate::word;

/// A count for each slot.
type PerSlot = SmallVec<[u64; 20]>;

/// The kinds of things that may go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A guest's check says "current", and the copy is not what the host would answer.
    StaleHit,
    /// Guests' checks say of both names of a rename that they do not exist, and one of them does.
    NeitherName,
    /// A slot counts fewer changes in progress than there are: a living daemon's mark was taken away.
    MarkLost,
    /// A slot's count is not what ledgers, claims and counted leaks make it.
    Unbalanced,
    /// A word moved backwards: old stamps may match again.
    Backwards,
    /// A stamp with a word that says "busy".
    BusyStamp,
    /// A name lock that nobody will ever let go.
    LockLost,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Violation {
    /// See [`Kind::StaleHit`].
    StaleHit {
        /// What the guest believes.
        copy: Copy,
        /// What the host would answer.
        now: Value,
    },
    /// See [`Kind::NeitherName`].
    NeitherName(Name, Name),
    /// See [`Kind::MarkLost`].
    MarkLost {
        /// The slot.
        slot: u8,
        /// Changes in progress.
        living: u64,
        /// What the word says.
        busy: u64,
    },
    /// See [`Kind::Unbalanced`].
    Unbalanced {
        /// The slot.
        slot: u8,
        /// Marks that are known to be there.
        accounted: u64,
        /// Marks that may be there: INTENT, and leaks that were counted.
        doubtful: u64,
        /// What the word says.
        busy: u64,
    },
    /// See [`Kind::Backwards`].
    Backwards {
        /// The slot.
        slot: u8,
    },
    /// See [`Kind::BusyStamp`].
    BusyStamp(Copy),
    /// See [`Kind::LockLost`].
    LockLost {
        /// The stripe.
        stripe: u8,
    },
}

impl Violation {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::StaleHit { .. } => Kind::StaleHit,
            Self::NeitherName(..) => Kind::NeitherName,
            Self::MarkLost { .. } => Kind::MarkLost,
            Self::Unbalanced { .. } => Kind::Unbalanced,
            Self::Backwards { .. } => Kind::Backwards,
            Self::BusyStamp(_) => Kind::BusyStamp,
            Self::LockLost { .. } => Kind::LockLost,
        }
    }
}

impl Model {
    /// The first thing that is wrong in a state that was reached from `before`. Of a broken model only the expected kind counts.
    #[must_use]
    pub fn violation(&self, before: &State, st: &State) -> Option<Violation> {
        match self.expected() {
            Some(Kind::StaleHit) => self.stale_hit(st),
            Some(Kind::NeitherName) => self.neither_name(st),
            Some(Kind::MarkLost) => mark_lost(st),
            Some(Kind::Unbalanced) => unbalanced(st),
            Some(Kind::Backwards) => backwards(before, st),
            Some(Kind::BusyStamp) => busy_stamp(st),
            Some(Kind::LockLost) => lock_lost(st),
            None => self
                .stale_hit(st)
                .or_else(|| self.neither_name(st))
                .or_else(|| mark_lost(st))
                .or_else(|| unbalanced(st))
                .or_else(|| backwards(before, st))
                .or_else(|| busy_stamp(st))
                .or_else(|| lock_lost(st)),
        }
    }

    /// Every copy that passes the guest's check must be what the host would answer at this instant.
    fn stale_hit(&self, st: &State) -> Option<Violation> {
        st.copies.iter().filter(|c| self.hits(st, c)).find_map(|&copy| {
            let now = st.host.answer(&self.scope.layout, copy.id);
            let wrong = copy.value != now && !permitted(st, copy);
            wrong.then_some(Violation::StaleHit { copy, now })
        })
    }

    /// A guest that looks at both names at once never finds neither while one of them exists.
    fn neither_name(&self, st: &State) -> Option<Violation> {
        let missing = |n: Name| {
            st.copies.iter().any(|c| {
                c.id == Identity::Entry(n) && c.value == Value::Nothing && self.hits(st, c)
            })
        };
        let renames = self.scope.ops.iter().filter_map(|op| match *op {
            Op::Rename(a, b) => Some((a, b)),
            _ => None,
        });
        let layout = &self.scope.layout;
        renames
            .filter(|&(a, b)| missing(a) && missing(b))
            .find(|&(a, b)| {
                let exists = |n| st.host.meaning(layout, n).is_some();
                let late = |n| permitted_any(st, Identity::Entry(n));
                (exists(a) || exists(b)) && !late(a) && !late(b)
            })
            .map(|(a, b)| Violation::NeitherName(a, b))
    }

    /// The kind of violation that the broken rule must lead to.
    #[must_use]
    pub fn expected(&self) -> Option<Kind> {
        self.fault.and_then(Fault::expected)
    }
}

/// Changes in progress of living daemons, and mappings of living VMMs, are counted in the word.
fn mark_lost(st: &State) -> Option<Violation> {
    let mut living = PerSlot::from_elem(u64::from(st.crowd), st.words.len());
    for task in st.tasks.iter().flatten() {
        if matches!(task.op, Op::Map(_) | Op::Unmap(_)) {
            continue; // their marks are the daemon's holds
        }
        for mark in task.marks.iter().filter(|m| m.counted && m.published.is_none()) {
            living[usize::from(mark.slot)] += 1;
        }
    }
    for daemon in st.daemons.iter().filter(|d| d.life == Life::Up || d.front_end) {
        for &slot in daemon.lingers.iter().flat_map(|l| &l.slots) {
            living[usize::from(slot)] += 1;
        }
        let held = |e: &&Entry| e.worker >= KEEPER && e.stage == Stage::Held;
        for entry in daemon.ledger.iter().filter(held) {
            living[usize::from(entry.slot)] += 1;
        }
    }
    let mut slots = living.into_iter().zip(&st.words).enumerate();
    slots.find(|(_, (living, word))| word::busy(**word) < *living).map(|(slot, (living, &word))| {
        Violation::MarkLost { slot: slot as u8, living, busy: word::busy(word) }
    })
}

/// Every mark is in a ledger, claimed by a reaper, or a leak that was counted; and what a ledger says is HELD has its mark.
fn unbalanced(st: &State) -> Option<Violation> {
    let crowd = u64::from(st.crowd);
    let mut accounted = PerSlot::from_elem(crowd, st.words.len());
    let mut doubtful: PerSlot = st.leaked.iter().map(|&n| u64::from(n)).collect();
    for daemon in &st.daemons {
        let finishes = matches!(daemon.job, Some(Job::Finish { .. }));
        for entry in &daemon.ledger {
            let noted = finishes && entry.worker == KEEPER && entry.stage == Stage::Intent;
            match entry.stage {
                Stage::Held => accounted[usize::from(entry.slot)] += 1,
                Stage::Intent => doubtful[usize::from(entry.slot)] += u64::from(!noted),
            }
        }
        for &slot in daemon.lingers.iter().flat_map(|l| &l.slots) {
            accounted[usize::from(slot)] += 1;
        }
        if let Some(Job::Finish { entry, .. }) = daemon.job {
            accounted[usize::from(entry.slot)] += 1;
        }
    }
    let counts = accounted.into_iter().zip(doubtful).zip(&st.words).enumerate();
    counts.into_iter().find_map(|(slot, ((accounted, doubtful), &word))| {
        let busy = word::busy(word);
        let right = (accounted..=accounted + doubtful).contains(&busy) || word::is_stuck(word);
        (!right).then_some(Violation::Unbalanced { slot: slot as u8, accounted, doubtful, busy })
    })
}

/// Words only move forward (by less than half a turn).
fn backwards(before: &State, st: &State) -> Option<Violation> {
    before.words.iter().zip(&st.words).enumerate().find_map(|(slot, (&old, &new))| {
        let slot = slot as u8;
        (new.wrapping_sub(old) > u64::MAX / 2).then_some(Violation::Backwards { slot })
    })
}

/// Nothing is cached under a word that says "busy".
fn busy_stamp(st: &State) -> Option<Violation> {
    let busy = |c: &&Copy| word::busy(c.word) != 0;
    st.copies.iter().find(busy).map(|&copy| Violation::BusyStamp(copy))
}

/// Every lock is held by a request that is under way.
fn lock_lost(st: &State) -> Option<Violation> {
    st.locks.iter().enumerate().find_map(|(stripe, &owner)| {
        let task = st.tasks[usize::from(owner?)].as_ref();
        let holds = task.is_some_and(|t| t.locks >> stripe & 1 == 1);
        (!holds).then_some(Violation::LockLost { stripe: stripe as u8 })
    })
}

/// Whether a wrong answer is one that may still be given: of an event that the daemon which gave it has not handled.
fn permitted(st: &State, copy: Copy) -> bool {
    let pending = |e: &&Event| {
        let readers = e.unread | e.resync;
        copy.by == ANYBODY || readers & (NOBODY | 1 << copy.by) != 0
    };
    let mut permits = st.events.iter().filter(pending).flat_map(|e| &e.permits);
    permits.any(|p| *p == (copy.id, copy.value))
}

fn permitted_any(st: &State, id: Identity) -> bool {
    st.events.iter().flat_map(|e| &e.permits).any(|p| p.0 == id)
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StaleHit { copy, now } => write!(
                f,
                "STALE HIT: a guest's check of {} succeeds and answers \"{}\"; the host says \"{now}\"",
                copy.id, copy.value
            ),
            Self::NeitherName(a, b) => {
                write!(
                    f,
                    "NEITHER NAME: checks of {a} and {b} both answer \"no such name\"; one exists"
                )
            }
            Self::MarkLost { slot, living, busy } => {
                write!(f, "MARK LOST: slot {slot} counts {busy} changes in progress, {living} are")
            }
            Self::Unbalanced { slot, accounted, doubtful, busy } => write!(
                f,
                "UNBALANCED: slot {slot} counts {busy} marks; ledgers and claims make {accounted}, and {doubtful} are in doubt"
            ),
            Self::Backwards { slot } => write!(f, "BACKWARDS: the word of slot {slot} fell back"),
            Self::BusyStamp(copy) => write!(f, "BUSY STAMP: {} was stamped while busy", copy.id),
            Self::LockLost { stripe } => {
                write!(f, "LOCK LOST: nobody will ever let go of name lock {stripe}")
            }
        }
    }
}
