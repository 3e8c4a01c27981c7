//! The checker takes shortcuts. A search without any must come to the same verdict, for better or worse.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use samepage_history::execute::{self, Place};
use samepage_history::generate::{Generator, Mix, Role};
use samepage_history::state::State;
use samepage_history::steps::{self, Progress};
use samepage_history::{Entry, check};

const PACE: u64 = 100;
const OPERATIONS: usize = 24;
/// Most are none, since only outcomes of like operations are exchanged: every fourth history has no order.
const LIES: usize = 60;

type World = (State, BTreeMap<usize, Progress>);

/// Whether every step of every operation in some order explains the history.
fn is_explained(entries: &[Entry]) -> bool {
    let mut moments: Vec<_> = (0..entries.len())
        .flat_map(|n| [(entries[n].invoked, n, false), (entries[n].returned, n, true)])
        .collect();
    moments.sort_unstable();
    let mut worlds = HashSet::from([World::default()].map(Ordered));
    for (_, number, is_end) in moments {
        if is_end {
            worlds = all_steps(worlds, entries);
            worlds.retain(|world| world.0.1[&number] == Progress::Done);
        }
        let advance = |Ordered((state, mut progress)): Ordered| {
            if is_end {
                progress.remove(&number);
            } else {
                progress.insert(number, Progress::Begun);
            }
            Ordered((state, progress))
        };
        worlds = worlds.into_iter().map(advance).collect();
    }
    !worlds.is_empty()
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Ordered(World);

/// Everything that may become of these worlds before the next moment.
fn all_steps(worlds: HashSet<Ordered>, entries: &[Entry]) -> HashSet<Ordered> {
    let mut open: Vec<_> = worlds.iter().cloned().collect();
    let mut seen = worlds;
    while let Some(Ordered((state, progress))) = open.pop() {
        for (&number, &far) in &progress {
            // As in the checker: the first numbers are the directories'.
            for step in steps::next(&entries[number], number as u32 + 3, far, &state) {
                let mut progress = progress.clone();
                progress.insert(number, step.progress);
                let mut state = step.state.unwrap_or_else(|| state.clone());
                // The number of what nobody can reach may be another's by and by.
                state.forget(&|id| progress.values().any(|progress| progress.uses(id)));
                let next = Ordered((state, progress));
                if seen.insert(next.clone()) {
                    open.push(next);
                }
            }
        }
    }
    seen
}

/// What was done one after the other in a real directory, by a guest that promises something and, where `stock` says so, by
/// one that does not.
fn run(seed: u64, mix: Mix, stock: &[bool]) -> Vec<Entry> {
    let directory = tempfile::tempdir().unwrap();
    execute::prepare(directory.path()).unwrap();
    let mut generators = [Role::Coherent, Role::Stock].map(|role| {
        let place = Place::open(directory.path(), role == Role::Stock).unwrap();
        (place, Generator::new(seed, u32::from(role == Role::Stock), role, mix))
    });
    let entries = stock.iter().zip(1..).map(|(&stock, number)| {
        let (place, generator) = &mut generators[usize::from(stock)];
        let operation = generator.operation();
        let outcome = Some(place.execute(&operation));
        let (invoked, returned) = (number * PACE, number * PACE + 1);
        Entry { log: 0, invoked, returned, operation, outcome, trusted: !stock }
    });
    let refused = |entry: &Entry| entry.outcome.is_some_and(|outcome| outcome.errno != 0);
    entries.filter(|entry| entry.trusted || !refused(entry)).collect()
}

/// Stretched until few overlap, with outcomes exchanged, or lost, here and there.
fn spoil(entries: &mut [Entry], by: &[(u64, u64)], lies: &[(usize, usize)], lost: usize) {
    for ((entry, (before, after)), number) in entries.iter_mut().zip(by).zip(0..) {
        entry.invoked = entry.invoked.saturating_sub(before * PACE) * PACE + number;
        entry.returned = (entry.returned + after * PACE) * PACE + number;
    }
    for (one, other) in lies {
        let (one, other) = (one % entries.len(), other % entries.len());
        let [here, there] = [one, other].map(|number| entries[number].operation);
        // A number belongs to one directory where nothing moves, in all histories that there can be.
        if here.call == there.call && here.path.directory == there.path.directory {
            entries[one].outcome = entries[other].outcome;
        }
    }
    if let Some(entry) = entries.get_mut(lost) {
        entry.outcome = None;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn shortcuts_change_no_verdict(
        seed: u64,
        contents: bool,
        stock in prop::collection::vec(prop::bool::weighted(0.2), OPERATIONS),
        by in prop::collection::vec((0..3_u64, 0..3_u64), OPERATIONS),
        lies in prop::collection::vec((0..OPERATIONS, 0..OPERATIONS), 0..LIES),
        lost in 0..2 * OPERATIONS,
    ) {
        prop_assume!(rustix::process::geteuid().is_root());
        let mix = if contents { Mix::Contents } else { Mix::Everything };
        let mut entries = run(seed, mix, &stock);
        spoil(&mut entries, &by, &lies, lost);
        let told = || entries.iter().map(Entry::to_string).collect::<Vec<_>>().join("\n");
        prop_assert_eq!(check(&entries).is_ok(), is_explained(&entries), "{}", told());
    }
}
