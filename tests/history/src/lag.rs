//! How late guests see what is changed on the host.
//!
//! One thread of the host makes changes, one after the other, and after each looks at everything
//! ([`World`]). Guests only look, at any time. What a look tells must have been so between two
//! moments: the last one at which everything was known to have been delivered to its guest, and the
//! look's end. How many changes it lags behind is counted.
//!
//! A look is of several steps (see [`crate::steps`]), and the kernel's own calls are not atomic beside
//! a change, so the parts of an outcome may be of different moments; each must be of one.

use std::fmt;

use crate::execute::Place;
use crate::log::Entry;
use crate::op::{Call, DIRECTORIES, Kind, NAMES, Operation, Outcome, Path};

const LOOKS: [Call; 4] = [Call::Stat, Call::Read, Call::ReadLink, Call::GetXattr];

/// What the host sees at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct World {
    /// For each name, in order, the outcome of each of [`LOOKS`].
    names: Vec<[Outcome; LOOKS.len()]>,
    lists: Vec<Outcome>,
}

impl World {
    /// Look at everything.
    #[must_use]
    pub fn observe(place: &Place) -> Self {
        let look = |call, path| place.execute(&Operation { call, path, to: path, value: 0 });
        Self {
            names: paths().map(|path| LOOKS.map(|call| look(call, path))).collect(),
            lists: (0..DIRECTORIES)
                .map(|directory| look(Call::List, Path { directory, name: 0, leaf: None }))
                .collect(),
        }
    }

    fn outcome(&self, call: Call, path: Path) -> Option<Outcome> {
        if call == Call::List {
            return self.lists.get(usize::from(path.directory)).copied();
        }
        let look = LOOKS.iter().position(|look| *look == call)?;
        let at = usize::from(path.directory) * usize::from(NAMES) + usize::from(path.name);
        Some(self.names.get(at)?[look])
    }

    /// The file with this number under the names that are looked at, if it has one.
    fn file(&self, ino: u64) -> Option<&[Outcome; LOOKS.len()]> {
        self.names.iter().find(|[stat, ..]| is_file(stat) && stat.ino == ino)
    }
}

fn paths() -> impl Iterator<Item = Path> {
    (0..DIRECTORIES)
        .flat_map(|directory| (0..NAMES).map(move |name| Path { directory, name, leaf: None }))
}

fn is_file(stat: &Outcome) -> bool {
    stat.errno == 0 && stat.kind == Kind::File
}

/// A change, and the world that it left.
#[derive(Debug)]
struct Moment {
    invoked: u64,
    returned: u64,
    world: World,
}

/// All changes, and when they were known to have been delivered.
#[derive(Debug)]
pub struct Changes {
    moments: Vec<Moment>,
    /// Guest, moment by the clock, and the newest change.
    delivered: Vec<(usize, u64, usize)>,
}

/// What was found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lag {
    /// How many looks there were.
    pub looks: usize,
    /// How many of them told of something that the host had changed before.
    pub late: usize,
    /// How many changes the latest of them was behind.
    pub most_behind: usize,
}

/// A look that cannot be explained.
#[derive(Debug)]
pub struct Wrong {
    entry: Entry,
    allowed: Vec<Outcome>,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.entry)?;
        write!(f, "and by its name the host saw since everything had been delivered:")?;
        self.allowed.iter().try_for_each(|outcome| write!(f, "\n  {outcome}"))
    }
}

impl std::error::Error for Wrong {}

impl Changes {
    /// None yet: this is how everything begins.
    #[must_use]
    pub fn from(world: World) -> Self {
        Self { moments: vec![Moment { invoked: 0, returned: 0, world }], delivered: Vec::new() }
    }

    /// A change was made between two ticks of the clock, and left this world.
    pub fn add(&mut self, invoked: u64, returned: u64, world: World) {
        self.moments.push(Moment { invoked, returned, world });
    }

    /// All changes so far have been delivered to a guest.
    pub fn delivered(&mut self, guest: usize, now: u64) {
        self.delivered.push((guest, now, self.moments.len() - 1));
    }

