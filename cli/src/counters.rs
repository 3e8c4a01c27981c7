//! What a table and its daemons count.

use std::collections::HashMap;

use coherence::inspect::Inspection;

/// What only grows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// All slots' generations.
    pub(crate) generations: u64,
    /// Changes of each daemon, by row and when it joined: a row may become another's.
    pub(crate) changes: HashMap<(usize, u64), u64>,
}

impl Counters {
    pub(crate) fn of(seen: &Inspection) -> Self {
        let daemons = seen.host.as_ref().map_or(&[][..], |host| &host.daemons);
        let changes = daemons.iter().map(|d| ((d.row, d.since), d.changes));
        Self { generations: seen.generations, changes: changes.collect() }
    }
}
