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

/// Where an exploration gives up.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Distinct states.
    pub states: u64,
    /// Bytes of memory for them.
    pub bytes: u64,
}

impl Bounds {
    /// No bound.
    pub const NONE: Self = Self { states: u64::MAX, bytes: u64::MAX };
}

/// How far an exploration has got.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Distinct states so far.
    pub states: u64,
    /// Steps taken so far.
    pub steps: u64,
    /// The depth that is being expanded.
    pub depth: u32,
    /// States of this depth that wait, and those of the next.
    pub waiting: u64,
    /// Bytes of memory.
    pub bytes: u64,
}

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
    /// The most memory that states took, in bytes.
    pub bytes: u64,
    /// The shortest way to something wrong.
    pub counterexample: Option<Counterexample>,
    /// All states were seen; otherwise a bound was reached.
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

/// What a state costs for which there is room in [`Seen`]: 17 bytes, an eighth more for places that are never used, and
/// half as much again while the map grows.
const BYTES_A_STATE: u64 = 17 * 8 * 3 / (7 * 2);

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

    /// The memory that it takes.
    fn bytes(&self) -> u64 {
        (self.bytes.capacity() + self.ends.capacity() * size_of::<usize>()) as u64
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
    depth: u32,
    /// The most memory so far.
    bytes: u64,
    actions: Vec<Action>,
    buffer: Vec<u8>,
}

/// Expansions between two looks at the bounds.
const LOOK_EVERY: usize = 4096;

/// Explores a model.
///
/// # Panics
/// Where the model is not deterministic: the way to a state cannot be found again.
#[must_use]
pub fn explore(model: &Model, bounds: Bounds) -> Outcome {
    explore_watched(model, bounds, &mut |_| {})
}

/// As [`explore`]; `watch` hears now and then how far it is.
///
/// # Panics
/// As [`explore`].
#[must_use]
pub fn explore_watched(model: &Model, bounds: Bounds, watch: &mut dyn FnMut(Progress)) -> Outcome {
    let began = cpu_time();
    let mut explorer = Explorer::new(model);
    let root = explorer.enter(&normal(model, model.start()));
    let (mut widest, mut found, mut complete) = (1, None, true);
    'levels: loop {
        let level = std::mem::take(&mut explorer.next);
        for (at, packed) in level.iter().enumerate() {
            if let Some(end) = explorer.expand(packed) {
                let way = explorer.way_to(root, end);
                found = Some(way.expect("a state that was reached can be reached again"));
                explorer.depth += 1;
                break 'levels;
            }
            if at % LOOK_EVERY == 0 {
                let progress = explorer.progress(&level, at);
                watch(progress);
                complete = progress.bytes <= bounds.bytes;
            }
            complete &= (explorer.seen.len() as u64) < bounds.states;
            if !complete {
                break 'levels;
            }
        }
        if explorer.next.ends.is_empty() {
            break;
        }
        explorer.depth += 1;
        widest = widest.max(explorer.next.ends.len() as u64);
    }
    Outcome {
        states: explorer.seen.len() as u64,
        steps: explorer.steps,
        depth: explorer.depth,
        cpu: cpu_time().saturating_sub(began),
        widest,
        bytes: explorer.bytes,
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

impl<'m> Explorer<'m> {
    fn new(model: &'m Model) -> Self {
        Self {
            model,
            seen: Seen::default(),
            next: Level::default(),
            steps: 0,
            depth: 0,
            bytes: 0,
            actions: Vec::new(),
            buffer: Vec::new(),
        }
    }

    /// Begins with this state; answers its fingerprint.
    fn enter(&mut self, first: &State) -> u64 {
        self.pack(first);
        let root = self.fingerprint();
        self.seen.insert(root, root);
        self.next.push(&self.buffer);
        root
    }

    /// How far it is while it expands the state at `at` of a level.
    fn progress(&mut self, level: &Level, at: usize) -> Progress {
        let seen = self.seen.capacity() as u64 * BYTES_A_STATE;
        self.bytes = self.bytes.max(seen + level.bytes() + self.next.bytes());
        Progress {
            states: self.seen.len() as u64,
            steps: self.steps,
            depth: self.depth,
            waiting: (level.ends.len() - at + self.next.ends.len()) as u64,
            bytes: self.bytes,
        }
    }

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
