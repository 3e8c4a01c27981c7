//! For loom models only: rules that can be broken one at a time, to see that the models notice, and deaths at a chosen
//! step.
//!
//! `broken!(Rule)` is `false`, and `crash_point!()` nothing, in every other build.

#[cfg(loom)]
pub use models::*;

/// Whether a model has broken this rule. Always false outside models.
#[cfg(not(loom))]
macro_rules! broken {
    ($rule:ident) => {
        false
    };
}

/// A place where a model may let the thread die as SIGKILL would.
#[cfg(not(loom))]
macro_rules! crash_point {
    () => {};
}

/// Whether this thread has died in a model: the dead run no destructors.
#[cfg(not(loom))]
macro_rules! crashed {
    () => {
        false
    };
}

#[cfg(loom)]
macro_rules! broken {
    ($rule:ident) => {
        $crate::mutation::is_broken($crate::mutation::Rule::$rule)
    };
}

#[cfg(loom)]
macro_rules! crash_point {
    () => {
        $crate::mutation::crash_point()
    };
}

#[cfg(loom)]
macro_rules! crashed {
    () => {
        $crate::mutation::is_dead()
    };
}

#[cfg(loom)]
mod models {
    use std::cell::Cell;

    /// The rules, named by what is done instead of following them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Rule {
        /// The change is not announced.
        SkipAnnounce,
        /// No fence between the marks and the change.
        AnnounceFence,
        /// Announcing counts on past the value that sticks, into the generation.
        AnnounceCarries,
        /// Publishing takes a stuck count down.
        PublishUnsticks,
        /// Publishing has no release order.
        PublishRelaxed,
        /// An event's advance has no release order.
        AdvanceRelaxed,
        /// No fence between the observation and the read.
        ObserveFence,
        /// A busy word is stamped.
        StampBusy,
        /// A change stamps its reply though it was not alone.
        StampNotAlone,
        /// A mark is still HELD in the ledger while it is taken back.
        PublishHeld,
        /// A reaper publishes what it could not claim.
        ReapWithoutClaim,
        /// A reaper takes INTENT for HELD.
        ReapIntent,
        /// A reaper does not look whose entry it is.
        ReapAnyIncarnation,
        /// In a model: the change is made after publishing.
        PublishFirst,
        /// In a model: what is replied was read before the observation.
        ReadBeforeObserve,
        /// In a model: rename announces one of its two names.
        AnnounceHalf,
        /// In a model: a guest takes a smaller word for an older one, and its own for newer.
        CompareByOrder,
        /// A name lock is taken though another has it.
        LockIgnored,
        /// A name lock is released without release order.
        UnlockRelaxed,
        /// In a model: a file is cut before those are asked who have it mapped.
        CutUnasked,
        /// A holder answers before the pages are gone.
        AnswerEarly,
        /// An answer has no release order.
        AnswerRelaxed,
        /// In a model: a file is mapped without its stripe's lock.
        MapUnlocked,
        /// No fence between noting who waits and looking at the others.
        NoteFence,
        /// A note that is being written is not marked as such.
        NoteUnmarked,
    }

    std::thread_local! {
        // A model runs all its threads on the thread that explores it, so these are the model's.
        static BROKEN: Cell<Option<Rule>> = const { Cell::new(None) };
    }

    loom::thread_local! {
        static LIFE: Cell<Life> = Cell::new(Life::Immortal);
    }

    /// What becomes of a thread of a model.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Life {
        Immortal,
        /// It passes this many crash points and dies at the next one.
        Steps(u32),
        Dead,
    }

    impl Rule {
        /// The rule of that name.
        #[must_use]
        pub fn named(name: &str, among: &[Self]) -> Option<Self> {
            among.iter().copied().find(|rule| format!("{rule:?}") == name)
        }
    }

    /// Breaks a rule for the models that this thread explores from now on.
    pub fn break_rule(rule: Option<Rule>) {
        BROKEN.set(rule);
    }

    pub(crate) fn is_broken(rule: Rule) -> bool {
        BROKEN.get() == Some(rule)
    }

    /// What a thread of a model dies of.
    #[derive(Debug)]
    pub struct Killed;

    /// Lets this thread of the model pass `steps` crash points and die at the next one, by unwinding with [`Killed`]
    /// and running no destructor of the engine.
    pub fn die_after(steps: u32) {
        LIFE.with(|life| life.set(Life::Steps(steps)));
    }

    pub(crate) fn crash_point() {
        LIFE.with(|life| match life.get() {
            Life::Immortal | Life::Dead => {}
            Life::Steps(0) => {
                life.set(Life::Dead);
                std::panic::resume_unwind(Box::new(Killed));
            }
            Life::Steps(steps) => life.set(Life::Steps(steps - 1)),
        });
    }

    pub(crate) fn is_dead() -> bool {
        LIFE.with(|life| life.get() == Life::Dead)
    }
}
