//! Histories made of a run in which one thing was done after the other, in a real directory:
//! stretched until they overlap they are explained, and a lie in one that was not stretched is not.

use proptest::prelude::*;
use samepage_history::execute::{self, Place};
use samepage_history::generate::{Generator, Mix, Role};
use samepage_history::{Entry, Outcome, check};

/// Time between two operations.
const PACE: u64 = 100;

fn run(seed: u64, mix: Mix, operations: u64) -> Vec<Entry> {
    let directory = tempfile::tempdir().unwrap();
    execute::prepare(directory.path()).unwrap();
    let place = Place::open(directory.path(), false).unwrap();
    let mut generator = Generator::new(seed, 0, Role::Coherent, mix);
    let entries = (1..=operations).map(|number| {
        let operation = generator.operation();
        let outcome = Some(place.execute(&operation));
        let (invoked, returned) = (number * PACE, number * PACE + 1);
        Entry { log: 0, invoked, returned, operation, outcome, trusted: true }
    });
    entries.collect()
}

/// The entry, stretched in both directions. No two moments of a history are the same.
fn stretch(entries: &[Entry], by: &[(u64, u64)]) -> Vec<Entry> {
    let stretched = entries.iter().zip(by).map(|(entry, (before, after))| {
        let number = entry.invoked / PACE % PACE;
        let invoked = entry.invoked.saturating_sub(before * PACE) * PACE + number;
        Entry { invoked, returned: (entry.returned + after * PACE) * PACE + number, ..*entry }
    });
    stretched.collect()
}

fn mix() -> impl Strategy<Value = Mix> {
    prop_oneof![Just(Mix::Everything), Just(Mix::Contents)]
}

/// An earlier outcome of the same operation that says something else, apart from times that nobody
/// has set.
fn earlier(entries: &[Entry], number: usize) -> Option<Outcome> {
    let timeless = |entry: &Entry| Outcome { time: 0, ..entry.outcome.unwrap_or_default() };
    let now = &entries[number];
    let mut same = entries[..number].iter().rev().filter(|entry| entry.operation == now.operation);
    same.find(|entry| timeless(entry) != timeless(now))?.outcome
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn overlapping_is_explained(
        seed: u64,
        mix in mix(),
        by in prop::collection::vec((0..4_u64, 0..4_u64), 90),
    ) {
        prop_assume!(rustix::process::geteuid().is_root());
        let entries = stretch(&run(seed, mix, 90), &by);
        let verdict = check(&entries);
        prop_assert!(verdict.is_ok(), "{}", verdict.unwrap_err());
    }

    #[test]
    fn an_old_outcome_is_not(seed: u64, mix in mix()) {
        prop_assume!(rustix::process::geteuid().is_root());
        let entries = run(seed, mix, 300);
        prop_assert!(check(&entries).is_ok());
        let looks = |number: &usize| entries[*number].operation.call.only_looks();
        for number in (0..entries.len()).filter(looks) {
            if let Some(old) = earlier(&entries, number) {
                let mut lying = entries.clone();
                lying[number].outcome = Some(old);
                lying.truncate(number + 1);
                prop_assert!(check(&lying).is_err(), "{} was believed", lying[number]);
            }
        }
    }
}
