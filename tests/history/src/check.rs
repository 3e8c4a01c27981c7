//! Looking for an order.
//!
//! The entries' beginnings and ends are gone through in the order of the clock. All the while there
//! is a set of *worlds*: a file system, and how far each operation that has begun has come. When an
//! operation ends, steps of it and of others are tried in every order until it is done; worlds in
//! which it cannot be done with the outcome that it had are dropped. When none is left, there is
//! no order (Wing and Gong's search, just in time as in Lowe's, with equal worlds merged).
//!
//! What keeps the set small: outcomes are known, so most orders are impossible; what only looks
//! is done as soon as it can be, since it stands in nobody's way; what a name means is found as late as it can be; and
//! directories that have nothing to do with each other are checked apart.

use std::collections::HashSet;
use std::fmt::{self, Write};

use crate::log::Entry;
use crate::parts::parts;
use crate::steps::Progress;
use crate::world::World;

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

/// Whether there is an order of these operations that agrees with the clock and the outcomes.
///
/// # Errors
/// There is none.
///
/// # Panics
/// So many operations overlap that the search is too wide.
pub fn check(entries: &[Entry]) -> Result<Verdict, Violation> {
    let mut most_worlds = 1;
    let mut violations = Vec::new();
    for part in parts(entries) {
        match check_part(&part, entries) {
            Ok(worlds) => most_worlds = most_worlds.max(worlds),
            Err(violation) => violations.push(violation),
        }
    }
    match violations.into_iter().min_by_key(|violation| entries[violation.entry].returned) {
        None => Ok(Verdict { operations: entries.len(), most_worlds }),
        Some(violation) => Err(violation),
    }
}

/// The largest number of worlds.
fn check_part(part: &[usize], entries: &[Entry]) -> Result<usize, Violation> {
    let mut worlds = HashSet::from([World::default()]);
    let mut most_worlds = 1;
    for (_, is_end, number) in events(part, entries) {
        if !is_end {
            worlds = worlds.into_iter().map(|world| world.begin(number, entries)).collect();
            continue;
        }
        let (left, seen) = finish(&worlds, number, (part, entries));
        most_worlds = most_worlds.max(seen);
        if left.is_empty() {
            let report = report((part, entries), number, &worlds);
            return Err(Violation { entry: number, report });
        }
        worlds = left;
    }
    Ok(most_worlds)
}

/// Every beginning and end, in the clock's order: time, whether it is an end, the entry.
fn events(part: &[usize], entries: &[Entry]) -> Vec<(u64, bool, usize)> {
    let mut events = Vec::new();
    for &number in part {
        let Entry { invoked, returned, .. } = entries[number];
        events.push((invoked, false, number));
        events.extend((returned != u64::MAX).then_some((returned, true, number)));
    }
    events.sort_unstable();
    events
}

/// Some entries of a history, by their positions.
type Part<'a> = (&'a [usize], &'a [Entry]);

/// All worlds in which this operation is done, and how many were looked at.
fn finish(worlds: &HashSet<World>, number: usize, part: Part<'_>) -> (HashSet<World>, usize) {
    let mut left = HashSet::new();
    let mut open: Vec<World> = worlds.iter().cloned().collect();
    let mut seen: HashSet<World> = worlds.clone();
    while let Some(mut world) = open.pop() {
        if world.progress[&number] == Progress::Done {
            world.progress.remove(&number);
            left.insert(world);
            continue;
        }
        for next in world.successors(part.1) {
            if !seen.contains(&next) {
                seen.insert(next.clone());
                open.push(next);
            }
        }
        assert!(
            seen.len() < MOST_WORLDS,
            "more than {MOST_WORLDS} worlds, the search is too wide: {}",
            report(part, number, worlds)
        );
    }
    (left, seen.len())
}

fn report((part, entries): Part<'_>, number: usize, worlds: &HashSet<World>) -> String {
    let entry = &entries[number];
    let mut text = format!("no order explains this operation:\n  {entry}\n");
    let _ = writeln!(text, "what began or ended before it did, the last {TOLD}:");
    let mut earlier: Vec<_> = part
        .iter()
        .map(|number| &entries[*number])
        .filter(|other| other.invoked < entry.returned)
        .collect();
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
