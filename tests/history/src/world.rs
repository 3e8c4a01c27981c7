//! What may be: a file system, and how far each operation that has begun has come.

use std::collections::BTreeMap;

use crate::log::Entry;
use crate::op::DIRECTORIES;
use crate::state::{Id, State};
use crate::steps::{self, Progress};

#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct World {
    pub(crate) state: State,
    pub(crate) progress: BTreeMap<usize, Progress>,
}

/// The model's number for an operation, and so for the inode that it makes.
fn id_of(entry: usize) -> Id {
    Id::try_from(entry).unwrap_or(Id::MAX) + Id::from(DIRECTORIES)
}

impl World {
    pub(crate) fn begin(mut self, number: usize, entries: &[Entry]) -> Self {
        self.progress.insert(number, Progress::Begun);
        self.look(number, entries);
        self
    }

    /// Every world in which one more operation is done.
    pub(crate) fn successors(&self, entries: &[Entry]) -> Vec<Self> {
        let mut found = Vec::new();
        for (&number, &progress) in &self.progress {
            for change in ends(&self.state, number, progress, entries) {
                let mut done = self.clone();
                done.progress.insert(number, Progress::Done);
                match change {
                    None => found.push(done),
                    Some(state) => found.extend(done.change(state, entries)),
                }
            }
        }
        found
    }

    /// The worlds that a change of the state leads to.
    ///
    /// What a name means is only held against an operation when the name changes its meaning: till then an operation
    /// that has found it can do no more than one that has yet to look, so there is no world for it.
    fn change(self, state: State, entries: &[Entry]) -> Vec<Self> {
        let renamed = !self.state.has_same_names(&state);
        let before = self.state.clone();
        let mut worlds = vec![Self { state, ..self }];
        if renamed {
            let open: Vec<_> = worlds[0].progress.iter().map(|(&n, &p)| (n, p)).collect();
            for (number, progress) in open {
                let now = ways(&worlds[0].state, number, progress, entries);
                let mut lost = ways(&before, number, progress, entries);
                lost.retain(|way| !now.contains(way));
                let further = worlds
                    .clone()
                    .into_iter()
                    .flat_map(|world| lost.iter().map(move |way| world.clone().with(number, *way)));
                worlds.extend(further.collect::<Vec<_>>());
            }
        }
        for world in &mut worlds {
            world.settle(entries);
        }
        worlds
    }

    fn with(mut self, number: usize, progress: Progress) -> Self {
        self.progress.insert(number, progress);
        self
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

/// How an operation can come to its end as things are: what each of these ends makes of the state, if anything.
fn ends(state: &State, number: usize, from: Progress, entries: &[Entry]) -> Vec<Option<State>> {
    let mut ends = Vec::new();
    for step in steps::next(&entries[number], id_of(number), from, state) {
        if step.progress == Progress::Done && from != Progress::Done {
            ends.push(step.state);
        } else if step.progress != from {
            ends.extend(self::ends(state, number, step.progress, entries));
        }
    }
    ends
}

/// How far an operation can come as things are without being done.
fn ways(state: &State, number: usize, from: Progress, entries: &[Entry]) -> Vec<Progress> {
    let mut ways = Vec::new();
    for step in steps::next(&entries[number], id_of(number), from, state) {
        if matches!(step.progress, Progress::Walked(_) | Progress::Found(_)) {
            ways.push(step.progress);
            ways.extend(self::ways(state, number, step.progress, entries));
        }
    }
    ways
}
