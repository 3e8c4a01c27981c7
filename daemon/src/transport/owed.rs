//! Calls that a worker owes the guest.
//!
//! A call wakes one of the guest's processors, which costs the daemon more than most requests do. So while more requests
//! wait, replies go into the used ring at once, where a guest that is awake finds them, but one that sleeps is called for
//! all of them together: before the worker does anything that may take long, when nothing is left to serve, and in any
//! case after [`PATIENCE`].

use std::time::{Duration, Instant};

/// How long a guest may be left asleep with a reply in its used ring. Of the order of the call itself.
pub(super) const PATIENCE: Duration = Duration::from_micros(20);

/// The call that is owed, if one is.
#[derive(Debug, Default)]
pub(super) struct Owed(Option<Since>);

#[derive(Clone, Copy, Debug)]
struct Since {
    /// The used index before the first reply of which the guest was not told.
    index: u16,
    at: Instant,
}

impl Owed {
    /// A reply has become entry `index` of the used ring. True: it is the first of them.
    pub(super) fn add(&mut self, index: u16) -> bool {
        let is_first = self.0.is_none();
        self.0.get_or_insert_with(|| Since { index, at: Instant::now() });
        is_first
    }

    /// As [`Self::settle`], if the guest has waited for long enough.
    pub(super) fn settle_if_due(&mut self) -> Option<u16> {
        let is_due = self.0.is_some_and(|since| since.at.elapsed() >= PATIENCE);
        if is_due { self.settle() } else { None }
    }

    /// The used index before the first reply that the guest was not told of. None is owed then.
    pub(super) fn settle(&mut self) -> Option<u16> {
        self.0.take().map(|since| since.index)
    }
}