    /// Check what a guest saw.
    ///
    /// # Errors
    /// It saw what was not so, or was no longer so when the changes had been delivered.
    pub fn check(&self, guest: usize, entries: &[Entry]) -> Result<Lag, Box<Wrong>> {
        let mut lag = Lag::default();
        for entry in entries {
            let Some(outcome) = entry.outcome else { continue };
            let behind = self.behind(guest, entry, &outcome)?;
            lag.looks += 1;
            lag.late += usize::from(behind > 0);
            lag.most_behind = lag.most_behind.max(behind);
        }
        Ok(lag)
    }

    /// How many changes a look is behind.
    fn behind(&self, guest: usize, entry: &Entry, outcome: &Outcome) -> Result<usize, Box<Wrong>> {
        // The world that was there when the look began, if no change was under way.
        let current = self.moments.partition_point(|m| m.returned < entry.invoked) - 1;
        let end = self.moments.partition_point(|m| m.invoked <= entry.returned);
        let known = self.delivered.iter().rev();
        let oldest = known
            .filter(|(of, when, _)| *of == guest && *when < entry.invoked)
            .map(|(_, _, newest)| *newest)
            .next()
            .unwrap_or(0);
        (oldest..=current)
            .rev()
            .position(|first| explains(&self.moments[first..end], &entry.operation, outcome))
            .ok_or_else(|| {
                let by_name = self.moments[oldest..end].iter();
                let mut allowed: Vec<_> = by_name
                    .filter_map(|m| m.world.outcome(entry.operation.call, entry.operation.path))
                    .collect();
                allowed.dedup();
                Box::new(Wrong { entry: *entry, allowed })
            })
    }
}

/// Whether an outcome is made of what was so at these moments.
fn explains(moments: &[Moment], operation: &Operation, outcome: &Outcome) -> bool {
    let Operation { call, path, .. } = *operation;
    let by_name = |call| moments.iter().filter_map(move |m| m.world.outcome(call, path));
    if by_name(call).any(|seen| seen == *outcome) {
        return true;
    }
    let named = |ino| by_name(Call::Stat).any(|stat| is_file(&stat) && stat.ino == ino);
    match call {
        Call::Stat if is_file(outcome) => named(outcome.ino) && is_of_file(moments, outcome),
        Call::Stat if outcome.errno == 0 && outcome.kind == Kind::Directory => {
            by_name(Call::Stat).any(|stat| stat.kind == Kind::Directory)
                && is_of_directories(moments, outcome)
        }
        Call::Read | Call::GetXattr => {
            let files = by_name(Call::Stat).filter(is_file);
            let look = LOOKS.iter().position(|look| *look == call);
            files.into_iter().any(|stat| {
                let states = moments.iter().filter_map(|m| m.world.file(stat.ino));
                look.is_some_and(|look| states.into_iter().any(|seen| seen[look] == *outcome))
            })
        }
        // Entries are looked up one after the other, and those that have gone meanwhile are left out.
        Call::List => (0..u32::from(NAMES)).all(|name| {
            by_name(Call::List).any(|seen| (seen.names ^ outcome.names) >> name & 1 == 0)
        }),
        _ => false,
    }
}

/// Whether each attribute is one that the file had. A file that had no name to look at may have had
/// any number elsewhere.
fn is_of_file(moments: &[Moment], outcome: &Outcome) -> bool {
    let had = |attribute: fn(&Outcome) -> u64| {
        let states = moments.iter().filter_map(|m| m.world.file(outcome.ino));
        states.into_iter().any(|[stat, ..]| attribute(stat) == attribute(outcome))
    };
    let was_away = moments.iter().any(|m| m.world.file(outcome.ino).is_none());
    had(|o| o.mode.into())
        && had(|o| o.uid.into())
        && had(|o| o.size)
        && had(|o| o.time)
        && (was_away || had(|o| o.links.into()))
}

/// Directories have no numbers here: whether each attribute is one that some directory had.
fn is_of_directories(moments: &[Moment], outcome: &Outcome) -> bool {
    let had = |attribute: fn(&Outcome) -> u32| {
        let all = moments.iter().flat_map(|m| m.world.names.iter());
        all.into_iter()
            .any(|[stat, ..]| stat.kind == Kind::Directory && attribute(stat) == attribute(outcome))
    };
    had(|o| o.mode) && had(|o| o.uid)
}

#[cfg(test)]
#[path = "lag_tests.rs"]
mod tests;
