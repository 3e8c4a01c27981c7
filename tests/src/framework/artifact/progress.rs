//! Showing what takes its time: a moving line on a terminal, two plain lines elsewhere.

use std::time::Duration;

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::time::Instant;

/// One thing that is being done. Shown on standard error.
#[derive(Debug)]
pub struct Step {
    what: String,
    bar: ProgressBar,
    begun: Instant,
}

impl Step {
    /// Show that `what` has begun.
    pub fn begin(what: impl Into<String>) -> Self {
        let what = what.into();
        let bar = ProgressBar::new(100);
        bar.set_style(spinner());
        if std::io::stderr().is_terminal() {
            bar.set_message(what.clone());
            bar.enable_steady_tick(Duration::from_millis(100));
        } else {
            eprintln!("{what} …");
        }
        Self { what, bar, begun: Instant::now() }
    }

    /// Show how much of it is done.
    pub fn percent(&self, percent: u64) {
        if self.bar.position() == 0 {
            self.bar.set_style(meter());
        }
        self.bar.set_position(percent.min(100));
    }

    /// Show that it is done, and what came of it.
    pub fn done(self, result: &str) {
        let elapsed = self.begun.elapsed();
        self.bar.finish_and_clear();
        let result = if result.is_empty() { String::new() } else { format!(": {result}") };
        if elapsed < Duration::from_secs(1) {
            eprintln!("{}{result}", self.what);
        } else {
            eprintln!("{}{result} ({})", self.what, HumanDuration(elapsed));
        }
    }
}

fn spinner() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg} {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn meter() -> ProgressStyle {
    ProgressStyle::with_template("{spinner} {msg} {bar:30} {percent} % {elapsed}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
