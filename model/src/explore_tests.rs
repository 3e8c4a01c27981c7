//! The explorer against another one: `stateright` explores the same model.

use std::hash::{Hash, Hasher};

use stateright::{Checker, Model as Other, Property};

use super::*;
use crate::fault::Fault;
use crate::scope::Scope;
use crate::scopes;

/// The model as `stateright` wants it.
struct Theirs(Model);

/// A state in normal form, and whether something went wrong on the way into it.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    state: State,
    wrong: bool,
}

impl Hash for Seen {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        pack(&self.state).hash(hasher);
        self.wrong.hash(hasher);
    }
}

impl Other for Theirs {
    type State = Seen;
    type Action = Action;

    fn init_states(&self) -> Vec<Seen> {
        vec![Seen { state: normal(&self.0, self.0.start()), wrong: false }]
    }

    fn actions(&self, seen: &Seen, actions: &mut Vec<Action>) {
        self.0.actions(&seen.state, actions);
    }

    fn next_state(&self, seen: &Seen, action: Action) -> Option<Seen> {
        let next = self.0.apply(&seen.state, &action);
        let wrong = self.0.violation(&seen.state, &next).is_some();
        Some(Seen { state: normal(&self.0, next), wrong })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![Property::always("nothing goes wrong", |_, seen: &Seen| !seen.wrong)]
    }
}

fn scope(name: &str) -> Scope {
    scopes::find(name).expect("a scope of that name")
}

#[test]
fn both_explorers_count_the_same_states() {
    for name in ["names", "wrap", "saturation", "dax", "aba"] {
        let model = Model::new(scope(name), None);
        let ours = explore(&model, Bounds::NONE);
        let theirs = Theirs(model).checker().threads(1).spawn_bfs().join();
        theirs.assert_properties();
        assert_eq!(ours.states, theirs.unique_state_count() as u64, "{name}");
        // Theirs counts states on the longest of the shortest ways, ours the steps between them.
        assert_eq!(ours.depth as usize + 1, theirs.max_depth(), "{name}");
        assert!(ours.counterexample.is_none() && ours.complete);
    }
}

#[test]
fn both_explorers_find_ways_of_the_same_length() {
    for fault in [Fault::NoNameLock, Fault::StampWithoutAlone, Fault::PublishBeforeChange] {
        let model = Model::new(scope("names"), Some(fault));
        let ours = explore(&model, Bounds::NONE).counterexample.expect("it is caught");
        let theirs = Theirs(model).checker().threads(1).spawn_bfs().join();
        let theirs = theirs.discovery("nothing goes wrong").expect("it is caught there, too");
        assert_eq!(ours.actions.len(), theirs.into_actions().len(), "{fault}");
    }
}

#[test]
fn a_limit_is_kept_and_told() {
    let outcome =
        explore(&Model::new(scope("names"), None), Bounds { states: 500, ..Bounds::NONE });
    assert!(!outcome.complete && outcome.counterexample.is_none());
    assert!((500..600).contains(&outcome.states), "{}", outcome.states);
}
