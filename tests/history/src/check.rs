//! Looking for an order.
//!
//! The entries' beginnings and ends are gone through in the order of the clock. All the while there
//! is a set of *worlds*: a file system, and how far each operation that has begun has come. When an
//! operation ends, steps of it and of others are tried in every order until it is done; worlds in
//! which it cannot be done with the outcome that it had are dropped. When none is left, there is
//! no order (Wing and Gong's search, just in time as in Lowe's, with equal worlds merged).
//!
//! What keeps the set small: outcomes are known, so most orders are impossible; and what only looks
//! is done as soon as it can be, since it stands in nobody's way.

use std::collections::{BTreeMap, HashSet};
use std::fmt::{self, Write};

use crate::log::Entry;
use crate::op::DIRECTORIES;
use crate::state::{Id, State};
use crate::steps::{self, Progress};

/// More worlds than this at once are not searched.
const MOST_WORLDS: usize = 100_000;
/// How many entries before a violation are told.
const TOLD: usize = 60;
/// How many of the possible worlds are told.
const TOLD_WORLDS: usize = 3;

/// An order was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verdict {
    /// Operations in the history.
    pub operations: usize,
    /// The largest number of worlds that had to be looked at to end one operation.
    pub most_worlds: usize,
}

/// There is no order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The position of the operation that cannot be explained.
    pub entry: usize,
    /// What happened, for people.
    pub report: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.report)
    }
}

impl std::error::Error for Violation {}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    state: State,
    progress: BTreeMap<usize, Progress>,
}

/// Whether there is an order of these operations that agrees with the clock and the outcomes.
///
/// # Errors
/// There is none.
///
/// # Panics
/// So many operations overlap that the search is too wide.
pub fn check(entries: &[Entry]) -> Result<Verdict, Violation> {
    let mut worlds = HashSet::from([World { state: State::default(), progress: BTreeMap::new() }]);
    let mut most_worlds = 1;
    for (_, is_end, number) in events(entries) {
        if !is_end {
            worlds = worlds.into_iter().map(|world| world.begin(number, entries)).collect();
            continue;
        }
        let (left, seen) = finish(&worlds, number, entries);
        most_worlds = most_worlds.max(seen);
        if left.is_empty() {
            let report = report(entries, number, &worlds);
            return Err(Violation { entry: number, report });
        }
        worlds = left;
    }
    Ok(Verdict { operations: entries.len(), most_worlds })
}

/// Every beginning and end, in the clock's order: time, whether it is an end, the entry.
fn events(entries: &[Entry]) -> Vec<(u64, bool, usize)> {
    let mut events = Vec::new();
    for (number, entry) in entries.iter().enumerate() {
        events.push((entry.invoked, false, number));
        events.extend((entry.returned != u64::MAX).then_some((entry.returned, true, number)));
    }
    events.sort_unstable();
    events
}

/// All worlds in which this operation is done, and how many were looked at.
fn finish(worlds: &HashSet<World>, number: usize, entries: &[Entry]) -> (HashSet<World>, usize) {
    let mut left = HashSet::new();
    let mut open: Vec<World> = worlds.iter().cloned().collect();
    let mut seen: HashSet<World> = worlds.clone();
    while let Some(mut world) = open.pop() {
        if world.progress[&number] == Progress::Done {
            world.progress.remove(&number);
            left.insert(world);
            continue;
        }
        for next in world.successors(entries) {
            if !seen.contains(&next) {
                seen.insert(next.clone());
                open.push(next);
            }
        }
        assert!(
            seen.len() < MOST_WORLDS,
            "more than {MOST_WORLDS} worlds, the search is too wide: {}",
            report(entries, number, worlds)
        );
    }
    (left, seen.len())
}

/// The model's number for an operation, and so for the inode that it makes.
fn id_of(entry: usize) -> Id {
    Id::try_from(entry).unwrap_or(Id::MAX) + Id::from(DIRECTORIES)
}

impl World {
    fn begin(mut self, number: usize, entries: &[Entry]) -> Self {
        self.progress.insert(number, Progress::Begun);
        self.look(number, entries);
        self
    }

    /// Every world that is one step further.
    fn successors(&self, entries: &[Entry]) -> Vec<Self> {
        let mut found = Vec::new();
        for (&number, &progress) in &self.progress {
            for step in steps::next(&entries[number], id_of(number), progress, &self.state) {
                if step.state.is_none() && step.progress == progress {
                    continue;
                }
                let mut next = self.clone();
                next.progress.insert(number, step.progress);
                if let Some(state) = step.state {
                    next.state = state;
                    next.settle(entries);
                }
                found.push(next);
            }
        }
        found
    }

    /// After a change: let everybody look who can, and forget what nobody can reach.
    fn settle(&mut self, entries: &[Entry]) {
        let waiting: Vec<usize> = self.progress.keys().copied().collect();
        for number in waiting {
            self.look(number, entries);
        }
        let progress = &self.progress;
        self.state.forget(&|id| progress.values().any(|progress| progress.uses(id)));
    }

    /// Bring an operation to its end if that takes no change and can be done at once. A listing
    /// gets as far as it can. A world in which it is not done could do nothing more.
    fn look(&mut self, number: usize, entries: &[Entry]) {
        let begun = self.progress[&number];
        if let Some(progress) = self.furthest(number, begun, entries) {
            self.progress.insert(number, progress);
        }
    }

    fn furthest(&self, number: usize, from: Progress, entries: &[Entry]) -> Option<Progress> {
        let entry = &entries[number];
        // What may have changed something is not over because it may have changed nothing.
        let refused = entry.outcome.is_some_and(|outcome| outcome.errno != 0);
        if !entry.operation.call.only_looks() && !refused {
            return None;
        }
        let mut listed = None;
        for step in steps::next(entry, id_of(number), from, &self.state) {
            match step.progress {
                Progress::Done => return Some(Progress::Done),
                Progress::Listed(_) => listed = Some(step.progress),
                further => {
                    let end = self.furthest(number, further, entries);
                    if end == Some(Progress::Done) {
                        return end;
                    }
                }
            }
        }
        listed
    }
}

fn report(entries: &[Entry], number: usize, worlds: &HashSet<World>) -> String {
    let entry = &entries[number];
    let mut text = format!("no order explains this operation:\n  {entry}\n");
    let _ = writeln!(text, "what began or ended before it did, the last {TOLD}:");
    let mut earlier: Vec<_> =
        entries.iter().filter(|other| other.invoked < entry.returned).collect();
    earlier.sort_by_key(|other| other.returned);
    for other in earlier.iter().skip(earlier.len().saturating_sub(TOLD)) {
        let _ = writeln!(text, "  {other}");
    }
    let _ =
        writeln!(text, "before its end there were {} possible worlds; some of them:", worlds.len());
    for world in worlds.iter().take(TOLD_WORLDS) {
        let _ = write!(text, "{}", world.state);
        for (number, progress) in &world.progress {
            let _ = writeln!(text, "  {progress:?}: {}", entries[*number]);
        }
    }
    text
}

#[cfg(test)]
#[path = "check_tests.rs"]
mod tests;
