//! How much may happen in a scope, and how much is left of it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How much may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Budget {
    /// Requests that change something.
    pub changes: u8,
    /// Requests that only read.
    pub reads: u8,
    /// Crashes of daemons.
    pub crashes: u8,
    /// Starts of daemons.
    pub starts: u8,
    /// Changes made on the host.
    pub host: u8,
    /// Stores through DAX mappings.
    pub stores: u8,
    /// Locks given up.
    pub give_ups: u8,
    /// Event queues that overflow.
    pub overflows: u8,
    /// Watches that are lost.
    pub deaf: u8,
    /// Guests that forget all they know.
    pub forgets: u8,
    /// Sweeps that come too soon after the last one.
    pub hurries: u8,
    /// Losses of the host-only file while no daemon runs.
    pub losses: u8,
}

/// A budget without an end: the scope is explored until nothing new turns up.
pub const UNLIMITED: u8 = u8::MAX;

/// Takes one from a budget.
pub(crate) fn spend(budget: &mut u8) {
    if *budget != UNLIMITED {
        *budget -= 1;
    }
}

/// Nothing may happen.
pub const NOTHING: Budget = Budget {
    changes: 0,
    reads: 0,
    crashes: 0,
    starts: 0,
    host: 0,
    stores: 0,
    give_ups: 0,
    overflows: 0,
    deaf: 0,
    forgets: 0,
    hurries: 0,
    losses: 0,
};

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [
            (self.changes, "changes"),
            (self.reads, "reads"),
            (self.crashes, "deaths"),
            (self.starts, "starts"),
            (self.host, "changes on the host"),
            (self.stores, "stores"),
            (self.give_ups, "locks given up"),
            (self.overflows, "overflows"),
            (self.losses, "host-only file lost"),
            (self.deaf, "watches lost"),
            (self.forgets, "watches given up"),
            (self.hurries, "sweeps put off"),
        ];
        let happens = all.iter().filter(|(n, _)| *n != 0);
        let told = happens.map(|(n, what)| match *n {
            UNLIMITED => format!("{what}: any"),
            n => format!("{what}: {n}"),
        });
        f.write_str(&told.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
#[path = "budget_tests.rs"]
mod tests;
