//! Each reduction, with and without: the same verdict, and the shortest way to what is wrong is as long.

use crate::explore::{Bounds, Outcome, explore};
use crate::fault::Fault;
use crate::fault_table::FAULTS;
use crate::ident::{Ino, Name};
use crate::model::Model;
use crate::op::Op;
use crate::scope::{Grain, Scope, Watch, file_ops, name_ops};
use crate::scopes;

const BOUNDS: Bounds = Bounds { states: 3_000_000, ..Bounds::NONE };

fn run(scope: &Scope, fault: Option<Fault>, reduce: bool) -> Outcome {
    let outcome = explore(&Model { scope: scope.clone(), fault, reduce }, BOUNDS);
    assert!(outcome.complete || outcome.counterexample.is_some(), "{fault:?} in {}", scope.name);
    outcome
}

fn length(outcome: &Outcome) -> Option<usize> {
    outcome.counterexample.as_ref().map(|found| found.actions.len())
}

/// A scope with so few changes that it ends without the normal form.
fn bounded(name: &str, changes: u8) -> Scope {
    scopes::find(name).expect("a scope of that name").budget(|b| b.changes = b.changes.min(changes))
}

#[test]
fn the_normal_form_hides_nothing() {
    let mut compared = 0;
    for (name, changes) in [
        ("names", 2),
        ("directories", 2),
        ("files", 2),
        ("dax", 3),
        ("wrap", 2),
        ("rebuild", 1),
        ("deaf", 1),
        ("hurry", 1),
    ] {
        let scope = bounded(name, changes).budget(|b| {
            b.stores = b.stores.min(1);
            b.crashes = b.crashes.min(1);
            b.starts = b.starts.min(1);
        });
        let faults = FAULTS.iter().filter(|e| e.scope == name && e.fault.may_reduce());
        for fault in std::iter::once(None).chain(faults.map(|e| Some(e.fault))) {
            let (plain, reduced) = (run(&scope, fault, false), run(&scope, fault, true));
            assert_eq!(length(&plain), length(&reduced), "{fault:?} in {name}");
            assert!(reduced.states <= plain.states);
            compared += 1;
        }
    }
    assert!(compared > 30, "{compared}");
}

#[test]
fn many_slots_in_one_step_hide_nothing() {
    for (name, changes) in [("names", 2), ("files", 2), ("directories", 2)] {
        let coarse = bounded(name, changes);
        let fine = coarse.clone().with(|s| s.grain = Grain::Word);
        let faults = FAULTS.iter().filter(|e| e.scope == name && e.fault.may_reduce());
        for fault in std::iter::once(None).chain(faults.map(|e| Some(e.fault))) {
            let (coarse, fine) = (run(&coarse, fault, true), run(&fine, fault, true));
            let caught = |o: &Outcome| o.counterexample.is_some();
            assert_eq!(caught(&coarse), caught(&fine), "{fault:?} in {name}");
        }
    }
}

#[test]
fn guests_that_ask_all_the_time_find_what_slow_ones_find() {
    let always = Scope::new("both", "").ops(&name_ops()).ops(&file_ops());
    let always = always.budget(|b| b.changes = 2);
    let slow = always.clone().with(|s| {
        s.always = false;
        s.budget.reads = 1;
        let names = [Op::Lookup(Name(0)), Op::Lookup(Name(1))];
        let files = [0, 1, 2].map(|i| Op::Getattr(Ino(i)));
        s.ops.extend(names.into_iter().chain(files));
    });
    assert_eq!(slow.watch, Watch::Off);
    let mut found = 0;
    for fault in std::iter::once(None).chain(
        FAULTS
            .iter()
            .filter(|e| ["names", "files"].contains(&e.scope) && e.fault.may_reduce())
            .map(|e| Some(e.fault)),
    ) {
        let (free, explicit) = (run(&always, fault, true), run(&slow, fault, true));
        if explicit.counterexample.is_some() {
            assert!(free.counterexample.is_some(), "{fault:?}: only slow guests see it");
            found += 1;
        }
    }
    assert!(found > 20, "{found}");
}
