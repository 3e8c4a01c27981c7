//! Looking twice: rates come from what changed in between.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coherence::inspect::{Inspection, inspect};

use crate::counters::Counters;
use crate::report::Report;

/// Looks at a table again and again.
pub(crate) struct Looker {
    path: PathBuf,
    before: Counters,
    at: Instant,
}

impl Looker {
    /// Takes the first look.
    pub(crate) fn new(path: &Path) -> io::Result<Self> {
        let seen = look_at(path)?;
        Ok(Self { path: path.to_owned(), before: Counters::of(&seen), at: Instant::now() })
    }

    /// Looks again and compares with the last time.
    pub(crate) fn look(&mut self) -> io::Result<Report> {
        let seen = look_at(&self.path)?;
        let now = Instant::now();
        let passed = now.duration_since(self.at);
        let report = Report::new(&seen, &self.before, rate_base(passed));
        self.before = Counters::of(&seen);
        self.at = now;
        Ok(report)
    }
}

/// Seconds, where that many make a rate worth telling.
fn rate_base(passed: Duration) -> Option<f64> {
    (passed >= Duration::from_millis(50)).then_some(passed.as_secs_f64())
}

fn look_at(path: &Path) -> io::Result<Inspection> {
    inspect(path).map_err(io::Error::other)
}
