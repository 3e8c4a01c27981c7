//! The explorer: breadth first, every state once, shortest counterexample first.
//!
//! States are kept packed. A state that was seen is remembered by a 64-bit fingerprint, with its
//! parent's, which is enough to find the way to it again.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher, Hasher};
use std::time::Duration;

use crate::check::Violation;
use crate::model::{Action, Model};
use crate::report::cpu_time;
use crate::state::State;

/// What an exploration found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Distinct states.
    pub states: u64,
    /// Steps taken, those to known states included.
    pub steps: u64,
    /// Length of the longest of the shortest ways to a state.
    pub depth: u32,
    /// Processor time.
    pub cpu: Duration,
    /// The largest number of states of one depth.
    pub widest: u64,
    /// The shortest way to something wrong.
    pub counterexample: Option<Counterexample>,
    /// All states were seen; otherwise the limit was reached.
    pub complete: bool,
}

/// A way to something wrong.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What happened, from the first state on.
    pub actions: Vec<Action>,
    /// What is wrong after the last of them.
    pub violation: Violation,
}

/// A map whose keys are fingerprints, which need no hashing.
type Seen = HashMap<u64, u64, BuildHasherDefault<Fingerprinted>>;

/// Hands a fingerprint through.
#[derive(Default)]
struct Fingerprinted(u64);

impl Hasher for Fingerprinted {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {}

    fn write_u64(&mut self, n: u64) {
        self.0 = n;
    }
}

/// States of one depth, packed one after the other.
#[derive(Default)]
struct Level {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Level {
    fn push(&mut self, packed: &[u8]) {
        self.bytes.extend_from_slice(packed);
        self.ends.push(self.bytes.len());
    }

    fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, &end)| &self.bytes[start..end])
    }
}

struct Explorer<'m> {
    model: &'m Model,
    seen: Seen,
    next: Level,
    steps: u64,
    actions: Vec<Action>,
    buffer: Vec<u8>,
}

/// Explores a model. `limit`: give up after so many states.
///
/// # Panics
/// Where the model is not deterministic: the way to a state cannot be found again.
#[must_use]
pub fn explore(model: &Model, limit: u64) -> Outcome {
    let began = cpu_time();
    let first = normal(model, model.start());
    let mut explorer = Explorer {
        model,
        seen: Seen::default(),
        next: Level::default(),
        steps: 0,
        actions: Vec::new(),
        buffer: Vec::new(),
    };
    explorer.pack(&first);
    let root = explorer.fingerprint();
    explorer.seen.insert(root, root);
    let packed = std::mem::take(&mut explorer.buffer);
    explorer.next.push(&packed);
    let (mut depth, mut widest, mut found) = (0, 1, None);
    let mut complete = true;
    'levels: loop {
        let level = std::mem::take(&mut explorer.next);
        for packed in level.iter() {
            if let Some(end) = explorer.expand(packed) {
                let way = explorer.way_to(root, end);
                found = Some(way.expect("a state that was reached can be reached again"));
                depth += 1;
                break 'levels;
            }
            if explorer.seen.len() as u64 >= limit {
                complete = false;
                break 'levels;
            }
        }
        if explorer.next.ends.is_empty() {
            break;
        }
        depth += 1;
        widest = widest.max(explorer.next.ends.len() as u64);
    }
    Outcome {
        states: explorer.seen.len() as u64,
        steps: explorer.steps,
        depth,
        cpu: cpu_time().saturating_sub(began),
        widest,
        counterexample: found,
        complete,
    }
}

/// The form in which a state is remembered.
fn normal(model: &Model, mut state: State) -> State {
    if model.reduce {
        model.reduce(&mut state);
    }
    state
}

impl Explorer<'_> {
    /// Takes every step from a packed state. Something wrong: the state's fingerprint.
    fn expand(&mut self, packed: &[u8]) -> Option<u64> {
        let state = unpack(packed);
        let parent = fingerprint(packed);
        let mut actions = std::mem::take(&mut self.actions);
        actions.clear();
        self.model.actions(&state, &mut actions);
        for action in &actions {
            self.steps += 1;
            let next = self.model.apply(&state, action);
            if self.model.violation(&state, &next).is_some() {
                return Some(parent);
            }
            self.pack(&normal(self.model, next));
            let print = self.fingerprint();
            if let std::collections::hash_map::Entry::Vacant(place) = self.seen.entry(print) {
                place.insert(parent);
                self.next.push(&self.buffer);
            }
        }
        self.actions = actions;
        None
    }

    /// The way from the first state to the one with this fingerprint, and the step that goes wrong there.
    ///
    /// States are not brought into normal form on the way, so words, versions and daemons keep their numbers.
    fn way_to(&self, root: u64, end: u64) -> Option<Counterexample> {
        let mut prints = vec![end];
        while let Some(&print) = prints.last().filter(|&&p| p != root) {
            prints.push(self.seen[&print]);
        }
        prints.reverse();
        let mut way = Vec::new();
        let mut state = self.model.start();
        let mut choices = Vec::new();
        for &wanted in &prints[1..] {
            choices.clear();
            self.model.actions(&state, &mut choices);
            let (action, next) = choices.iter().find_map(|action| {
                let next = self.model.apply(&state, action);
                let same = fingerprint(&pack(&normal(self.model, next.clone()))) == wanted;
                same.then_some((action, next))
            })?;
            way.push(action.clone());
            state = next;
        }
        choices.clear();
        self.model.actions(&state, &mut choices);
        choices.into_iter().find_map(|action| {
            let violation = self.model.violation(&state, &self.model.apply(&state, &action))?;
            way.push(action);
            Some(Counterexample { actions: std::mem::take(&mut way), violation })
        })
    }

    fn pack(&mut self, state: &State) {
        self.buffer.clear();
        let buffer = std::mem::take(&mut self.buffer);
        self.buffer = postcard::to_extend(state, buffer).unwrap_or_default();
    }

    fn fingerprint(&self) -> u64 {
        fingerprint(&self.buffer)
    }
}

fn fingerprint(packed: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(packed);
    hasher.finish()
}

fn pack(state: &State) -> Vec<u8> {
    postcard::to_stdvec(state).unwrap_or_default()
}

fn unpack(packed: &[u8]) -> State {
    postcard::from_bytes(packed).expect("a packed state is one that we have packed")
}

#[cfg(test)]
#[path = "explore_tests.rs"]
mod tests;
