//! Hours of everyday work on one share by several machines: a little of everything, over and over, on a bounded number of
//! files, so that whatever grows is a leak. Each job checks what it can; the sums are checked in the end, by whoever
//! started the machines.

mod private;
mod shared;

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use private::Private;
use shared::Shared;

pub use shared::{COUNTERS, DIRECTORIES, MANY};

/// The name whose appearance ends the work.
pub const STOP: &str = "stop";
/// The longest pause between two rounds.
const PAUSE: Duration = Duration::from_secs(5);

/// One machine's share in the work.
#[derive(Debug)]
pub struct Worker {
    /// The share.
    pub root: PathBuf,
    /// Its own name; a directory of this name is its own.
    pub name: String,
    /// Where its random decisions begin.
    pub seed: u64,
    /// How much of its time it works, in percent.
    pub percent: u32,
    /// Whether it promises to see nothing stale. Who does not opens files anew before it relies on them.
    pub coherent: bool,
}

/// What a worker has done.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Report {
    /// Rounds of all its jobs.
    pub rounds: u64,
    /// How often it has counted each counter up.
    pub counted: [u64; COUNTERS],
    /// Letters that it has read, and found as their writers sent them.
    pub letters: u64,
    /// Changes of names that others change as well.
    pub renamed: u64,
}

/// Makes what the workers expect, on the host: directories, counters at 0, and a directory of many files.
///
/// # Errors
/// It cannot be made.
pub fn prepare(root: &Path, names: &[&str]) -> Result<()> {
    names.iter().try_for_each(|name| fs::create_dir(root.join(name)))?;
    shared::prepare(root)
}

impl Worker {
    /// Works until [`STOP`] appears in the share.
    ///
    /// # Errors
    /// An operation fails that must not, or something is not what it was made to be.
    pub fn work(&self) -> Result<Report> {
        let random = fastrand::Rng::with_seed(self.seed);
        let mut private = Private::new(self.root.join(&self.name), random.clone())?;
        let mut shared = Shared::new(self, random)?;
        let mut report = Report::default();
        while !self.root.join(STOP).exists() {
            let begun = Instant::now();
            let round = format!("round {} of {}", report.rounds, self.name);
            private.round().with_context(|| round.clone())?;
            shared.round(&mut report).with_context(|| round.clone())?;
            report.rounds += 1;
            let pause = begun.elapsed() * (100 - self.percent) / self.percent;
            thread::sleep(pause.min(PAUSE));
        }
        Ok(report)
    }
}

impl Report {
    /// A line that [`Report::parse`] understands.
    #[must_use]
    pub fn line(&self) -> String {
        let counted: Vec<_> = self.counted.iter().map(u64::to_string).collect();
        let Self { rounds, letters, renamed, .. } = self;
        format!("{rounds} {letters} {renamed} {}", counted.join(" "))
    }

    /// What a worker has written.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(line: &str) -> Result<Self> {
        let numbers = line.split_whitespace().map(str::parse).collect::<Result<Vec<u64>, _>>();
        let numbers = numbers.with_context(|| format!("no report: {line:?}"))?;
        let [rounds, letters, renamed, counted @ ..] = numbers.as_slice() else {
            anyhow::bail!("a report is longer than {line:?}");
        };
        let counted = counted.try_into().context("a report has all counters")?;
        Ok(Self { rounds: *rounds, counted, letters: *letters, renamed: *renamed })
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
