use crate::host::Syscall;
use crate::ident::{Identity, Ino, Name};
use crate::model::{Action, Model};
use crate::op::Op;
use crate::scopes;
use crate::state::State;

const FILE: Ino = Ino(1);

fn begin() -> (Model, State) {
    let scope = scopes::find("echo").expect("it is there").budget(|b| b.reads = 4);
    let model = Model::new(scope, None);
    let state = model.start();
    (model, state)
}

fn run(model: &Model, state: &mut State, actions: &[Action]) {
    for action in actions {
        *state = model.apply(state, action);
    }
}

/// A guest of each daemon asks for the file's attributes.
fn both_ask(model: &Model, state: &mut State) {
    for worker in [0, 1] {
        run(model, state, &[Action::Begin(worker, Op::Getattr(FILE))]);
        while state.tasks[usize::from(worker)].is_some() {
            run(model, state, &[Action::Step(worker)]);
        }
    }
}

fn word(model: &Model, state: &State) -> u64 {
    state.words[usize::from(model.slot(Identity::Attr(FILE)))]
}

#[test]
fn one_change_on_the_host_costs_one_invalidation() {
    let (model, mut state) = begin();
    both_ask(&model, &mut state);
    let before = word(&model, &state);
    let change = Action::Host(Syscall::Write(FILE), false);
    run(&model, &mut state, &[change, Action::Deliver(1), Action::Deliver(0)]);
    assert_eq!(word(&model, &state), before + (1 << 16));
    assert!(state.events.is_empty());
}

#[test]
fn a_change_of_ones_own_is_no_event_to_anybody() {
    let (model, mut state) = begin();
    both_ask(&model, &mut state);
    let before = word(&model, &state);
    run(&model, &mut state, &[Action::Begin(0, Op::Write(FILE))]);
    while state.tasks[0].is_some() {
        run(&model, &mut state, &[Action::Step(0)]);
    }
    run(&model, &mut state, &[Action::Deliver(0), Action::Deliver(1)]);
    assert_eq!(word(&model, &state), before + (1 << 16), "published once, moved by no event");
    assert!(state.events.is_empty());
}

#[test]
fn whoever_has_stamped_again_moves_the_word_again() {
    let (model, mut state) = begin();
    both_ask(&model, &mut state);
    let before = word(&model, &state);
    run(&model, &mut state, &[Action::Host(Syscall::Write(FILE), false), Action::Deliver(0)]);
    both_ask(&model, &mut state);
    run(&model, &mut state, &[Action::Deliver(1)]);
    assert_eq!(word(&model, &state), before + (2 << 16));
}

#[test]
fn nobody_moves_what_nobody_has_asked_for() {
    let (model, mut state) = begin();
    let before = state.words.clone();
    let change = Action::Host(Syscall::Unlink(Name(0)), false);
    run(&model, &mut state, &[change, Action::Deliver(0), Action::Deliver(1)]);
    assert_eq!(state.words, before);
}
